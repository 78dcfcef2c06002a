//! What really goes to a client. Sits under TLS, on the socket: a client that takes nothing is noticed there, whatever the
//! layers above still hold for it. Holds a session ticket back until there is something to send it with: nobody waits for one, and
//! a segment of its own costs as much as an answer.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
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
    phase: Phase,
    ticket: Vec<u8>,
}

/// Whose turn it is, as far as a held ticket is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The client's first flight, or more of it.
    Hello,
    /// The server's first flight is on its way.
    Answered,
    /// The client has sent more: what TLS 1.3 has to say now is a ticket.
    Finishing,
    /// The handshake is done.
    Open,
}

/// The content type of records that are encrypted (RFC 8446, section 5.2). In TLS 1.2 none of the handshake's has it.
const ENCRYPTED: u8 = 23;
/// An alert is shorter: that one must not wait.
const SHORTEST_TICKET: usize = 64;

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
        Self { socket, flow: Rc::default(), phase: Phase::Hello, ticket: Vec::new() }
    }

    /// The handshake is done: from now on everything is sent when it is written.
    pub(crate) fn open(&mut self) {
        self.phase = Phase::Open;
    }

    /// Its flow, also readable once the stream is given away.
    pub(crate) fn flow(&self) -> Rc<Flow> {
        Rc::clone(&self.flow)
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Takes what is written after a TLS 1.3 handshake's end for a ticket, and keeps it.
    fn hold(&mut self, bytes: &[io::IoSlice<'_>]) -> Option<usize> {
        let length = bytes.iter().map(|part| part.len()).sum();
        let is_ticket = self.phase == Phase::Finishing
            && length > SHORTEST_TICKET
            && bytes.first().and_then(|part| part.first()) == Some(&ENCRYPTED);
        if !is_ticket {
            return None;
        }
        for part in bytes {
            self.ticket.extend_from_slice(part);
        }
        Some(length)
    }

    /// Writes the ticket, if one is held, and as much of the rest as there is room for.
    fn write_out(&mut self, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while !self.ticket.is_empty() {
            let written = {
                let mut parts = SmallVec::<[io::IoSlice<'_>; 8]>::from_slice(&[io::IoSlice::new(&self.ticket)]);
                parts.extend_from_slice(bytes);
                ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, &parts))?
            };
            let of_ticket = written.min(self.ticket.len());
            self.ticket.drain(..of_ticket);
            if self.ticket.is_empty() {
                self.ticket = Vec::new();
            }
            match written - of_ticket {
                0 if of_ticket == 0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                0 => {}
                rest => return Poll::Ready(Ok(rest)),
            }
        }
        match bytes {
            [one] => Pin::new(&mut self.socket).poll_write(cx, one),
            several => Pin::new(&mut self.socket).poll_write_vectored(cx, several),
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if self.phase == Phase::Answered && buf.filled().len() > before {
            self.phase = Phase::Finishing;
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(held) = self.hold(bytes) {
            return Poll::Ready(Ok(held));
        }
        if self.phase != Phase::Open {
            self.phase = Phase::Answered;
        }
        let written = self.write_out(cx, bytes);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A stream under a handshake in which the client has sent its second flight, and the client.
    async fn finishing() -> (Metered, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connecting, listener.accept());
        let (mut client, mut server) = (client.unwrap(), Metered::new(accepted.unwrap().0));
        let mut byte = [0];
        for _ in 0..2 {
            client.write_all(b"x").await.unwrap();
            server.read_exact(&mut byte).await.unwrap();
            if server.phase == Phase::Hello {
                server.write_all(b"y").await.unwrap();
                client.read_exact(&mut byte).await.unwrap();
            }
        }
        (server, client)
    }

    #[tokio::test]
    async fn a_ticket_waits_for_the_first_answer_and_goes_before_it() {
        let (mut server, mut client) = finishing().await;
        let ticket = [ENCRYPTED; 200];
        server.write_all(&ticket).await.unwrap();
        assert_eq!(server.flow().sent.get(), 1, "nothing but the first flight was sent");
        server.open();
        server.write_all(b"answer").await.unwrap();
        let mut got = vec![0; 206];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [&ticket[..], b"answer"].concat());
        assert!(server.ticket.capacity() == 0);
    }

    #[tokio::test]
    async fn an_alert_and_a_flight_of_tls_1_2_do_not_wait() {
        for written in [vec![ENCRYPTED; 24], vec![22; 200]] {
            let (mut server, mut client) = finishing().await;
            server.write_all(&written).await.unwrap();
            let mut got = vec![0; written.len()];
            client.read_exact(&mut got).await.unwrap();
            assert_eq!(got, written);
        }
    }
}
