//! Bodies flow both ways with back-pressure; 100-continue, trailers, events, and clients that go away.

use std::time::Duration;

use bytes::Bytes;

use crate::support::backend::{Backend, Step, ok};
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2, head_of};
use crate::support::mint::kind;
use crate::support::raw::{self, Raw};
use crate::support::setup::Setup;
use crate::support::{SOON, sha256, within};

const MIB: usize = 1024 * 1024;

fn large(setup: Setup) -> Setup {
    setup.limits("body = \"2GiB\"")
}

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&large(Setup::standard(&backend.address)));
    let body: Vec<u8> = (0..8 * MIB).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect();
    let mut connection = gateway.connect().await;
    connection
        .send(
            format!("POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\n\r\n", body.len())
                .as_bytes(),
        )
        .await;
    connection.send(&body).await;
    assert_eq!(connection.answer().await.json()["sha256"], sha256(&body));
    connection.send(b"POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for piece in body.chunks(100_001) {
        connection.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        connection.send(piece).await;
        connection.send(b"\r\n").await;
    }
    connection.send(b"0\r\n\r\n").await;
    assert_eq!(connection.answer().await.json()["sha256"], sha256(&body));
    let mut client = H2::connect(&gateway).await;
    let answer = client.ask(http2::request("POST", "/planner/public/x", &[]), &body).await;
    assert_eq!(answer.json()["sha256"], sha256(&body));

    let sent = body.clone();
    let source = Backend::scripted(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()).into_bytes();
        vec![Step::Send(head), Step::Send(sent.clone())]
    });
    let gateway = Gateway::start(&large(Setup::standard(&source.address)));
    assert_eq!(sha256(&gateway.request("GET", "/planner/public/x", "", "").await.body), sha256(&body));
    let mut client = H2::connect(&gateway).await;
    assert_eq!(sha256(&client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await.body), sha256(&body));
}

