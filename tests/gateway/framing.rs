//! One reading of where a request ends: `security.md` S1 to S4 and the HTTP checklist 19 to 32.

use std::time::Duration;

use serde_json::Value;

use crate::support::backend::{Backend, Step, ok};
use crate::support::frames::{DATA, END_STREAM, Frames, frame, headers, indexed_status};
use crate::support::gateway::Gateway;
use crate::support::mint::{STRANGER, kind, sign};
use crate::support::peers::Peer;
use crate::support::setup::Setup;
use crate::support::{SOON, within};

const SMUGGLED: &str = "GET /planner/public/smuggled HTTP/1.1\r\nHost: gw.test\r\n\r\n";

fn head(lines: &str) -> String {
    format!("POST /planner/public/first HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")
}

/// Heads that two servers could read differently; each is refused, and the connection ends.
fn ambiguous() -> Vec<String> {
    let mut all = Vec::new();
    // 19, 20: both lengths, and any Transfer-Encoding but one `chunked`.
    for te in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: x",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    ] {
        all.push(head(&format!("{te}\r\n")));
    }
    for te in [
        ",chunked",
        "chunked,",
        ", chunked",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "identity, chunked",
        "identity",
        "gzip",
        "x",
        "",
        " ",
        "chunked;q=1",
        "chunked x",
        "xchunked",
        "chunke",
        "\"chunked\"",
        "'chunked'",
        "[chunked]",
        "chunked\u{b}",
        "\u{b}chunked",
        "chunked\0",
        "chunked\u{a0}",
        "chunked, gzip",
        "cow, chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "\r\n chunked",
        "chunked\r\n ",
        "gzip\r\nTransfer-Encoding: chunked",
    ] {
        all.push(head(&format!("Transfer-Encoding: {te}\r\n")));
    }
    for name in [
        "Transfer-Encoding ",
        "Transfer-Encoding\t",
        " Transfer-Encoding",
        "Transfer-Encoding\u{b}",
        "Transfer-Encoding\0",
    ] {
        all.push(head(&format!("{name}: chunked\r\nContent-Length: 5\r\n")));
    }
    // 21: Content-Length is digits, once.
    for cl in [
        "",
        " ",
        "+5",
        "-5",
        "5, 5",
        "5,6",
        "5 5",
        "5;",
        "0x5",
        "5.0",
        "5e0",
        "\"5\"",
        "5a",
        "a5",
        "\u{663}",
        "99999999999999999999",
        "18446744073709551616",
        "5\r\nContent-Length: 5",
        "5\r\nContent-Length: 6",
        "5\r\ncontent-length: 5",
        "5\u{b}",
        "\u{b}5",
        "5\0",
        "5\u{a0}",
        "1_0",
        "5,",
        ",5",
        "\r\n 5",
        "5\r\n 6",
    ] {
        all.push(head(&format!("Content-Length: {cl}\r\n")));
    }
    for name in ["Content-Length ", "Content-Length\t", "Content-Length\0"] {
        all.push(head(&format!("{name}: 5\r\n")));
    }
    // 22: bare CR and LF, NUL, folding, names that are none.
    for line in [
        "X-A: b\rc",
        "X-A: b\nc",
        "X-A: b\nContent-Length: 5",
        "X-A: b\0c",
        "X-A: b\r\n c",
        "X-A: b\r\n\tc",
        " X-A: b",
        "X-A : b",
        "X-A\t: b",
        ": b",
        "X-A",
        "X A: b",
        "X-A\u{e9}: b",
        "X-A: \u{1}",
        "X-A: \u{7f}",
        "X(A): b",
        "X-A: b\r\r",
        "\r",
        "X-A: b\n",
        "=: b",
        "X-A;: b",
        "X\0A: b",
    ] {
        all.push(head(&format!("{line}\r\n")));
    }
    // 23: Host.
    all.push("GET /planner/public/first HTTP/1.1\r\n\r\n".into());
    all.push("GET /planner/public/first HTTP/1.1\r\nHost: gw.test\r\nHost: gw.test\r\n\r\n".into());
    all.push("GET /planner/public/first HTTP/1.1\nHost: gw.test\n\n".into());
    all.push("GET /planner/public/first HTTP/1.1\r\nHost: gw.test\n\r\n".into());
    all.push("GET /planner/public/first HTTP/1.1\nHost: gw.test\r\n\r\n".into());
    all.push("GET /planner/public/first HTTP/1.1\r\n Host: gw.test\r\n\r\n".into());
    all.push("POST /planner/public/first HTTP/1.0\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n".into());
    // 26
    all.push("TRACE /planner/public/first HTTP/1.1\r\nHost: gw.test\r\n\r\n".into());
    all.push("CONNECT gw.test:443 HTTP/1.1\r\nHost: gw.test:443\r\n\r\n".into());
    all
}

