//! A backend that reads with hyper, in a thread of the test; it answers as `tests/peers/node/recorder.js` does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::sha256;

type Seen = Arc<Mutex<Vec<Value>>>;

/// Starts it; it ends when the sender is dropped.
pub(crate) fn start() -> (SocketAddr, tokio::sync::oneshot::Sender<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            tokio::select! {
                never = accept(listener) => never,
                _ = stopped => (),
            }
        });
    });
    (address, stop)
}

async fn accept(listener: TcpListener) -> ! {
    let seen = Seen::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let seen = Arc::clone(&seen);
        let service = service_fn(move |request| record(request, Arc::clone(&seen)));
        tokio::spawn(async move {
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn record(request: Request<Incoming>, seen: Seen) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/__seen" {
        let seen = seen.lock().unwrap();
        let text = json!({ "count": seen.len(), "seen": *seen }).to_string();
        return Ok(Response::new(Full::from(text)));
    }
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(answer);
    };
    let body = body.to_bytes();
    let mut entry = json!({ "method": head.method.as_str(), "target": head.uri.to_string(), "bodyLength": body.len() });
    seen.lock().unwrap().push(entry.clone());
    let fields: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().iter().map(|byte| char::from(*byte)).collect()))
        .collect();
    entry["headers"] = json!(fields);
    entry["sha256"] = json!(sha256(&body));
    Ok(Response::new(Full::from(entry.to_string())))
}
