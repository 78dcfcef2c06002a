//! Clients that stop taking what they asked for. None may lose a byte, stay for ever, or keep a backend's connection.

use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::backend::{Backend, Step};
use crate::support::frames::{END_STREAM, Frames, SETTINGS, frame, headers};
use crate::support::gateway::Gateway;
use crate::support::raw;
use crate::support::setup::Setup;

/// Longer than a connection may be idle before it gives its buffers back.
const STALL: Duration = Duration::from_millis(1_800);

/// Sends as many bytes as the path says.
fn backend() -> Backend {
    Backend::scripted(|seen| {
        let size = seen.target.rsplit('-').next().and_then(|text| text.parse::<usize>().ok()).unwrap_or(2);
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + size, b'x');
        vec![Step::ReadBody, Step::Send(answer)]
    })
}

/// Asks for `size` bytes, stalls, and then reads them and the answer after them.
async fn stall_and_read(gateway: &Gateway, size: usize) {
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("GET", &format!("/planner/public/give-{size}"), "", "")).await;
    connection.head().await;
    // The stall is what is tried; there is nothing to poll for.
    tokio::time::sleep(STALL).await;
    while connection.buffer.len() < size {
        assert!(connection.read_more().await, "{} of {size} bytes, then the end", connection.buffer.len());
    }
    assert_eq!(connection.buffer.len(), size);
    assert!(connection.buffer.iter().all(|byte| *byte == b'x'), "something else among the {size} bytes");
    connection.buffer.clear();
    connection.send(&raw::request("GET", "/planner/public/give-5", "", "")).await;
    assert_eq!(connection.answer().await.body, b"xxxxx");
}

#[tokio::test]
async fn a_client_that_stalls_gets_every_byte_and_then_its_next_answer() {
    let backend = backend();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    // Where a body ends within the buffers between backend and client depends on the system: around that place are many.
    let sizes = (0..48).map(|at| 64 * 1024 + at * 131_072);
    let cases = sizes.len();
    futures_join(sizes.map(|size| stall_and_read(&gateway, size))).await;
    println!("cases: {cases} sizes of an answer that waits for a stalled client");
}

/// Polls all of them to their end.
async fn futures_join(work: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut work: Vec<_> = work.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        work.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if work.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn streams_without_a_window_end_and_give_their_backend_connections_back() {
    let backend = backend();
    let setup = Setup::standard(&backend.address).limits("body_idle_timeout = \"1s\"").upstream("max_connections = 8");
    let gateway = Gateway::start(&setup);
    let mut client = Frames::connect(&gateway).await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    for stream in (1..17).step_by(2) {
        let fields: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"gw.test"),
            (b":path", b"/planner/public/give-400000"),
        ];
        client.send(&headers(stream, &fields, END_STREAM)).await;
    }
    let deadline = Instant::now() + SOON;
    while gateway.metric("gateway_upstream_connections", &["state=\"active\""]).await < 8.0 {
        assert!(Instant::now() < deadline, "the streams never held the backend's connections");
    }
    while gateway.metric("gateway_upstream_connections", &["state=\"active\""]).await > 0.0 {
        assert!(Instant::now() < deadline, "streams that nobody takes still hold the backend's connections");
    }
    let answer = gateway.ask(&raw::request("GET", "/planner/public/give-5", "", "")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_client_that_never_reads_its_refusals_is_let_go() {
    let backend = backend();
    let setup = Setup::standard(&backend.address)
        .limits("body_idle_timeout = \"1s\"\nhead_timeout = \"1s\"\nidle_timeout = \"1s\"");
    let gateway = Gateway::start(&setup);
    for tail in [
        "",
        "GET /x HTTP/1.1\r\nHos",
        "GET /x HTTP/1.1\r\nA B: c\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\n",
    ] {
        let mut connection = gateway.connect().await;
        let one = raw::request("GET", "/planner/actions/x", "", "");
        let many = one.repeat(8_000);
        let sent = tokio::time::timeout(Duration::from_secs(3), async {
            connection.try_send(&many).await?;
            connection.try_send(tail.as_bytes()).await
        });
        // It may be cut while it still sends; what counts is that it is gone.
        drop(sent.await);
        let deadline = Instant::now() + SOON;
        while gateway.metric("gateway_connections", &["protocol=\"http/1.1\""]).await > 0.0 {
            assert!(Instant::now() < deadline, "still there after {tail:?}");
        }
    }
}
