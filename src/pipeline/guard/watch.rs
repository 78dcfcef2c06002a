//! What a connection knows of its `Wire`: where in a message the client is, which request was refused, how many bytes passed;
//! and the few things it tells it: the head took too long, the upgrade was accepted. One per client connection, shared by
//! `Rc` on one thread. Decides nothing itself.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

use crate::pipeline::refusal::{Malformed, Refusal};

/// Where the client is in what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between two messages; nothing of the next has come. Answers may still be under way.
    #[default]
    Idle,
    /// Part of a head has come.
    Head,
    /// A body is under way.
    Body,
    /// A WebSocket handshake has come, and bytes behind it wait for `resolve_upgrade`.
    Upgrade,
    /// The handshake was accepted: everything passes unread.
    Tunnel,
    /// A request was refused, or a body is broken: nothing more of the client is read.
    Over,
}

/// What became of a WebSocket handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpgradeOutcome {
    /// 101 was or is being sent: what follows is no HTTP.
    Accepted,
    /// Another status: what follows is the next request.
    Refused,
}

/// The state that a `Wire` and its connection share.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Written by the wire after every read.
    phase: Cell<Phase>,
    /// Heads that hyper was or is about to be given, a substitute included.
    heads: Cell<u64>,
    /// The request that is answered with a refusal, and why. There is one at most: nothing after it is read.
    refused: RefCell<Option<(u64, Refusal)>>,
    /// What is wrong with the body that is under way.
    broken: Cell<Option<Malformed>>,
    /// Bytes that have come and hyper has not been given.
    withheld: Cell<usize>,
    /// The sweeper gave the head up.
    expired: Cell<bool>,
    /// Answer to the handshake under way.
    upgrade: Cell<Option<UpgradeOutcome>>,
    /// Requests whose answers have ended.
    answers: Cell<u64>,
    /// Of the last read that found nothing.
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// Where the client is.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// How many requests hyper was given: the ordinal of the last one. Grows over the connection's whole life, also when
    /// hyper's side of it is dropped and built anew.
    pub(crate) fn heads_delivered(&self) -> u64 {
        self.heads.get()
    }

    /// Why request number `ordinal` (the first is 1, in the order in which hyper calls the service) is refused, if it is. What
    /// the service was given is then a substitute; after its answer hyper closes.
    pub(crate) fn refusal_for(&self, ordinal: u64) -> Option<Refusal> {
        self.refused.borrow().as_ref().filter(|(refused, _)| *refused == ordinal).map(|(_, refusal)| refusal.clone())
    }

    /// What is wrong with the body of the last request, if its chunks are malformed: reading it then ends in an error.
    pub(crate) fn broken(&self) -> Option<Malformed> {
        self.broken.get()
    }

    /// Bytes of the client are held back. A connection with some must not be parked; hyper would not be woken for them.
    pub(crate) fn has_withheld_bytes(&self) -> bool {
        self.withheld.get() > 0
    }

    /// The head took too long: unless it is complete by now, the request is answered with `HeadTooSlow`. Also for a
    /// connection whose first head never began.
    pub(crate) fn expire_head(&self) {
        if matches!(self.phase.get(), Phase::Idle | Phase::Head) {
            self.expired.set(true);
            self.wake();
        }
    }

    /// Says what became of the handshake under way; must be called for each, or the connection reads nothing more. Before
    /// the 101 is sent, so that the client's first frame finds the tunnel open.
    pub(crate) fn resolve_upgrade(&self, outcome: UpgradeOutcome) {
        if self.phase.get() == Phase::Upgrade {
            self.upgrade.set(Some(outcome));
            self.wake();
        }
    }

    /// An answer has ended. If the client has closed its side meanwhile, hyper may now hear of it.
    pub(crate) fn answered(&self) {
        self.answers.set(self.answers.get().saturating_add(1));
        self.wake();
    }

    /// Whether a request that hyper was given is still being answered.
    pub(crate) fn is_answering(&self) -> bool {
        self.answers.get() < self.heads.get()
    }

    /// Has the connection's task polled.
    pub(crate) fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The wire found nothing to read: who is to be woken when the state changes from this side.
    pub(crate) fn sleep(&self, cx: &Context<'_>) {
        let mut sleeper = self.waker.borrow_mut();
        if !sleeper.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *sleeper = Some(cx.waker().clone());
        }
    }

    /// The wire's own report after a read.
    pub(crate) fn report(&self, phase: Phase, withheld: usize) {
        self.phase.set(phase);
        self.withheld.set(withheld);
    }

    /// A head passed.
    pub(crate) fn count_head(&self) {
        self.heads.set(self.heads.get().saturating_add(1));
        self.expired.set(false);
    }

    /// A head did not pass; its substitute counts as one.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.count_head();
        self.refused.replace(Some((self.heads.get(), refusal)));
    }

    /// The body under way is malformed.
    pub(crate) fn break_body(&self, malformed: Malformed) {
        self.broken.set(Some(malformed));
    }

    /// Whether `expire_head` was called since the last head.
    pub(crate) fn take_expired(&self) -> bool {
        self.expired.take()
    }

    /// What `resolve_upgrade` said, once.
    pub(crate) fn take_upgrade(&self) -> Option<UpgradeOutcome> {
        self.upgrade.take()
    }
}
