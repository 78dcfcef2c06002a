//! A small HTTP/1.1 server on a port of its own on loopback: for the demo's backend and for those who play monday.com and a provider.
//! Takes what it is asked whole, returns what it says. Knows none of them.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Bytes of a body that are kept; the rest is counted.
const KEPT: usize = 64 * 1024;

/// What came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Its method.
    pub(super) method: Method,
    /// The path alone.
    pub(super) path: String,
    /// Without the question mark.
    pub(super) query: String,
    /// All fields.
    pub(super) headers: HeaderMap,
    /// The beginning of the body.
    pub(super) body: Vec<u8>,
    /// How long the body was. One that breaks off is as long as what came of it.
    pub(super) length: usize,
}

/// What is said to it.
pub(super) type Said = Response<Full<Bytes>>;

impl Asked {
    /// Path and query.
    pub(super) fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// A parameter of the query; empty if it is not there.
    pub(super) fn parameter(&self, name: &str) -> String {
        member(self.query.as_bytes(), name)
    }

    /// A member of the body, which is a form or a JSON object; empty if it is not there.
    pub(super) fn field(&self, name: &str) -> String {
        if !self.header("content-type").contains("json") {
            return member(&self.body, name);
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A field of the head; empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn member(pairs: &[u8], wanted: &str) -> String {
    let mut found = form_urlencoded::parse(pairs).filter(|(name, _)| name == wanted);
    found.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A page.
pub(super) fn page(status: StatusCode, html: String) -> Said {
    said(status, "text/html; charset=utf-8", html)
}

/// A JSON document.
pub(super) fn json(status: StatusCode, json: &Value) -> Said {
    said(status, "application/json", format!("{json:#}\n"))
}

/// The browser goes on there.
pub(super) fn see(url: &str) -> Said {
    let mut said = said(StatusCode::SEE_OTHER, "text/plain", String::new());
    if let Ok(url) = HeaderValue::from_str(url) {
        said.headers_mut().insert(LOCATION, url);
    }
    said
}

fn said(status: StatusCode, kind: &'static str, text: String) -> Said {
    let mut said = Response::new(Full::new(Bytes::from(text)));
    *said.status_mut() = status;
    said.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    said.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    said
}

/// A place to listen, before anybody answers there: who is asked has to be known to who asks.
pub(super) async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Answers there, on this thread, as long as the runtime lives.
pub(super) fn serve<F, S>(listener: TcpListener, answer: F)
where
    F: Fn(Asked) -> S + 'static,
    S: Future<Output = Said> + 'static,
{
    let answer = Rc::new(answer);
    spawn_local(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            spawn_local(converse(stream, Rc::clone(&answer)));
        }
    });
}

async fn converse<F, S>(stream: TcpStream, answer: Rc<F>)
where
    F: Fn(Asked) -> S + 'static,
    S: Future<Output = Said> + 'static,
{
    let answering = service_fn(move |request| {
        let answer = Rc::clone(&answer);
        async move { Ok::<_, Infallible>(answer(asked(request).await).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answering).await;
    if let Err(fault) = served {
        tracing::debug!(%fault, "a connection to one of the demo's servers ended");
    }
}

async fn asked(request: Request<Incoming>) -> Asked {
    let (head, mut incoming) = request.into_parts();
    let (mut body, mut length) = (Vec::new(), 0);
    while let Some(Ok(frame)) = incoming.frame().await {
        if let Some(bytes) = frame.data_ref() {
            length += bytes.len();
            body.extend(bytes.iter().take(KEPT.saturating_sub(body.len())));
        }
    }
    Asked {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        length,
    }
}
