//! One HTTP/1.1 request over one connection, which is closed after it. For `send` only: the gateway's own connections to
//! backends are elsewhere, and there is no way to make those believe every certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::files::TlsFault;
use crate::tls::{provider, roots};

/// Bytes of an answer's body that are read and shown.
const BODY_SHOWN: usize = 64 * 1024;

/// Whose certificates are believed.
pub(in crate::commands) enum Trust<'a> {
    /// The machine's authorities.
    Machine,
    /// Those of a PEM file.
    File(&'a Path),
    /// Every certificate.
    Everybody,
}

/// What came back.
pub(in crate::commands) struct Answer {
    /// The status.
    pub(in crate::commands) status: StatusCode,
    /// The header fields.
    pub(in crate::commands) headers: HeaderMap,
    /// The beginning of the body.
    pub(in crate::commands) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::commands) enum SendFault {
    /// Neither http nor https, or no host.
    #[error("the URL must be http://... or https://...")]
    Url,
    /// TCP or the TLS handshake.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// A host that no certificate can name.
    #[error("no certificate can name this host: {0}")]
    Name(#[from] InvalidDnsNameError),
    /// Before the handshake.
    #[error(transparent)]
    Tls(Box<TlsFault>),
    /// The provider of cryptography.
    #[error("TLS: {0}")]
    Library(Box<rustls::Error>),
    /// The connection broke, or its answer is no HTTP.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// Nothing in time.
    #[error("nothing within {0:?}")]
    Slow(Duration),
}

/// Sends the request, whose URI is absolute.
pub(in crate::commands) async fn send(
    request: Request<Full<Bytes>>,
    trust: &Trust<'_>,
    patience: Duration,
) -> Result<Answer, SendFault> {
    tokio::time::timeout(patience, connect_and_send(request, trust))
        .await
        .map_err(|_elapsed| SendFault::Slow(patience))?
}

async fn connect_and_send(mut request: Request<Full<Bytes>>, trust: &Trust<'_>) -> Result<Answer, SendFault> {
    let uri = request.uri().clone();
    let host = uri.host().ok_or(SendFault::Url)?.trim_matches(['[', ']']).to_owned();
    let https = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(SendFault::Url),
    };
    let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
    let authority = uri.authority().ok_or(SendFault::Url)?.as_str();
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(|_why| SendFault::Url)?);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse::<Uri>().map_err(|_why| SendFault::Url)?;

    let tcp = TcpStream::connect((host.as_str(), port)).await?;
    tcp.set_nodelay(true)?;
    if https {
        let name = ServerName::try_from(host)?;
        let tls = TlsConnector::from(believing(trust)?).connect(name, tcp).await?;
        exchange(tls, request).await
    } else {
        exchange(tcp, request).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, SendFault> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = beginning(body).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        // The other side has closed; what it sent before is still to be read.
        _closed = connection => answered.await,
    }
}

async fn beginning(mut body: Incoming) -> Result<Bytes, SendFault> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame?.into_data() {
            read.extend_from_slice(&bytes);
        }
        if read.len() >= BODY_SHOWN {
            read.truncate(BODY_SHOWN);
            break;
        }
    }
    Ok(read.into())
}

fn believing(trust: &Trust<'_>) -> Result<Arc<ClientConfig>, SendFault> {
    Ok(match trust {
        Trust::Machine => roots::client_config(None, None).map_err(|fault| SendFault::Tls(Box::new(fault)))?,
        Trust::File(file) => roots::client_config(Some(file), None).map_err(|fault| SendFault::Tls(Box::new(fault)))?,
        Trust::Everybody => {
            let provider = Arc::new(provider());
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|fault| SendFault::Library(Box::new(fault)))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(BelievesAll(provider)))
                .with_no_client_auth();
            Arc::new(config)
        }
    })
}

/// `--insecure`: any certificate will do, but whoever shows it must have its key.
#[derive(Debug)]
struct BelievesAll(Arc<CryptoProvider>);

impl ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
