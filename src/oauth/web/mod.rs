//! The control plane's way to ask other servers: authorization servers, monday's API, key tests, a backend's status URL. https with
//! verified names (http to loopback only), no redirects, bounded in size and in time. Takes a `Question`, returns an `Answer` of any
//! status but 3xx. A connection serves one question: what was sent is never sent again by the way. Its faults say which host and what
//! happened, and quote no path, query or body.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::limits;
use crate::oauth::reach::{Names, ReachFlaw};
use crate::tls::files::TlsFault;
use crate::tls::roots;

pub(crate) use crate::oauth::reach::Reach;

/// Who is asking; some APIs refuse a request without it.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("monday-gateway/", env!("CARGO_PKG_VERSION")));
/// Bytes of the head of an answer.
const HEAD_BYTES: usize = 64 * 1024;

/// Asks. Cheap to clone; clones share TLS sessions.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    /// None on a machine without authorities: https is then refused when it is used.
    tls: Option<Arc<ClientConfig>>,
    names: Names,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    connect: Duration,
    whole: Duration,
    answer: usize,
}

/// What is asked.
#[derive(Clone)]
pub(crate) struct Question {
    method: Method,
    url: Url,
    fields: HeaderMap,
    body: Bytes,
}

/// What was answered: whole, and with any status but 3xx.
#[derive(Clone)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields.
    pub(crate) fields: HeaderMap,
    /// Its body, at most `limits::WEB_ANSWER`.
    pub(crate) body: Bytes,
}

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {flaw}")]
pub(crate) struct WebFault {
    /// Who was asked: host, and port if it is not the usual one.
    pub(crate) host: String,
    /// What happened.
    pub(crate) flaw: WebFlaw,
}

/// What happened to a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebFlaw {
    /// It is not asked at all.
    #[error("{0}")]
    Reach(#[from] ReachFlaw),
    /// This machine believes nobody.
    #[error("no certificate authorities on this machine: install ca-certificates")]
    NoAuthorities,
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No connection in time.
    #[error("no connection within {} s", .0.as_secs_f32())]
    LateConnect(Duration),
    /// Another name on the certificate, an unknown authority, or no TLS at all.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// No HTTP, or the connection ended early.
    #[error("the connection ended before a whole answer had come, or the answer is not HTTP")]
    Broken,
    /// No whole answer in time.
    #[error("no whole answer within {} s", .0.as_secs_f32())]
    LateAnswer(Duration),
    /// More than is read.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// A redirect: followed, it would take what was asked to somebody else.
    #[error("answered with a redirect ({0}), which is never followed: use the URL that answers itself")]
    Redirect(u16),
}

impl Web {
    /// Believes the authorities in the PEM file `ca`, or without one those of the machine.
    pub(crate) fn new(ca: Option<&Path>) -> Result<Self, TlsFault> {
        let tls = match roots::client_config(ca, None) {
            Ok(config) => Some(config),
            Err(TlsFault::NoRoots) => None,
            Err(fault) => return Err(fault),
        };
        let bounds = Bounds { connect: limits::WEB_CONNECT_TIME, whole: limits::WEB_TIME, answer: limits::WEB_ANSWER };
        Ok(Self { tls, names: Names::default(), bounds })
    }

    /// Asks once. A 3xx is a fault; every other status is an answer.
    pub(crate) async fn ask(&self, question: Question, reach: Reach) -> Result<Answer, WebFault> {
        let host = host_of(&question.url);
        // Boxed: a TLS handshake's state is large, and callers hold this future.
        let asked = Box::pin(self.ask_within(question, reach)).await;
        asked.map_err(|flaw| WebFault { host, flaw })
    }

    async fn ask_within(&self, question: Question, reach: Reach) -> Result<Answer, WebFlaw> {
        let Bounds { connect, whole, .. } = self.bounds;
        let started = tokio::time::Instant::now();
        let stream = timeout(connect.min(whole), self.connect(&question.url, reach))
            .await
            .map_err(|_elapsed| WebFlaw::LateConnect(connect))??;
        let left = whole.saturating_sub(started.elapsed());
        timeout(left, exchange(stream, question, self.bounds.answer))
            .await
            .map_err(|_elapsed| WebFlaw::LateAnswer(whole))?
    }

    async fn connect(&self, url: &Url, reach: Reach) -> Result<Box<dyn Stream>, WebFlaw> {
        let addresses = self.names.addresses(url, reach).await?;
        let tcp = connect_any(&addresses, self.bounds.connect).await?;
        if url.scheme() == "http" {
            return Ok(Box::new(tcp));
        }
        let tls = self.tls.as_ref().ok_or(WebFlaw::NoAuthorities)?;
        let name = server_name(url)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
        Ok(Box::new(stream.map_err(|fault| WebFlaw::Tls(fault.to_string()))?))
    }
}

/// A connection, plain or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The first address that takes a connection; each has its share of the time.
async fn connect_any(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, WebFlaw> {
    let share = within / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = WebFlaw::Connect("no address".to_owned());
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(fault)) => last = WebFlaw::Connect(words(&fault)),
            Err(_elapsed) => last = WebFlaw::LateConnect(share),
        }
    }
    Err(last)
}

fn words(fault: &io::Error) -> String {
    match fault.kind() {
        io::ErrorKind::ConnectionRefused => "refused; does anything listen there?".to_owned(),
        _ => fault.to_string(),
    }
}

fn server_name(url: &Url) -> Result<ServerName<'static>, WebFlaw> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_invalid| WebFlaw::Reach(ReachFlaw::Authority))
}

/// Sends the question and reads the whole answer. The connection ends with it.
async fn exchange(stream: Box<dyn Stream>, question: Question, limit: usize) -> Result<Answer, WebFlaw> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|_broken| WebFlaw::Broken)?;
    let mut driver = JoinSet::new(); // dropped at the end of this function, and the connection with it
    driver.spawn(connection);
    let request = question.into_request().map_err(|_invalid| WebFlaw::Reach(ReachFlaw::Authority))?;
    let answer = sender.send_request(request).await.map_err(|_broken| WebFlaw::Broken)?;
    let (head, body) = answer.into_parts();
    if head.status.is_redirection() {
        return Err(WebFlaw::Redirect(head.status.as_u16()));
    }
    Ok(Answer { status: head.status, fields: head.headers, body: read(body, limit).await? })
}

async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, WebFlaw> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame.map_err(|_broken| WebFlaw::Broken)?.into_data() else { continue };
        if whole.len() + part.len() > limit {
            return Err(WebFlaw::TooLarge(limit));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

impl Question {
    /// A GET.
    pub(crate) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, fields: HeaderMap::new(), body: Bytes::new() }
    }

    /// A POST of this body.
    pub(crate) fn post(url: Url, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { method: Method::POST, url, fields, body: body.into() }
    }

    /// With another field.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.insert(name, value);
        self
    }

    fn into_request(self) -> Result<Request<Full<Bytes>>, http::Error> {
        let target = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let mut request = Request::builder().method(self.method).uri(target).body(Full::new(self.body))?;
        let fields = request.headers_mut();
        fields.insert(ACCEPT, HeaderValue::from_static("application/json"));
        fields.insert(USER_AGENT, AGENT);
        fields.extend(self.fields);
        fields.insert(HOST, HeaderValue::from_str(&host_of(&self.url))?);
        Ok(request)
    }
}

/// Host, and port if it is not the scheme's own.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({} {})", self.method, host_of(&self.url))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status.as_u16(), self.body.len())
    }
}

#[cfg(test)]
mod tests;
