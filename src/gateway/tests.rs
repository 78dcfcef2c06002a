//! A gateway whose own code panics: that request is answered with 500, and nothing else notices. Over real sockets, HTTP/1 and
//! HTTP/2, with a backend in the test.
#![expect(clippy::disallowed_methods, reason = "the answers of a test's own backend are as long as it makes them")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::Clock;
use crate::config::{self, Secrets};
use crate::gateway::assemble::{Gateway, metrics};
use crate::pipeline::PANIC_ON_DEMAND;
use crate::telemetry::log;
use crate::tls;

/// How long the backend takes for `/slow`.
const SLOW: Duration = Duration::from_millis(600);

struct Bench {
    gateway: Gateway,
    roots: RootCertStore,
    _folder: tempfile::TempDir,
}

/// Answers `/slow` after a moment, and everything else at once.
async fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(alive)));
        }
    });
    address
}

async fn alive(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/slow" {
        tokio::time::sleep(SLOW).await;
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"alive"))))
}

impl Bench {
    async fn start() -> Self {
        tls::install_default_provider();
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("server.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("server.key"), made.signing_key.serialize_pem()).unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://localhost\"\nworkers = 1\n\
             [server.tls]\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"\n[log]\naccess = \"off\"\n\
             [upstreams.backend]\nservers = [\"http://{}\"]\n\
             [[routes]]\npath = \"/{{*rest}}\"\nkind = \"public\"\nupstream = \"backend\"\n",
            backend().await
        );
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&file, Secrets::Read).unwrap();
        let clock = Clock::system();
        let metrics = metrics(&loaded.config, &clock).unwrap();
        log::catch_panics(Arc::clone(&metrics));
        let gateway = Gateway::start(&loaded.config, metrics, clock).await.unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
        Self { gateway, roots, _folder: folder }
    }

    async fn connect(&self, protocol: &str) -> TokioIo<TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder().with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.gateway.addresses[0]).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
    }

    async fn http1(&self) -> http1::SendRequest<Full<Bytes>> {
        let (send, connection) = http1::handshake(self.connect("http/1.1").await).await.unwrap();
        tokio::spawn(connection);
        send
    }

    async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let io = self.connect("h2").await;
        let (send, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        send
    }

    fn panics(&self) -> String {
        let scrape = self.gateway.metrics.encode().unwrap();
        let line = scrape.lines().find(|line| line.starts_with("gateway_panics_total ")).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    }
}

fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(format!("https://localhost{path}")).header("host", "localhost");
    request.body(Full::default()).unwrap()
}

fn panicking(path: &str) -> Request<Full<Bytes>> {
    let mut request = get(path);
    request.headers_mut().insert(PANIC_ON_DEMAND, "yes".parse().unwrap());
    request
}

/// Status and body.
async fn whole(answer: impl Future<Output = hyper::Result<Response<Incoming>>>) -> (u16, Bytes) {
    let answer = answer.await.unwrap();
    (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn r27_a_panic_ends_its_own_request_and_nothing_else() {
    let bench = Bench::start().await;
    let (mut first, mut other, mut streams) = (bench.http1().await, bench.http1().await, bench.http2().await);
    // Under way on the same worker, over another connection and over the same HTTP/2 connection.
    let mut second = streams.clone();
    let slow_over_http1 = tokio::spawn(async move { whole(other.send_request(get("/slow"))).await });
    let slow_over_http2 = tokio::spawn(async move { whole(second.send_request(get("/slow"))).await });
    tokio::time::sleep(SLOW / 4).await;
    for number in 1..=5 {
        let (status, body) = whole(first.send_request(panicking("/x"))).await;
        assert_eq!(status, 500, "request {number}");
        assert!(!String::from_utf8_lossy(&body).contains("demand"), "the panic's words are shown");
        let (status, _body) = whole(streams.send_request(panicking("/x"))).await;
        assert_eq!(status, 500, "stream {number}");
        if first.ready().await.is_err() {
            first = bench.http1().await;
        }
    }
    assert_eq!(
        whole(streams.send_request(get("/x"))).await,
        (200, Bytes::from_static(b"alive")),
        "the same connection"
    );
    assert_eq!(slow_over_http1.await.unwrap(), (200, Bytes::from_static(b"alive")), "another connection");
    assert_eq!(slow_over_http2.await.unwrap(), (200, Bytes::from_static(b"alive")), "another stream");
    assert_eq!(whole(bench.http1().await.send_request(get("/x"))).await.0, 200, "a new connection");
    assert_eq!(bench.panics(), "10");
    assert!(!bench.gateway.is_broken());
}
