//! No caller sets what the backend trusts: `security.md` H1 to H7, R21.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::frames::{END_STREAM, Frames, headers};
use crate::support::gateway::Gateway;
use crate::support::http2::{self, Body, H2};
use crate::support::mint::{self, CLIENT, KINDS, kind};
use crate::support::peers::Peer;
use crate::support::setup::Setup;

/// Every name that a backend may trust, also those that a route injects (`X-Tenant`, `X-Api-Key`).
const TRUSTED: [&str; 27] = [
    "X-Monday-App",
    "X-Monday-Kind",
    "X-Monday-Account-Id",
    "X-Monday-User-Id",
    "X-Monday-Api-Key",
    "X-Monday-Access-Token",
    "X-Monday-Grants",
    "X-Monday-Back-To-Url",
    "X-Monday-Claims",
    "X-Monday-Is-Admin",
    "X-Monday-Is-Guest",
    "X-Monday-Is-View-Only",
    "X-Monday-User-Kind",
    "X-Monday-Account-Slug",
    "X-Monday-App-Id",
    "X-Monday-Install-Id",
    "X-Monday-Anything-Else",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Real-IP",
    "X-Tenant",
];
const EVIL: &str = "evil-client-value";

/// A gateway whose `public` and `view` routes inject `X-Tenant`.
fn setup(backend: &str) -> Setup {
    Setup::bare(backend)
        .kind_route(
            "view",
            "inject.headers = { \"X-Tenant\" = \"{account_id}\", \"X-Gone\" = \"{claims.dat.nothing}\" }",
        )
        .kind_route("action", "")
        .kind_route("public", "")
}

/// Spellings of a name that some backend reads as that name.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned(), name.to_lowercase(), name.to_uppercase()];
    let gaps: Vec<usize> = name.match_indices('-').map(|(at, _)| at).collect();
    let marks = [b'-', b'_', b'.'];
    let mut mixes = 3_usize.pow(u32::try_from(gaps.len()).unwrap());
    mixes = mixes.min(81);
    for mix in 1..mixes {
        let mut bytes = name.as_bytes().to_vec();
        let mut rest = mix;
        for gap in &gaps {
            bytes[*gap] = marks[rest % 3];
            rest /= 3;
        }
        let text = String::from_utf8(bytes).unwrap();
        all.extend([text.to_lowercase(), text]);
    }
    for odd in ["_", ".", "~", "+", "!", "#", "$", "%", "&", "'", "*", "^", "`", "|"] {
        all.push(format!("{name}{odd}"));
        all.push(format!("{odd}{name}"));
        all.push(name.replace('-', odd));
    }
    let swapped: String = name
        .char_indices()
        .map(|(at, c)| if at % 2 == 0 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() })
        .collect();
    all.push(swapped);
    all.sort();
    all.dedup();
    all
}

/// As a CGI backend folds a name: everything but letters and digits is one mark.
fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// Panics if the echo shows a client's value under a name that folds to a trusted one. Other names of the client's own, that
/// merely end in an odd character, must be gone as well.
fn assert_none_of_the_clients(answer: &Answer, what: &str) {
    for (name, value) in answer.echoed() {
        let odd = name.chars().any(|c| !c.is_ascii_alphanumeric() && c != '-');
        assert!(!odd, "{what}: {name} reached the backend");
        let trusted = TRUSTED.iter().any(|trusted| folded(trusted) == folded(&name));
        assert!(!(trusted && value.contains(EVIL)), "{what}: {name}: {value}");
    }
}

/// All spellings of one name in a few heads of at most 60 lines.
fn packed(name: &str) -> Vec<String> {
    spellings(name)
        .chunks(60)
        .map(|names| {
            names.iter().fold(String::new(), |mut lines, name| {
                write!(lines, "{name}: {EVIL}\r\n").unwrap();
                lines
            })
        })
        .collect()
}

