//! SIGTERM: readiness first, then what is in flight finishes, then the end; a deadline for all of it.

use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::backend::{Backend, Step};
use crate::support::frames::{self, END_STREAM, Frames};
use crate::support::gateway::Gateway;
use crate::support::raw;
use crate::support::setup::Setup;

fn slow() -> Backend {
    Backend::scripted(|seen| {
        if seen.target.ends_with("/slow") {
            vec![Step::ReadBody, Step::AwaitRelease, Step::Echo]
        } else {
            vec![Step::Echo]
        }
    })
}

async fn readiness_goes(gateway: &Gateway) {
    let deadline = Instant::now() + SOON;
    while gateway.ask_admin("/readyz").await.status != 503 {
        assert!(Instant::now() < deadline, "still ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn readiness_goes_first_and_requests_are_still_served_during_the_delay() {
    let backend = slow();
    let mut gateway = Gateway::start(&Setup::standard(&backend.address).drain("delay = \"2s\"\ndeadline = \"20s\""));
    let began = Instant::now();
    gateway.signal("TERM");
    readiness_goes(&gateway).await;
    assert_eq!(gateway.ask_admin("/livez").await.status, 200);
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 200, "new connections are accepted");
    assert!(began.elapsed() < Duration::from_secs(2), "the machine is too slow for this test");
    let status = gateway.ended(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn what_is_in_flight_finishes_over_both_protocols() {
    let backend = slow();
    // One worker: the others may learn of the drain a moment later than the first connection shows it.
    let mut gateway = Gateway::start(
        &Setup::standard(&backend.address).server("workers = 1").drain("delay = \"0s\"\ndeadline = \"20s\""),
    );
    let mut idle = gateway.connect().await;
    idle.send(&raw::request("GET", "/planner/public/x", "", "")).await;
    assert_eq!(idle.answer().await.status, 200);
    let mut busy = gateway.connect().await;
    busy.send(&raw::request("POST", "/planner/public/slow", "", "body")).await;
    let mut streams = Frames::connect(&gateway).await;
    let fields: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/planner/public/slow"),
        (b":authority", b"gw.test"),
    ];
    streams.send(&frames::headers(1, &fields, END_STREAM)).await;
    backend.when_seen(3).await;
    gateway.signal("TERM");
    assert!(idle.ends_within(SOON).await, "an idle connection ends at once");
    let goaway = streams.fate(1).await.expect("GOAWAY");
    assert_eq!(goaway.kind, frames::GOAWAY);
    backend.release();
    backend.release();
    let answer = loop_release(&backend, &mut busy).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(answer.json()["bodyLength"], 4);
    loop {
        let frame = streams.next().await.expect("the stream's answer");
        if frame.kind == frames::HEADERS && frame.stream == 1 {
            assert_eq!(frames::indexed_status(&frame), 200);
            break;
        }
    }
    let status = gateway.ended(SOON).await;
    assert!(status.success(), "{status}");
}

async fn loop_release(backend: &Backend, busy: &mut raw::Raw) -> crate::support::answer::Answer {
    backend.release();
    busy.answer().await
}

#[tokio::test]
async fn whatever_is_left_at_the_deadline_is_cut() {
    let backend = slow();
    let mut gateway = Gateway::start(&Setup::standard(&backend.address).drain("delay = \"0s\"\ndeadline = \"1s\""));
    let mut busy = gateway.connect().await;
    busy.send(&raw::request("POST", "/planner/public/slow", "", "body")).await;
    backend.when_seen(1).await;
    let began = Instant::now();
    gateway.signal("TERM");
    gateway.ended(Duration::from_secs(8)).await;
    assert!((800..6000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nothing_in_flight_ends_at_once() {
    let backend = slow();
    let mut gateway = Gateway::start(&Setup::standard(&backend.address).drain("delay = \"0s\"\ndeadline = \"60s\""));
    let began = Instant::now();
    gateway.signal("TERM");
    assert!(gateway.ended(SOON).await.success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    gateway.assert_printed_none(&["panicked"]);
}

#[tokio::test]
async fn requests_under_load_survive_a_drain() {
    let backend = Backend::echo();
    let mut gateway = Gateway::start(&Setup::standard(&backend.address).drain("delay = \"1s\"\ndeadline = \"10s\""));
    let mut cases = 0;
    let mut connection = gateway.connect().await;
    gateway.signal("TERM");
    // Until the gateway says close (or is gone for new ones), each request that was begun is answered.
    for _ in 0..20_000 {
        if connection.try_send(&raw::request("POST", "/planner/public/x", "", "body")).await.is_err() {
            break;
        }
        let Some(answer) = connection.maybe_answer().await else { break };
        assert_eq!(answer.status, 200);
        cases += 1;
        if answer.field("connection") == Some("close") {
            break;
        }
    }
    assert!(cases > 0);
    assert!(gateway.ended(SOON * 2).await.success());
    println!("cases: {cases} requests during the drain");
}
