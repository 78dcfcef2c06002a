//! Why a provider gave no token, said so that whoever reads the log can mend it: the provider, the field, the fix. Decides which refusals
//! end a grant for good. Quotes a provider's own words only cleaned, and never what was sent to it.

use std::fmt;

use http::StatusCode;

use crate::limits;
use crate::oauth::provider::Provider;
use crate::oauth::web::WebFault;

/// A provider that gave no token. `Display` names the provider, the field and the fix; it is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenFault(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    /// `GitHub (providers.github)`.
    who: String,
    /// Where its keys are in gateway.toml.
    table: String,
    flaw: TokenFlaw,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenFlaw {
    /// It has keys, not OAuth.
    NoOauth,
    /// No answer.
    Web(WebFault),
    /// An error as OAuth has them, or the provider's own form of one.
    Refused(Refusal),
    /// Too many requests, or the provider's own trouble.
    Busy {
        /// Of the answer.
        status: u16,
    },
    /// Not a JSON object.
    NotJson {
        /// Of the answer.
        status: u16,
        /// What it says it is.
        content_type: String,
    },
    /// A field of the answer is missing or is not what it must be.
    Field {
        /// JSON pointer from the answer's root.
        field: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// The issuer's metadata cannot be used.
    Metadata {
        /// Host and path of the issuer.
        issuer: Box<str>,
        /// The member of the metadata, or none if there is no metadata at all.
        field: Option<&'static str>,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// The provider has no such endpoint.
    NoEndpoint(&'static str),
    /// The system has no randomness.
    NoRandomness,
}

/// What a provider refused with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Of the answer; 200 with some.
    pub(crate) status: u16,
    /// `invalid_grant`; cleaned. None if it gave no code.
    pub(crate) code: Option<String>,
    /// Its own words; cleaned.
    pub(crate) words: Option<String>,
}

/// Who has to do something about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The user: the code or the refresh token is worth nothing any more.
    Consent,
    /// The operator: the client's id, secret or authentication.
    Client,
    /// The operator: the callback's URL.
    Callback,
    /// The operator: scopes.
    Scopes,
    /// The operator: how requests are made.
    Request,
    /// The operator, or the user's administrator, at the provider.
    Elsewhere,
    /// Nobody: later.
    Later,
}

impl TokenFault {
    /// A fault of this provider.
    pub(crate) fn new(provider: &Provider, flaw: TokenFlaw) -> Self {
        let is_built_in = provider.client().is_some_and(|client| client.monday.is_some());
        let table = if is_built_in { "the app's table".to_owned() } else { format!("[providers.{}]", provider.name) };
        Self(Box::new(Inner { who: provider.display.clone(), table, flaw }))
    }

    /// Whether the code or refresh token that was sent is worth nothing any more: the user has to consent again. A mistake of the
    /// configuration and trouble at the provider are not final: they would end every user's grant.
    pub(crate) fn is_final(&self) -> bool {
        matches!(&self.0.flaw, TokenFlaw::Refused(refusal) if refusal.remedy() == Remedy::Consent)
    }

    /// Whether the provider has no endpoint to be told at: nothing went wrong, and nothing can be done.
    pub(crate) fn is_unheard(&self) -> bool {
        matches!(self.0.flaw, TokenFlaw::NoOauth | TokenFlaw::NoEndpoint(_))
    }
}

impl TokenFlaw {
    /// Whether another secret of the same client may do.
    pub(crate) fn is_about_the_client(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.remedy() == Remedy::Client)
    }
}

