//! The backend of the demo: answers each request with what it received, and remembers it. HTTP/1.1 on a port of its own.
//! Knows no monday.com and no token: it believes what stands in the header.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Requests that are remembered; the tables need fewer, and curl may send any number.
const REMEMBERED: usize = 1024;
/// Characters of a value that are shown.
const SHOWN: usize = 48;

/// One request as the backend saw it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Its method.
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    /// All fields.
    pub(super) headers: HeaderMap,
    /// Bytes of the body.
    pub(super) body: usize,
}

/// What the backend has seen, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Rc<RefCell<HashMap<String, Received>>>);

impl Seen {
    /// What came to this path last.
    pub(super) fn at(&self, path: &str) -> Option<Received> {
        self.0.borrow().get(path).cloned()
    }

    fn remember(&self, path: &str, received: &Received) {
        let mut seen = self.0.borrow_mut();
        if seen.len() < REMEMBERED {
            seen.insert(path.to_owned(), received.clone());
        }
    }
}

/// Starts it on this thread; returns where it listens. It ends with the runtime.
pub(super) async fn start(seen: &Seen) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    spawn_local(accept(listener, seen.clone()));
    Ok(address)
}

async fn accept(listener: TcpListener, seen: Seen) {
    while let Ok((stream, _peer)) = listener.accept().await {
        spawn_local(serve(stream, seen.clone()));
    }
}

async fn serve(stream: TcpStream, seen: Seen) {
    let answering = service_fn(move |request| {
        let seen = seen.clone();
        async move { Ok::<_, Infallible>(answer(request, &seen).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answering).await;
    if let Err(fault) = served {
        tracing::debug!(%fault, "a connection to the demo's backend ended");
    }
}

async fn answer(request: Request<Incoming>, seen: &Seen) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let received = Received {
        method: head.method,
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body: counted(body).await,
    };
    seen.remember(head.uri.path(), &received);
    let mut response = Response::new(Full::new(Bytes::from(format!("{:#}\n", received.to_json()))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// How long a body is. One that breaks off is as long as what came of it.
async fn counted(mut body: Incoming) -> usize {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    bytes
}

impl Received {
    /// What curl is shown.
    fn to_json(&self) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .keys()
            .map(|name| {
                let values: Vec<_> =
                    self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
                let is_token = *name == AUTHORIZATION || name.as_str() == "x-monday-api-key";
                (name.to_string(), Value::String(shortened(&values.join(", "), if is_token { 8 } else { SHOWN })))
            })
            .collect();
        json!({ "the backend received": { "method": self.method.as_str(), "target": self.target, "headers": headers, "body bytes": self.body } })
    }
}

/// The beginning of a long text.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
