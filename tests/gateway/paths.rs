//! The path that is matched is the path that is forwarded: `security.md` P1 to P4.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::backend::Backend;
use crate::support::frames::{END_STREAM, Frames, headers, indexed_status};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;

fn setup(backend: &str) -> Setup {
    Setup::bare(backend)
        .kind_route("public", "")
        .kind_route("action", "")
        .route("path = \"/assets/{*rest}\"\nkind = \"public\"")
        .route("path = \"/exact\"\nkind = \"public\"")
}

/// Targets that must be refused.
const REFUSED: &[&str] = &[
    "/planner/public/../action/run",
    "/planner/public/..",
    "/planner/public/./x",
    "/planner/public/.",
    "/planner/public/%2e%2e/action/run",
    "/planner/public/%2E%2E/action/run",
    "/planner/public/.%2e/action/run",
    "/planner/public/%2e./action/run",
    "/planner/public/%2e/x",
    "/planner/public/%252e%252e/action/run",
    "/planner/public/%252e/x",
    "/planner/public/%25252e%25252e/x",
    "/planner/public/%%32%65/x",
    "//planner/public/x",
    "/planner//public/x",
    "/planner/public//x",
    "/planner/public/x//",
    "///",
    "//",
    "/planner/public/..%2faction/run",
    "/planner/public/a%2fb",
    "/planner/public/a%2Fb",
    "/planner/public/a%252fb",
    "/planner/public/a%252Fb",
    "/planner/public\\..\\action",
    "/planner/public/a\\b",
    "/planner/public/a%5cb",
    "/planner/public/a%5Cb",
    "/planner/public/a%255cb",
    "/planner/public/%00",
    "/planner/public/a%00.js",
    "/planner/public/%2500",
    "/planner/public/..;/action/run",
    "/planner/public/..;foo=bar/action/run",
    "/planner/public/.;x/a",
    "/planner/public/a;x/../action/run",
    "/planner/public/;/../action/run",
    "/planner/public/%2e%2e;x=y/action/run",
    "/planner/public/%2e%2e%3bx/action",
    "/planner/public/..%00/",
    "/planner/public/..%5caction",
    "/..",
    "/.",
    "/%2e",
    "/%2e%2e/",
    "/../planner/public/x",
    "/planner/public/#/../action",
    "/planner/public/x#frag",
    "/planner/public/\u{b}x",
    "/planner/public/%2e%2e%2faction%2frun",
];

/// Targets that may pass, but only as they are.
const EITHER: &[&str] = &[
    "/planner/public/..%3b/action/run",
    "/planner/public/..%0d/",
    "/planner/public/x",
    "/planner/public/a;x=y",
    "/planner/public/a;x=y/b",
    "/planner/public/;x=y/action",
    "/planner/public/%c0%ae%c0%ae/action/run",
    "/planner/public/%e0%80%ae/x",
    "/planner/public/...",
    "/planner/public/.../x",
    "/planner/public/..a",
    "/planner/public/a..",
    "/planner/public/.hidden",
    "/planner/public/%41",
    "/planner/public/a%20b",
    "/planner/public/a+b",
    "/planner/public/~x",
    "/planner/public/%7e",
    "/planner/public/%zz",
    "/planner/public/%",
    "/planner/public/a:b@c",
    "/planner/public/x?../action/run",
    "/planner/public/x?a=/../action&b=//",
    "/planner/public/\u{e9}",
];

#[tokio::test]
async fn p1_ambiguous_paths_are_refused_and_others_pass_byte_for_byte() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    for target in REFUSED {
        let answer = gateway.request("GET", target, "", "").await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
    }
    assert_eq!(backend.count(), 0, "{:?}", backend.seen().iter().map(|seen| seen.target.clone()).collect::<Vec<_>>());
    for target in EITHER {
        let answer = gateway.request("GET", target, "", "").await;
        assert!(matches!(answer.status, 200 | 400), "{target}: {}", answer.status);
        if answer.status == 200 {
            let bytes: String = target.bytes().map(char::from).collect();
            assert_eq!(answer.json()["target"], bytes, "{target}");
        }
    }
    println!("cases: {} (P1)", REFUSED.len() + EITHER.len());
}

#[tokio::test]
async fn p1_the_same_over_http2() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    // hyper takes a fragment off before anyone sees it: what is left is what is matched and forwarded.
    let cases: Vec<&&str> = REFUSED.iter().filter(|target| !target.contains('#')).collect();
    for target in &cases {
        let mut frames = Frames::connect(&gateway).await;
        let fields: [(&[u8], &[u8]); 4] =
            [(b":method", b"GET"), (b":scheme", b"https"), (b":path", target.as_bytes()), (b":authority", b"gw.test")];
        frames.send(&headers(1, &fields, END_STREAM)).await;
        let fate = frames.fate(1).await;
        assert_ne!(fate.as_ref().map(indexed_status), Some(200), "{target}");
    }
    assert_eq!(backend.count(), 0, "{:?}", backend.seen());
    println!("cases: {} (P1 over HTTP/2)", cases.len());
}

