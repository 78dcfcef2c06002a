//! An accepted WebSocket: bytes both ways, unread, until one side ends (the other then has a moment) or the drain deadline
//! cuts it. It outlives its token and a reload (RFC 6455).

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes};

use crate::deadline::{Deadline, Deadlines};
use crate::gateway::connection::Carrier;
use crate::limits;
use crate::pipeline::guard::watch::UpgradeOutcome;
use crate::pipeline::guard::wire::Wire;
use crate::pipeline::lifetimes::{Connection, Tunnel, Worker};
use crate::telemetry::metrics::Protocol;

/// Bytes under way in each direction.
const BUFFER: usize = 8 * 1024;

/// Copies until the end. `early` is what the client sent behind its handshake and hyper has read.
pub(crate) async fn run<S>(worker: &Rc<Worker>, connection: &Connection, client: Wire<S>, early: Bytes)
where
    S: AsyncRead + AsyncWrite + Carrier + Unpin,
{
    let Some(tunnel) = connection.tunnel.take() else { return };
    client.watch().resolve_upgrade(UpgradeOutcome::Accepted);
    let gauge = worker.counters().connections(Protocol::WebSocket);
    gauge.raise();
    client.stream().probe_when_silent();
    tunnel.stream.probe_when_silent();
    let Tunnel { stream, early: backend_early, slot } = tunnel;
    let ended = Cell::new(false);
    let (mut client, mut backend) = (Noticed::new(client, &ended), Noticed::new(stream, &ended));
    let copied = async {
        client.write_all(&backend_early).await?;
        client.flush().await?;
        backend.write_all(&early).await?;
        copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER).await.map(drop)
    };
    if let Some(Err(fault)) = until_ended(&worker.deadlines, pin!(copied), &ended).await {
        tracing::debug!(%fault, "a WebSocket broke off");
    }
    drop(slot);
    gauge.lower();
}

/// Runs `work` to its end, but only a moment longer once `ended` is set.
async fn until_ended<T>(
    deadlines: &Deadlines,
    mut work: Pin<&mut impl Future<Output = T>>,
    ended: &Cell<bool>,
) -> Option<T> {
    let mut closing: Option<Deadline> = None;
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if !ended.get() {
            return Poll::Pending;
        }
        closing.get_or_insert_with(|| deadlines.after(limits::TUNNEL_CLOSING)).poll(cx).map(|()| None)
    })
    .await
}

/// A stream that tells when its other side has ended.
struct Noticed<'a, S> {
    stream: S,
    ended: &'a Cell<bool>,
}

impl<'a, S> Noticed<'a, S> {
    fn new(stream: S, ended: &'a Cell<bool>) -> Self {
        Self { stream, ended }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticed<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() && buf.filled().len() == before {
            self.ended.set(true);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticed<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
