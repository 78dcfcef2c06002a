//! What really goes to a client. Sits under TLS, on the socket: a client that takes nothing is noticed there, whatever the
//! layers above still hold for it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::gateway::pace::Stand;

/// How the writing to one client goes.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    sent: Cell<u64>,
    blocked: Cell<bool>,
}

/// A socket that notes its flow.
#[derive(Debug)]
pub(crate) struct Metered {
    socket: TcpStream,
    flow: Rc<Flow>,
}

impl Flow {
    /// Where a connection stands whose last write found no room; none if it found some.
    pub(crate) fn blocked(&self) -> Option<Stand> {
        self.blocked.get().then(|| Stand::Blocked { taken: self.sent.get() })
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        self.blocked.set(written.is_pending());
        if let Poll::Ready(Ok(bytes)) = written {
            self.sent.set(self.sent.get() + *bytes as u64);
        }
    }
}

impl Metered {
    /// Notes the flow of this socket.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, flow: Rc::default() }
    }

    /// Its flow, also readable once the stream is given away.
    pub(crate) fn flow(&self) -> Rc<Flow> {
        Rc::clone(&self.flow)
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.flow.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.flow.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