#[tokio::test]
async fn p1_other_forms_of_a_target_are_read_as_the_rfc_says() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let absolute = gateway.ask("GET https://gw.test/planner/public/x?y HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
    assert!(matches!(absolute.status, 200 | 400), "{}", absolute.status);
    if absolute.status == 200 {
        assert_eq!(absolute.json()["target"], "/planner/public/x?y");
    }
    for line in [
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET planner/public/x HTTP/1.1",
        "GET gw.test:443 HTTP/1.1",
        "CONNECT gw.test:443 HTTP/1.1",
        "TRACE /planner/public/x HTTP/1.1",
        "GET https://gw.test HTTP/1.1",
        "GET http:///planner/public/x HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET  /planner/public/x HTTP/1.1",
        "GET /planner/public/x y HTTP/1.1",
        "GET /planner/public/x HTTP/1.2",
        "GET /planner/public/x HTTP/2.0",
        "GET /planner/public/x http/1.1",
        "GET /planner/public/x",
        "GET /planner/public/x HTTP/1.1 ",
        " GET /planner/public/x HTTP/1.1",
        "GET\t/planner/public/x\tHTTP/1.1",
        "G@T /planner/public/x HTTP/1.1",
        "GET https://u@gw.test/planner/public/x HTTP/1.1",
        "GET ftp://gw.test/planner/public/x HTTP/1.1",
    ] {
        let mut connection = gateway.connect().await;
        connection.send(format!("{line}\r\nHost: gw.test\r\n\r\n").as_bytes()).await;
        let status = connection.maybe_answer().await.map_or(0, |answer| answer.status);
        assert!(matches!(status, 0 | 400 | 404 | 405 | 421 | 501 | 505), "{line}: {status}");
    }
    assert!(backend.count() <= 1, "{:?}", backend.seen());
}

#[tokio::test]
async fn p2_query_and_fragment_decide_no_route() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    for target in [
        "/planner/action/run?/planner/public/x",
        "/planner/action/run?x=/planner/public/",
        "/?/planner/public/x",
        "/exact?x",
        "/exactx?/exact",
        "/planner/action/run?#/planner/public/x",
    ] {
        let answer = gateway.request("GET", target, "", "").await;
        let wanted = if target == "/exact?x" {
            200
        } else if target.starts_with("/planner") {
            401
        } else {
            404
        };
        assert!(answer.status == wanted || answer.status == 400 && target.contains('#'), "{target}: {}", answer.status);
    }
}

#[tokio::test]
async fn p3_whatever_passes_was_forwarded_byte_for_byte() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let segment = prop_oneof![
        3 => "[a-zA-Z0-9._~-]{1,8}",
        2 => "(%[0-9a-fA-F]{2}){1,3}",
        1 => "[a-z;=.%2eEfF5cC]{1,8}",
        1 => Just("..".to_owned()),
        1 => "[!$&'()*+,:@;=]{1,4}",
    ];
    let strategy = (prop::collection::vec(segment, 0..6), prop::option::of("[a-z0-9/?&=%.]{0,12}"));
    let mut runner = TestRunner::deterministic();
    let mut connection = gateway.connect().await;
    let (mut passed, cases) = (0, 1000);
    for _ in 0..cases {
        let (segments, query) = strategy.new_tree(&mut runner).unwrap().current();
        let path = segments.iter().fold("/planner/public".to_owned(), |path, segment| format!("{path}/{segment}"));
        let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        connection.send(&crate::support::raw::request("GET", &target, "", "")).await;
        let answer = connection.answer().await;
        assert!(matches!(answer.status, 200 | 400), "{target}: {}", answer.status);
        if answer.status == 200 {
            assert_eq!(answer.json()["target"], target);
            let dots = |segment: &str| matches!(segment.to_lowercase().replace("%2e", ".").as_str(), "." | "..");
            assert!(!path.split('/').any(|segment| dots(segment.split(';').next().unwrap())), "{target}");
            passed += 1;
        } else {
            connection = gateway.connect().await;
        }
    }
    assert!(passed > 100, "{passed} passed");
    println!("cases: {cases}, {passed} passed (P3)");
}

#[tokio::test]
async fn p4_a_prefix_ends_at_a_segment() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    for (target, status) in [
        ("/assets", 200),
        ("/assets/", 200),
        ("/assets/x", 200),
        ("/assets/x/y", 200),
        ("/assetsx", 404),
        ("/assets-x", 404),
        ("/assets.x", 404),
        ("/asset", 404),
        ("/Assets/x", 404),
        ("/assets../secret", 404),
        ("/assets;x/y", 404),
        ("/%61ssets/x", 404),
        ("/exact", 200),
        ("/exact/", 404),
        ("/exact/x", 404),
        ("/exactx", 404),
        ("/planner/actionx/run", 404),
        ("/planner/public", 200),
    ] {
        let answer = gateway.request("GET", target, "", "").await;
        let as_well = status == 404 && answer.status == 400;
        assert!(answer.status == status || as_well || target == "/exact/", "{target}: {}", answer.status);
    }
}

#[tokio::test]
async fn one_tenants_host_does_not_open_another_tenants_path() {
    let backend = Backend::echo();
    let setup = Setup::bare(&backend.address)
        .other_app()
        .route("path = \"/a/{*rest}\"\nkind = \"public\"\nhost = \"gw.test\"")
        .route("path = \"/b/{*rest}\"\nkind = \"action\"\nhost = \"localhost\"\napp = \"other\"")
        .route("path = \"/b/open/{*rest}\"\nkind = \"public\"\nhost = \"localhost\"");
    let gateway = Gateway::start(&setup);
    for (host, path, status) in [
        ("gw.test", "/a/x", 200),
        ("localhost", "/a/x", 404),
        ("gw.test", "/b/x", 404),
        ("localhost", "/b/x", 401),
        ("localhost", "/b/open/x", 200),
        ("gw.test", "/b/open/x", 404),
        ("GW.TEST", "/a/x", 200),
        ("gw.test.", "/a/x", 404),
    ] {
        let answer = gateway.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.status == status || host.ends_with('.'), "{host}{path}: {}", answer.status);
    }
}
