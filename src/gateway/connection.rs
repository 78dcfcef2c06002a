//! One client connection, from accept to its protocol: TLS within its time and number, then HTTP/1 or HTTP/2 as was
//! agreed. Knows no request.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::gateway::flow::{Flow, Metered};
use crate::gateway::listener::Load;
use crate::gateway::{http1, http2};
use crate::limits;
use crate::pipeline::lifetimes::Worker;
use crate::pipeline::peer::{ConnInfo, Protocol, Secure};
use crate::telemetry::counters::Gauge;
use crate::telemetry::metrics::{self, Handshake, TlsVersion};
use crate::tls::certificates::Certificates;
use crate::upstream::stream;

/// What is done with each connection of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// TLS, or plain HTTP.
    pub(crate) tls: Option<Tls>,
}

/// What a TLS listener needs.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Does the handshake.
    pub(crate) acceptor: TlsAcceptor,
    /// Knows which certificate was shown.
    pub(crate) certificates: Arc<Certificates>,
    /// Bounds the handshakes of the process that are under way.
    pub(crate) handshakes: Arc<Semaphore>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// What a connection asks of its stream beside bytes.
pub(crate) trait Carrier {
    /// Ready when a read would not wait. Takes nothing.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// How the writing to the client goes.
    fn flow(&self) -> Rc<Flow>;

    /// Has the next flush say that nothing more will follow, if the carrier has a word for it.
    fn bid_farewell(&mut self);

    /// Has the system ask now and then whether a silent client is still there.
    fn probe_when_silent(&self);
}

impl Carrier for Metered {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_read_ready(cx)
    }

    fn flow(&self) -> Rc<Flow> {
        self.flow()
    }

    fn bid_farewell(&mut self) {}

    fn probe_when_silent(&self) {
        stream::probe_when_silent(self.socket());
    }
}

impl Carrier for TlsStream<Metered> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().0.poll_readable(cx)
    }

    fn flow(&self) -> Rc<Flow> {
        self.get_ref().0.flow()
    }

    fn bid_farewell(&mut self) {
        self.get_mut().1.send_close_notify();
    }

    fn probe_when_silent(&self) {
        stream::probe_when_silent(self.get_ref().0.socket());
    }
}

/// Counts a connection under what it speaks, until dropped.
#[derive(Debug)]
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn under(worker: &'a Worker, protocol: metrics::Protocol) -> Self {
        let gauge = worker.counters().connections(protocol);
        gauge.raise();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.lower();
    }
}

/// Serves a connection in a task of its own.
pub(crate) fn spawn(
    worker: Rc<Worker>,
    service: Service,
    stream: TcpStream,
    peer: SocketAddr,
    held: (OwnedSemaphorePermit, Load),
) {
    spawn_local(async move {
        serve(&worker, &service, stream, peer).await;
        drop(held);
    });
}

async fn serve(worker: &Rc<Worker>, service: &Service, stream: TcpStream, peer: SocketAddr) {
    // A small answer must not wait for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut stream = Metered::new(stream);
    let Some(tls) = &service.tls else {
        stream.open();
        let peer = ConnInfo { peer, protocol: Protocol::Http1, secure: Secure::Plain, certificate: None };
        let _counted = Counted::under(worker, metrics::Protocol::Http1);
        return http1::serve(worker, stream, peer).await;
    };
    // In a box of its own: a handshake is large and soon over, the connection small and long.
    let Some((stream, peer)) = Box::pin(shake_hands(worker, tls, stream, peer)).await else {
        return;
    };
    match peer.protocol {
        Protocol::Http1 => {
            let _counted = Counted::under(worker, metrics::Protocol::Http1);
            http1::serve(worker, stream, peer).await;
        }
        Protocol::Http2 => {
            let _counted = Counted::under(worker, metrics::Protocol::Http2);
            Box::pin(http2::serve(worker, stream, peer)).await;
        }
    }
}

async fn shake_hands(
    worker: &Rc<Worker>,
    tls: &Tls,
    stream: Metered,
    peer: SocketAddr,
) -> Option<(TlsStream<Metered>, ConnInfo)> {
    let _counted = Counted::under(worker, metrics::Protocol::Handshake);
    let deadline = worker.deadlines.after(worker.installed().snapshot.limits.handshake_timeout);
    let mut shaking = pin!(async {
        // A client that says nothing must not take a turn from those that do.
        stream.socket().readable().await?;
        let _turn = tls.handshakes.acquire().await;
        tls.acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(limits::CONNECTION_BUFFER))).await
    });
    let count = |version, result| worker.counters().handshake(version, result);
    match deadline.bound(shaking.as_mut()).await {
        None => count(TlsVersion::None, Handshake::Timeout),
        Some(Err(fault)) if fault.kind() == io::ErrorKind::UnexpectedEof => count(TlsVersion::None, Handshake::Closed),
        Some(Err(_refused)) => count(TlsVersion::None, Handshake::Failed),
        Some(Ok(mut stream)) => {
            stream.get_mut().0.open();
            let peer = meet(tls, &stream, peer);
            let version = if peer.secure == Secure::Tls1_2 { TlsVersion::V12 } else { TlsVersion::V13 };
            count(version, Handshake::Ok);
            return Some((stream, peer));
        }
    }
    None
}

fn meet(tls: &Tls, stream: &TlsStream<Metered>, peer: SocketAddr) -> ConnInfo {
    let session = stream.get_ref().1;
    let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    let secure = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => Secure::Tls1_2,
        _ => Secure::Tls1_3,
    };
    let certificate = Some(tls.certificates.presented(session.server_name()));
    ConnInfo { peer, protocol, secure, certificate }
}