async fn r21_against(backend: &str) -> usize {
    let gateway = Gateway::start(&setup(backend));
    let view = format!("Authorization: {}\r\n", kind("view").token());
    let mut connection = gateway.connect().await;
    let mut cases = 0;
    for name in TRUSTED {
        let variants = spellings(name).len();
        for lines in packed(name) {
            for (path, token) in [("/planner/view/x", view.as_str()), ("/planner/public/x", "")] {
                connection.send(&crate::support::raw::request("GET", path, &format!("{token}{lines}"), "")).await;
                let answer = connection.answer().await;
                assert_none_of_the_clients(&answer, &format!("{name} at {path}"));
            }
        }
        cases += 2 * variants;
    }
    cases
}

#[tokio::test]
async fn r21_h1_no_spelling_of_a_trusted_header_reaches_the_backend_over_http1() {
    let backend = Backend::echo();
    let cases = r21_against(&backend.address).await;
    assert!(cases >= 500);
    let bytes = backend.bytes();
    assert!(memchr::memmem::find(&bytes, EVIL.as_bytes()).is_none(), "the value is in the bytes that were sent");
    println!("cases: {cases} names over HTTP/1.1 (H1, R21), 0 client values");
}

#[tokio::test]
async fn r21_h1_no_spelling_reaches_a_backend_that_folds_underscores() {
    let peer = Peer::gunicorn();
    let cases = r21_against(&peer.url()).await;
    println!("cases: {cases} names over HTTP/1.1 to gunicorn (H1, R21), 0 client values");
}

#[tokio::test]
async fn r21_h1_no_spelling_of_a_trusted_header_reaches_the_backend_over_http2() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let token = kind("view").token();
    let mut client = H2::connect(&gateway).await;
    let mut cases = 0;
    for name in TRUSTED {
        let mut names: Vec<String> = spellings(name).iter().map(|name| name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        for chunk in names.chunks(60) {
            for (path, authorization) in [("/planner/view/x", Some(token.as_str())), ("/planner/public/x", None)] {
                let mut fields: Vec<(&str, &str)> = chunk.iter().map(|name| (name.as_str(), EVIL)).collect();
                fields.extend(authorization.map(|token| ("authorization", token)));
                let answer = client.ask(http2::request("GET", path, &fields), b"").await;
                assert_none_of_the_clients(&answer, &format!("{name} over HTTP/2"));
                cases += chunk.len();
            }
        }
    }
    assert!(cases >= 500);
    assert!(memchr::memmem::find(&backend.bytes(), EVIL.as_bytes()).is_none());
    println!("cases: {cases} names over HTTP/2 (H1, R21), 0 client values");
}

/// Names that no HTTP allows: each request is refused, or the line is gone.
#[tokio::test]
async fn h1_names_that_are_no_names_never_reach_the_backend() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let token = format!("Authorization: {}\r\n", kind("view").token());
    let mut cases = 0;
    for name in TRUSTED {
        for line in [
            format!("{name} : {EVIL}"),
            format!("{name}\t: {EVIL}"),
            format!(" {name}: {EVIL}"),
            format!("\t{name}: {EVIL}"),
            format!("{name}\u{85}: {EVIL}"),
            format!("{name}\u{a0}: {EVIL}"),
            format!("{name}\0: {EVIL}"),
            format!("{name}\u{b}: {EVIL}"),
            format!("{name}\r: {EVIL}"),
            format!("{name}\n: {EVIL}"),
            format!("X-A: b\n{name}: {EVIL}"),
            format!("X-A: b\r{name}: {EVIL}"),
            format!("X-A: b\r\n {name}: {EVIL}"),
            format!(": {EVIL}\r\n{name}: {EVIL}"),
            format!("{name};: {EVIL}"),
            format!("\"{name}\": {EVIL}"),
            format!("{name}(x): {EVIL}"),
            format!("{}: {EVIL}", name.replace('-', "\u{2010}")),
            format!("{}: {EVIL}", name.replace('-', " ")),
        ] {
            let lines = format!("{token}{line}\r\n");
            let mut connection = gateway.connect().await;
            connection.send(&crate::support::raw::request("GET", "/planner/view/x", &lines, "")).await;
            if let Some(answer) = connection.maybe_answer().await {
                assert!(matches!(answer.status, 200 | 400), "{line:?}: {}", answer.status);
                if answer.status == 200 {
                    assert_none_of_the_clients(&answer, &line);
                }
            }
            cases += 1;
        }
    }
    let bytes = backend.bytes();
    let at = memchr::memmem::find(&bytes, EVIL.as_bytes()).map(|at| bytes[at.saturating_sub(60)..at].to_vec());
    // As the value of the client's own field, on the line of that field, it would be harmless; no case above has that form.
    assert!(at.is_none(), "{:?}", at.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    println!("cases: {cases} (H1, names that are none)");
}

