//! Every limit of `[server.limits]` and of a route, each passed and each held.

use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::backend::{Backend, Step};
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2};
use crate::support::mint::{KINDS, kind};
use crate::support::raw::{self, Raw};
use crate::support::setup::Setup;

fn echo(limits: &str) -> (Backend, Gateway) {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address).limits(limits));
    (backend, gateway)
}

#[tokio::test]
async fn a_head_beyond_its_size_is_431() {
    let (backend, gateway) = echo("head = \"8KiB\"");
    let fits = format!("X-Long: {}\r\n", "x".repeat(7000));
    assert_eq!(gateway.request("GET", "/planner/public/x", &fits, "").await.status, 200);
    let long = format!("X-Long: {}\r\n", "x".repeat(9000));
    assert_eq!(gateway.request("GET", "/planner/public/x", &long, "").await.status, 431);
    let target = format!("/planner/public/{}", "x".repeat(9000));
    assert!(matches!(gateway.request("GET", &target, "", "").await.status, 414 | 431));
    let mut connection = gateway.connect().await;
    connection.send(b"GET /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nX-Endless: ").await;
    for _ in 0..100 {
        connection.send(&[b'x'; 1000]).await;
    }
    assert_eq!(connection.maybe_answer().await.map_or(431, |answer| answer.status), 431);
    assert!(connection.ends_within(SOON).await);
    let mut client = H2::connect(&gateway).await;
    let value = "x".repeat(9000);
    let over = client.try_ask(http2::request("GET", "/planner/public/x", &[("x-long", &value)]), b"").await;
    assert!(over.as_ref().map_or(true, |answer| answer.status == 431), "{over:?}");
    assert_eq!(backend.count(), 1);
}

