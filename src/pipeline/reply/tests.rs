//! Sweeps over every refusal and every caller.

use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};

use super::*;
use crate::grants::Down;
use crate::grants::standing::Standing;
use crate::jwt::Flaw;
use crate::pipeline::refusal::{Forbidden, GrantsNeeded, Malformed, NeededGrant, UpstreamFault};
use crate::pipeline::reply::detail::log_detail;
use crate::pipeline::reply::facts::{Connection, REASONS};

const CANARY: &str = "c4n4ry";
const ID: &str = "req-0123";

fn unauthorized() -> Vec<Unauthorized> {
    let flaws = [
        Flaw::TooLong,
        Flaw::Parts,
        Flaw::Base64,
        Flaw::Header,
        Flaw::Algorithm,
        Flaw::Critical,
        Flaw::Signature,
        Flaw::Claims,
        Flaw::NoExpiry,
    ];
    let mut all: Vec<_> = flaws.map(Unauthorized::Token).into();
    all.extend([
        Unauthorized::Missing,
        Unauthorized::Multiple,
        Unauthorized::OtherSecret { needs_client: true },
        Unauthorized::OtherSecret { needs_client: false },
        Unauthorized::Expired { seconds: 712_345 },
        Unauthorized::NotYetValid { seconds: 712_345 },
        Unauthorized::Audience { came: format!("https://{CANARY}\n") },
        Unauthorized::WrongApp { claim: "c4n4ry" },
        Unauthorized::WrongKind { why: "c4n4ry" },
    ]);
    all
}

fn malformed() -> [Malformed; 15] {
    [
        Malformed::RequestLine,
        Malformed::ControlCharacter,
        Malformed::ObsFold,
        Malformed::FieldName,
        Malformed::BothLengths,
        Malformed::TransferEncoding,
        Malformed::ContentLength,
        Malformed::Host,
        Malformed::HostMismatch,
        Malformed::Target,
        Malformed::Path,
        Malformed::Query,
        Malformed::MaxForwards,
        Malformed::Upgrade,
        Malformed::Chunk,
    ]
}

fn needed(link: Option<&str>) -> Refusal {
    let grant = NeededGrant { provider: "github".into(), display: "GitHub".into(), standing: Standing::Expired };
    Refusal::Grants(Box::new(GrantsNeeded { grants: vec![grant], link: link.map(str::to_owned) }))
}

fn refusals() -> Vec<Refusal> {
    let mut all = vec![
        Refusal::HeadTooSlow,
        Refusal::HeadTooLarge,
        Refusal::BodyTooLarge { limit: 712_345 },
        Refusal::BodyTooSlow,
        Refusal::BodyBroken,
        Refusal::MethodRefused,
        Refusal::NoRoute,
        Refusal::NoMethod { allow: "GET, POST".into() },
        Refusal::Misdirected,
        Refusal::OriginRefused,
        Refusal::PageUnavailable,
        needed(None),
        needed(Some("https://gw.example.com/go?ticket=1")),
        Refusal::KeysDown,
        Refusal::Internal,
    ];
    all.extend(malformed().map(Refusal::Malformed));
    all.extend([Down::Store, Down::Provider, Down::Busy, Down::Late].map(Refusal::GrantsDown));
    all.extend(unauthorized().into_iter().map(Refusal::Unauthorized));
    all.extend(
        [Forbidden::Guest, Forbidden::ViewOnly, Forbidden::NotAdmin, Forbidden::Account].map(Refusal::Forbidden),
    );
    all.extend(
        [
            UpstreamFault::Connect,
            UpstreamFault::ConnectTimeout,
            UpstreamFault::Exhausted,
            UpstreamFault::Closed,
            UpstreamFault::Broken,
            UpstreamFault::Timeout,
        ]
        .map(Refusal::Upstream),
    );
    all
}

fn looks() -> Vec<Look<'static>> {
    let mut all = Vec::new();
    for caller in [Caller::Server, Caller::Script, Caller::Person, Caller::Program, Caller::Anyone] {
        for prefers in [Prefers::Html, Prefers::Json] {
            all.push(Look { caller, prefers, request_id: ID });
        }
    }
    all
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).expect("UTF-8")
}

fn is_page(response: &Response<Bytes>) -> bool {
    response.headers()[CONTENT_TYPE] == "text/html; charset=utf-8"
}

