//! Much at once: bodies far larger than what the gateway may keep, in bounded memory, while others are served as before.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::support::backend::{Backend, Step};
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2, head_of};
use crate::support::raw;
use crate::support::setup::Setup;

const MIB: usize = 1024 * 1024;
/// KiB that the gateway may need beyond what it needed before, whatever passes through it.
const MORE_KIB: u64 = 16 * 1024;
/// Far more than it takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// Bytes of each body: a gigabyte each way over HTTP/1.1, a quarter of it over HTTP/2.
const LARGE: usize = 1024 * MIB;
const LARGE_HTTP2: usize = LARGE / 4;

/// Counts what it is sent; sends as many mebibytes as the path says.
fn backend() -> Backend {
    Backend::scripted(|seen| {
        let Some(mebibytes) = seen.target.rsplit_once("/give-").and_then(|(_, text)| text.parse::<usize>().ok()) else {
            return vec![Step::CountBody, Step::Echo];
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", mebibytes * MIB).into_bytes();
        vec![Step::Send(head), Step::Repeat(vec![b'x'; MIB], mebibytes)]
    })
}

fn setup(backend: &Backend) -> Setup {
    Setup::standard(&backend.address).limits("body = \"4GiB\"").server("workers = 1")
}

async fn send_http1(gateway: &Gateway, size: usize) {
    let mut connection = gateway.connect().await;
    let head = format!("POST /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {size}\r\n\r\n");
    connection.send(head.as_bytes()).await;
    let piece = vec![b'x'; 256 * 1024];
    for _ in 0..size / piece.len() {
        connection.try_send(&piece).await.unwrap();
    }
    assert_eq!(connection.answer().await.json()["bodyLength"], size);
}

async fn take_http1(gateway: &Gateway, size: usize) {
    let mut connection = gateway.connect().await;
    connection.send(&raw::request("GET", &format!("/planner/public/give-{}", size / MIB), "", "")).await;
    assert_eq!(connection.head().await.field("content-length"), Some(size.to_string().as_str()));
    let mut got = connection.buffer.len();
    while got < size {
        connection.buffer.clear();
        assert!(connection.read_more().await, "cut after {got} bytes");
        got += connection.buffer.len();
    }
    assert_eq!(got, size);
}

async fn send_http2(gateway: &Gateway, size: usize) {
    let mut client = H2::connect(gateway).await;
    let (answer, mut sending) = client.open(http2::request("POST", "/planner/public/x", &[]), false).await.unwrap();
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let mut left = size;
    while left > 0 {
        sending.reserve_capacity(left.min(piece.len()));
        let room = poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap().min(left).min(piece.len());
        left -= room;
        sending.send_data(piece.slice(..room), left == 0).unwrap();
    }
    let (mut answer, body) = head_of(answer).await.unwrap();
    http2::read_body(&mut answer, body).await.unwrap();
    assert_eq!(answer.json()["bodyLength"], size);
}

async fn take_http2(gateway: &Gateway, size: usize) {
    let mut client = H2::connect(gateway).await;
    let path = format!("/planner/public/give-{}", size / MIB);
    let (answer, _sending) = client.open(http2::request("GET", &path, &[]), true).await.unwrap();
    let (_head, mut body) = head_of(answer).await.unwrap();
    let mut got = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        got += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert_eq!(got, size);
}

fn report(what: &str, size: usize, began: Instant, grown: u64) {
    let seconds = began.elapsed().as_secs_f64();
    let mebibytes = u32::try_from(size / MIB).unwrap();
    let rate = f64::from(mebibytes) / seconds;
    println!("cases: {mebibytes} MiB {what}: {rate:.0} MiB/s, {grown} KiB more memory at its peak");
    assert!(grown < MORE_KIB, "{what}: {grown} KiB more");
}

async fn warm(gateway: &Gateway) -> u64 {
    send_http1(gateway, MIB).await;
    take_http1(gateway, MIB).await;
    send_http2(gateway, MIB).await;
    take_http2(gateway, MIB).await;
    gateway.peak_memory()
}

#[tokio::test]
async fn a_gigabyte_each_way_over_http1_needs_no_memory() {
    let backend = backend();
    let gateway = Gateway::start(&setup(&backend));
    let before = warm(&gateway).await;
    let began = Instant::now();
    tokio::time::timeout(LIMIT, send_http1(&gateway, LARGE)).await.expect("in time");
    report("to the backend over HTTP/1.1", LARGE, began, gateway.peak_memory().saturating_sub(before));
    let began = Instant::now();
    tokio::time::timeout(LIMIT, take_http1(&gateway, LARGE)).await.expect("in time");
    report("from the backend over HTTP/1.1", LARGE, began, gateway.peak_memory().saturating_sub(before));
}

#[tokio::test]
async fn large_bodies_each_way_over_http2_need_no_memory() {
    let backend = backend();
    let gateway = Gateway::start(&setup(&backend));
    let before = warm(&gateway).await;
    let began = Instant::now();
    tokio::time::timeout(LIMIT, send_http2(&gateway, LARGE_HTTP2)).await.expect("in time");
    report("to the backend over HTTP/2", LARGE_HTTP2, began, gateway.peak_memory().saturating_sub(before));
    let began = Instant::now();
    tokio::time::timeout(LIMIT, take_http2(&gateway, LARGE_HTTP2)).await.expect("in time");
    report("from the backend over HTTP/2", LARGE_HTTP2, began, gateway.peak_memory().saturating_sub(before));
}

/// How long a request takes that has nothing to do with the others: the median of a hundred.
async fn median(gateway: &Gateway) -> Duration {
    let mut connection = gateway.connect().await;
    let mut times = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
        assert_eq!(connection.answer().await.status, 200);
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

/// Clients that take nothing of large answers: no memory, and nobody waits for them.
#[tokio::test]
async fn slow_readers_need_no_memory_and_slow_no_other_request() {
    let backend = backend();
    let gateway = Gateway::start(&setup(&backend).limits("body_idle_timeout = \"120s\""));
    warm(&gateway).await;
    let alone = median(&gateway).await;
    let before = gateway.memory();
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut connection = gateway.connect().await;
        connection.send(&raw::request("GET", "/planner/public/give-1024", "", "")).await;
        assert_eq!(connection.head().await.status, 200);
        slow.push(connection);
    }
    let beside = median(&gateway).await;
    let grown = gateway.memory().saturating_sub(before);
    println!(
        "cases: 20 slow readers of 1 GiB each: {grown} KiB more memory; a request takes {beside:?}, {alone:?} without"
    );
    assert!(grown < MORE_KIB, "{grown} KiB more");
    assert!(beside < alone * 3 + Duration::from_millis(10), "{beside:?} instead of {alone:?}");
}
