//! What lives longer than a request. `Shared`: the process. `Worker`: one core, for as long as the process. `Installed`: a
//! snapshot on that core, until the next one and the end of the last request that began with it. `Connection`: one client.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::authorize::door::Door;
use crate::clock::Clock;
use crate::deadline::Deadlines;
use crate::grants::port::{self, Port};
use crate::issuers::copies::Copies;
use crate::pipeline::guard::watch::{UpgradeOutcome, Watch};
use crate::pipeline::peer::{Client, ConnInfo, ForwardedValues, Trust};
use crate::pipeline::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::telemetry::access_log::Lines;
use crate::telemetry::metrics::{Metrics, ProcessCounters};
use crate::upstream::pool::{Pool, Slot};
use crate::upstream::stream::Stream;

/// What all cores share. Read by requests, written by the control plane.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Wall time.
    pub(crate) clock: Clock,
    /// All counters.
    pub(crate) metrics: Arc<Metrics>,
    /// To the pages that the gateway serves.
    pub(crate) door: Door,
    /// To what is known of grants; none without a vault.
    pub(crate) grants: Option<Port>,
}

/// One core.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its number, from 0: its place in every `PerWorker`.
    pub(crate) id: usize,
    /// What it shares with the others.
    pub(crate) shared: Arc<Shared>,
    /// Its deadlines and coarse time.
    pub(crate) deadlines: Deadlines,
    /// Its part of the access log.
    pub(crate) lines: RefCell<Lines>,
    /// What it was told of grants.
    pub(crate) copies: RefCell<port::Copies>,
    /// Its copies of the issuers' keys.
    pub(crate) keys: Copies,
    installed: RefCell<Rc<Installed>>,
    request_ids: RequestIds,
    /// The HTTP/2 stream that is being polled.
    pub(crate) stream: RefCell<Option<Rc<Progress>>>,
    /// Set when the process drains: connections take no further request.
    pub(crate) draining: Cell<bool>,
}

/// A snapshot with this core's connections to its upstreams.
#[derive(Debug)]
pub(crate) struct Installed {
    /// The snapshot.
    pub(crate) snapshot: Arc<Snapshot>,
    /// In the order of the snapshot's upstreams.
    pub(crate) pools: Vec<Rc<Pool>>,
}

/// One client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Who is there, and over what.
    pub(crate) peer: ConnInfo,
    /// What the guard on the wire knows; HTTP/1 only.
    pub(crate) watch: Option<Rc<Watch>>,
    /// Set by a request whose WebSocket handshake the backend has accepted.
    pub(crate) tunnel: RefCell<Option<Tunnel>>,
    requests: Cell<u64>,
    under_way: Cell<usize>,
    /// What backends were told of this client last, and for which host: mostly the same again.
    introduction: RefCell<Option<(HeaderValue, ForwardedValues)>>,
}

/// The backend's half of an accepted WebSocket.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// The bare stream.
    pub(crate) stream: Stream,
    /// What the backend sent right behind its 101.
    pub(crate) early: Bytes,
    /// Counts the connection for as long as the tunnel lasts.
    pub(crate) slot: Slot,
}

impl Worker {
    /// A core with its first snapshot.
    pub(crate) fn new(id: usize, shared: Arc<Shared>, lines: Lines, snapshot: Arc<Snapshot>) -> Rc<Self> {
        let deadlines = Deadlines::new();
        let installed = Installed::new(id, snapshot, &deadlines);
        Rc::new(Self {
            id,
            shared,
            deadlines,
            lines: RefCell::new(lines),
            copies: RefCell::default(),
            keys: Copies::default(),
            installed: RefCell::new(Rc::new(installed)),
            request_ids: RequestIds::new(),
            stream: RefCell::default(),
            draining: Cell::new(false),
        })
    }

    /// The snapshot that a request begins with.
    pub(crate) fn installed(&self) -> Rc<Installed> {
        Rc::clone(&self.installed.borrow())
    }

    /// This core's share of the process' counters.
    pub(crate) fn counters(&self) -> &ProcessCounters {
        self.shared.metrics.process().get(self.id)
    }

    /// An id for a request that brought none.
    pub(crate) fn request_id(&self) -> HeaderValue {
        self.request_ids.next()
    }

