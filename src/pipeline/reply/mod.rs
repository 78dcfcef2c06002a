//! Turns a refusal into the answer: monday's servers get JSON that monday understands, scripts get JSON, people get a page.
//! Takes facts and who is asking, returns a whole response. What the log reads is in `detail`, and nothing of it is in a body: bodies
//! name no secret, no claim, no library. Knows no route. RFC 6750, section 3; RFC 9110, section 15; monday's "Error handling".

pub(crate) mod detail;
pub(crate) mod facts;
mod words;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, STRICT_TRANSPORT_SECURITY, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::monday::kinds::{Caller, Row};
use crate::monday::severity::{Notification, Severity};
use crate::pages::{self, Page};
use crate::pipeline::refusal::{Refusal, Unauthorized};
use crate::pipeline::reply::facts::facts;
use crate::pipeline::reply::words::{Words, words, words_for_programs};

/// What `Allow` says where no route was asked: what a route can be given.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// Two years (security checklist of browsers' preload lists).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Who is asking, and so how the answer looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    /// The route's caller; `Anyone` while no route is known.
    pub(crate) caller: Caller,
    /// What the caller's `Accept` prefers.
    pub(crate) prefers: Prefers,
    /// Joins the answer to the log's line.
    pub(crate) request_id: &'a str,
}

/// What an `Accept` field prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefers {
    /// `text/html` above `application/json`: a browser that navigates.
    Html,
    /// All others.
    Json,
}

impl<'a> Look<'a> {
    /// For a request whose fields cannot be read: too slow, too large or malformed.
    pub(crate) fn blind(row: Option<&Row>, request_id: &'a str) -> Self {
        Self { caller: row.map_or(Caller::Anyone, |row| row.caller), prefers: Prefers::Json, request_id }
    }

    fn wants_page(&self) -> bool {
        match self.caller {
            Caller::Person => true,
            Caller::Server | Caller::Program => false,
            Caller::Script | Caller::Anyone => self.prefers == Prefers::Html,
        }
    }
}

impl Prefers {
    /// Reads `Accept` (RFC 9110, section 12.5.1). `*/*` prefers nothing, and so JSON.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut html = 0;
        let mut json = 0;
        for range in headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight =
                parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))).map_or(1000, weight);
            if media.eq_ignore_ascii_case("text/html") || media.eq_ignore_ascii_case("application/xhtml+xml") {
                html = weight.max(html);
            } else if media.eq_ignore_ascii_case("application/json") {
                json = weight.max(json);
            }
        }
        if html > json { Self::Html } else { Self::Json }
    }
}

/// Thousandths; what is no weight counts as none.
fn weight(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    match whole {
        "1" => 1000,
        "0" if fraction.len() <= 3 => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// The answer, whole. It carries no `Connection` field: whether the connection must end is in [`facts`], and whose field that is
/// depends on the protocol.
pub(crate) fn reply(refusal: &Refusal, look: &Look<'_>) -> Response<Bytes> {
    let status = facts(refusal).status;
    let words = if look.caller == Caller::Program { words_for_programs(refusal) } else { words(refusal) };
    let mut response =
        if look.wants_page() { page(&words, look) } else { json(&words, (status, reconnect(refusal)), look) };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if matches!(look.caller, Caller::Script | Caller::Anyone) {
        headers.append(VARY, HeaderValue::from_static("Accept"));
    }
    add_required(headers, refusal);
    send_on(&mut response, refusal, look);
    response
}

/// A person's browser that lacks a grant goes into the flow by itself.
fn send_on(response: &mut Response<Bytes>, refusal: &Refusal, look: &Look<'_>) {
    if look.caller == Caller::Person
        && let Some(link) = reconnect(refusal)
        && let Ok(location) = HeaderValue::from_str(link)
    {
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(LOCATION, location);
    }
}

/// The link that a refusal offers.
fn reconnect(refusal: &Refusal) -> Option<&str> {
    if let Refusal::Grants(needed) = refusal { needed.link.as_deref() } else { None }
}

/// HTTPS for two years: for each of the gateway's own answers on a TLS listener (RFC 6797, section 7.1; never on plain HTTP).
pub(crate) fn set_strict_transport(headers: &mut HeaderMap) {
    headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
}

/// The fields that a status obliges to.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these statuses oblige; a test sweeps over all refusals")]
fn add_required(headers: &mut HeaderMap, refusal: &Refusal) {
    match refusal {
        Refusal::Unauthorized(why) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge(why)));
        }
        Refusal::NoMethod { allow } => {
            headers.insert(ALLOW, HeaderValue::try_from(allow).unwrap_or(METHODS));
        }
        Refusal::MethodRefused => {
            headers.insert(ALLOW, METHODS);
        }
        _ => {}
    }
}

/// RFC 6750, section 3.1: a request without any proof gets no error code.
fn challenge(why: &Unauthorized) -> &'static str {
    match why {
        Unauthorized::Missing => "Bearer",
        Unauthorized::Multiple => "Bearer error=\"invalid_request\"",
        Unauthorized::Token(_)
        | Unauthorized::OtherSecret { .. }
        | Unauthorized::Expired { .. }
        | Unauthorized::NotYetValid { .. }
        | Unauthorized::Audience { .. }
        | Unauthorized::WrongApp { .. }
        | Unauthorized::WrongKind { .. } => "Bearer error=\"invalid_token\"",
    }
}

/// The JSON of an own answer. `error` and `requestId` are ours, the rest is monday's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    error: &'a str,
    request_id: &'a str,
    /// Where a view's front end sends its user, for want of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    notification: Option<Notification<'a>>,
}

fn json(words: &Words, (status, reconnect): (StatusCode, Option<&str>), look: &Look<'_>) -> Response<Bytes> {
    let description = format!("{} {} (Request {})", words.happened, words.advice, look.request_id);
    let runtime = format!("{} (Request {})", words.happened, look.request_id);
    let told = look.caller != Caller::Program && matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let body = Body {
        error: &words.happened,
        request_id: look.request_id,
        reconnect,
        notification: told.then_some(Notification {
            severity_code: Severity::Medium,
            notification_error_title: words.title,
            notification_error_description: &description,
            runtime_error_description: &runtime,
        }),
    };
    let mut response = whole(serde_json::to_vec(&body).unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn page(words: &Words, look: &Look<'_>) -> Response<Bytes> {
    let page =
        Page { title: words.title, happened: &words.happened, advice: &words.advice, request_id: look.request_id };
    let mut response = whole(page.html().into_bytes());
    pages::set_headers(response.headers_mut());
    response
}

fn whole(body: Vec<u8>) -> Response<Bytes> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

#[cfg(test)]
mod tests;