#[tokio::test]
async fn more_fields_than_allowed_are_431() {
    let (backend, gateway) = echo("headers = 20");
    let lines = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<Vec<_>>().concat();
    assert_eq!(gateway.request("GET", "/planner/public/x", &lines(15), "").await.status, 200);
    assert_eq!(gateway.request("GET", "/planner/public/x", &lines(25), "").await.status, 431);
    assert_eq!(gateway.request("GET", "/planner/public/x", &lines(500), "").await.status, 431);
    let names: Vec<String> = (0..25).map(|n| format!("x-{n}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let mut client = H2::connect(&gateway).await;
    assert_eq!(client.ask(http2::request("GET", "/planner/public/x", &fields), b"").await.status, 431, "over HTTP/2");
    assert_eq!(client.ask(http2::request("GET", "/planner/public/x", &fields[..15]), b"").await.status, 200);
    assert_eq!(backend.count(), 2);
}

#[tokio::test]
async fn a_body_beyond_its_size_is_413_announced_or_not() {
    let backend = Backend::echo();
    let setup = Setup::bare(&backend.address)
        .limits("body = \"100KiB\"")
        .kind_route("public", "")
        .route("path = \"/small\"\nkind = \"public\"\nmax_body = \"1KiB\"")
        .route("path = \"/large\"\nkind = \"public\"\nmax_body = \"300KiB\"");
    let gateway = Gateway::start(&setup);
    let mut client = H2::connect(&gateway).await;
    for (path, size, status) in [
        ("/planner/public/x", 100 * 1024, 200),
        ("/planner/public/x", 100 * 1024 + 1, 413),
        ("/small", 1024, 200),
        ("/small", 1025, 413),
        ("/large", 300 * 1024, 200),
        ("/large", 300 * 1024 + 1, 413),
    ] {
        let body = "x".repeat(size);
        let announced = gateway.request("POST", path, "", &body).await;
        assert_eq!(announced.status, status, "{path} {size}");
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n"
        );
        assert_eq!(gateway.ask(chunked).await.status, status, "{path} {size} chunked");
        let over_http2 = client.ask(http2::request("POST", path, &[]), body.as_bytes()).await;
        assert_eq!(over_http2.status, status, "{path} {size} over HTTP/2");
    }
    assert!(backend.seen().iter().filter(|seen| seen.complete).all(|seen| seen.body.len() <= 300 * 1024));
    assert_eq!(backend.seen().iter().filter(|seen| seen.complete).count(), 9);
}

#[tokio::test]
async fn more_connections_than_allowed_wait_or_end_and_none_is_lost_later() {
    let (_backend, gateway) = echo("connections = 4");
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut connection = gateway.connect().await;
        connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
        assert_eq!(connection.answer().await.status, 200);
        open.push(connection);
    }
    let over = tokio::time::timeout(
        Duration::from_secs(2),
        Raw::tls(gateway.address, "gw.test", gateway.authority.client(&["http/1.1"])),
    )
    .await;
    if let Ok(Ok(mut connection)) = over {
        connection.patience = Duration::from_secs(2);
        connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
        let answer = connection.maybe_answer().await;
        assert!(answer.as_ref().is_none_or(|answer| matches!(answer.status, 429 | 503)), "{answer:?}");
    }
    drop(open);
    let deadline = Instant::now() + SOON;
    loop {
        let again = tokio::time::timeout(
            Duration::from_secs(2),
            Raw::tls(gateway.address, "gw.test", gateway.authority.client(&["http/1.1"])),
        )
        .await;
        if let Ok(Ok(mut connection)) = again {
            connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
            if connection.maybe_answer().await.is_some_and(|answer| answer.status == 200) {
                break;
            }
        }
        assert!(Instant::now() < deadline, "no connection after the others ended");
    }
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_or_wait() {
    let backend = Backend::scripted(|_| vec![Step::AwaitRelease, Step::Echo]);
    let gateway = Gateway::start(&Setup::standard(&backend.address).limits("streams = 5"));
    let mut frames = crate::support::frames::Frames::connect(&gateway).await;
    let fields: [(&[u8], &[u8]); 4] =
        [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/planner/public/x"), (b":authority", b"gw.test")];
    for number in 0..20 {
        frames
            .send(&crate::support::frames::headers(number * 2 + 1, &fields, crate::support::frames::END_STREAM))
            .await;
    }
    let last = frames.fate(39).await;
    assert!(last.is_none_or(|frame| frame.kind != crate::support::frames::HEADERS), "the 20th stream is refused");
    assert!(backend.count() <= 5, "{}", backend.count());
}

#[tokio::test]
async fn a_handshake_that_does_not_come_ends() {
    let (_backend, gateway) = echo("handshake_timeout = \"1s\"");
    for first in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n"] {
        let began = Instant::now();
        let mut connection = Raw::plain(gateway.address).await;
        connection.send(first).await;
        assert!(connection.ends_within(Duration::from_secs(5)).await, "{first:?}");
        assert!(began.elapsed() < Duration::from_secs(4));
    }
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 200);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_408() {
    let (backend, gateway) = echo("head_timeout = \"1s\"\nidle_timeout = \"60s\"");
    for first in [
        "G",
        "GET /planner/public/x HTTP/1.1\r\nHost: gw.test\r\n",
        "GET /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nX: ",
    ] {
        let began = Instant::now();
        let mut connection = gateway.connect().await;
        connection.send(first.as_bytes()).await;
        let answer = connection.maybe_answer().await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 408), "{answer:?}");
        assert!(connection.ends_within(SOON).await);
        assert!((900..5000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    }
    // A byte now and then buys no time.
    let began = Instant::now();
    let mut connection = gateway.connect().await;
    let mut interval = tokio::time::interval(Duration::from_millis(100));
    connection.send(b"GET /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nX: ").await;
    while connection.try_send(b"x").await.is_ok() && began.elapsed() < Duration::from_secs(6) {
        interval.tick().await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_connection_without_requests_ends_after_idle_timeout() {
    let (_backend, gateway) = echo("idle_timeout = \"1s\"\nhead_timeout = \"60s\"");
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
    assert_eq!(connection.answer().await.status, 200);
    let began = Instant::now();
    assert!(connection.ends_within(Duration::from_secs(6)).await);
    assert!(began.elapsed() > Duration::from_millis(700), "{:?}", began.elapsed());
    assert!(connection.buffer.is_empty(), "no answer to no request");
    let mut client = H2::connect(&gateway).await;
    assert_eq!(client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await.status, 200);
    let ended = tokio::time::timeout(Duration::from_secs(6), client.ended()).await;
    assert!(ended.is_ok(), "the HTTP/2 connection is still open");
}

#[tokio::test]
async fn a_body_that_stops_ends_after_body_idle_timeout() {
    let (backend, gateway) = echo("body_idle_timeout = \"1s\"");
    for lines in ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 100\r\n"] {
        let mut connection = gateway.connect().await;
        connection
            .send(format!("POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n5\r\nhello\r\n").as_bytes())
            .await;
        let answer = connection.maybe_answer().await;
        assert!(answer.as_ref().is_none_or(|answer| matches!(answer.status, 408 | 400)), "{answer:?}");
        assert!(connection.ends_within(SOON).await);
    }
    crate::support::within(SOON, "the backends' connections end", || (backend.open() == 0).then_some(())).await;
    assert!(backend.seen().iter().all(|seen| !seen.complete));
}

#[tokio::test]
async fn an_answer_that_stops_ends_after_body_idle_timeout() {
    let backend = Backend::scripted(|_| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello".to_vec()), Step::Hold]
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address).limits("body_idle_timeout = \"1s\""));
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
    assert_eq!(connection.head().await.status, 200);
    assert!(connection.ends_within(SOON).await);
    assert_eq!(connection.buffer, b"hello");
}

#[tokio::test]
async fn a_backend_slower_than_the_routes_timeout_is_504() {
    let backend = Backend::scripted(|_| vec![Step::ReadBody, Step::Hold]);
    let setup = KINDS
        .iter()
        .fold(Setup::bare(&backend.address), |setup, kind| setup.kind_route(kind.name, "timeout = \"500ms\""));
    let gateway = Gateway::start(&setup);
    let began = Instant::now();
    let answer = gateway
        .request("POST", "/planner/action/run", &format!("Authorization: {}\r\n", kind("action").token()), "{}")
        .await;
    assert_eq!(answer.status, 504);
    assert!(answer.json()["severityCode"].is_null(), "so that monday retries");
    assert!((400..3000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let mut client = H2::connect(&gateway).await;
    assert_eq!(client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await.status, 504);
    crate::support::within(SOON, "the backend's connections end", || (backend.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn the_timeout_ends_at_the_head_of_the_answer() {
    let backend = Backend::scripted(|_| {
        let mut steps = vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec())];
        for _ in 0..4 {
            steps.push(Step::Pause(Duration::from_millis(300)));
            steps.push(Step::Send(b"x".to_vec()));
        }
        steps
    });
    let gateway = Gateway::start(&Setup::bare(&backend.address).kind_route("public", "timeout = \"500ms\""));
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.text(), "xxxx");
}

/// Each piece comes in time, and the body does not.
#[tokio::test]
async fn a_small_body_that_trickles_in_is_408() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::bare(&backend.address).kind_route("public", "timeout = \"1s\""));
    let mut connection = gateway.connect().await;
    connection.send(b"POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1000\r\n\r\n").await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) && connection.try_send(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(connection.answer().await.status, 408);
    assert_eq!(backend.count(), 0);
}
