//! monday.com as a provider, in both generations of its OAuth, and the one question that its API is asked after every consent: who is this?
//! Takes hosts and an app's credentials. Sources: monday's pages "OAuth and permissions" and "OAuth 2.1", its API reference on `me`.

use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};
use serde_json::Value;
use url::Url;

use crate::oauth::fault::cleaned;
use crate::oauth::provider::{Client, Connect, ConnectBy, Endpoints, MondayGeneration, Per, Provider, RequestFormat};
use crate::oauth::web::{Answer, Question, Reach, Web, WebFault};
use crate::secret::Secret;

/// The scope that `me` needs.
const ME: &str = "me:read";
/// monday's refresh tokens end six months after the consent, whatever is done.
const ABSOLUTE_LIFETIME: Duration = Duration::from_hours(24 * 182);
/// Who holds this token, with what the rules of the flows need to know.
const QUERY: &str = r#"{"query":"{ me { id is_admin is_guest account { id slug } } }"}"#;

/// An app of monday's, as its client.
#[derive(Clone, Debug)]
pub(crate) struct MondayApp<'a> {
    /// `https://auth.monday.com`.
    pub(crate) auth: &'a Url,
    /// `apps.NAME.oauth`.
    pub(crate) generation: MondayGeneration,
    /// As registered.
    pub(crate) id: String,
    /// Newest first.
    pub(crate) secrets: Vec<Secret>,
    /// What is asked for; `me:read` is added.
    pub(crate) scopes: Vec<String>,
}

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Me {
    /// monday's user id.
    pub(crate) user_id: i64,
    /// monday's account id.
    pub(crate) account_id: i64,
    /// Whether this user administers the account.
    pub(crate) is_admin: bool,
    /// Whether this user is a guest; where monday does not say, yes.
    pub(crate) is_guest: bool,
    /// The account's label below monday.com, if monday said it.
    pub(crate) slug: Option<String>,
}

/// Why nobody knows who holds a token. `Display` is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MeFault {
    /// No answer.
    #[error("monday's API: {0}")]
    Web(#[from] WebFault),
    /// The token is not accepted.
    #[error("monday's API refuses the token ({0}): the user has to connect again")]
    Refused(u16),
    /// An error of the API.
    #[error("monday's API cannot say who this is: {0}; has the app the scope `me:read`?")]
    Api(String),
    /// Too many, or its own trouble.
    #[error("monday's API answered {0}: it is asked again later")]
    Busy(u16),
    /// An answer without what was asked.
    #[error("`{0}` of the answer of monday's API is missing or not what it must be; check `api_url` of [monday]")]
    Field(&'static str),
}

/// The built-in provider of one app.
pub(crate) fn provider(app: MondayApp<'_>) -> Provider {
    Provider {
        name: "monday".to_owned(),
        display: "monday.com".to_owned(),
        connect: Connect::Oauth(Box::new(client(app))),
        per: Per::User,
        connect_by: ConnectBy::Admin,
        header: HeaderName::from_static("x-monday-access-token"),
        values: Vec::new(),
        callback: None,
    }
}

fn client(app: MondayApp<'_>) -> Client {
    let is_new = app.generation == MondayGeneration::V21;
    let mut scopes = app.scopes;
    if !scopes.iter().any(|scope| scope == ME) {
        scopes.push(ME.to_owned());
    }
    let endpoints = Endpoints::Fixed {
        authorize: below(app.auth, "oauth2/authorize"),
        token: below(app.auth, if is_new { "oauth_ms/oauth/token" } else { "oauth2/token" }),
        refresh: None,
        revoke: is_new.then(|| below(app.auth, "oauth_ms/oauth/revoke")),
        issuer: None, // its callbacks may have an `iss`, which is not documented
    };
    Client {
        monday: Some(app.generation),
        id: app.id,
        secrets: app.secrets,
        scopes,
        pkce: is_new,
        format: RequestFormat::Json,
        absolute_lifetime: is_new.then_some(ABSOLUTE_LIFETIME),
        ..Client::plain(endpoints)
    }
}

/// A path below what `auth_url` says, which may have a path itself.
fn below(auth: &Url, path: &str) -> Url {
    let mut url = auth.clone();
    url.set_path(&format!("{}/{path}", auth.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Asks who holds a token. monday's API takes it raw, without `Bearer`.
pub(crate) async fn me(web: &Web, api: &Url, token: &str) -> Result<Me, MeFault> {
    let mut raw = HeaderValue::from_str(token).map_err(|_unfit| MeFault::Refused(StatusCode::UNAUTHORIZED.as_u16()))?;
    raw.set_sensitive(true);
    let question = Question::post(api.clone(), "application/json", QUERY).with(AUTHORIZATION, raw);
    let answer = web.ask(question, Reach::Configured).await?;
    holder(&answer, token)
}

fn holder(answer: &Answer, token: &str) -> Result<Me, MeFault> {
    let status = answer.status.as_u16();
    match status {
        401 | 403 => return Err(MeFault::Refused(status)),
        429 | 500.. => return Err(MeFault::Busy(status)),
        _ => {}
    }
    let root: Value = serde_json::from_slice(&answer.body).map_err(|_detail| MeFault::Field("data"))?;
    let me = root.pointer("/data/me").filter(|me| me.is_object());
    let Some(me) = me else { return Err(without_me(&root, token)) };
    Ok(Me {
        user_id: id(me, "/id").ok_or(MeFault::Field("data.me.id"))?,
        account_id: id(me, "/account/id").ok_or(MeFault::Field("data.me.account.id"))?,
        is_admin: me.get("is_admin").and_then(Value::as_bool).unwrap_or(false),
        is_guest: me.get("is_guest").and_then(Value::as_bool).unwrap_or(true),
        slug: me.pointer("/account/slug").and_then(Value::as_str).map(str::to_owned),
    })
}

/// Errors come with status 200: as GraphQL has them, or as `error_message`.
fn without_me(root: &Value, token: &str) -> MeFault {
    let texts = ["/errors/0/message", "/error_message", "/errors/0", "/error"];
    let words = texts.iter().filter_map(|place| root.pointer(place)).find_map(Value::as_str);
    match words {
        Some(words) if words.to_ascii_lowercase().contains("not authenticated") => {
            MeFault::Refused(StatusCode::UNAUTHORIZED.as_u16())
        }
        Some(words) => MeFault::Api(cleaned(words, &[token]).unwrap_or_default()),
        None => MeFault::Field("data.me"),
    }
}

/// Ids are text in newer versions of the API, numbers in older ones.
fn id(me: &Value, place: &str) -> Option<i64> {
    match me.pointer(place)? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
