//! An HTTP/2 connection. hyper and h2 serve it under explicit bounds: streams, header lists, windows, buffers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_local;

use crate::gateway::connection::Carrier;
use crate::gateway::flow::Flow;
use crate::gateway::pace::{Due, Pace, Stand};
use crate::pipeline::handle;
use crate::pipeline::lifetimes::{Connection, Progress, Worker};
use crate::pipeline::peer::ConnInfo;

/// Bytes that a client may send on one stream, and on one connection, before the backend takes them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one stream's answer that wait for the client.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(worker: &Rc<Worker>, stream: S, peer: ConnInfo)
where
    S: AsyncRead + AsyncWrite + Carrier + Unpin + 'static,
{
    let bounds = worker.installed().snapshot.limits.clone();
    let connection = Connection::new(peer, None);
    let flow = stream.flow();
    let service = service_fn(|request| {
        let (worker, connection) = (Rc::clone(worker), Rc::clone(&connection));
        // In a box, so that a stream keeps no room for its request while its answer is under way.
        let handling = Box::pin(handle(worker, connection, request));
        async move { Ok::<_, Infallible>(handling.await) }
    });
    let mut serving = http2::Builder::new(OnThisCore { worker: Rc::clone(worker), patience: bounds.body_idle_timeout })
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(u32::try_from(bounds.head).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
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
    if let Some(blocked) = flow.blocked() {
        return blocked;
    }
    match (connection.under_way(), connection.requests()) {
        (0, 0) => Stand::Fresh,
        (0, _) => Stand::Idle,
        _ => Stand::Busy,
    }
}

/// Streams are tasks of the connection's own core, each with an eye on its client: one that opens no window is polled by
/// nobody, and would stay for ever (RFC 9113, section 10.5).
#[derive(Clone, Debug)]
struct OnThisCore {
    worker: Rc<Worker>,
    patience: Duration,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisCore {
    fn execute(&self, stream: F) {
        let (worker, patience) = (Rc::clone(&self.worker), self.patience);
        spawn_local(async move {
            let progress = Rc::new(Progress::default());
            let stall = worker.deadlines.after(patience);
            let mut seen = progress.taken();
            let mut stream = pin!(stream);
            poll_fn(|cx| {
                worker.stream.replace(Some(Rc::clone(&progress)));
                let polled = stream.as_mut().poll(cx);
                worker.stream.replace(None);
                let taken = progress.taken();
                if polled.is_ready() || taken.is_none() {
                    return polled;
                }
                if taken != seen {
                    seen = taken;
                    stall.reset(patience);
                }
                // Dropping the stream resets it, and with it goes the connection to the backend.
                stall.poll(cx)
            })
            .await;
        });
    }
}