#[tokio::test]
async fn h1_names_that_are_no_names_are_refused_over_http2() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let token = kind("view").token();
    let mut cases = 0;
    for name in [
        "X-Monday-User-Id",
        "x-monday-user-id ",
        " x-monday-user-id",
        "x-monday-user-id:",
        "x-monday\r\nx-monday-user-id",
        "x-monday-user-id\0",
        "x-monday-user-id\u{85}",
        "",
        "x monday",
    ] {
        let mut frames = Frames::connect(&gateway).await;
        let fields: [(&[u8], &[u8]); 6] = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":path", b"/planner/view/x"),
            (b":authority", b"gw.test"),
            (b"authorization", token.as_bytes()),
            (name.as_bytes(), EVIL.as_bytes()),
        ];
        frames.send(&headers(1, &fields, END_STREAM)).await;
        frames.fate(1).await;
        cases += 1;
    }
    assert!(memchr::memmem::find(&backend.bytes(), EVIL.as_bytes()).is_none());
    println!("cases: {cases} (H1 over HTTP/2, names that are none)");
}

#[tokio::test]
async fn headers_dropped_for_their_spelling_are_counted() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let answer = gateway.request("GET", "/planner/public/x", "X_Own: 1\r\nX.Own: 2\r\nX-Own: 3\r\n", "").await;
    assert_eq!(answer.echoed_values("x-own"), ["3"]);
    let scrape = gateway.metrics().await;
    let counted = scrape.lines().any(|line| line.starts_with("gateway_headers") && line.ends_with(" 2"));
    assert!(counted, "{scrape}");
}

#[tokio::test]
async fn h2_a_clients_copy_is_gone_also_when_the_claim_is_absent() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let mut claims = kind("view").claims();
    claims["dat"] = json!({ "account_id": 1, "user_id": 2 });
    let sent = TRUSTED.iter().fold(String::new(), |mut lines, name| {
        write!(lines, "{name}: {EVIL}\r\n").unwrap();
        lines
    });
    let line = format!("Authorization: {}\r\nX-Gone: {EVIL}\r\n{sent}", mint::sign(&claims, CLIENT));
    let answer = gateway.request("GET", "/planner/view/x", &line, "").await;
    for name in [
        "x-monday-is-admin",
        "x-monday-is-guest",
        "x-monday-user-kind",
        "x-monday-account-slug",
        "x-monday-app-id",
        "x-monday-api-key",
        "x-gone",
    ] {
        assert!(answer.echoed_values(name).is_empty(), "{name}: {:?}", answer.echoed_values(name));
    }
    assert_none_of_the_clients(&answer, "absent claims");
    assert_eq!(answer.echoed_values("x-tenant"), ["1"]);
}

