//! What a token endpoint's answer means: tokens, or a fault that names the field. Takes the answer and the client's quirks, asks nobody. Knows
//! that real providers say errors with status 200, lifetimes as text, scopes with commas or as a list, and put the token elsewhere.
//! RFC 6749, sections 5.1 and 5.2.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::limits;
use crate::oauth::fault::{Refusal, TokenFlaw, cleaned, code};
use crate::oauth::provider::{Client, MondayGeneration};
use crate::oauth::web::Answer;

/// What a provider gave. `Debug` prints none of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// The access token; visible ASCII.
    pub(crate) access: String,
    /// The refresh token: a new one, or the one that is still good.
    pub(crate) refresh: Option<String>,
    /// Unix seconds at which the access token ends; none if the provider did not say.
    pub(crate) expires: Option<i64>,
    /// What was granted, in the provider's own words; none if it did not say, which means what was asked for.
    pub(crate) scopes: Option<Vec<String>>,
    /// What else it gave and the configuration keeps.
    pub(crate) values: BTreeMap<String, String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Which request was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Unix seconds when it was sent: lifetimes are counted from there.
    pub(crate) at: i64,
    /// The refresh token that was sent; none for a code exchange.
    pub(crate) refresh: Option<&'a str>,
    /// Every secret that was sent, so that none is quoted.
    pub(crate) sent: &'a [&'a str],
}

/// The tokens of an answer.
pub(crate) fn tokens(answer: &Answer, client: &Client, asked: Asked<'_>) -> Result<Tokens, TokenFlaw> {
    let root = match object(answer) {
        Ok(root) => root,
        Err(flaw) => return Err(without_json(answer, client, flaw)),
    };
    if let Some(refusal) = refusal(answer.status, &root, asked.sent) {
        return Err(judged(refusal, client, answer.status));
    }
    given(&root, client, asked)
}

/// Whether a revocation was done. RFC 7009, section 2.2: success whatever the token was; the body means nothing, but some say errors in it.
pub(crate) fn revoked(answer: &Answer, client: &Client, sent: &[&str]) -> Result<(), TokenFlaw> {
    let root = object(answer).unwrap_or(Value::Null);
    match refusal(answer.status, &root, sent) {
        Some(refusal) => Err(judged(refusal, client, answer.status)),
        None => Ok(()),
    }
}

/// Statuses that say "later", whatever else the answer says.
fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn object(answer: &Answer) -> Result<Value, TokenFlaw> {
    let root: Option<Value> = serde_json::from_slice(&answer.body).ok();
    root.filter(Value::is_object)
        .ok_or_else(|| TokenFlaw::NotJson { status: answer.status.as_u16(), content_type: content_type(answer) })
}

fn content_type(answer: &Answer) -> String {
    let said = answer.fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = said.split(';').next().unwrap_or_default().trim();
    cleaned(media, &[]).unwrap_or_else(|| "no content type".to_owned())
}

fn without_json(answer: &Answer, client: &Client, flaw: TokenFlaw) -> TokenFlaw {
    match answer.status {
        status if is_busy(status) => TokenFlaw::Busy { status: status.as_u16() },
        StatusCode::UNAUTHORIZED => judged(Refusal::bare(answer.status), client, answer.status),
        StatusCode::BAD_REQUEST if client.monday.is_some() => {
            judged(Refusal::bare(answer.status), client, answer.status)
        }
        _ => flaw,
    }
}

fn judged(mut refusal: Refusal, client: &Client, status: StatusCode) -> TokenFlaw {
    if is_busy(status) && !refusal.is_known() {
        return TokenFlaw::Busy { status: status.as_u16() };
    }
    // monday documents no error bodies here: a bare 400 or 401 for a well-formed request is about what was sent.
    let is_bare = refusal.code.is_none() && matches!(refusal.status, 400 | 401);
    if is_bare && client.monday == Some(MondayGeneration::V21) {
        refusal.code = Some("invalid_grant".to_owned());
    }
    TokenFlaw::Refused(refusal)
}

/// The error of an answer, in any dialect, if it is one.
fn refusal(status: StatusCode, root: &Value, sent: &[&str]) -> Option<Refusal> {
    let error = root.get("error").filter(|error| !error.is_null() && **error != Value::Bool(false));
    let is_refused = error.is_some() || root.get("ok") == Some(&Value::Bool(false)) || !status.is_success();
    if !is_refused {
        return None;
    }
    let texts = |places: &[&str]| places.iter().filter_map(|place| root.pointer(place)).find_map(Value::as_str);
    // GitHub and RFC 6749; errors as objects; HubSpot's new and old; others
    let found = texts(&[
        "/error",
        "/error/code",
        "/error/type",
        "/error/status",
        "/subCategory",
        "/status",
        "/category",
        "/code",
    ]);
    // A provider that echoes what it was sent must not have it shown as its code.
    let quotes = |code: &String| sent.iter().any(|secret| secret.len() >= 4 && code.contains(secret));
    let code = |text: &str| code(text).filter(|code| !quotes(code));
    let words = texts(&["/error_description", "/message", "/error/message", "/errorMessage", "/error_message"]);
    Some(Refusal {
        status: status.as_u16(),
        code: found.and_then(code),
        words: words.or_else(|| found.filter(|found| code(found).is_none())).and_then(|words| cleaned(words, sent)),
    })
}

