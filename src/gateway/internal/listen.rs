//! Where the internal API listens: loopback, a Unix socket that only this user may open, or anywhere with certificates on both sides. Plain
//! HTTP/1.1; connections, heads, bodies and times are bounded, and a client that hangs takes nothing from the workers.

use std::convert::Infallible;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::resolved::grants::{Internal, InternalListen};
use crate::gateway::internal::Api;
use crate::gateway::internal::answers::{Answer, Problem};
use crate::limits;
use crate::tls::CertificatePaths;
use crate::tls::files::TlsFault;
use crate::tls::mutual::mutual_config;

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Rights of a Unix socket.
const SOCKET_MODE: u32 = 0o600;

/// A listener that has its address.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: Socket,
    tls: Option<Arc<rustls::ServerConfig>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// Why the internal API does not listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenFault {
    /// The address.
    #[error("the internal API cannot listen on {0}: {1}")]
    Tcp(SocketAddr, io::Error),
    /// The path.
    #[error("the internal API cannot listen on {path}: {fault}", path = .0.display(), fault = .1)]
    Unix(PathBuf, io::Error),
    /// Its certificate, key or authorities.
    #[error(transparent)]
    Tls(#[from] TlsFault),
}

impl Bound {
    /// Takes the address.
    pub(crate) fn new(internal: &Internal) -> Result<Self, ListenFault> {
        match &internal.listen {
            InternalListen::Unix(path) => {
                let socket = unix(path).map_err(|fault| ListenFault::Unix(path.clone(), fault))?;
                Ok(Self { socket: Socket::Unix(socket), tls: None })
            }
            InternalListen::Tcp { address, tls } => {
                let tls = tls.as_ref().map(|files| {
                    let pair = &files.certificate;
                    let paths = CertificatePaths { certificate: &pair.certificate, private_key: &pair.private_key };
                    mutual_config(paths, &files.client_ca)
                });
                let tls = tls.transpose().map_err(ListenFault::Tls)?;
                let socket = std::net::TcpListener::bind(address).map_err(|fault| ListenFault::Tcp(*address, fault))?;
                Ok(Self { socket: Socket::Tcp(socket), tls })
            }
        }
    }

    /// The port that was taken, unless it is a Unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, api: Api) {
        let tls = self.tls.map(TlsAcceptor::from);
        let served = match self.socket {
            Socket::Tcp(listener) => serve_tcp(listener, tls, api).await,
            Socket::Unix(listener) => serve_unix(listener, api).await,
        };
        if let Err(fault) = served {
            tracing::error!(%fault, "the internal API ended");
        }
    }
}

/// A socket at `path`, which nobody else could open at any moment: it gets its rights before its name.
fn unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else than a socket is there"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        Ok(_) | Err(_) => {}
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    match std::fs::remove_file(&unfinished) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        Ok(()) | Err(_) => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&unfinished)?;
    std::fs::set_permissions(&unfinished, Permissions::from_mode(SOCKET_MODE))?;
    std::fs::rename(&unfinished, path)?;
    Ok(listener)
}

async fn serve_tcp(listener: std::net::TcpListener, tls: Option<TlsAcceptor>, api: Api) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(limits::INTERNAL_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match (listener.accept().await, &tls) {
            (Ok((stream, _peer)), None) => drop(tokio::spawn(serve(stream, api.clone(), place))),
            (Ok((stream, _peer)), Some(tls)) => {
                let (tls, api) = (tls.clone(), api.clone());
                drop(tokio::spawn(async move {
                    match timeout(limits::INTERNAL_HEAD_TIME, tls.accept(stream)).await {
                        Ok(Ok(stream)) => serve(stream, api, place).await,
                        Ok(Err(fault)) => tracing::debug!(%fault, "a client of the internal API was not believed"),
                        Err(_elapsed) => tracing::debug!("a client of the internal API did not finish its handshake"),
                    }
                }));
            }
            (Err(fault), _) => pause(&fault).await,
        }
    }
    Ok(())
}

async fn serve_unix(listener: std::os::unix::net::UnixListener, api: Api) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(limits::INTERNAL_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _peer)) => drop(tokio::spawn(serve::<UnixStream>(stream, api.clone(), place))),
            Err(fault) => pause(&fault).await,
        }
    }
    Ok(())
}

async fn pause(fault: &io::Error) {
    tracing::warn!(%fault, "the internal API cannot accept");
    sleep(ACCEPT_PAUSE).await;
}

/// One connection, with all its requests. It gives its place back at the end.
async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S, api: Api, place: OwnedSemaphorePermit) {
    let service = service_fn(|request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(answer(request, &api).await.map(Full::new)) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::INTERNAL_HEAD_TIME)
        .max_buf_size(limits::INTERNAL_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits::INTERNAL_CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection of the internal API broke"),
        Err(_elapsed) => tracing::debug!("a connection of the internal API took too long"),
    }
    drop(place);
}

/// Reads a request to its end, and answers it in time.
async fn answer(request: Request<Incoming>, api: &Api) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let work = async {
        match read(body).await {
            Ok(body) => api.respond(&parts, &body).await,
            Err(problem) => closing(problem),
        }
    };
    // Without a body in flight there is nothing to wait for but the vault and a provider.
    timeout(limits::INTERNAL_REQUEST_TIME, work).await.unwrap_or_else(|_elapsed| closing(Problem::Unavailable))
}

/// A body of a few bytes, within the time of a head.
async fn read(mut body: Incoming) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > limits::INTERNAL_BODY {
        return Err(Problem::TooLarge);
    }
    let mut whole = Vec::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let Ok(part) = frame.map_err(|_broken| Problem::BadRequest)?.into_data() else { continue };
            whole.extend_from_slice(&part);
            if whole.len() as u64 > limits::INTERNAL_BODY {
                return Err(Problem::TooLarge);
            }
        }
        Ok(())
    };
    timeout(limits::INTERNAL_HEAD_TIME, reading).await.map_err(|_elapsed| Problem::TooSlow)??;
    Ok(Bytes::from(whole))
}

/// An answer after which nothing more is read: what is left of the body is not waited for.
fn closing(problem: Problem) -> Answer {
    let mut answer = problem.answer();
    answer.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    answer
}
