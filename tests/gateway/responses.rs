//! A backend that misbehaves never desynchronises a client: `security.md` S5; and answers that have no body, or come early.

use std::time::Duration;

use crate::support::SOON;
use crate::support::answer::Answer;
use crate::support::backend::{Backend, Step};
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2};
use crate::support::raw::{self, Raw};
use crate::support::setup::Setup;

fn get(target: &str) -> Vec<u8> {
    raw::request("GET", target, "", "")
}

/// A gateway before a backend that answers `/planner/public/bad` with these bytes, and everything else with an echo.
fn with_bad_answer(bytes: &'static [u8]) -> (Backend, Gateway) {
    let backend = Backend::scripted(move |seen| {
        if seen.target.ends_with("/bad") {
            vec![Step::ReadBody, Step::Send(bytes.to_vec())]
        } else {
            vec![Step::ReadBody, Step::Echo]
        }
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    (backend, gateway)
}

/// Reads the body. One that is cut is an honest end: where chunks were announced, the client knows that it is not whole.
async fn is_cut(connection: &mut Raw, first: &mut Answer) -> bool {
    if first.field("transfer-encoding").is_none() {
        connection.body_of(first).await;
        return false;
    }
    loop {
        match connection.chunk().await {
            Some(piece) if piece.is_empty() => return false,
            Some(piece) => first.body.extend(piece),
            None => return true,
        }
    }
}

/// S5: what a client reads after a bad answer is its own answer or the end.
#[tokio::test]
async fn s5_no_answer_of_a_backend_desynchronises_the_client() {
    let bad: [&'static [u8]; 26] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 8\r\n\r\nokpoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 8\r\n\r\nokpoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nokpoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\npoison",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 304 Not Modified\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\npoison",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nX-A: b\rpoison: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n Content-Length: 8\r\nContent-Length: 2\r\n\r\nokpoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\npoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\npoison\r\n0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nokpoison",
        b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nokpoison",
        b"poison\r\n\r\n",
        b"HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nokpoison",
    ];
    for bytes in bad {
        let what = String::from_utf8_lossy(bytes);
        let (backend, gateway) = with_bad_answer(bytes);
        let mut connection = gateway.connect().await;
        connection.patience = Duration::from_secs(8);
        connection.send(&[get("/planner/public/bad"), get("/planner/public/after")].concat()).await;
        // An end without a head is honest as well: the body broke before the head had left.
        let Some(mut first) = connection.maybe_head().await else { continue };
        let cut = is_cut(&mut connection, &mut first).await;
        assert!(matches!(first.status, 200 | 204 | 304 | 502), "{what:?}: {}", first.status);
        if !cut
            && first.field("transfer-encoding").is_none()
            && let Some(second) = connection.maybe_answer().await
        {
            assert_eq!(second.json()["target"], "/planner/public/after", "{what:?}");
        }
        let used = backend.seen();
        let bad_connection = used[0].connection;
        let later = gateway.request("GET", "/planner/public/later", "", "").await;
        assert_eq!(later.json()["target"], "/planner/public/later", "{what:?}");
        for seen in backend.seen().iter().skip(1) {
            assert_ne!(seen.connection, bad_connection, "{what:?}: the connection was used again");
        }
    }
    println!("cases: {} (S5)", bad.len());
}

#[tokio::test]
async fn s5_a_flood_of_interim_answers_ends() {
    let backend = Backend::scripted(|seen| {
        if seen.target.ends_with("/flood") {
            vec![Step::Repeat(b"HTTP/1.1 102 Processing\r\n\r\n".to_vec(), 100_000), Step::Echo]
        } else {
            vec![Step::Echo]
        }
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let before = gateway.memory();
    let answer = gateway.request("GET", "/planner/public/flood", "", "").await;
    assert_eq!(answer.status, 502);
    assert!(answer.interim.len() <= 16);
    assert!(gateway.memory() < before + 16 * 1024);
    assert_eq!(gateway.request("GET", "/planner/public/fine", "", "").await.status, 200);
}

#[tokio::test]
async fn interim_answers_do_not_stand_for_the_answer() {
    let backend = Backend::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.text(), "ok");
    let mut client = H2::connect(&gateway).await;
    assert_eq!(client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await.text(), "ok");
}

#[tokio::test]
async fn head_204_and_304_have_no_body_and_the_connection_goes_on() {
    let backend = Backend::scripted(|seen| {
        let answer = match seen.target.rsplit('/').next().unwrap() {
            "204" => b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n".to_vec(),
            "304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 1000\r\n\r\n".to_vec(),
            "head" if seen.method == "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec(),
            "chunked" if seen.method == "HEAD" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            _ => return vec![Step::Echo],
        };
        vec![Step::Send(answer)]
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address).server("workers = 1"));
    let mut connection = gateway.connect().await;
    let mut client = H2::connect(&gateway).await;
    for (method, path, status) in [
        ("HEAD", "head", 200),
        ("GET", "204", 204),
        ("GET", "304", 304),
        ("HEAD", "chunked", 200),
        ("HEAD", "204", 204),
        ("HEAD", "304", 304),
    ] {
        let target = format!("/planner/public/{path}");
        connection.send(&raw::request(method, &target, "", "")).await;
        let head = connection.head().await;
        assert_eq!(head.status, status, "{method} {path}");
        if path == "head" {
            assert_eq!(head.field("content-length"), Some("1000"));
        }
        connection.send(&get("/planner/public/next")).await;
        assert_eq!(connection.answer().await.json()["target"], "/planner/public/next", "{method} {path}");
        let answer = client.ask(http2::request(method, &target, &[]), b"").await;
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{method} {path}");
    }
    assert_eq!(backend.connections(), 1, "such answers end cleanly");
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_is_passed_on_whole() {
    let backend =
        Backend::scripted(|_| vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec()), Step::Close]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    for _ in 0..2 {
        connection.send(&get("/planner/public/x")).await;
        assert_eq!(connection.answer().await.text(), "until the end");
    }
    let mut client = H2::connect(&gateway).await;
    assert_eq!(client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await.text(), "until the end");
}

/// A cut body must look cut: never a clean end.
#[tokio::test]
async fn an_answer_that_is_cut_is_cut_for_the_client_too() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n90\r\nonly this",
    ] {
        for end in ["close", "reset"] {
            let backend = Backend::scripted(move |_| {
                vec![
                    Step::Send(answer.as_bytes().to_vec()),
                    Step::Pause(Duration::from_millis(50)),
                    if end == "close" { Step::Close } else { Step::Reset },
                ]
            });
            let gateway = Gateway::start(&Setup::standard(&backend.address));
            let mut connection = gateway.connect().await;
            connection.send(&get("/planner/public/x")).await;
            let all = String::from_utf8_lossy(&connection.rest(SOON).await).into_owned();
            assert!(!all.ends_with("0\r\n\r\n"), "{answer:?} {end}: {all}");
            let mut client = H2::connect(&gateway).await;
            let over_http2 = client.try_ask(http2::request("GET", "/planner/public/x", &[]), b"").await;
            assert!(
                over_http2.as_ref().map_or(true, |answer| answer.status == 502),
                "{answer:?} {end}: {over_http2:?}"
            );
            assert!(backend.count() == 2, "not asked again: {}", backend.count());
        }
    }
}

#[tokio::test]
async fn a_backend_that_ends_before_its_head_is_502_and_is_not_asked_twice() {
    for (start, end) in
        [("", "close"), ("", "reset"), ("HTTP/1.1 200 OK\r\nX-", "close"), ("HTTP/1.1 200 OK\r\nX-", "reset")]
    {
        let backend = Backend::scripted(move |_| {
            vec![
                Step::ReadBody,
                Step::Send(start.as_bytes().to_vec()),
                if end == "close" { Step::Close } else { Step::Reset },
            ]
        });
        let gateway = Gateway::start(&Setup::standard(&backend.address));
        let answer = gateway.request("POST", "/planner/public/x", "", "once").await;
        assert_eq!(answer.status, 502, "{start:?} {end}");
        assert_eq!(backend.count(), 1, "{start:?} {end}: its bytes had been sent");
        let answer = gateway.request("GET", "/planner/public/x", "", "").await;
        assert_eq!(answer.status, 502);
        assert_eq!(backend.count(), 2);
    }
}

#[tokio::test]
async fn connection_close_of_either_side_ends_that_side_only() {
    let backend = Backend::scripted(|seen| {
        if seen.target.ends_with("/close") {
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec()),
                Step::Close,
            ]
        } else {
            vec![Step::Echo]
        }
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    for target in ["/planner/public/close", "/planner/public/x", "/planner/public/close"] {
        connection.send(&get(target)).await;
        assert_eq!(connection.answer().await.status, 200, "{target}");
    }
    connection.send(&raw::request("GET", "/planner/public/x", "Connection: close\r\n", "")).await;
    let last = connection.answer().await;
    assert_eq!(last.field("connection"), Some("close"));
    assert!(connection.ends_within(SOON).await);
    let old = gateway.ask("GET /planner/public/x HTTP/1.0\r\nHost: gw.test\r\n\r\n").await;
    assert_eq!(old.status, 200, "HTTP/1.0 is served");
    assert!(backend.seen().iter().all(|seen| !seen.all("connection").iter().any(|value| value.contains("close"))));
}

#[tokio::test]
async fn a_length_that_is_no_plain_number_is_502() {
    for length in ["+2", "2, 2", "0x2", "-2", "99999999999999999999"] {
        let backend = Backend::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nok"));
        let gateway = Gateway::start(&Setup::standard(&backend.address));
        assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 502, "{length}");
    }
}

#[tokio::test]
async fn a_backends_older_version_is_not_the_clients() {
    let backend = Backend::answering("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
    assert_eq!(connection.exactly(13).await, b"HTTP/1.1 200 ");
}