fn given(root: &Value, client: &Client, asked: Asked<'_>) -> Result<Tokens, TokenFlaw> {
    let at = client.token_at.as_str();
    // A refresh may answer in the plain form what an exchange answered nested (Slack, token rotation).
    let place = match root.pointer(at).filter(|place| place.is_object()) {
        Some(place) if asked.refresh.is_none() || place.get("access_token").is_some() => place,
        None if asked.refresh.is_none() => return Err(absent(at)),
        _ => root,
    };
    let access = token(place, at, "access_token")?.ok_or_else(|| absent(&format!("{at}/access_token")))?;
    token_type(place, at)?;
    let refresh = token(place, at, "refresh_token")?.or_else(|| asked.refresh.map(str::to_owned));
    let expires = match expires_in(place, at)? {
        Some(seconds) => Some(asked.at.saturating_add(seconds)),
        None => own_expiry(&access),
    };
    let values = client.kept.iter().filter_map(|(name, pointer)| Some((name.clone(), kept(root, pointer)?))).collect();
    Ok(Tokens { access, refresh, expires, scopes: scopes(place), values })
}

fn absent(field: &str) -> TokenFlaw {
    TokenFlaw::Field {
        field: if field.is_empty() { "/".to_owned() } else { field.to_owned() },
        problem: "is missing",
        fix: "set `token_at` to the JSON pointer of the object that has `access_token`",
    }
}

/// A token as it can stand in a field of a request.
fn token(place: &Value, at: &str, name: &'static str) -> Result<Option<String>, TokenFlaw> {
    let flaw = |problem| TokenFlaw::Field {
        field: format!("{at}/{name}"),
        problem,
        fix: "the provider has to answer as RFC 6749, section 5.1, or `token_at` points to something else",
    };
    match place.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() && name == "refresh_token" => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(flaw("is empty")),
        Some(Value::String(text)) if text.len() > limits::CREDENTIAL_BYTES => Err(flaw("is too long")),
        Some(Value::String(text)) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(flaw("has characters that no header field can carry"))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(flaw("is not a string")),
    }
}

/// Bearer tokens under their several names; a token that needs a proof of possession is of no use to a backend that only gets the token.
fn token_type(place: &Value, at: &str) -> Result<(), TokenFlaw> {
    let flaw = || TokenFlaw::Field {
        field: format!("{at}/token_type"),
        problem: "is not a bearer token's",
        fix: "have the provider issue bearer tokens to this client",
    };
    match place.get("token_type") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(kind)) => match kind.to_ascii_lowercase().as_str() {
            "" | "bearer" | "bearertoken" | "bearer_token" | "token" | "user" | "bot" => Ok(()), // Slack: user, bot
            _ => Err(flaw()),
        },
        Some(_) => Err(flaw()),
    }
}

/// Seconds; as a number or as text (GitHub's older answers). None and 0: it does not say.
fn expires_in(place: &Value, at: &str) -> Result<Option<i64>, TokenFlaw> {
    let flaw = || TokenFlaw::Field {
        field: format!("{at}/expires_in"),
        problem: "is not a number of seconds",
        fix: "the provider has to answer a number, or leave it out",
    };
    let seconds = match place.get("expires_in") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => whole_seconds(number).ok_or_else(flaw)?,
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().map_err(|_not_a_number| flaw())?,
        Some(_) => return Err(flaw()),
    };
    if seconds < 0 { Err(flaw()) } else { Ok((seconds > 0).then_some(seconds)) }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest whole number of seconds that there is"
)]
fn whole_seconds(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().filter(|seconds| seconds.is_finite()).map(|seconds| seconds as i64))
}

/// `exp` of a token that is a JWT: monday says no `expires_in`. Not verified, and believed for nothing but when to refresh.
fn own_expiry(token: &str) -> Option<i64> {
    let mut parts = token.split('.');
    let (_head, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    match claims.get("exp")? {
        Value::Number(number) => whole_seconds(number).filter(|exp| *exp > 0),
        _ => None,
    }
}

/// As text with any separator, or as a list. Empty text says nothing (GitHub Apps).
fn scopes(place: &Value) -> Option<Vec<String>> {
    let found: Vec<String> =
        match place.get("scope").filter(|scope| !scope.is_null()).or_else(|| place.get("scopes"))? {
            Value::String(text) => {
                text.split([' ', ',', '\t', '\n', '\r']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
            }
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return None,
        };
    (!found.is_empty()).then_some(found)
}

/// A value beside the token: text, a number or a boolean.
pub(crate) fn kept(root: &Value, pointer: &str) -> Option<String> {
    let text = match root.pointer(pointer)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty() && text.len() <= limits::CREDENTIAL_BYTES).then_some(text)
}

#[cfg(test)]
mod tests;