#[tokio::test]
async fn h3_connection_cannot_name_a_trusted_header_away() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let token = kind("view").token();
    let mut cases = 0;
    for name in TRUSTED.iter().chain(&["X-Request-Id", "Authorization", "Host", "Content-Length"]) {
        for connection in [
            format!("close, {name}"),
            format!("{}, keep-alive", name.to_lowercase()),
            name.to_uppercase(),
            format!("x\r\nConnection: {name}"),
        ] {
            let line = format!("Authorization: {token}\r\nConnection: {connection}\r\n");
            let answer = gateway.request("POST", "/planner/view/x", &line, "12345").await;
            if answer.status == 400 {
                continue;
            }
            assert_eq!(answer.echoed_values("x-monday-user-id"), [mint::USER.to_string()], "{connection}");
            assert_eq!(answer.echoed_values("x-monday-account-id"), [mint::ACCOUNT.to_string()], "{connection}");
            assert_eq!(answer.echoed_values("x-tenant"), [mint::ACCOUNT.to_string()], "{connection}");
            assert_eq!(answer.json()["bodyLength"], 5, "{connection}");
            assert_eq!(answer.echoed_values("host").len(), 1, "{connection}");
            cases += 1;
        }
    }
    assert!(cases > 60);
    println!("cases: {cases} (H3)");
}

#[tokio::test]
async fn h3_hop_by_hop_fields_are_never_forwarded() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let lines = "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers, gzip\r\nProxy-Authorization: Basic x\r\n\
                 Proxy-Connection: keep-alive\r\nTrailer: X-Monday-User-Id\r\nX-Stays: 1\r\n";
    let answer = gateway.request("GET", "/planner/public/x", lines, "").await;
    for name in ["x-hop", "keep-alive", "proxy-authorization", "proxy-connection", "upgrade", "trailer"] {
        assert!(answer.echoed_values(name).is_empty(), "{name}: {:?}", answer.echoed_values(name));
    }
    assert!(answer.echoed_values("te").iter().all(|te| te == "trailers"));
    assert!(!answer.echoed_values("connection").iter().any(|v| v.to_lowercase().contains("x-hop")));
    assert_eq!(answer.echoed_values("x-stays"), ["1"]);
}

