//! The gateway's own answers: statuses, bodies, and who sees which.

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2};
use crate::support::mint::{KINDS, kind};
use crate::support::setup::Setup;

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn is_html(answer: &Answer) -> bool {
    answer.field("content-type").is_some_and(|value| value.starts_with("text/html"))
}

#[tokio::test]
async fn a_backend_that_is_down_is_a_status_that_monday_retries() {
    let gateway = Gateway::start(&Setup::standard(&nobody()));
    for kind in KINDS {
        let (target, lines) = kind.request_with(&kind.token());
        let answer = gateway.request("GET", &target, &lines, "").await;
        assert!(matches!(answer.status, 502 | 503), "{}: {}", kind.name, answer.status);
        if kind.back_to_url {
            assert!(is_html(&answer), "{}", kind.name);
        } else if kind.name != "public" {
            assert!(answer.json()["severityCode"].is_null(), "{}: {}", kind.name, answer.text());
        }
    }
}

#[tokio::test]
async fn severity_6000_is_never_said() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for kind in KINDS {
        let answer = gateway.request("GET", &kind.path(), "", "").await;
        assert!(!answer.text().contains("6000"));
    }
}

#[tokio::test]
async fn a_person_gets_a_page_and_a_machine_gets_json() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";
    let page = gateway.request("GET", "/planner/authorization/run", browser, "").await;
    assert_eq!(page.status, 401);
    assert!(is_html(&page));
    assert!(page.field("www-authenticate").is_some());
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
    assert!(page.field("cache-control").unwrap().contains("no-store"));
    assert!(page.field("referrer-policy").unwrap().contains("no-referrer"));
    assert!(page.field("content-security-policy").is_some());
    let json = gateway.request("GET", "/planner/action/run", browser, "").await;
    assert_eq!(json.json()["severityCode"], 4000, "monday's servers get JSON whatever they accept");
    for (accept, html) in
        [(browser, true), ("Accept: application/json\r\n", false), ("Accept: */*\r\n", false), ("", false)]
    {
        let answer = gateway.request("GET", "/nowhere", accept, "").await;
        assert_eq!(answer.status, 404);
        assert_eq!(is_html(&answer), html, "{accept}: {:?}", answer.fields);
    }
}

#[tokio::test]
async fn every_answer_has_a_length_and_names_no_software() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut client = H2::connect(&gateway).await;
    for (method, target, status) in [
        ("GET", "/nowhere", 404),
        ("TRACE", "/planner/public/x", 405),
        ("GET", "/planner/action/run", 401),
        ("GET", "/planner/public/../x", 400),
        ("GET", "/planner/public//x", 400),
    ] {
        let answer = gateway.request(method, target, "", "").await;
        assert!(answer.status == status || method == "TRACE", "{target}: {}", answer.status);
        assert!(answer.field("content-length").is_some());
        assert!(answer.field("date").is_some());
        assert!(answer.field("server").is_none_or(|name| !name.contains("hyper")));
        if !target.contains("..") && method != "TRACE" {
            let over_http2 = client.ask(http2::request(method, target, &[]), b"").await;
            assert_eq!(over_http2.status, status, "{target}");
            assert_eq!(over_http2.field("content-type"), answer.field("content-type"));
        }
    }
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn trace_and_connect_are_refused_over_both_protocols() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let token = format!("Authorization: {}\r\n", kind("action").token());
    for method in ["TRACE", "TRACK", "CONNECT"] {
        let status = gateway.request(method, "/planner/action/run", &token, "").await.status;
        assert!(matches!(status, 200 | 400 | 405 | 501) && (status != 200 || method == "TRACK"), "{method}: {status}");
    }
    let mut client = H2::connect(&gateway).await;
    let status = client.ask(http2::request("TRACE", "/planner/public/x", &[]), b"").await.status;
    assert!(matches!(status, 400 | 405), "{status}");
    assert!(backend.seen().iter().all(|seen| seen.method == "TRACK"));
}

#[tokio::test]
async fn hsts_is_on_every_answer_over_tls() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let own = gateway.request("GET", "/planner/authorization/run", "", "").await;
    let hsts = own.field("strict-transport-security").expect("HSTS");
    let seconds: u64 = hsts.split(';').next().unwrap().trim_start_matches("max-age=").parse().unwrap();
    assert!(seconds >= 63_072_000);
}