fn member(response: &Response<Bytes>, name: &str) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(text(response)).expect("JSON")[name].clone()
}

/// Calls it with every answer to every look.
fn sweep(mut judge: impl FnMut(&Refusal, &Look<'_>, &Response<Bytes>)) {
    for refusal in refusals() {
        for look in looks() {
            judge(&refusal, &look, &reply(&refusal, &look));
        }
    }
}

#[test]
fn only_401_and_403_carry_a_severity_code_and_it_is_4000() {
    sweep(|refusal, look, response| {
        assert!(!text(response).contains("6000"), "{refusal:?}");
        if is_page(response) {
            return;
        }
        let told = [401, 403].contains(&response.status().as_u16()) && look.caller != Caller::Program;
        let code = member(response, "severityCode");
        assert_eq!(code, if told { serde_json::json!(4000) } else { serde_json::Value::Null }, "{refusal:?}");
        for name in ["notificationErrorTitle", "notificationErrorDescription", "runtimeErrorDescription"] {
            assert_eq!(
                member(response, name).as_str().is_some_and(|text| !text.is_empty()),
                told,
                "{refusal:?} {name}"
            );
        }
    });
}

#[test]
fn a_bad_token_is_401_with_a_challenge_and_never_5xx() {
    for why in unauthorized() {
        for look in looks() {
            let response = reply(&Refusal::Unauthorized(why.clone()), &look);
            assert_eq!(response.status(), 401, "{why:?}");
            let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("ASCII");
            assert!(challenge.starts_with("Bearer"), "{why:?}");
            assert_eq!(challenge.contains("error"), why != Unauthorized::Missing, "{why:?}");
        }
    }
}

/// A person who lacks a grant, where there is a link.
fn is_sent_on(refusal: &Refusal, look: &Look<'_>) -> bool {
    look.caller == Caller::Person && matches!(refusal, Refusal::Grants(needed) if needed.link.is_some())
}

#[test]
fn who_lacks_a_grant_is_told_where_to_connect_again() {
    const LINK: &str = "https://gw.example.com/go?ticket=1";
    let refusal = needed(Some(LINK));
    let ask = |caller| reply(&refusal, &Look { caller, prefers: Prefers::Json, request_id: ID });
    let server = ask(Caller::Server);
    assert_eq!((server.status().as_u16(), member(&server, "severityCode")), (403, 4000.into()));
    assert!(member(&server, "notificationErrorDescription").as_str().unwrap().contains(LINK));
    let view = ask(Caller::Script);
    assert_eq!((view.status().as_u16(), member(&view, "reconnect")), (403, LINK.into()));
    let person = ask(Caller::Person);
    assert_eq!((person.status().as_u16(), person.headers()[LOCATION].to_str().unwrap()), (303, LINK));
    let without = reply(&needed(None), &Look { caller: Caller::Person, prefers: Prefers::Html, request_id: ID });
    assert_eq!(without.status(), 403);
    assert!(!without.headers().contains_key(LOCATION));
}

#[test]
fn the_statuses_are_those_of_the_table() {
    let expected = |refusal: &Refusal| match refusal {
        Refusal::Malformed(_) | Refusal::BodyBroken => 400,
        Refusal::HeadTooSlow | Refusal::BodyTooSlow => 408,
        Refusal::HeadTooLarge => 431,
        Refusal::BodyTooLarge { .. } => 413,
        Refusal::MethodRefused | Refusal::NoMethod { .. } => 405,
        Refusal::NoRoute => 404,
        Refusal::Misdirected => 421,
        Refusal::Unauthorized(_) => 401,
        Refusal::Forbidden(_) | Refusal::OriginRefused | Refusal::Grants(_) => 403,
        Refusal::KeysDown
        | Refusal::Upstream(UpstreamFault::Exhausted)
        | Refusal::PageUnavailable
        | Refusal::GrantsDown(_) => 503,
        Refusal::Upstream(UpstreamFault::Timeout | UpstreamFault::ConnectTimeout) => 504,
        Refusal::Upstream(_) => 502,
        Refusal::Internal => 500,
    };
    sweep(|refusal, look, response| {
        let status = if is_sent_on(refusal, look) { 303 } else { expected(refusal) };
        assert_eq!(response.status(), status, "{refusal:?}");
        if status == 405 {
            assert!(response.headers()[ALLOW].to_str().expect("ASCII").contains("GET"));
        }
    });
}

#[test]
fn no_body_tells_a_detail_a_secret_or_a_library() {
    let inner = ["token", "secret", "jwt", "claim", "signature", "rustls", "hyper", "aud", "bearer", "712345", CANARY];
    sweep(|refusal, _look, response| {
        let body = text(response).to_lowercase();
        let body = body.replace("color-scheme", "");
        for word in inner {
            assert!(!body.contains(word), "{word} in the answer to {refusal:?}: {body}");
        }
        assert!(body.contains(ID), "{refusal:?}");
    });
}

#[test]
fn every_answer_is_whole_and_never_stored_or_sniffed() {
    sweep(|refusal, _look, response| {
        let headers = response.headers();
        assert_eq!(headers[CONTENT_LENGTH], response.body().len().to_string(), "{refusal:?}");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers.contains_key(CONTENT_SECURITY_POLICY), is_page(response));
        assert_eq!(headers.contains_key(REFERRER_POLICY), is_page(response));
    });
}