#[tokio::test]
async fn ambiguous_heads_are_refused_and_the_connection_ends() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let all = ambiguous();
    let mut wrong = Vec::new();
    for head in &all {
        let mut connection = gateway.connect().await;
        connection.patience = Duration::from_secs(5);
        connection.send(format!("{head}5\r\nhello\r\n0\r\n\r\n{SMUGGLED}").as_bytes()).await;
        let answers = connection.answers_to_the_end().await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let fine = statuses.len() <= 1 && statuses.iter().all(|status| matches!(status, 400 | 405 | 501));
        if !fine {
            wrong.push(format!("{head:?} -> {statuses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    assert_eq!(backend.count(), 0, "{:?}", backend.seen().iter().map(|seen| seen.target.clone()).collect::<Vec<_>>());
    println!("cases: {} (checklist 19 to 26)", all.len());
}

#[tokio::test]
async fn malformed_chunks_never_make_another_request() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nX\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        &long,
    ];
    let mut wrong = Vec::new();
    for body in bodies {
        let mut connection = gateway.connect().await;
        connection.patience = Duration::from_secs(5);
        connection.send(format!("{}{body}{SMUGGLED}", head("Transfer-Encoding: chunked\r\n")).as_bytes()).await;
        connection.finish_sending().await;
        let statuses: Vec<u16> = connection.answers_to_the_end().await.iter().map(|answer| answer.status).collect();
        if statuses.len() > 1 || statuses.first().is_some_and(|status| *status < 400) {
            wrong.push(format!("{body:.60?} -> {statuses:?}"));
        }
    }
    let smuggled: Vec<String> =
        backend.seen().iter().filter(|seen| seen.target.contains("smuggled")).map(|seen| seen.target.clone()).collect();
    assert!(smuggled.is_empty() && wrong.is_empty(), "{smuggled:?}\n{}", wrong.join("\n"));
    assert!(backend.seen().iter().all(|seen| !seen.complete), "a body that never ended well was ended for the backend");
    println!("cases: {} (checklist 24)", bodies.len());
}

/// S1: the body behind a refusal is never read as a request (CVE-2025-4366).
#[tokio::test]
async fn s1_what_follows_a_refused_request_is_never_interpreted() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let forged = sign(&kind("action").claims(), STRANGER);
    let mut cases = 0;
    for token in [String::new(), format!("Authorization: {forged}\r\n")] {
        for target in [
            "/planner/action/run",
            "/planner/view/run",
            "/planner/board-webhook/run",
            "/planner/authorization/run",
            "/nowhere",
        ] {
            for body in [SMUGGLED.to_owned(), format!("{SMUGGLED}{}", "x".repeat(40_000)), SMUGGLED.repeat(3000)] {
                let announced = [
                    format!("Content-Length: {}\r\n", body.len()),
                    format!("Content-Length: {}\r\n", body.len() + 10),
                    "Content-Length: 100000000\r\n".into(),
                    "Transfer-Encoding: chunked\r\n".into(),
                    "Expect: 100-continue\r\nContent-Length: 100000\r\n".into(),
                ];
                for lines in announced {
                    let mut connection = gateway.connect().await;
                    let sent = if lines.contains("chunked") {
                        format!("{:x}\r\n{body}\r\n", body.len())
                    } else {
                        body.clone()
                    };
                    connection
                        .send(format!("POST {target} HTTP/1.1\r\nHost: gw.test\r\n{token}{lines}\r\n{sent}").as_bytes())
                        .await;
                    connection.finish_sending().await;
                    let answers = connection.answers_to_the_end().await;
                    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
                    assert!(statuses.len() <= 1, "{target} {lines:?}: {statuses:?}");
                    assert!(
                        statuses.iter().all(|status| matches!(status, 400 | 401 | 404 | 413)),
                        "{target} {lines:?}: {statuses:?}"
                    );
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(backend.count(), 0, "{:?}", backend.seen());
    println!("cases: {cases} (S1)");
}

#[tokio::test]
async fn s1_a_refusal_with_a_small_body_keeps_the_count_right() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(format!("POST /planner/action/run HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\n\r\n{SMUGGLED}GET /planner/public/real HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n", SMUGGLED.len()).as_bytes()).await;
    let answers = connection.answers_to_the_end().await;
    assert_eq!(answers[0].status, 401);
    if let Some(second) = answers.get(1) {
        assert_eq!(second.json()["target"], "/planner/public/real");
    }
    assert!(backend.seen().iter().all(|seen| seen.target == "/planner/public/real"));
}

/// S2: nothing after an `Upgrade` is a tunnel until the backend says 101.
#[tokio::test]
async fn s2_an_upgrade_that_the_backend_does_not_accept_carries_nothing() {
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut cases = 0;
    for answer in ["200 OK", "404 Not Found", "426 Upgrade Required", "500 Internal Server Error"] {
        let bytes = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nok");
        let backend = Backend::answering(bytes);
        let gateway = Gateway::start(&Setup::standard(&backend.address));
        for lines in [
            websocket,
            "Connection: Upgrade\r\nUpgrade: foo\r\n",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            "Upgrade: websocket\r\n",
            "Connection: Upgrade\r\n",
            "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ] {
            let before = backend.count();
            let mut connection = gateway.connect().await;
            connection
                .send(
                    format!("GET /planner/public/up HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\nSMUGGLED BYTES\r\n\r\n")
                        .as_bytes(),
                )
                .await;
            connection.finish_sending().await;
            connection.answers_to_the_end().await;
            for seen in backend.seen().iter().skip(before) {
                let upgrade = seen.field("upgrade").map(str::to_lowercase);
                assert!(matches!(upgrade.as_deref(), None | Some("websocket")), "{lines}: {upgrade:?}");
                assert!(seen.field("http2-settings").is_none());
            }
            cases += 1;
        }
        assert!(memchr::memmem::find(&backend.bytes(), b"SMUGGLED").is_none());
        assert_eq!(backend.malformed(), 0);
    }
    println!("cases: {cases} (S2), 0 smuggled bytes");
}

/// A request of the corpus: what is sent after a marker request and before another.
fn corpus() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        ambiguous().into_iter().map(|head| format!("{head}5\r\nhello\r\n0\r\n\r\n").into_bytes()).collect();
    let post = |lines: &str, body: &str| {
        format!("POST /planner/public/n HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n{body}").into_bytes()
    };
    for (lines, body) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Content-Length: 0\r\n", ""),
        ("Content-Length: 05\r\n", "hello"),
        ("Content-Length:5\r\n", "hello"),
        ("Content-Length: \t5 \r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding:chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "0005\r\nhello\r\n000\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        ("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
        ("Connection: keep-alive\r\nContent-Length: 5\r\n", "hello"),
        ("Content-Type: x\r\n", ""),
        ("Content-Length: 44\r\n", "GET /planner/public/x HTTP/1.1\r\nHost: a\r\n\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "1e\r\n0\r\n\r\nGET /x HTTP/1.1\r\nA: b\r\n\r\n\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("Content-Length: 5\r\nConnection: Content-Length\r\n", "hello"),
        ("TE: chunked\r\nContent-Length: 5\r\n", "hello"),
        ("Content_Length: 99\r\nContent-Length: 5\r\n", "hello"),
        ("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
        ("Content.Length: 3\r\nContent-Length: 5\r\n", "hello"),
        ("X-Content-Length: 9\r\nContent-Length: 5\r\n", "hello"),
    ] {
        all.push(post(lines, body));
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PUT"] {
        all.push(
            format!("{method} /planner/public/n HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhello")
                .into_bytes(),
        );
        all.push(format!("{method} /planner/public/n HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").into_bytes());
        all.push(format!("\r\n{method} /planner/public/n HTTP/1.1\r\nHost: gw.test\r\n\r\n").into_bytes());
    }
    all
}

/// S3: whatever is sent, the backend's own parser sees the requests that the gateway answered for it, in number and target.
async fn s3_against(peer: &Peer) {
    let gateway = Gateway::start(&Setup::standard(&peer.url()));
    let corpus = corpus();
    let mut wanted = 0;
    for (number, payload) in corpus.iter().enumerate() {
        let before = peer.seen().await.len();
        let mut connection = gateway.connect().await;
        connection.patience = Duration::from_secs(5);
        let mut bytes = format!("GET /planner/public/before-{number} HTTP/1.1\r\nHost: gw.test\r\n\r\n").into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend(
            format!("GET /planner/public/after-{number} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n")
                .bytes(),
        );
        connection.send(&bytes).await;
        connection.finish_sending().await;
        let everything = connection.rest(SOON).await;
        let answered = memchr::memmem::find_iter(&everything, b"HTTP/1.1 200").count();
        // Each 200 is the backend's. One more may have arrived whose answer the client did not get.
        let seen = peer.seen_when(before + answered).await;
        let new: Vec<&Value> = seen.iter().skip(before).collect();
        let payload = String::from_utf8_lossy(payload);
        assert!(new.len() <= 3 && new.len() >= answered, "{payload:?}: {answered} answered, {new:?}");
        assert_eq!(new[0]["target"], format!("/planner/public/before-{number}"), "{payload:?}: {new:?}");
        for other in new.iter().skip(1) {
            let target = other["target"].as_str().unwrap();
            assert!(
                target == "/planner/public/n"
                    || target == format!("/planner/public/after-{number}")
                    || target == "/planner/public/first",
                "{payload:?}: {target}"
            );
        }
        wanted += new.len();
    }
    assert_eq!(peer.seen().await.len(), wanted, "a request came that nobody waited for");
    println!("cases: {} payloads, {wanted} requests at the backend (S3), 0 desyncs", corpus.len());
}

#[tokio::test]
async fn s3_nginx_sees_the_requests_that_the_gateway_answered() {
    s3_against(&Peer::nginx()).await;
}

#[tokio::test]
async fn s3_node_sees_the_requests_that_the_gateway_answered() {
    s3_against(&Peer::node_http()).await;
}

#[tokio::test]
async fn s3_uvicorn_with_httptools_sees_the_requests_that_the_gateway_answered() {
    s3_against(&Peer::fastapi()).await;
}

#[tokio::test]
async fn s3_uvicorn_with_h11_sees_the_requests_that_the_gateway_answered() {
    s3_against(&Peer::fastapi_h11()).await;
}

#[tokio::test]
async fn s3_gunicorn_sees_the_requests_that_the_gateway_answered() {
    s3_against(&Peer::gunicorn()).await;
}

#[tokio::test]
async fn s3_hyper_sees_the_requests_that_the_gateway_answered() {
    s3_against(&Peer::hyper()).await;
}

/// S4: what HTTP/2 can say and HTTP/1 must not hear.
#[tokio::test]
async fn s4_requests_that_http1_could_misread_are_refused_over_http2() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let usual: [(&[u8], &[u8]); 4] =
        [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/planner/public/x"), (b":authority", b"gw.test")];
    let with =
        |more: &[(&'static [u8], &'static [u8])]| usual.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    let replaced = |name: &'static [u8], value: &'static [u8]| {
        usual.iter().copied().map(|pair| if pair.0 == name { (name, value) } else { pair }).collect::<Vec<_>>()
    };
    let without = |name: &'static [u8]| usual.iter().copied().filter(|pair| pair.0 != name).collect::<Vec<_>>();
    let lists: Vec<Vec<(&[u8], &[u8])>> = vec![
        with(&[(b"transfer-encoding", b"chunked")]),
        with(&[(b"transfer-encoding", b"identity")]),
        with(&[(b"connection", b"close")]),
        with(&[(b"connection", b"upgrade"), (b"upgrade", b"websocket")]),
        with(&[(b"keep-alive", b"1")]),
        with(&[(b"proxy-connection", b"x")]),
        with(&[(b"te", b"gzip")]),
        with(&[(b"content-length", b"+0")]),
        with(&[(b"content-length", b"")]),
        with(&[(b"content-length", b"0"), (b"content-length", b"1")]),
        with(&[(b"content-length", b"x")]),
        with(&[(b"content-length", b"5")]),
        with(&[(b"x-a", b"b\r\nx-monday-user-id: 1")]),
        with(&[(b"x-a", b"b\nc")]),
        with(&[(b"x-a", b"b\0c")]),
        with(&[(b"x-a", b"b\rc")]),
        with(&[(b"x-a\r\nx-b", b"c")]),
        with(&[(b"x-a: b", b"c")]),
        with(&[(b"x a", b"c")]),
        with(&[(b"X-Upper", b"c")]),
        with(&[(b"", b"c")]),
        with(&[(b":method", b"GET")]),
        with(&[(b":path", b"/planner/action/x")]),
        with(&[(b":authority", b"evil.test")]),
        with(&[(b":scheme", b"http")]),
        with(&[(b":status", b"200")]),
        with(&[(b":unknown", b"x")]),
        with(&[(b"host", b"evil.test")]),
        with(&[(b"x-a", b"b"), (b":protocol", b"websocket")]),
        replaced(b":path", b""),
        replaced(b":path", b"planner/public/x"),
        replaced(b":path", b"*"),
        replaced(b":path", b"/planner/public/x HTTP/1.1\r\nX: y"),
        replaced(b":path", b"/planner/public/x y"),
        replaced(b":path", b"/planner/public/\xff\n"),
        replaced(b":method", b"GET /planner/public/smuggled HTTP/1.1\r\nHost: gw.test\r\n\r\nGET"),
        replaced(b":method", b""),
        replaced(b":method", b"G T"),
        replaced(b":method", b"CONNECT"),
        replaced(b":method", b"TRACE"),
        replaced(b":authority", b"gw.test\r\nx: y"),
        replaced(b":scheme", b""),
        without(b":method"),
        without(b":scheme"),
        without(b":path"),
        without(b":authority"),
    ];
    for fields in &lists {
        let mut frames = Frames::connect(&gateway).await;
        frames.send(&headers(1, fields, END_STREAM)).await;
        let fate = frames.fate(1).await;
        let words = fields
            .iter()
            .map(|(n, v)| format!("{}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)))
            .collect::<Vec<_>>()
            .join(" | ");
        assert_ne!(fate.as_ref().map(indexed_status), Some(200), "{words:?}");
    }
    assert_eq!(
        backend.count(),
        0,
        "{:?}",
        backend.seen().iter().map(|seen| String::from_utf8_lossy(&seen.head).into_owned()).collect::<Vec<_>>()
    );
    println!("cases: {} (S4)", lists.len());
}

#[tokio::test]
async fn s4_a_length_that_is_not_the_datas_is_refused_and_the_backends_connection_ends() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for (length, data) in [("5", "hello, more than that"), ("50", "hello"), ("0", "x"), ("70000", "y")] {
        let mut frames = Frames::connect(&gateway).await;
        let fields: [(&[u8], &[u8]); 5] = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", b"/planner/public/x"),
            (b":authority", b"gw.test"),
            (b"content-length", length.as_bytes()),
        ];
        frames.send(&headers(1, &fields, 0)).await;
        frames.send(&frame(DATA, END_STREAM, 1, data.as_bytes())).await;
        let fate = frames.fate(1).await;
        assert_ne!(fate.as_ref().map(indexed_status), Some(200), "{length} {data}");
    }
    assert!(backend.seen().iter().all(|seen| !seen.complete), "{:?}", backend.seen());
    within(SOON, "no half request waits on a connection", || (backend.open() == 0).then_some(())).await;
}

/// A stream that is reset in the middle of its body must not leave a connection that waits for the rest of it.
#[tokio::test]
async fn s4_a_stream_reset_in_its_body_leaves_no_connection_behind() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for length in [Some("200000"), None] {
        let mut frames = Frames::connect(&gateway).await;
        let mut fields: Vec<(&[u8], &[u8])> = vec![
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", b"/planner/public/x"),
            (b":authority", b"gw.test"),
        ];
        fields.extend(length.map(|length| (b"content-length".as_slice(), length.as_bytes())));
        let before = backend.count();
        frames.send(&headers(1, &fields, 0)).await;
        for _ in 0..6 {
            frames.send(&frame(DATA, 0, 1, &[b'x'; 10_000])).await;
        }
        within(SOON, "the backend has the head", || (backend.count() > before).then_some(())).await;
        frames.send(&frame(crate::support::frames::RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
        within(SOON, "the backend sees the end", || (backend.open() == 0).then_some(())).await;
        assert!(!backend.last().complete);
        let fine = gateway.request("GET", "/planner/public/next", "", "").await;
        assert_eq!(fine.json()["target"], "/planner/public/next");
        assert_eq!(backend.last().sequence, 0, "on a connection of its own");
        drop(frames);
    }
}

#[tokio::test]
async fn s4_cookie_crumbs_become_one_field() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut frames = Frames::connect(&gateway).await;
    let fields: [(&[u8], &[u8]); 6] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/planner/public/x"),
        (b":authority", b"gw.test"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
    ];
    frames.send(&headers(1, &fields, END_STREAM)).await;
    frames.fate(1).await;
    assert_eq!(backend.only().all("cookie"), ["a=1; b=2"]);
}

/// 28 and 29: an early answer leaves no unread body on a connection that is used again, on either side.
#[tokio::test]
async fn an_early_answer_never_leaves_a_connection_with_a_half_read_body() {
    let backend = Backend::scripted(|seen| {
        if seen.method == "POST" { vec![Step::Send(ok("early")), Step::Hold] } else { vec![Step::Echo] }
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection
        .send(
            format!("POST /planner/public/big HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 3000000\r\n\r\n{SMUGGLED}")
                .as_bytes(),
        )
        .await;
    assert_eq!(connection.answer().await.text(), "early");
    connection.send(SMUGGLED.repeat(1000).as_bytes()).await;
    connection.finish_sending().await;
    let more = connection.answers_to_the_end().await;
    assert!(more.is_empty(), "{more:?}");
    let other = gateway.request("GET", "/planner/public/other", "", "").await;
    assert_eq!(other.json()["target"], "/planner/public/other");
    let seen = backend.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_ne!(seen[0].connection, seen[1].connection);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    let many = 50;
    let mut bytes = Vec::new();
    for number in 0..many {
        let target = format!("/planner/public/{number}");
        bytes.extend(crate::support::raw::request("POST", &target, "", &number.to_string()));
    }
    connection.send(&bytes).await;
    for number in 0..many {
        let answer = connection.answer().await;
        assert_eq!(answer.json()["target"], format!("/planner/public/{number}"));
    }
    assert_eq!(backend.count(), many);
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_the_same_request() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    let lines = format!("Authorization: {}\r\nTransfer-Encoding: chunked\r\n", kind("action").token());
    let request = format!("POST /planner/action/run HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n5\r\nhello\r\n0\r\n\r\n");
    for byte in request.bytes() {
        connection.send(&[byte]).await;
    }
    let answer = connection.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["bodyLength"], 5);
}
