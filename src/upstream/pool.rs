//! One core's connections to one backend: the newest idle one first, a new one if none is left, at most
//! `max_connections` over all cores. A connection comes back only when both sides of its exchange have ended cleanly.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use crate::deadline::Deadlines;
use crate::limits;
use crate::telemetry::metrics::UpstreamCounters;
use crate::upstream::Upstream;
use crate::upstream::connect::{ConnectFault, connect};
use crate::upstream::link::Link;

/// The pool. Lives as long as its upstream is in the snapshot, across reloads that leave it as it is.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Whose connections these are.
    pub(crate) upstream: Arc<Upstream>,
    worker: usize,
    deadlines: Deadlines,
    idle: RefCell<Vec<Idle>>,
    waiting: Cell<usize>,
    freed: Notify,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: u64,
}

/// A connection that is lent out.
#[derive(Debug)]
pub(crate) struct Lent {
    /// The connection.
    pub(crate) link: Box<Link>,
    /// Whether it had served a request before: such a one may have been closed unseen.
    pub(crate) age: Age,
}

/// Whether a connection is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Just made.
    New,
    /// Kept from an earlier request.
    Kept,
}

/// Why there is no connection to lend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutFault {
    /// None could be made.
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    /// All `max_connections` stayed in use for `connect_timeout`.
    #[error("all max_connections are in use")]
    Exhausted,
}

/// One of the `max_connections`; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    pool: Rc<Pool>,
    is_idle: Cell<bool>,
}

impl Pool {
    /// No connections yet.
    pub(crate) fn new(upstream: Arc<Upstream>, worker: usize, deadlines: Deadlines) -> Rc<Self> {
        Rc::new(Self {
            upstream,
            worker,
            deadlines,
            idle: RefCell::default(),
            waiting: Cell::new(0),
            freed: Notify::new(),
        })
    }

    /// This core's counters for this upstream.
    pub(crate) fn counters(&self) -> &UpstreamCounters {
        self.upstream.counters.get(self.worker)
    }

    /// Lends a connection: the newest idle one that is still open, or a new one.
    pub(crate) async fn checkout(self: &Rc<Self>) -> Result<Lent, CheckoutFault> {
        if let Some(link) = self.kept() {
            return Ok(Lent { link, age: Age::Kept });
        }
        let Some(slot) = Slot::take(self) else {
            return Box::pin(self.wait()).await;
        };
        // In a box: most requests find a kept connection, and their futures need not have room for a TLS handshake.
        Box::pin(self.dial(slot)).await
    }

    /// A new connection, whatever is idle: for a request that met closed ones too often.
    pub(crate) async fn dial(self: &Rc<Self>, slot: Slot) -> Result<Lent, CheckoutFault> {
        let connected = connect(&self.upstream, &self.deadlines).await;
        let stream = match connected {
            Ok(stream) => stream,
            Err(fault) => {
                self.upstream.health.down();
                return Err(fault.into());
            }
        };
        self.upstream.health.up();
        let link = Link::start(stream, slot, self.upstream.idle_timeout)
            .await
            .map_err(|fault| ConnectFault::Io(std::io::Error::other(fault)))?;
        Ok(Lent { link: Box::new(link), age: Age::New })
    }

    async fn wait(self: &Rc<Self>) -> Result<Lent, CheckoutFault> {
        let _waiting = Waiting::new(self);
        let patience = self.deadlines.after(self.upstream.connect_timeout);
        loop {
            // What another core frees tells nobody here: look again once a tick.
            let tick = self.deadlines.after(limits::TICK);
            let mut freed = pin!(self.freed.notified());
            let mut look = pin!(tick.bound(freed.as_mut()));
            patience.bound(look.as_mut()).await.ok_or(CheckoutFault::Exhausted)?;
            if let Some(link) = self.kept() {
                return Ok(Lent { link, age: Age::Kept });
            }
            if let Some(slot) = Slot::take(self) {
                return self.dial(slot).await;
            }
        }
    }

    fn kept(&self) -> Option<Box<Link>> {
        let now = self.deadlines.now_millis();
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            if idle.link.still_open() && !idle.past(now) {
                idle.link.slot.busy();
                return Some(idle.link);
            }
        }
    }

    /// Takes a connection back, if it can serve another request; closes it otherwise.
    pub(crate) fn put_back(&self, link: Box<Link>) {
        if !link.is_ready() || link.idle_limit.is_zero() || (self.waiting.get() == 0 && self.wanted_elsewhere() > 0) {
            return;
        }
        let since = self.deadlines.now_millis();
        link.slot.idle();
        self.idle.borrow_mut().push(Idle { link, since });
        self.wake_one();
    }

    /// Closes what has been idle for too long, and what another core has a request for. Called once a tick.
    pub(crate) fn sweep(&self) {
        let now = self.deadlines.now_millis();
        let mut idle = self.idle.borrow_mut();
        // The oldest stand first.
        let past = idle.iter().take_while(|idle| idle.past(now)).count().max(self.wanted_elsewhere().min(idle.len()));
        let closed: Vec<Idle> = idle.drain(..past).collect();
        drop(idle);
        drop(closed);
    }

    /// How many requests on other cores wait because this and the other cores have all `max_connections`.
    fn wanted_elsewhere(&self) -> usize {
        let places = &self.upstream.places;
        if places.open.load(Ordering::Relaxed) < self.upstream.max_connections {
            return 0;
        }
        places.waiting.load(Ordering::Relaxed).saturating_sub(self.waiting.get())
    }

    fn wake_one(&self) {
        if self.waiting.get() > 0 {
            self.freed.notify_one();
        }
    }
}

impl Idle {
    fn past(&self, now: u64) -> bool {
        u128::from(now.saturating_sub(self.since)) >= self.link.idle_limit.as_millis()
    }
}

struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        pool.waiting.set(pool.waiting.get() + 1);
        pool.upstream.places.waiting.fetch_add(1, Ordering::Relaxed);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
        self.0.upstream.places.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot {
    /// One more connection, if the limit of the process allows it.
    pub(crate) fn take(pool: &Rc<Pool>) -> Option<Self> {
        let (open, most) = (&pool.upstream.places.open, pool.upstream.max_connections);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1)).ok()?;
        pool.counters().active.raise();
        Some(Self { pool: Rc::clone(pool), is_idle: Cell::new(false) })
    }

    /// Its connection waits for a request.
    fn idle(&self) {
        if !self.is_idle.replace(true) {
            self.pool.counters().active.lower();
            self.pool.counters().idle.raise();
        }
    }

    /// Its connection carries one.
    fn busy(&self) {
        if self.is_idle.replace(false) {
            self.pool.counters().idle.lower();
            self.pool.counters().active.raise();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.upstream.places.open.fetch_sub(1, Ordering::Relaxed);
        self.busy();
        self.pool.counters().active.lower();
        self.pool.wake_one();
    }
}