#[tokio::test]
async fn the_first_pieces_arrive_before_the_last_are_sent() {
    let backend = Backend::scripted(|_| {
        vec![
            Step::ReadSome(5),
            Step::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n".to_vec()),
            Step::ReadBody,
            Step::Send(b"3\r\ntwo\r\n0\r\n\r\n".to_vec()),
        ]
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection
        .send(b"POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    assert_eq!(connection.head().await.status, 200);
    assert_eq!(connection.chunk().await.unwrap(), b"one");
    connection.send(b"4\r\nlast\r\n0\r\n\r\n").await;
    assert_eq!(connection.chunk().await.unwrap(), b"two");
    assert_eq!(backend.only().body, b"firstlast");

    let mut client = H2::connect(&gateway).await;
    let (answer, mut sending) = client.open(http2::request("POST", "/planner/public/x", &[]), false).await.unwrap();
    sending.send_data(Bytes::from_static(b"first"), false).unwrap();
    let (head, mut body) = head_of(answer).await.unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(body.data().await.unwrap().unwrap(), "one");
    sending.send_data(Bytes::from_static(b"last"), true).unwrap();
    assert_eq!(body.data().await.unwrap().unwrap(), "two");
}

/// A client that does not read makes the backend wait: no memory, and nobody else is slower.
#[tokio::test]
async fn a_slow_reader_holds_the_backend_back_and_nobody_else() {
    let backend = Backend::scripted(|seen| {
        if seen.target.ends_with("/endless") {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n".to_vec();
            vec![Step::Send(head), Step::Repeat(vec![b'x'; 65_536], 4096)]
        } else {
            vec![Step::Echo]
        }
    });
    let gateway = Gateway::start(&large(Setup::standard(&backend.address)).limits("body_idle_timeout = \"60s\""));
    gateway.request("GET", "/planner/public/x", "", "").await;
    let before = gateway.memory();
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut connection = gateway.connect().await;
        connection.send(&raw::request("GET", "/planner/public/endless", "", "")).await;
        assert_eq!(connection.head().await.status, 200);
        slow.push(connection);
    }
    let mut client = H2::connect(&gateway).await;
    let (answer, _sending) = client.open(http2::request("GET", "/planner/public/endless", &[]), true).await.unwrap();
    let (_head, _body) = head_of(answer).await.unwrap();
    for _ in 0..50 {
        assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 200);
    }
    let grown = gateway.memory().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
    let mut other = H2::connect(&gateway).await;
    assert_eq!(other.ask(http2::request("GET", "/planner/public/x", &[]), b"").await.status, 200);
    println!("cases: 5 slow readers of 256 MiB each, {grown} KiB more memory");
}

/// A backend that does not read makes the client wait.
#[tokio::test]
async fn a_slow_backend_holds_the_client_back() {
    let backend = Backend::scripted(|seen| {
        if seen.target.ends_with("/slow") { vec![Step::Pressure, Step::ReadBody, Step::Echo] } else { vec![Step::Echo] }
    });
    let gateway = Gateway::start(&large(Setup::standard(&backend.address)).limits("body_idle_timeout = \"60s\""));
    gateway.request("GET", "/planner/public/x", "", "").await;
    let before = gateway.memory();
    let total = 256 * MIB;
    let mut connection = gateway.connect().await;
    connection
        .send(
            format!("POST /planner/public/slow HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {total}\r\n\r\n")
                .as_bytes(),
        )
        .await;
    let piece = vec![b'x'; MIB];
    let mut sent = 0;
    while sent < total {
        let write = tokio::time::timeout(Duration::from_secs(2), connection.try_send(&piece)).await;
        match write {
            Ok(Ok(())) => sent += piece.len(),
            Ok(Err(e)) => panic!("{e}"),
            Err(_) => break,
        }
    }
    assert!(sent < 64 * MIB, "{sent} bytes went somewhere");
    let grown = gateway.memory().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 200);
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let token = format!("Authorization: {}\r\n", kind("action").token());
    let mut connection = gateway.connect().await;
    connection.send(format!("POST /planner/action/run HTTP/1.1\r\nHost: gw.test\r\n{token}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n").as_bytes()).await;
    assert_eq!(connection.one_head().await.unwrap().status, 100);
    connection.send(b"hello").await;
    let answer = connection.answer().await;
    assert_eq!(answer.json()["bodyLength"], 5);
    // Refused before the body: no 100, and the body is not waited for.
    let mut connection = gateway.connect().await;
    connection
        .send(
            b"POST /planner/action/run HTTP/1.1\r\nHost: gw.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        )
        .await;
    assert_eq!(connection.one_head().await.unwrap().status, 401);
    for (line, path, length, status) in [
        ("Authorization: no.to.ken\r\n", "/planner/action/run", "5", 401),
        (token.as_str(), "/planner/action/run", "99999999999", 413),
        ("", "/nowhere", "5", 404),
        ("", "/planner/public/%2e%2e/x", "5", 400),
        ("", "/planner/public/x", "+5", 400),
        ("Host: again\r\n", "/planner/public/x", "5", 400),
    ] {
        let mut connection = gateway.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: gw.test\r\n{line}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        connection.send(head.as_bytes()).await;
        assert_eq!(connection.one_head().await.unwrap().status, status, "{path} {line}");
    }
    assert_eq!(backend.count(), 1, "no refused one reached the backend");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let backend = Backend::scripted(|_| {
        vec![Step::ReadBody, Step::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n".to_vec())]
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(b"POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nTE: trailers\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Up: 7\r\n\r\n").await;
    let answer = connection.answer().await;
    assert_eq!(answer.text(), "ok");
    assert!(
        answer.trailers.iter().any(|(name, value)| name.eq_ignore_ascii_case("x-sum") && value == "42"),
        "{:?}",
        answer.trailers
    );
    assert!(
        backend.only().trailers.iter().any(|(name, value)| name.eq_ignore_ascii_case("x-up") && value == "7"),
        "{:?}",
        backend.only().trailers
    );
    let mut client = H2::connect(&gateway).await;
    let answer = client.ask(http2::request("GET", "/planner/public/x", &[("te", "trailers")]), b"").await;
    assert!(answer.trailers.iter().any(|(name, value)| name == "x-sum" && value == "42"), "{:?}", answer.trailers);
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let backend = Backend::scripted(|_| {
        let mut steps = vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec())];
        for number in 0..5 {
            steps.push(Step::Send(format!("9\r\ndata: {number}\n\n\r\n").into_bytes()));
            steps.push(Step::AwaitRelease);
        }
        steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
        steps
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("GET", "/planner/public/events", "Accept: text/event-stream\r\n", "")).await;
    let head = connection.head().await;
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    for number in 0..5 {
        assert_eq!(connection.chunk().await.unwrap(), format!("data: {number}\n\n").as_bytes());
        backend.release();
    }
    assert!(connection.chunk().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_is_seen_by_the_backend() {
    let backend = Backend::scripted(|_| vec![Step::ReadBody, Step::Hold]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    // While the answer is awaited.
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("POST", "/planner/public/x", "", "body")).await;
    backend.when_seen(1).await;
    drop(connection);
    within(SOON, "the backend sees that the client went", || (backend.open() == 0).then_some(())).await;
    // In the middle of the body.
    let mut connection = gateway.connect().await;
    connection.send(b"POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1000000\r\n\r\n").await;
    connection.send(&[b'x'; 200_000]).await;
    backend.when_seen(2).await;
    drop(connection);
    within(SOON, "the backend sees that the body ended", || (backend.open() == 0).then_some(())).await;
    assert!(!backend.last().complete);
    // Over HTTP/2: the stream is reset, the connection goes on.
    let mut client = H2::connect(&gateway).await;
    let (answer, mut sending) = client.open(http2::request("POST", "/planner/public/x", &[]), false).await.unwrap();
    sending.send_data(Bytes::from_static(b"x"), true).unwrap();
    backend.when_seen(3).await;
    drop(answer);
    sending.send_reset(h2::Reason::CANCEL);
    within(SOON, "the backend sees the reset", || (backend.open() == 0).then_some(())).await;
}

/// Without close_notify: by FIN alone, as a process that ends, and by RST, as one that is killed.
#[tokio::test]
async fn a_client_that_vanishes_is_seen_by_the_backend() {
    let backend = Backend::scripted(|seen| {
        let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n".to_vec();
        if seen.target.ends_with("/begun") {
            vec![Step::ReadBody, Step::Send(begun), Step::Hold]
        } else {
            vec![Step::ReadBody, Step::Hold]
        }
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut cases = 0;
    for path in ["/planner/public/x", "/planner/public/begun"] {
        for protocol in ["http/1.1", "h2"] {
            for end in ["FIN", "RST"] {
                let tls = gateway.authority.client(&[protocol]);
                let mut raw = match end {
                    "RST" => Raw::tls_that_resets(gateway.address, "gw.test", tls).await,
                    _ => Raw::tls(gateway.address, "gw.test", tls).await.unwrap(),
                };
                cases += 1;
                if protocol == "h2" {
                    let (send, connection) = h2::client::handshake(raw.io).await.unwrap();
                    let driver = tokio::spawn(connection);
                    let mut send = send.ready().await.unwrap();
                    let answer = send.send_request(http2::request("GET", path, &[]), true).unwrap();
                    backend.when_seen(cases).await;
                    driver.abort();
                    drop((answer, send));
                    assert!(driver.await.is_err());
                } else {
                    raw.send(&raw::request("POST", path, "", "body")).await;
                    backend.when_seen(cases).await;
                    drop(raw);
                }
                let what = format!("the backend sees {end} over {protocol} at {path}");
                within(SOON, &what, || (backend.open() == 0).then_some(())).await;
            }
        }
    }
    println!("cases: {cases} clients that vanish");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_answer_is_seen_by_the_backend() {
    let backend = Backend::scripted(|_| {
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
            Step::Repeat(b"400\r\n".iter().copied().chain([b'x'; 1024]).chain(*b"\r\n").collect(), 1_000_000),
        ]
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
    assert_eq!(connection.head().await.status, 200);
    drop(connection);
    within(SOON, "the backend sees that the client went", || (backend.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_client_that_has_said_everything_still_gets_its_answer() {
    let backend = Backend::scripted(|_| vec![Step::ReadBody, Step::Pause(Duration::from_millis(200)), Step::Echo]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("POST", "/planner/public/x", "", "body")).await;
    connection.finish_sending().await;
    let answer = connection.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["bodyLength"], 4);
    assert!(connection.ends_within(SOON).await);
    // Two requests, then the end of what is sent: both are answered.
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("POST", "/planner/public/first", "", "body").repeat(2)).await;
    connection.finish_sending().await;
    assert_eq!(connection.answer().await.status, 200);
    assert_eq!(connection.answer().await.status, 200);
    assert!(connection.ends_within(SOON).await);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives() {
    let backend = Backend::scripted(|_| vec![Step::Send(ok("early")), Step::ReadBody]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(b"POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 3000000\r\n\r\n").await;
    connection.send(&[b'x'; 100_000]).await;
    assert_eq!(connection.answer().await.text(), "early");
    let mut client = H2::connect(&gateway).await;
    let (answer, mut sending) = client.open(http2::request("POST", "/planner/public/x", &[]), false).await.unwrap();
    sending.send_data(Bytes::from_static(b"a part"), false).unwrap();
    let (mut head, body) = head_of(answer).await.unwrap();
    http2::read_body(&mut head, body).await.ok();
    assert_eq!(head.text(), "early");
}

#[tokio::test]
async fn a_small_body_reaches_the_backend_with_its_length() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut client = H2::connect(&gateway).await;
    for size in [0, 1, 1000, 60_000] {
        let body = vec![b'x'; size];
        let answer = client.ask(http2::request("POST", "/planner/public/x", &[]), &body).await;
        assert_eq!(answer.json()["bodyLength"], size);
        let lengths = answer.echoed_values("content-length");
        let chunked = answer.echoed_values("transfer-encoding");
        assert!(lengths.len() + chunked.len() <= 1, "{lengths:?} {chunked:?}");
    }
}
