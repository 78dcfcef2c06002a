//! Whether this gateway should be sent requests, for whoever balances over several.
//! The workers and whoever runs them write; `/readyz` reads. Parts that every gateway shares (backends, the
//! vault) are shown beside it and never make it unready: they would take all gateways out at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// Where the process stands. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No snapshot yet.
    Starting,
    /// Serving.
    Ready,
    /// Told to end; connections still finish.
    Draining,
}

impl Phase {
    /// The word in `/readyz`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// The state that all threads share, at first that of a process that starts; a clone is the same state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<State>);

/// Numbers that any thread may write: they change a few times in the life of a process.
#[derive(Debug, Default)]
struct State {
    phase: AtomicU8,
    listeners: AtomicUsize,
    workers: AtomicUsize,
}

/// `State::phase` of a process that is ready. 0 is starting.
const READY: u8 = 1;
/// `State::phase` of a process that drains.
const DRAINING: u8 = 2;

impl Readiness {
    /// The first snapshot is there. Nothing changes if the process drains already.
    pub(crate) fn ready(&self) {
        self.0.phase.fetch_max(READY, Ordering::AcqRel);
    }

    /// The process was told to end. There is no way back.
    pub(crate) fn drain(&self) {
        self.0.phase.fetch_max(DRAINING, Ordering::AcqRel);
    }

    /// Where the process stands.
    pub(crate) fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            READY => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// A listening socket accepts, until the returned value is dropped.
    pub(crate) fn listening(&self) -> Part {
        Part::begin(Arc::clone(&self.0), |state| &state.listeners)
    }

    /// A worker runs, until the returned value is dropped, also by a panic that ends its thread.
    pub(crate) fn working(&self) -> Part {
        Part::begin(Arc::clone(&self.0), |state| &state.workers)
    }

    /// Listening sockets that accept.
    pub(crate) fn listeners(&self) -> usize {
        self.0.listeners.load(Ordering::Acquire)
    }

    /// Workers that run.
    pub(crate) fn workers(&self) -> usize {
        self.0.workers.load(Ordering::Acquire)
    }

    /// Whether requests should come: there is a snapshot, a listener and a worker, and no drain.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready && self.listeners() > 0 && self.workers() > 0
    }
}

/// The vault's store, as it was when it was asked last; at first one that nobody has reached. A clone is the same state.
#[derive(Clone, Debug)]
pub(crate) struct StoreState {
    /// `sqlite`, `postgres` or `redis`.
    pub(crate) kind: &'static str,
    reachable: Arc<AtomicBool>,
}

impl StoreState {
    /// That of a store of this kind.
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, reachable: Arc::default() }
    }

    /// It was asked, and answered.
    pub(crate) fn up(&self) {
        self.reachable.store(true, Ordering::Release);
    }

    /// It was asked, and did not answer.
    pub(crate) fn down(&self) {
        self.reachable.store(false, Ordering::Release);
    }

    /// Whether it answered last time.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Acquire)
    }
}

/// Something that runs as long as this is kept.
#[derive(Debug)]
#[must_use = "what is dropped counts as ended"]
pub(crate) struct Part {
    state: Arc<State>,
    number: fn(&State) -> &AtomicUsize,
}

impl Part {
    /// One more.
    fn begin(state: Arc<State>, number: fn(&State) -> &AtomicUsize) -> Self {
        number(&state).fetch_add(1, Ordering::AcqRel);
        Self { state, number }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        (self.number)(&self.state).fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_a_snapshot_a_listener_and_a_worker() {
        let readiness = Readiness::default();
        assert_eq!((readiness.phase(), readiness.is_ready()), (Phase::Starting, false));
        let worker = readiness.working();
        let listener = readiness.listening();
        assert!(!readiness.is_ready());
        readiness.ready();
        assert!(readiness.is_ready());
        drop(listener);
        assert!(!readiness.is_ready());
        let _listener = readiness.listening();
        drop(worker);
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_drain_is_final() {
        let readiness = Readiness::default();
        let _parts = (readiness.working(), readiness.listening());
        readiness.drain();
        readiness.ready();
        assert_eq!((readiness.phase(), readiness.is_ready()), (Phase::Draining, false));
    }
}
