//! How long a client may take: for its head, between requests, and to take an answer. Looks at a connection a few times a
//! second instead of setting a timer for each step.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::config::resolved::Limits;
use crate::deadline::{Deadline, Deadlines};
use crate::limits;

/// Where a connection stands when it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Nothing of a first request has come.
    Fresh,
    /// Part of a head has come.
    Head,
    /// The rest of a request that has had its answer.
    Leftover,
    /// No request is under way.
    Idle,
    /// A request is under way, and the client takes what it is given.
    Busy,
    /// The client does not take what is written to it.
    Blocked {
        /// Bytes that it has taken so far: if they grow, it moves.
        taken: u64,
    },
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The head took too long.
    Head,
    /// Idle for long enough to give its buffers back.
    Park,
    /// Idle, or blocked, for too long.
    Close,
}

/// Watches one connection.
#[derive(Debug)]
pub(crate) struct Pace {
    deadlines: Deadlines,
    look: Deadline,
    every: Duration,
    stand: Stand,
    since: u64,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    head: Duration,
    idle: Duration,
    blocked: Duration,
}

/// How often a connection is looked at: what is due is noticed at most this late.
const LOOK: Duration = Duration::from_millis(250);

impl Pace {
    /// A connection that has just been made.
    pub(crate) fn new(deadlines: &Deadlines, limits: &Limits) -> Self {
        let bounds = Bounds { head: limits.head_timeout, idle: limits.idle_timeout, blocked: limits.body_idle_timeout };
        Self {
            look: deadlines.after(LOOK),
            deadlines: deadlines.clone(),
            every: LOOK,
            stand: Stand::Fresh,
            since: deadlines.now_millis(),
            bounds,
        }
    }

    /// Ready when something is due. `stand` is asked only when it is time to look.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, stand: impl Fn() -> Stand) -> Poll<Due> {
        while self.look.poll(cx).is_ready() {
            self.look.reset(self.every);
            if let Some(due) = self.judge(stand()) {
                return Poll::Ready(due);
            }
        }
        Poll::Pending
    }

    /// Looks less often from now on: an idle connection needs one look at its end.
    pub(crate) fn rest(&mut self) {
        self.every = self.bounds.idle;
        self.look.reset(self.bounds.idle.saturating_sub(limits::PARK_AFTER));
    }

    /// Looks often again.
    pub(crate) fn resume(&mut self) {
        self.every = LOOK;
        self.look.reset(LOOK);
        self.stand = Stand::Busy;
    }

    fn judge(&mut self, stand: Stand) -> Option<Due> {
        let now = self.deadlines.now_millis();
        if stand != self.stand {
            (self.stand, self.since) = (stand, now);
        }
        let lasted = Duration::from_millis(now.saturating_sub(self.since));
        match stand {
            Stand::Busy => None,
            Stand::Fresh | Stand::Leftover => (lasted >= self.bounds.head).then_some(Due::Close),
            Stand::Head => (lasted >= self.bounds.head).then_some(Due::Head),
            Stand::Idle if lasted >= self.bounds.idle => Some(Due::Close),
            Stand::Idle => (lasted >= limits::PARK_AFTER).then_some(Due::Park),
            Stand::Blocked { .. } => (lasted >= self.bounds.blocked).then_some(Due::Close),
        }
    }
}