#[tokio::test]
async fn h3_trailers_carry_no_trusted_name_either_way() {
    let backend = Backend::scripted(|_| {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Fine\r\n\r\n2\r\nok\r\n0\r\nX-Fine: 1\r\nX-Monday-User-Id: 6\r\nX_Monday_User_Id: 6\r\nX-Tenant: 6\r\n\r\n";
        vec![crate::support::backend::Step::ReadBody, crate::support::backend::Step::Send(answer.to_vec())]
    });
    let gateway = Gateway::start(&setup(&backend.address));
    let token = kind("view").token();
    let mut connection = gateway.connect().await;
    connection
        .send(
            format!(
                "POST /planner/view/x HTTP/1.1\r\nHost: gw.test\r\nTE: trailers\r\nTrailer: X-Own, X-Monday-User-Id, X-Tenant\r\nAuthorization: {token}\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n0\r\nX-Own: 1\r\nX-Monday-User-Id: {EVIL}\r\nX_Monday_User_Id: {EVIL}\r\nX-Tenant: {EVIL}\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
    let answer = connection.answer().await;
    assert_eq!(answer.status, 200);
    let names: Vec<String> = answer.trailers.iter().map(|(name, _)| name.to_lowercase()).collect();
    assert!(!names.iter().any(|name| folded(name).starts_with("x-monday") || name == "x-tenant"), "{names:?}");
    let seen = backend.only();
    assert_eq!(seen.body, b"abc");
    assert!(memchr::memmem::find(&backend.bytes(), EVIL.as_bytes()).is_none(), "{:?}", seen.trailers);
    assert!(seen.all("trailer").iter().all(|names| !names.to_lowercase().contains("x-monday")), "{:?}", seen.fields);
    h3_trailers_over_http2(&gateway, &backend).await;
    for line in [
        "Authorization: x",
        "Content-Length: 9",
        "Transfer-Encoding: chunked",
        "Host: evil.test",
        "Cookie: a",
        "X-Forwarded-For: 6.6.6.6",
    ] {
        let request = format!(
            "POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nTrailer: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{line}\r\n\r\n",
            line.split(':').next().unwrap()
        );
        let before = backend.count();
        let status = gateway.ask(request).await.status;
        assert!(matches!(status, 200 | 400), "{line}: {status}");
        for seen in backend.seen().iter().skip(before) {
            assert!(seen.trailers.is_empty(), "{line}: {:?}", seen.trailers);
        }
    }
}

/// Here nothing has to be announced to be sent.
async fn h3_trailers_over_http2(gateway: &Gateway, backend: &Backend) {
    let mut client = H2::connect(gateway).await;
    let token = kind("view").token();
    let fields =
        [("te", "trailers"), ("trailer", "x-own, x-monday-user-id, x-tenant"), ("authorization", token.as_str())];
    let (answer, mut sending) =
        client.open(http2::request("POST", "/planner/view/x", &fields), Body::Follows).await.unwrap();
    sending.send_data("abc".into(), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    for name in ["x-own", "x-monday-user-id", "x_monday_user_id", "x-tenant", "x-forwarded-for", "authorization"] {
        trailers.insert(name, if name == "x-own" { "1" } else { EVIL }.parse().unwrap());
    }
    sending.send_trailers(trailers).unwrap();
    let (mut answer, body) = http2::head_of(answer).await.unwrap();
    http2::read_body(&mut answer, body).await.unwrap();
    assert_eq!(answer.trailers, [("x-fine".to_owned(), "1".to_owned())], "to the client");
    assert_eq!(backend.last().body, b"abc");
    let own: Vec<String> = backend.last().trailers.iter().map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(own, ["x-own"], "to the backend");
    assert!(memchr::memmem::find(&backend.bytes(), EVIL.as_bytes()).is_none());
}

#[tokio::test]
async fn trusted_names_are_removed_from_the_backends_answer() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nX-Monday-Access-Token: secret\r\nX_Monday_User_Id: 5\r\nx-monday-user-id: 5\r\nX-Tenant: 5\r\nX-Fine: 1\r\n\
         Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::start(&setup(&backend.address));
    let answer = gateway.request("GET", "/planner/public/x", "", "").await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.field("x-fine"), Some("1"));
    for (name, value) in &answer.fields {
        assert!(
            !folded(name).starts_with("x-monday") && folded(name) != "x-tenant" && name.to_lowercase() != "x-hop",
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn h4_a_host_that_is_no_host_is_refused() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let hosts = [
        "gw.test;for=1.2.3.4",
        "gw.test\"",
        "gw.test,evil",
        "gw test",
        "gw.test\tx",
        "user@gw.test",
        "user:pw@gw.test",
        "gw.test/",
        "gw.test/x",
        "gw.test?x",
        "gw.test#x",
        "gw.test:",
        "gw.test:x",
        "gw.test:99999",
        "gw.test:1:2",
        "[::1",
        "::1]",
        "[::1]x",
        "[gw.test]",
        "gw.test\u{0}",
        "gw.test\u{b}",
        "gw\\test",
        "",
        " ",
        "gw..test",
        "gw.test%0d%0a",
        "%67w.test",
        "gw.test\u{e9}",
        "<gw.test>",
        "gw.test;",
        "gw_test|",
        "gw.test'",
        "-",
        "http://gw.test",
        "gw.test:443@evil.test",
    ];
    let mut passed = Vec::new();
    for host in hosts {
        let answer = gateway.ask(format!("GET /planner/public/x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        if answer.status != 400 {
            // Whatever is let through must still make a Forwarded that parses.
            passed.push(host);
            assert!(matches!(answer.status, 200 | 404 | 421), "{host:?}: {}", answer.status);
            if answer.status == 200 {
                let forwarded = answer.echoed_values("forwarded").join(", ");
                assert_forwarded_parses(&forwarded);
            }
        }
    }
    assert!(
        passed
            .iter()
            .all(|host| ["gw.test:", "gw..test", "-", "[gw.test]", "gw.test'", "%67w.test", "gw.test%0d%0a"]
                .contains(host)),
        "{passed:?}"
    );
    for (host, lines) in
        [("gw.test", "Host: gw.test\r\n"), ("gw.test", "Host: evil.test\r\n"), ("gw.test", "host: gw.test\r\n")]
    {
        let answer = gateway.ask(format!("GET /planner/public/x HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).await;
        assert_eq!(answer.status, 400, "two hosts");
    }
    assert_eq!(gateway.ask("GET /planner/public/x HTTP/1.1\r\n\r\n").await.status, 400, "no host");
    let differs = gateway.ask("GET https://evil.test/planner/public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
    assert_eq!(differs.status, 400, "another authority than Host");
    println!("cases: {} hosts (H4)", hosts.len() + 5);
}

#[tokio::test]
async fn h4_an_authority_that_is_none_is_refused_over_http2() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let hosts: [&[u8]; 14] = [
        b"gw.test;for=1",
        b"gw.test\"",
        b"gw.test,evil",
        b"gw test",
        b"u@gw.test",
        b"gw.test/x",
        b"gw.test\r\nx: y",
        b"",
        b"gw.test#",
        b"gw.test?",
        b"[::1",
        b"gw.test:x",
        b"gw\\test",
        b"gw.test\0",
    ];
    for host in hosts {
        let mut frames = Frames::connect(&gateway).await;
        let fields: [(&[u8], &[u8]); 4] =
            [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/planner/public/x"), (b":authority", host)];
        frames.send(&headers(1, &fields, END_STREAM)).await;
        frames.fate(1).await;
    }
    let mut frames = Frames::connect(&gateway).await;
    let fields: [(&[u8], &[u8]); 5] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/planner/public/x"),
        (b":authority", b"gw.test"),
        (b"host", b"evil.test"),
    ];
    frames.send(&headers(1, &fields, END_STREAM)).await;
    frames.fate(1).await;
    assert_eq!(backend.count(), 0, "{:?}", backend.seen());
    println!("cases: {} (H4 over HTTP/2)", hosts.len() + 1);
}

/// RFC 7239, section 4, as far as a gateway writes it.
fn assert_forwarded_parses(value: &str) {
    for element in value.split(", ") {
        for pair in element.split(';') {
            let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{value}"));
            assert!(["for", "proto", "host", "by"].contains(&name), "{value}");
            let token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            let quoted = value.len() >= 2
                && value.starts_with('"')
                && value.ends_with('"')
                && value.get(1..value.len() - 1).is_some_and(|inner| !inner.contains(['"', '\\']));
            assert!(token(value) || quoted, "{value}");
        }
    }
}

#[tokio::test]
async fn h4_the_generated_forwarded_fields_are_well_formed() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    for host in ["gw.test", "gw.test:8443", "localhost:1"] {
        let lines = "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: evil\r\n";
        let answer = gateway.ask(format!("GET /planner/public/x HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).await;
        let forwarded = answer.echoed_values("forwarded");
        assert_eq!(forwarded.len(), 1);
        assert_forwarded_parses(&forwarded[0]);
        assert!(forwarded[0].contains("for=127.0.0.1") && forwarded[0].contains("proto=https"), "{forwarded:?}");
        assert_eq!(answer.echoed_values("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(answer.echoed_values("x-forwarded-proto"), ["https"]);
        assert_eq!(answer.echoed_values("x-forwarded-host"), [host]);
        assert!(answer.echoed_values("x-real-ip").is_empty());
        assert_ne!(answer.echoed_values("x-request-id"), ["evil"]);
    }
}

/// H6: a forwarded field decides nothing, unless it comes from a peer that the file names.
#[tokio::test]
async fn h6_forwarded_fields_are_believed_of_trusted_peers_only() {
    let backend = Backend::echo();
    let lines = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: gw.test\r\nX-Forwarded-Uri: /planner/public/x\r\n\
                 X-Original-URL: /planner/public/x\r\nX-Rewrite-URL: /planner/public/x\r\nX-Request-Id: from-outside-1\r\n";
    let stranger = Gateway::start(&setup(&backend.address));
    assert_eq!(stranger.request("GET", "/planner/action/x", lines, "").await.status, 401);
    let nobody = Gateway::start(&setup(&backend.address).server("trusted_proxies = []"));
    assert_eq!(
        nobody.request("GET", "/planner/public/x", lines, "").await.echoed_values("x-forwarded-for"),
        ["127.0.0.1"]
    );
    let other = Gateway::start(&setup(&backend.address).server("trusted_proxies = [\"10.0.0.0/8\"]"));
    assert_eq!(
        other.request("GET", "/planner/public/x", lines, "").await.echoed_values("x-forwarded-for"),
        ["127.0.0.1"]
    );

    let trusted = Gateway::start(&setup(&backend.address).server("trusted_proxies = [\"127.0.0.0/8\"]").plain());
    assert_eq!(trusted.request("GET", "/planner/action/x", lines, "").await.status, 401);
    let answer = trusted.request("GET", "/planner/public/x", lines, "").await;
    let chain = answer.echoed_values("x-forwarded-for").join(", ");
    assert!(chain.starts_with("203.0.113.7"), "{chain}");
    assert_eq!(answer.echoed_values("x-forwarded-proto"), ["https"]);
    assert_eq!(answer.echoed_values("x-request-id"), ["from-outside-1"]);
    assert!(answer.echoed_values("x-original-url").is_empty());
}

#[tokio::test]
async fn h7_no_method_agent_or_header_is_a_way_around_the_token() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut cases = 0;
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "GETX", "QUERY"];
    let lines = [
        "",
        "User-Agent: kube-probe/1.30\r\n",
        "User-Agent: ELB-HealthChecker/2.0\r\n",
        "User-Agent: GoogleHC/1.0\r\n",
        "X-HTTP-Method-Override: GET\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
        "X-Original-URL: /planner/public/x\r\n",
        "Origin: https://gw.test\r\n",
        "X-Monday-User-Id: 1\r\nX-Monday-Account-Id: 1\r\n",
        "Cookie: session=1\r\n",
        "Upgrade-Insecure-Requests: 1\r\n",
        "Access-Control-Request-Method: POST\r\nOrigin: https://x.test\r\n",
    ];
    for kind in KINDS.iter().filter(|kind| kind.name != "public") {
        for method in methods {
            let mut connection = gateway.connect().await;
            for lines in lines {
                connection.send(&crate::support::raw::request(method, &kind.path(), lines, "")).await;
                let mut answer = connection.head().await;
                if method != "HEAD" {
                    connection.body_of(&mut answer).await;
                }
                assert!(
                    matches!(answer.status, 400 | 401 | 405),
                    "{method} {lines} at {}: {}",
                    kind.name,
                    answer.status
                );
                cases += 1;
                if answer.field("connection") == Some("close") {
                    connection = gateway.connect().await;
                }
            }
        }
    }
    for path in ["/livez", "/readyz", "/metrics", "/health", "/healthz", "/ping"] {
        assert_eq!(gateway.request("GET", path, "", "").await.status, 404, "{path}");
    }
    assert_eq!(backend.count(), 0);
    println!("cases: {cases} (H7)");
}

#[tokio::test]
async fn a_referer_does_not_carry_a_token_to_the_backend() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for (query, left) in [("?sessionToken=eyJh.eyJi.c", ""), ("?a=1", "?a=1")] {
        let line = format!("Referer: https://gw.test/planner/view/i.html{query}\r\n");
        gateway.request("GET", "/planner/public/x", &line, "").await;
        let expected = format!("https://gw.test/planner/view/i.html{left}");
        assert_eq!(backend.last().all("referer"), [expected.as_str()]);
    }
}
