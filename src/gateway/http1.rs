//! An HTTP/1 connection. hyper serves it behind the guard's wire, as long as requests come; between them, once it has been
//! idle for a moment, hyper and its buffers are dropped, and made anew when the client sends something.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::gateway::connection::Carrier;
use crate::gateway::flow::Flow;
use crate::gateway::pace::{Due, Pace, Stand};
use crate::gateway::tunnel;
use crate::limits;
use crate::pipeline::guard::head::HeadLimits;
use crate::pipeline::guard::watch::{Phase, Watch};
use crate::pipeline::guard::wire::{HalfClose, Wire};
use crate::pipeline::handle;
use crate::pipeline::lifetimes::{Connection, Worker};
use crate::pipeline::peer::ConnInfo;

/// How hyper's part of a connection ended.
enum End<S> {
    /// Nothing more will come, or go.
    Over(Wire<S>),
    /// Idle: the connection goes on without hyper.
    Park(Wire<S>),
    /// A WebSocket was accepted; what the client had sent behind its handshake.
    Tunnel(Wire<S>, Bytes),
    /// Broken off without another word.
    Cut,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(worker: &Rc<Worker>, stream: S, peer: ConnInfo)
where
    S: AsyncRead + AsyncWrite + Carrier + Unpin + 'static,
{
    let watch = Rc::new(Watch::default());
    let bounds = &worker.installed().snapshot.limits.clone();
    let connection = Connection::new(peer, Some(Rc::clone(&watch)));
    let half_close = if connection.peer.secure.is_tls() { HalfClose::Served } else { HalfClose::Gone };
    let mut wire =
        Wire::new(stream, HeadLimits { bytes: bounds.head, fields: bounds.headers }, Rc::clone(&watch), half_close);
    let mut pace = Pace::new(&worker.deadlines, bounds);
    let flow = wire.stream().flow();
    loop {
        // In a box that goes with it: most connections are idle most of the time.
        match Box::pin(exchange(worker, &connection, wire, (&mut pace, &flow))).await {
            End::Cut => return,
            End::Over(wire) => return Box::pin(part(worker, wire)).await,
            End::Tunnel(wire, early) => return Box::pin(tunnel::run(worker, &connection, wire, early)).await,
            End::Park(parked) => wire = parked,
        }
        pace.rest();
        if !wakes(worker, &wire, &mut pace).await {
            return Box::pin(part(worker, wire)).await;
        }
        pace.resume();
    }
}

/// Lets hyper serve requests until the connection is idle or over.
async fn exchange<S>(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    wire: Wire<S>,
    (pace, flow): (&mut Pace, &Flow),
) -> End<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let watch = Rc::clone(wire.watch());
    let service = service_fn(|request| {
        let (worker, connection) = (Rc::clone(worker), Rc::clone(connection));
        async move { Ok::<_, Infallible>(handle(worker, connection, request).await) }
    });
    // No timer: the pace and the guard's wire have the deadlines, and the limits of a head.
    let mut serving =
        http1::Builder::new().max_buf_size(limits::CONNECTION_BUFFER).serve_connection(TokioIo::new(wire), service);
    let mut draining = false;
    let due = poll_fn(|cx| {
        if worker.draining.get() && !draining {
            draining = true;
            Pin::new(&mut serving).graceful_shutdown();
        }
        loop {
            if Pin::new(&mut serving).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            match pace.poll(cx, || stand(connection, &watch, flow)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Due::Head) => watch.expire_head(),
                Poll::Ready(Due::Park) if watch.has_withheld_bytes() => {}
                Poll::Ready(due) => return Poll::Ready(Some(due)),
            }
        }
    });
    let due = due.await;
    if due == Some(Due::Close) && (connection.under_way() > 0 || flow.blocked().is_some()) {
        return End::Cut;
    }
    let parts = serving.into_parts();
    let wire = parts.io.into_inner();
    match due {
        Some(Due::Park) if parts.read_buf.is_empty() => End::Park(wire),
        None if connection.tunnel.borrow().is_some() => End::Tunnel(wire, parts.read_buf),
        _ => End::Over(wire),
    }
}

fn stand(connection: &Connection, watch: &Watch, flow: &Flow) -> Stand {
    // First: an answer that has left the gateway's hands may still wait in hyper's or TLS's for the client to take it.
    if let Some(blocked) = flow.blocked() {
        return blocked;
    }
    if connection.under_way() > 0 {
        return Stand::Busy;
    }
    match watch.phase() {
        Phase::Idle if connection.requests() == 0 => Stand::Fresh,
        Phase::Idle => Stand::Idle,
        Phase::Head => Stand::Head,
        // What is left of a refused request is hyper's to drain or to close, soon.
        Phase::Body | Phase::Upgrade | Phase::Tunnel | Phase::Over => Stand::Leftover,
    }
}

/// Waits until the client of a parked connection sends something; not for ever, and not while draining.
async fn wakes<S: Carrier>(worker: &Worker, wire: &Wire<S>, pace: &mut Pace) -> bool {
    poll_fn(|cx| {
        if worker.draining.get() || pace.poll(cx, || Stand::Idle).is_ready() {
            return Poll::Ready(false);
        }
        wire.stream().poll_readable(cx).map(|ready| ready.is_ok())
    })
    .await
}

/// Ends a connection so that the client reads the last answer. If it may still be sending, what comes is taken for a
/// moment: data that nobody reads would reset the connection under the answer (RFC 9112, section 9.6).
async fn part<S: AsyncRead + AsyncWrite + Carrier + Unpin>(worker: &Worker, mut wire: Wire<S>) {
    let is_done = wire.watch().phase() == Phase::Idle;
    let stream = wire.stream_mut();
    stream.bid_farewell();
    let parting = async {
        stream.flush().await?;
        if is_done {
            return Ok(());
        }
        stream.shutdown().await?;
        let mut scrap = vec![0; 4096];
        let mut left = limits::LINGERING_BYTES;
        while left > 0 {
            let read = stream.read(&mut scrap).await?;
            if read == 0 {
                break;
            }
            left = left.saturating_sub(read);
        }
        Ok::<_, std::io::Error>(())
    };
    // The client is gone either way.
    let _ended: Option<Result<(), _>> = worker.deadlines.after(LINGERING).bound(pin!(parting)).await;
}

/// How long a client may go on sending to a connection whose answer is given.
const LINGERING: Duration = Duration::from_secs(2);
