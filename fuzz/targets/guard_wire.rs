//! What the guard lets through, hyper cuts into the same requests, AWS' http_desync_guardian calls at least tolerable, and any
//! cut of the bytes gives alike.
#![no_main]

use std::convert::Infallible;
use std::cell::Cell;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use http_desync_guardian::RequestSafetyTier;
use http_desync_guardian::http_token_utils::{TokenSimilarity, determine_similarity};
use http_desync_guardian::request_analyzer::HttpRequestData;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::{End, guard};
use tokio::io::AsyncWriteExt;

fuzz_target!(|input: &[u8]| {
    if input.len() > 16 * 1024 {
        return;
    }
    // Line ends are where parsers differ, and the fuzzer finds them one byte at a time.
    let whole = guard(input, input.len());
    for piece in [1, 7] {
        assert_eq!(guard(input, piece), whole, "cut into pieces of {piece}");
    }
    second_opinion(input);
    if whole.requests == 0 || matches!(whole.end, End::Broken | End::Upgrade) {
        return;
    }
    let served = serve(&whole.passed);
    let text = String::from_utf8_lossy(&whole.passed).to_ascii_lowercase();
    if text.contains("http/1.0") || text.matches("close").count() > usize::from(whole.end == End::Refused) {
        // hyper may close before the last request.
        assert!(served.requests <= whole.requests, "hyper finds more requests in {text:?}");
        return;
    }
    assert_eq!(served.requests, whole.requests, "hyper cuts {text:?} otherwise");
    assert_eq!(served.bodies_failed, u64::from(whole.end == End::Body), "hyper fails on {text:?}");
});

/// One clean head, alone, is nothing that http_desync_guardian blocks.
fn second_opinion(input: &[u8]) {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else { return };
    let head = &input[..end + 4];
    let alone = guard(head, head.len());
    if alone.requests != 1 || alone.end == End::Refused || head.starts_with(b"\r\n") {
        return;
    }
    // It takes names for a length that no backend does: `Transfer-Encodin%`, `ContentLLength`. Which lookalikes the guard
    // refuses is for its own tests to say.
    let mut names = head.split(|&byte| byte == b'\n').skip(1).filter_map(|line| line.split(|&byte| byte == b':').next());
    let alike = |name: &[u8], length: &[u8]| matches!(determine_similarity(length, name), TokenSimilarity::SameLetters);
    if names.any(|name| alike(name, b"transfer-encoding") || alike(name, b"content-length")) {
        return;
    }
    let verdict = HttpRequestData::analyze_raw_request(head);
    let blocked = matches!(verdict.tier, RequestSafetyTier::Severe | RequestSafetyTier::Ambiguous);
    assert!(!blocked, "{:?} passes: {:?}", String::from_utf8_lossy(head), verdict.reason);
}

/// What hyper made of a stream.
struct Served {
    requests: u64,
    bodies_failed: u64,
}

/// hyper alone on a stream that then ends.
fn serve(bytes: &[u8]) -> Served {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let requests = Rc::new(Cell::new(0));
    let bodies_failed = Rc::new(Cell::new(0));
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
        let bodies_failed = Rc::clone(&bodies_failed);
        requests.set(requests.get() + 1);
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                if frame.is_err() {
                    bodies_failed.set(bodies_failed.get() + 1);
                    break;
                }
            }
            Ok::<_, Infallible>(http::Response::new(Empty::<&[u8]>::new()))
        }
    });
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1024 * 1024);
        client.write_all(bytes).await.expect("room for 1 MiB");
        client.shutdown().await.expect("an open pipe");
        let connection = hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        let _ = connection.await;
    });
    Served { requests: requests.get(), bodies_failed: bodies_failed.get() }
}
