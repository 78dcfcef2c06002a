//! A web server in a thread of the test, on plain HTTP and loopback: what the fake monday, the fake providers and a backend's own
//! endpoints are made of. Every request is kept, with when it began and ended.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// A request, whole.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) raw_query: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) begun: Instant,
    /// None while it is being answered.
    pub(crate) ended: Option<Instant>,
}

impl Asked {
    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body's members, as JSON or as a form says them.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        if !self.field("content-type").is_some_and(|kind| kind.contains("json")) {
            return form_urlencoded::parse(&self.body).into_owned().collect();
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(&self.body) else { return Vec::new() };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        members.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    /// One member of the body.
    pub(crate) fn member(&self, name: &str) -> Option<String> {
        self.form().into_iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Said {
    /// JSON with any status.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    /// A page.
    pub(crate) fn html(status: u16, body: &str) -> Self {
        Self::text(status, "text/html; charset=utf-8", body)
    }

    /// 302.
    pub(crate) fn redirect(to: &str) -> Self {
        Self { status: 302, fields: vec![("location".into(), to.into())], body: Vec::new() }
    }

    /// Anything else.
    pub(crate) fn text(status: u16, kind: &str, body: &str) -> Self {
        Self { status, fields: vec![("content-type".into(), kind.into())], body: body.into() }
    }
}

type Answering = Pin<Box<dyn Future<Output = Said> + Send>>;
type Handler = dyn Fn(Asked) -> Answering + Send + Sync;

/// A running one; its thread ends with it.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Site {
    /// Answers each request with what `handler` says.
    pub(crate) fn start<F: Future<Output = Said> + Send + 'static>(
        handler: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let kept = Arc::clone(&asked);
        let handler: Arc<Handler> = Arc::new(move |asked| Box::pin(handler(asked)));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    never = accept(listener, handler, kept) => never,
                    _ = stopped => (),
                }
            });
        });
        Self { address, asked, _stop: stop }
    }

    /// `http://127.0.0.1:PORT` with `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Requests of that path so far.
    pub(crate) fn asked_at(&self, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path == path).collect()
    }
}

async fn accept(listener: TcpListener, handler: Arc<Handler>, kept: Arc<Mutex<Vec<Asked>>>) -> ! {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).ok();
        let (handler, kept) = (Arc::clone(&handler), Arc::clone(&kept));
        let service = service_fn(move |request| answer(request, Arc::clone(&handler), Arc::clone(&kept)));
        tokio::spawn(async move {
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    handler: Arc<Handler>,
    kept: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let begun = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let latin = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    let raw_query = head.uri.query().unwrap_or_default().to_owned();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect(),
        raw_query,
        fields: head.headers.iter().map(|(name, value)| (name.to_string(), latin(value.as_bytes()))).collect(),
        body,
        begun,
        ended: None,
    };
    let index = {
        let mut kept = kept.lock().unwrap();
        kept.push(asked.clone());
        kept.len() - 1
    };
    let said = handler(asked).await;
    kept.lock().unwrap()[index].ended = Some(Instant::now());
    let mut response = Response::builder().status(said.status);
    for (name, value) in said.fields {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(said.body)).unwrap())
}
