//! What the internal API answers: the types that are written as JSON, and problems (RFC 9457), which quote nothing that was asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

/// What carries an answer.
pub(super) type Answer = Response<Bytes>;

/// A token of a grant that works now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct GrantToken {
    /// The access token, or the first field of an API key.
    pub(super) access_token: String,
    /// Unix seconds at which it ends; null if it does not.
    #[schemars(required, extend("type" = ["integer", "null"]))]
    pub(super) expires_at: Option<i64>,
    /// What was granted, as far as the provider said.
    pub(super) scopes: Vec<String>,
    /// What else the provider gave: an instance's URL, a cloud id, further fields of an API key.
    pub(super) values: BTreeMap<String, String>,
    /// Whether the scopes that the gateway asks for now were all granted.
    pub(super) sufficient: bool,
}

/// Grants of an account.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct GrantPage {
    /// In an order that stays.
    pub(super) grants: Vec<ListedGrant>,
    /// Given as `after`, it asks for the next page; null on the last.
    #[schemars(required, extend("type" = ["string", "null"]))]
    pub(super) next: Option<String>,
}

/// One grant of a listing.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedGrant {
    /// monday's user id; null for a grant that is the account's.
    #[schemars(required, extend("type" = ["integer", "null"]))]
    pub(super) user_id: Option<i64>,
    /// The provider's name in gateway.toml.
    pub(super) provider: String,
    /// What became of it.
    pub(super) state: ListedState,
    /// What was granted, as far as the provider said.
    pub(super) scopes: Vec<String>,
    /// Unix seconds of the consent.
    pub(super) granted_at: i64,
    /// Unix seconds of the last exchange or refresh.
    pub(super) renewed_at: i64,
}

/// What became of a grant.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ListedState {
    /// Usable, or refreshable.
    Ok,
    /// The provider refused to refresh it.
    Expired,
    /// Taken back.
    Revoked,
}

/// A token for what an app sends to monday.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct AppToken {
    /// For `Authorization: Bearer`.
    pub(super) token: String,
    /// Unix seconds at which it ends.
    pub(super) expires_at: i64,
}

/// Why there is no answer (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ProblemBody {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: &'static str,
    /// In a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What can be done.
    detail: &'static str,
    /// For programs.
    code: Problem,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Problem {
    /// The request says something that cannot be.
    BadRequest,
    /// No key, or nobody's.
    NoClient,
    /// This client may not do this.
    NotAllowed,
    /// Nothing here, or nothing for this client.
    NotFound,
    /// Another method.
    MethodNotAllowed,
    /// The request took too long.
    TooSlow,
    /// The provider does not refresh it any more: the user must connect again.
    GrantExpired,
    /// It was taken back.
    GrantRevoked,
    /// gateway.toml has no `app_id` or no `signing_secret` for it.
    CannotSign,
    /// The body is too large.
    TooLarge,
    /// Too many requests at once.
    TooMany,
    /// The vault or the provider does not answer.
    Unavailable,
}

/// Every problem.
pub(super) const PROBLEMS: [Problem; 12] = [
    Problem::BadRequest,
    Problem::NoClient,
    Problem::NotAllowed,
    Problem::NotFound,
    Problem::MethodNotAllowed,
    Problem::TooSlow,
    Problem::GrantExpired,
    Problem::GrantRevoked,
    Problem::CannotSign,
    Problem::TooLarge,
    Problem::TooMany,
    Problem::Unavailable,
];

impl Problem {
    /// Its status.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NoClient => StatusCode::UNAUTHORIZED,
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::GrantExpired | Self::GrantRevoked | Self::CannotSign => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Its words: what it is, and what can be done.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => (
                "Bad request",
                "An id is a decimal integer; `limit` is 1 to 200; `after` is a `next` of this listing; there is no body.",
            ),
            Self::NoClient => {
                ("Unauthorized", "Send `Authorization: Bearer` with a key of [internal.clients] in gateway.toml.")
            }
            Self::NotAllowed => ("Forbidden", "Add the ability to `can` of this client in gateway.toml."),
            Self::NotFound => ("Not found", "There is no such thing, or not for this client."),
            Self::MethodNotAllowed => ("Method not allowed", "The Allow field says which methods there are."),
            Self::TooSlow => ("Request timeout", "The request did not arrive in time."),
            Self::GrantExpired => {
                ("The grant has expired", "The provider does not renew it any more; the user must connect again.")
            }
            Self::GrantRevoked => ("The grant was taken back", "The user must connect again."),
            Self::CannotSign => ("The app cannot sign", "Add app_id and signing_secret to the app in gateway.toml."),
            Self::TooLarge => ("Content too large", "No request here has a body."),
            Self::TooMany => ("Too many requests", "Wait for answers before asking more."),
            Self::Unavailable => ("Not available now", "The vault or the provider does not answer; try again."),
        }
    }

    /// Its answer.
    pub(super) fn answer(self) -> Answer {
        let (title, detail) = self.words();
        let status = self.status();
        let body = ProblemBody { r#type: "about:blank", title, status: status.as_u16(), detail, code: self };
        let mut answer = whole(status, "application/problem+json", &body);
        let fields = answer.headers_mut();
        match self {
            Self::NoClient => drop(fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::TooMany | Self::Unavailable => drop(fields.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => {}
        }
        answer
    }
}

/// 405, with the methods that there are.
pub(super) fn other_methods(allow: &str) -> Answer {
    let mut answer = Problem::MethodNotAllowed.answer();
    if let Ok(allow) = HeaderValue::from_str(allow) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// 200 with a JSON body.
pub(super) fn found(body: &impl Serialize) -> Answer {
    whole(StatusCode::OK, "application/json", body)
}

/// 204.
pub(super) fn done() -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer that nobody keeps.
fn whole(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Answer {
    let mut answer = Response::new(Bytes::from(serde_json::to_vec(body).unwrap_or_default()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
