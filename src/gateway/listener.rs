//! The listening sockets: opened once for the life of the process, accepted from on the first worker, and each connection
//! handed to the worker that has the fewest. It stays there.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::gateway::connection;
use crate::gateway::worker::Order;
use crate::pipeline::lifetimes::Worker;

/// Connections that the system keeps while nobody accepts.
const BACKLOG: i32 = 4096;
/// Pause after an accept that failed for want of descriptors or memory: trying again at once would burn a core.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: StdListener,
    /// Where it really listens: the port, if the configuration left it open.
    pub(crate) address: SocketAddr,
}

/// A connection on its way to its worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The socket.
    pub(crate) stream: StdStream,
    /// Who is there.
    pub(crate) peer: SocketAddr,
    /// One of `limits.connections`.
    pub(crate) permit: OwnedSemaphorePermit,
    /// Counts towards its worker's load.
    pub(crate) load: Load,
}

/// How many connections each worker has.
#[derive(Clone, Debug)]
pub(crate) struct Loads(Arc<[AtomicUsize]>);

/// One connection of one worker; uncounted when dropped.
#[derive(Debug)]
pub(crate) struct Load {
    loads: Loads,
    worker: usize,
}

/// Why there is no listening socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub(crate) struct BindFault {
    address: SocketAddr,
    source: io::Error,
}

impl Listener {
    /// Opens the socket. Fails if another process has it: two gateways must not share a port unknowingly.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, BindFault> {
        let open = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // Only lets a restart have the port while old connections end; it shares nothing.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let socket = StdListener::from(socket);
            Ok(Self { address: socket.local_addr()?, socket })
        };
        open().map_err(|source| BindFault { address, source })
    }
}

impl Loads {
    /// None yet.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicUsize::new(0)).collect())
    }

    /// Counts a connection for the worker that has the fewest.
    fn least(&self) -> Load {
        let load = |(_, count): &(usize, &AtomicUsize)| count.load(Ordering::Relaxed);
        let worker = self.0.iter().enumerate().min_by_key(load).map_or(0, |(worker, _)| worker);
        if let Some(count) = self.0.get(worker) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Load { loads: self.clone(), worker }
    }

    /// Connections of all workers.
    pub(crate) fn sum(&self) -> usize {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(count) = self.loads.0.get(self.worker) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What accepting needs.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// One permit for each of `limits.connections`: without one, connections wait in the backlog.
    pub(crate) permits: Arc<Semaphore>,
    /// Who has how many.
    pub(crate) loads: Loads,
    /// The workers, in their order.
    pub(crate) workers: Vec<mpsc::Sender<Order>>,
    /// What is done with each connection.
    pub(crate) service: connection::Service,
}

/// Accepts until the worker drains. Runs on the first worker.
pub(crate) async fn accept(listener: Listener, door: Door, worker: Rc<Worker>) -> io::Result<()> {
    let listening = TcpListener::from_std(listener.socket)?;
    loop {
        let Ok(permit) = Arc::clone(&door.permits).acquire_owned().await else {
            return Ok(());
        };
        let (stream, peer) = match listening.accept().await {
            Ok(accepted) => accepted,
            Err(fault) if is_the_peers(&fault) => continue,
            Err(fault) => {
                tracing::warn!(%fault, address = %listener.address, "cannot accept");
                worker.deadlines.after(PAUSE).passed().await;
                continue;
            }
        };
        let load = door.loads.least();
        hand_over(&door, &worker, (stream, peer), (permit, load));
    }
}

fn is_the_peers(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn hand_over(
    door: &Door,
    worker: &Rc<Worker>,
    (stream, peer): (TcpStream, SocketAddr),
    (permit, load): (OwnedSemaphorePermit, Load),
) {
    if load.worker == worker.id {
        connection::spawn(Rc::clone(worker), door.service.clone(), stream, peer, (permit, load));
        return;
    }
    let Some(other) = door.workers.get(load.worker) else { return };
    let Ok(stream) = stream.into_std() else { return };
    let accepted = Accepted { stream, peer, permit, load };
    if other.try_send(Order::Take(Box::new(accepted))).is_err() {
        tracing::warn!("a worker does not take connections fast enough; one was closed");
    }
}