impl std::error::Error for TokenFault {}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { who, table, flaw } = &*self.0;
        write!(f, "{who}: ")?;
        match flaw {
            TokenFlaw::NoOauth => write!(f, "{table} is of type api_key and has no OAuth"),
            TokenFlaw::Web(fault) => write!(f, "{fault} (the host is in {table})"),
            TokenFlaw::Refused(refusal) => write!(f, "{refusal}: {}", refusal.fix(table)),
            TokenFlaw::Busy { status } => write!(f, "the token endpoint answered {status}: it is asked again later"),
            TokenFlaw::NotJson { status, content_type } => write!(
                f,
                "the token endpoint answered {status} with {content_type}, which is no JSON object: check `token_url` of {table}"
            ),
            TokenFlaw::Field { field, problem, fix } => {
                write!(f, "`{field}` of the token endpoint's answer {problem}: {fix} ({table})")
            }
            TokenFlaw::Metadata { issuer, field: Some(field), problem } => {
                write!(f, "`{field}` of the metadata of {issuer} {problem} (`issuer` of {table})")
            }
            TokenFlaw::Metadata { issuer, field: None, problem } => {
                write!(
                    f,
                    "no metadata of {issuer}: {problem}; check `issuer` of {table}, or set `authorize_url` and `token_url`"
                )
            }
            TokenFlaw::NoEndpoint(which) => write!(f, "has no `{which}` in {table}"),
            TokenFlaw::NoRandomness => write!(f, "this system gives no random bytes"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "the token endpoint refused with `error` {code}")?,
            None => write!(f, "the token endpoint refused with status {} and no `error`", self.status)?,
        }
        match &self.words {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// A status without words.
    pub(crate) fn bare(status: StatusCode) -> Self {
        Self { status: status.as_u16(), code: None, words: None }
    }

    /// What the code means, across the providers' dialects.
    pub(crate) fn remedy(&self) -> Remedy {
        let code = self.code.as_deref().unwrap_or_default().to_ascii_lowercase();
        match code.as_str() {
            // RFC 6749, 5.2; OpenID Connect Core, 3.1.2.6 (Microsoft); GitHub; Slack; HubSpot; Salesforce
            "invalid_grant"
            | "interaction_required"
            | "consent_required"
            | "login_required"
            | "bad_refresh_token"
            | "bad_verification_code"
            | "invalid_refresh_token"
            | "token_revoked"
            | "token_expired"
            | "invalid_code"
            | "code_already_used"
            | "code_expired"
            | "account_inactive"
            | "bad_auth_code"
            | "invalid_token"
            | "inactive_user"
            | "inactive_org"
            | "access_denied"
            | "unverified_user_email" => Remedy::Consent,
            "invalid_client"
            | "incorrect_client_credentials"
            | "bad_client_secret"
            | "invalid_client_id"
            | "bad_client_id"
            | "invalid_client_credentials" => Remedy::Client,
            "redirect_uri_mismatch" | "bad_redirect_uri" | "invalid_redirect_uri" => Remedy::Callback,
            "invalid_scope" | "bad_scope" | "missing_scopes" => Remedy::Scopes,
            "temporarily_unavailable"
            | "server_error"
            | "slow_down"
            | "ratelimited"
            | "rate_limited"
            | "rate_limit_exceeded"
            | "too_many_requests"
            | "service_unavailable"
            | "internal_error"
            | "fatal_error"
            | "request_timeout" => Remedy::Later,
            // Atlassian says `unauthorized_client`, HubSpot VALIDATION_ERROR, where it means the token.
            "unauthorized_client" | "validation_error" | "invalid_request" | "" if self.speaks_of_the_token() => {
                Remedy::Consent
            }
            "" if self.status == 401 => Remedy::Client,
            "invalid_request"
            | "unsupported_grant_type"
            | "invalid_grant_type"
            | "validation_error"
            | "unsupported_response_type"
            | "invalid_form_data"
            | "invalid_post_type" => Remedy::Request,
            _ => Remedy::Elsewhere,
        }
    }

    /// Whether its code says who has to do something.
    pub(crate) fn is_known(&self) -> bool {
        self.code.is_some() && !matches!(self.remedy(), Remedy::Elsewhere | Remedy::Later)
    }

    fn speaks_of_the_token(&self) -> bool {
        let words = self.words.as_deref().unwrap_or_default().to_ascii_lowercase().replace('_', " ");
        let is_bad = ["invalid", "expired", "revoked", "unknown"].iter().any(|bad| words.contains(bad));
        is_bad && ["refresh token", "authorization code", "auth code"].iter().any(|what| words.contains(what))
    }

    fn fix(&self, table: &str) -> String {
        match self.remedy() {
            Remedy::Consent => "the user has to connect again".to_owned(),
            Remedy::Client => format!(
                "check `client_id` and `client_secret` of {table}, and whether the provider wants them as Basic or in the body (`authentication`)"
            ),
            Remedy::Callback => {
                "register the callback URL at the provider exactly as `monday-gateway check --print` shows it"
                    .to_owned()
            }
            Remedy::Scopes => {
                format!("correct `scopes` of {table}, or allow them in the app's settings at the provider")
            }
            Remedy::Request => {
                format!(
                    "check `token_url`, `authentication`, `format` and `pkce` of {table} against the provider's documentation"
                )
            }
            Remedy::Elsewhere => {
                format!(
                    "look this code up in the provider's documentation; the app's settings there and {table} must agree"
                )
            }
            Remedy::Later => "it is asked again later".to_owned(),
        }
    }
}

/// A provider's own words, fit to be shown: one line, short, no control characters, nothing of `sent` in it and no long word that could be a
/// token. None if nothing is left.
pub(crate) fn cleaned(words: &str, sent: &[&str]) -> Option<String> {
    let mut text = words.to_owned();
    for secret in sent.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret, "[...]");
    }
    let shown: Vec<_> = text
        .split(|c: char| c.is_whitespace() || is_unfit(c))
        .filter(|word| !word.is_empty())
        .map(|word| if word.chars().count() > LONG_WORD { "[...]" } else { word })
        .collect();
    let line: String = shown.join(" ").chars().take(limits::QUOTED_WORDS).collect();
    (!line.is_empty()).then_some(line)
}

/// Longer than a UUID: a trace id is shown, a token is not.
const LONG_WORD: usize = 44;

/// Control characters, and those that turn the direction of a line or hide in it.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A code such as `invalid_grant`: what RFC 6749 allows in one, and short. None if it is something else.
pub(crate) fn code(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(fits)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_are_shown_as_one_short_line_without_what_was_sent() {
        assert_eq!(
            cleaned("bad\r\nrefresh\u{202e} token r1.secretrefresh!", &["r1.secretrefresh"]).as_deref(),
            Some("bad refresh token [...]!")
        );
        assert_eq!(cleaned(&"x".repeat(45), &[]).as_deref(), Some("[...]"));
        assert_eq!(cleaned(&"word ".repeat(200), &[]).unwrap().len(), limits::QUOTED_WORDS);
        assert_eq!(cleaned("\u{0}\n\t ", &[]), None);
    }

    #[test]
    fn a_code_is_a_short_word() {
        assert_eq!(code("invalid_grant").as_deref(), Some("invalid_grant"));
        for text in ["", "a b", "a\nb", "<script>", &"a".repeat(65)] {
            assert_eq!(code(text), None, "{text}");
        }
    }
}
