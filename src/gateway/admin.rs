//! The admin listener: metrics and health, in plain HTTP/1.1, never on the public address.
//! Runs on the control plane. Takes what `telemetry` and `readiness` know; changes nothing. One request a connection, a
//! bounded number of connections, each with a deadline: a scraper that hangs cannot take anything from the workers.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gateway::readiness::{Readiness, StoreState};
use crate::telemetry::metrics::Metrics;

/// Connections at once. A scraper and two health checks need three.
const CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may last: the head, the scrape and sending it.
const CONNECTION_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Pause after an accept that failed: file descriptors come back, and a loop without one would keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The Prometheus text format.
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Words.
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// What programs read.
const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// What the listener shows.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// `/metrics`, and the backends in `/readyz`.
    pub(crate) metrics: Arc<Metrics>,
    /// `/readyz`.
    pub(crate) readiness: Readiness,
    /// The vault in `/readyz`, if there is one.
    pub(crate) vault: Option<StoreState>,
}

/// Answers until `shutdown` completes. Fails only when the socket cannot be used at all.
pub(crate) async fn serve(listener: TcpListener, shown: Shown, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tracing::info!(address = %listener.local_addr()?, "the admin listener answers /metrics, /livez and /readyz");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accepting = async {
        // the semaphore is never closed
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    tokio::spawn(answer(stream, shown.clone(), place));
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
    }
    Ok(())
}

/// One connection, which is one request. It gives its place back at the end.
async fn answer(stream: TcpStream, shown: Shown, place: OwnedSemaphorePermit) {
    let service = service_fn(|request| {
        let response = respond(&request, &shown);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection broke"),
        Err(_elapsed) => tracing::debug!("an admin connection took too long"),
    }
    drop(place);
}

/// The answer to one request.
fn respond<B>(request: &Request<B>, shown: &Shown) -> Response<Full<Bytes>> {
    let page: fn(&Shown) -> Response<Full<Bytes>> = match request.uri().path() {
        "/metrics" => metrics,
        "/livez" => |_| page(StatusCode::OK, TEXT_TYPE, "ok\n"),
        "/readyz" => readyz,
        _ => {
            return page(StatusCode::NOT_FOUND, TEXT_TYPE, "here are /metrics, /livez and /readyz\n");
        }
    };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return page(shown);
    }
    let mut refused = self::page(StatusCode::METHOD_NOT_ALLOWED, TEXT_TYPE, "GET or HEAD\n");
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    refused
}

/// All metrics.
fn metrics(shown: &Shown) -> Response<Full<Bytes>> {
    match shown.metrics.encode() {
        Ok(text) => page(StatusCode::OK, METRICS_TYPE, text),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            page(StatusCode::INTERNAL_SERVER_ERROR, TEXT_TYPE, "the log says why\n")
        }
    }
}

/// Whether requests should come, and how the parts are.
fn readyz(shown: &Shown) -> Response<Full<Bytes>> {
    let readiness = &shown.readiness;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut parts = json!({
        "listeners": readiness.listeners(),
        "workers": readiness.workers(),
        "upstreams": upstreams(&shown.metrics),
    });
    if let (Some(vault), Some(parts)) = (&shown.vault, parts.as_object_mut()) {
        parts.insert("vault".to_owned(), json!({ "store": vault.kind, "reachable": vault.is_reachable() }));
    }
    let body = json!({ "status": readiness.phase().name(), "parts": parts });
    page(status, JSON_TYPE, format!("{body}\n"))
}

/// Each upstream's servers: `up`, or `down` since the last connection failed.
fn upstreams(metrics: &Metrics) -> Map<String, Value> {
    let mut upstreams: Map<String, Value> = Map::new();
    for (upstream, server, up) in metrics.health() {
        let servers = upstreams.entry(upstream).or_insert_with(|| json!({}));
        if let Some(servers) = servers.as_object_mut() {
            servers.insert(server, Value::from(if up { "up" } else { "down" }));
        }
    }
    upstreams
}

/// An answer that nobody keeps.
fn page(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::telemetry::metrics::{BuildInfo, Tables};

    fn shown() -> Shown {
        let tables = Tables { kinds: &[], results: &[], reasons: &[], headers: &[], grants: &[] };
        let build = BuildInfo { version: "0", revision: "0" };
        Shown { metrics: Metrics::new(1, build, tables).unwrap(), readiness: Readiness::default(), vault: None }
    }

    /// Runs the listener while `talk` does.
    fn with_listener<T: Future<Output = ()>>(shown: Shown, talk: impl FnOnce(SocketAddr) -> T) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            serve(listener, shown, talk(address)).await.unwrap();
        });
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }

    #[test]
    fn each_address_answers_what_it_is_for() {
        with_listener(shown(), async |address| {
            let metrics = get(address, "/metrics").await;
            assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
            assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
            assert!(metrics.contains("\ngateway_build_info{"));
            let live = get(address, "/livez").await;
            assert!(live.starts_with("HTTP/1.1 200 OK\r\n") && live.ends_with("\r\n\r\nok\n"));
            assert!(get(address, "/livez?x=1").await.starts_with("HTTP/1.1 200 OK\r\n"));
            assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
            let posted = ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\ncontent-length: 0\r\n\r\n").await;
            assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD\r\n"));
            let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        });
    }

    #[test]
    fn readyz_follows_the_phases_and_shows_the_parts() {
        let store = StoreState::new("sqlite");
        let shown = Shown { vault: Some(store.clone()), ..shown() };
        let readiness = shown.readiness.clone();
        let server = shown.metrics.server("backend", "http://127.0.0.1:1");
        server.down();
        with_listener(shown, async |address| {
            assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503 "));
            let _parts = (readiness.listening(), readiness.working());
            readiness.ready();
            let unreachable = get(address, "/readyz").await;
            assert!(unreachable.starts_with("HTTP/1.1 200 OK\r\n"), "{unreachable}");
            assert!(unreachable.contains(r#""vault":{"reachable":false,"store":"sqlite"}"#), "{unreachable}");
            store.up();
            let ready = get(address, "/readyz").await;
            assert!(ready.starts_with("HTTP/1.1 200 OK\r\n"), "{ready}");
            let body: Value = serde_json::from_str(ready.split_once("\r\n\r\n").unwrap().1).unwrap();
            let expected = json!({
                "status": "ready",
                "parts": {
                    "listeners": 1, "workers": 1, "upstreams": { "backend": { "http://127.0.0.1:1": "down" } },
                    "vault": { "store": "sqlite", "reachable": true },
                },
            });
            assert_eq!(body, expected);
            readiness.drain();
            let draining = get(address, "/readyz").await;
            assert!(draining.starts_with("HTTP/1.1 503 ") && draining.contains(r#""status":"draining""#));
        });
        drop(server);
    }

    #[test]
    fn connections_that_say_nothing_do_not_keep_others_out() {
        with_listener(shown(), async |address| {
            let mut silent = Vec::new();
            for _ in 1..CONNECTIONS {
                silent.push(TcpStream::connect(address).await.unwrap());
            }
            assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
            silent.push(TcpStream::connect(address).await.unwrap());
            // all places are taken; they come back when the heads did not come in time
            tokio::time::timeout(HEAD_WITHIN * 2, async {
                assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
            })
            .await
            .unwrap();
        });
    }
}
