//! A byte stream to a backend, whatever carries it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::limits;

/// TCP, TLS over TCP, or a Unix socket; and how much came in over it.
#[derive(Debug)]
pub(crate) struct Stream {
    carrier: Carrier,
    received: Rc<Cell<u64>>,
}

#[derive(Debug)]
enum Carrier {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Stream {
    /// Bytes that came in so far, also readable once the stream is given away: an answer that never gets to its head is
    /// noticed by them.
    pub(crate) fn received(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.received)
    }

    /// Has the system ask now and then whether a silent backend is still there. A Unix socket tells by itself.
    pub(crate) fn probe_when_silent(&self) {
        match &self.carrier {
            Carrier::Tcp(stream) => probe_when_silent(stream),
            Carrier::Tls(stream) => probe_when_silent(stream.get_ref().0),
            Carrier::Unix(_) => {}
        }
    }
}

/// Turns keep-alive probes on (RFC 9293, section 3.8.4): for streams that may be silent for long, with no deadline.
pub(crate) fn probe_when_silent(stream: &TcpStream) {
    let probes =
        TcpKeepalive::new().with_time(limits::TUNNEL_PROBED_AFTER).with_interval(limits::TUNNEL_PROBED_AFTER / 4);
    // Without probes it works as well, only longer than it need.
    if let Err(fault) = SockRef::from(stream).set_tcp_keepalive(&probes) {
        tracing::debug!(%fault, "no keep-alive probes");
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self { carrier: Carrier::Tcp(stream), received: Rc::default() }
    }
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self { carrier: Carrier::Tls(Box::new(stream)), received: Rc::default() }
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self { carrier: Carrier::Unix(stream), received: Rc::default() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Carrier::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Carrier::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let more = buf.filled().len() - before;
        self.received.set(self.received.get() + more as u64);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Carrier::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
