//! The query of a callback, read strictly: bounded, UTF-8, each parameter once, a code or an error and never both. Returns what the provider
//! says; whose state it is, is for others to find out. Then judges `iss`, so that one provider's code is never sent to another.
//! RFC 6749, sections 3.1 and 4.1.2; RFC 9207.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::limits;
use crate::oauth::fault::{cleaned, code};

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Callback {
    /// As it was sent, if it is this gateway's.
    pub(crate) state: String,
    /// Who says that it answers.
    pub(crate) iss: Option<String>,
    /// What became of the request.
    pub(crate) outcome: Outcome,
}

/// What became of an authorization request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Consent: a code to exchange.
    Code(String),
    /// The user, or the user's administrator, said no.
    Denied,
    /// The provider could not do it.
    ProviderError {
        /// `invalid_scope`.
        code: String,
        /// Its own words; cleaned, for the log.
        words: Option<String>,
    },
}

/// Why a callback is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallbackFlaw {
    /// Too long, or too many parameters.
    #[error("longer than a callback can be")]
    TooLong,
    /// Broken escapes, no UTF-8, control characters.
    #[error("a parameter is malformed")]
    Malformed,
    /// RFC 6749, section 3.1.
    #[error("a parameter is there twice")]
    Twice,
    /// Without it nobody knows whose callback this is.
    #[error("no `state`")]
    NoState,
    /// Neither, or both.
    #[error("neither a `code` nor an `error`, or both")]
    NoOutcome,
    /// RFC 9207: another issuer's answer.
    #[error("`iss` is not the issuer that was asked")]
    OtherIssuer,
    /// RFC 9207: the issuer says that it always sends it.
    #[error("no `iss`, though the issuer says that it always sends it")]
    NoIssuer,
}

/// Reads a callback's query (without the `?`).
pub(crate) fn parse(query: &str) -> Result<Callback, CallbackFlaw> {
    let parameters = parameters(query)?;
    let take = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    };
    let state = take("state").ok_or(CallbackFlaw::NoState)?;
    let outcome = match (take("code"), take("error")) {
        (Some(code), None) => Outcome::Code(visible(code)?),
        (None, Some(error)) => refused(error, take("error_description")),
        // monday tells a refusal by `status` alone.
        (None, None) if take("status").is_some_and(|status| status != "success") => Outcome::Denied,
        _ => return Err(CallbackFlaw::NoOutcome),
    };
    Ok(Callback { state: visible(state)?, iss: take("iss").map(visible).transpose()?, outcome })
}

fn parameters(query: &str) -> Result<Vec<(String, String)>, CallbackFlaw> {
    if query.len() > limits::CALLBACK_QUERY {
        return Err(CallbackFlaw::TooLong);
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if found.iter().any(|(known, _)| *known == name) {
            return Err(CallbackFlaw::Twice);
        }
        if found.len() >= limits::CALLBACK_PARAMETERS {
            return Err(CallbackFlaw::TooLong);
        }
        found.push((name, value));
    }
    Ok(found)
}

/// Form decoding that refuses what others repair: a `%` without two digits, bytes that are no UTF-8.
fn decoded(text: &str) -> Result<String, CallbackFlaw> {
    let escapes = text.split('%').skip(1);
    for escape in escapes {
        let digits = escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        if digits != 2 {
            return Err(CallbackFlaw::Malformed);
        }
    }
    let spaced = text.replace('+', " ");
    let plain = percent_decode_str(&spaced).decode_utf8().map_err(|_invalid| CallbackFlaw::Malformed)?;
    Ok(plain.into_owned())
}

/// Codes, states and issuers are visible ASCII (RFC 6749, appendix A); anything else did not come from a provider.
fn visible(text: &str) -> Result<String, CallbackFlaw> {
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        Ok(text.to_owned())
    } else {
        Err(CallbackFlaw::Malformed)
    }
}

fn refused(error: &str, description: Option<&str>) -> Outcome {
    match error {
        // LinkedIn and others have words of their own for "no"
        "access_denied" | "user_denied" | "user_cancelled_login" | "user_cancelled_authorize" | "consent_declined" => {
            Outcome::Denied
        }
        _ => Outcome::ProviderError {
            code: code(error).unwrap_or_else(|| "an error without a name".to_owned()),
            words: description.and_then(|words| cleaned(words, &[])),
        },
    }
}

/// Who was asked, as far as its configuration or metadata says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedIssuer<'a> {
    /// Its name; none if it is not known.
    pub(crate) name: Option<&'a str>,
    /// Whether it says that its callbacks always name it.
    pub(crate) is_always_named: bool,
}

impl Callback {
    /// Whether it comes from the issuer that was asked. To be judged before its code is sent anywhere, and for errors as well.
    pub(crate) fn judge_issuer(&self, asked: AskedIssuer<'_>) -> Result<(), CallbackFlaw> {
        match (asked.name, self.iss.as_deref()) {
            (Some(asked), Some(came)) if came != asked => Err(CallbackFlaw::OtherIssuer),
            (_, None) if asked.is_always_named => Err(CallbackFlaw::NoIssuer),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("iss", &self.iss).field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(_) => f.write_str("Code(..)"),
            Self::Denied => f.write_str("Denied"),
            Self::ProviderError { code, .. } => write!(f, "ProviderError({code})"),
        }
    }
}

#[cfg(test)]
mod tests;