#[test]
fn people_get_pages_and_mondays_servers_never_do() {
    sweep(|_refusal, look, response| {
        let page = match look.caller {
            Caller::Person => true,
            Caller::Server | Caller::Program => false,
            Caller::Script | Caller::Anyone => look.prefers == Prefers::Html,
        };
        assert_eq!(is_page(response), page, "{look:?}");
    });
}

#[test]
fn a_program_with_an_issuers_token_hears_nothing_of_monday() {
    for why in unauthorized() {
        let look = Look { caller: Caller::Program, prefers: Prefers::Html, request_id: ID };
        let response = reply(&Refusal::Unauthorized(why.clone()), &look);
        assert!(!text(&response).to_lowercase().contains("monday"), "{why:?}: {}", text(&response));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert!(response.headers().contains_key(WWW_AUTHENTICATE));
    }
}

#[test]
fn after_a_request_whose_end_is_in_doubt_the_connection_ends() {
    for refusal in refusals() {
        let doubt =
            [400, 408, 413, 431, 500].contains(&facts(&refusal).status.as_u16()) || refusal == Refusal::MethodRefused;
        assert_eq!(facts(&refusal).connection == Connection::Close, doubt, "{refusal:?}");
    }
}

#[test]
fn labels_are_snake_case_and_the_verifications_are_the_documented_ones() {
    for refusal in refusals() {
        let reason = facts(&refusal).reason;
        assert!(reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{reason}");
        assert!(REASONS.contains(&reason), "{reason} is not among the reasons that metrics know");
    }
    for why in unauthorized() {
        let label = why.label();
        let refusal = Refusal::Unauthorized(why);
        assert_eq!(facts(&refusal).reason, format!("token_{label}"));
    }
}

#[test]
fn the_log_reads_which_secret_fits_and_an_audience_cannot_forge_a_line() {
    let detail = |why| log_detail(&Refusal::Unauthorized(why)).to_string();
    let swapped = detail(Unauthorized::OtherSecret { needs_client: true });
    assert!(swapped.contains("fits signing_secret") && swapped.contains("signed with client_secret"), "{swapped}");
    let audience = detail(Unauthorized::Audience { came: format!("https://{CANARY}\n") });
    assert!(audience.contains(CANARY) && !audience.contains('\n'), "{audience}");
    assert!(detail(Unauthorized::NotYetValid { seconds: 90 }).contains("clock"));
    for refusal in refusals() {
        assert!(!log_detail(&refusal).to_string().contains('\n'));
    }
}

#[test]
fn accept_decides_by_weight() {
    let prefers = |accept: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("value"));
        Prefers::of(&headers)
    };
    assert_eq!(prefers("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Prefers::Html);
    assert_eq!(prefers("application/json;q=0.5, text/html;q=0.9"), Prefers::Html);
    for json in ["*/*", "", "application/json", "text/html;q=0", "text/html;q=0.3, application/json", "text/html;q=x"] {
        assert_eq!(prefers(json), Prefers::Json, "{json}");
    }
    assert_eq!(Prefers::of(&HeaderMap::new()), Prefers::Json);
}

#[test]
fn strict_transport_security_lasts_two_years() {
    let mut headers = HeaderMap::new();
    set_strict_transport(&mut headers);
    assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=63072000");
}
