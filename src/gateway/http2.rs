//! An HTTP/2 connection. hyper and h2 serve it under explicit bounds: streams, header lists, windows, buffers.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::spawn_local;

use crate::gateway::pace::{Due, Pace, Stand};
use crate::pipeline::handle;
use crate::pipeline::lifetimes::{Connection, Worker};
use crate::pipeline::peer::ConnInfo;

/// Bytes that a client may send on one stream, and on one connection, before the backend takes them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one stream's answer that wait for the client.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(worker: &Rc<Worker>, stream: S, peer: ConnInfo)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let bounds = worker.installed().snapshot.limits.clone();
    let connection = Connection::new(peer, None);
    let flow = Rc::new(Flow::default());
    let service = service_fn(|request| {
        let (worker, connection) = (Rc::clone(worker), Rc::clone(&connection));
        async move { Ok::<_, Infallible>(handle(worker, connection, request).await) }
    });
    let mut serving = http2::Builder::new(OnThisCore)
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(u32::try_from(bounds.head).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(Metered { stream, flow: Rc::clone(&flow) }), service);
    let mut pace = Pace::new(&worker.deadlines, &bounds);
    let mut leaving = false;
    poll_fn(|cx| {
        if worker.draining.get() && !leaving {
            leaving = true;
            Pin::new(&mut serving).graceful_shutdown();
        }
        loop {
            if Pin::new(&mut serving).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match pace.poll(cx, || stand(&connection, &flow)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Due::Park | Due::Head) => {}
                Poll::Ready(Due::Close) if connection.under_way() == 0 && !leaving => {
                    leaving = true;
                    Pin::new(&mut serving).graceful_shutdown();
                }
                Poll::Ready(Due::Close) => return Poll::Ready(()),
            }
        }
    })
    .await;
}

fn stand(connection: &Connection, flow: &Flow) -> Stand {
    if connection.under_way() == 0 {
        return if connection.requests() == 0 { Stand::Fresh } else { Stand::Idle };
    }
    if flow.blocked.get() { Stand::Blocked { taken: flow.sent.get() } } else { Stand::Busy }
}

/// Streams are tasks of the connection's own core.
#[derive(Clone, Copy, Debug)]
struct OnThisCore;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisCore {
    fn execute(&self, stream: F) {
        spawn_local(stream);
    }
}

/// What goes to the client, and whether it takes it.
#[derive(Debug, Default)]
struct Flow {
    sent: Cell<u64>,
    blocked: Cell<bool>,
}

/// A stream that notes its flow.
#[derive(Debug)]
struct Metered<S> {
    stream: S,
    flow: Rc<Flow>,
}

impl<S> Metered<S> {
    fn note(&self, written: &Poll<io::Result<usize>>) {
        self.flow.blocked.set(written.is_pending());
        if let Poll::Ready(Ok(bytes)) = written {
            self.flow.sent.set(self.flow.sent.get() + *bytes as u64);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.flow.blocked.set(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
