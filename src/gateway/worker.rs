//! One core: a thread with its own single-threaded runtime. A connection that it takes stays on it, with all its requests
//! and their upstream connections; nothing of them is shared with another core, so nothing is locked.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

use crate::gateway::connection::{self, Service};
use crate::gateway::listener::{Accepted, Door, Listener, accept};
use crate::gateway::readiness::Readiness;
use crate::limits;
use crate::pipeline::lifetimes::{Shared, Worker};
use crate::snapshot::Snapshot;
use crate::telemetry::access_log::Lines;

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Serve this connection.
    Take(Box<Accepted>),
    /// Accept nothing more; finish what is under way.
    Drain,
    /// End now, whatever is under way.
    Stop,
}

/// What a worker starts with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Its number.
    pub(crate) id: usize,
    /// What it shares with the others.
    pub(crate) shared: Arc<Shared>,
    /// Its part of the access log.
    pub(crate) lines: Lines,
    /// Its first snapshot.
    pub(crate) snapshot: Arc<Snapshot>,
    /// What it does with a connection.
    pub(crate) service: Service,
    /// What it is told.
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Told that it runs, and that its listeners accept.
    pub(crate) readiness: Readiness,
    /// The listeners, on the first worker only.
    pub(crate) listeners: Vec<(Listener, Door)>,
}

/// Starts the thread. It ends when it is told to stop.
pub(crate) fn start(start: Start) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new().name(format!("worker-{}", start.id)).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        runtime.block_on(work(start))
    })
}

async fn work(start: Start) -> io::Result<()> {
    let Start { id, shared, lines, snapshot, service, mut orders, readiness, listeners } = start;
    let _running = readiness.working();
    let worker = Worker::new(id, shared, lines, snapshot);
    let ticking = spawn_local(tick(Rc::clone(&worker)));
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|(listener, door)| {
            let listening = readiness.listening();
            let accepting = accept(listener, door, Rc::clone(&worker));
            spawn_local(async move {
                let _listening = listening;
                accepting.await
            })
        })
        .collect();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Take(accepted) => take(&worker, &service, *accepted),
            Order::Drain => {
                accepting.iter().for_each(tokio::task::JoinHandle::abort);
                worker.draining.set(true);
                worker.deadlines.wake_all();
            }
            Order::Stop => break,
        }
    }
    ticking.abort();
    worker.lines.borrow_mut().flush();
    Ok(())
}

fn take(worker: &Rc<Worker>, service: &Service, accepted: Accepted) {
    match TcpStream::from_std(accepted.stream) {
        Ok(stream) => {
            let held = (accepted.permit, accepted.load);
            connection::spawn(Rc::clone(worker), service.clone(), stream, accepted.peer, held);
        }
        Err(fault) => tracing::warn!(%fault, "cannot take a connection over; it was closed"),
    }
}

async fn tick(worker: Rc<Worker>) -> ! {
    let mut ticks = interval(limits::TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.tick();
    }
}