    /// Once a tick: deadlines, idle connections, the access log.
    pub(crate) fn tick(&self) {
        self.deadlines.sweep();
        let installed = self.installed();
        installed.pools.iter().for_each(|pool| pool.sweep());
        self.lines.borrow_mut().flush();
    }
}

impl Installed {
    fn new(worker: usize, snapshot: Arc<Snapshot>, deadlines: &Deadlines) -> Self {
        let pool = |upstream| Pool::new(Arc::clone(upstream), worker, deadlines.clone());
        let pools = snapshot.upstreams.iter().map(pool).collect();
        Self { snapshot, pools }
    }
}

/// How far the client of one HTTP/2 stream has taken its answer.
#[derive(Debug, Default)]
pub(crate) struct Progress(Cell<Option<u64>>);

impl Progress {
    /// Pieces that were taken; none before there is an answer.
    pub(crate) fn taken(&self) -> Option<u64> {
        self.0.get()
    }

    /// The answer begins, or its next piece was asked for.
    pub(crate) fn advance(&self) {
        self.0.set(Some(self.0.get().unwrap_or(0) + 1));
    }
}

/// A request that is being answered, from its head to the last byte of its answer.
#[derive(Debug)]
pub(crate) struct Answering(Rc<Connection>);

impl Connection {
    /// A connection without requests yet.
    pub(crate) fn new(peer: ConnInfo, watch: Option<Rc<Watch>>) -> Rc<Self> {
        Rc::new(Self {
            peer,
            watch,
            tunnel: RefCell::default(),
            requests: Cell::new(0),
            under_way: Cell::new(0),
            introduction: RefCell::default(),
        })
    }

    /// A request begins.
    pub(crate) fn begin(self: &Rc<Self>) -> Answering {
        self.requests.set(self.requests.get() + 1);
        self.under_way.set(self.under_way.get() + 1);
        Answering(Rc::clone(self))
    }

    /// What the backend of a request to `host` is told of the client.
    pub(crate) fn introduce(&self, client: &Client, host: &HeaderValue) -> ForwardedValues {
        if client.trust == Trust::Trusted {
            return client.forwarded_values(host);
        }
        let mut introduction = self.introduction.borrow_mut();
        match &*introduction {
            Some((known, values)) if known == host => values.clone(),
            _ => {
                // A copy: the field itself is a part of the buffer that the request came in.
                let own = HeaderValue::from_bytes(host.as_bytes()).unwrap_or_else(|_impossible| host.clone());
                let values = client.forwarded_values(&own);
                introduction.insert((own, values)).1.clone()
            }
        }
    }

    /// Requests handed over so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Requests whose answers have not ended.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// Why the guard on the wire refused the request that began last, if it did.
    pub(crate) fn refused_on_the_wire(&self) -> Option<Refusal> {
        self.watch.as_ref()?.refusal_for(self.requests.get())
    }

    /// Tells the guard on the wire what became of a WebSocket handshake.
    pub(crate) fn resolve_upgrade(&self, status: StatusCode) {
        if let Some(watch) = &self.watch {
            watch.resolve_upgrade(match status {
                StatusCode::SWITCHING_PROTOCOLS => UpgradeOutcome::Accepted,
                _ => UpgradeOutcome::Refused,
            });
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        if let Some(watch) = &self.0.watch {
            watch.answered();
        }
    }
}

/// Ids that are unique over cores and restarts: random once, then counted.
#[derive(Debug)]
struct RequestIds {
    prefix: u64,
    next: Cell<u64>,
}

impl RequestIds {
    fn new() -> Self {
        let mut random = [0; 16];
        // Uniqueness is all that is asked of an id: zeros still count up.
        let filled = aws_lc_rs::rand::fill(&mut random);
        debug_assert!(filled.is_ok(), "the system has no randomness");
        let number = u128::from_ne_bytes(random);
        let [prefix, start] =
            [number, number >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        Self { prefix, next: Cell::new(start) }
    }

    fn next(&self) -> HeaderValue {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut text = Vec::with_capacity(32);
        for half in [self.prefix, number] {
            text.extend(half.to_be_bytes().iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
        }
        HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("none"))
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_32_hex_digits_and_all_different() {
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert!(first.len() == 32 && first.as_bytes().iter().all(u8::is_ascii_hexdigit));
        assert_ne!(RequestIds::new().next(), RequestIds::new().next());
    }
}
