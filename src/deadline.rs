//! Coarse deadlines of one core: a slot each, looked at once a tick, instead of a timer each. A connection or request
//! that waits costs no timer wheel and no allocation; a deadline passes up to one tick late, and never early.
//! The owner of the core calls `sweep` every `limits::TICK`.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::limits;

/// The deadlines of one core, and its coarse time.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    /// Milliseconds since `started`, as of the last sweep.
    now: Cell<u64>,
    entries: RefCell<Slab<Entry>>,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    waker: Option<Waker>,
}

/// One deadline. Dropping it frees its slot.
#[derive(Debug)]
pub(crate) struct Deadline {
    owner: Rc<Inner>,
    key: usize,
}

impl Deadlines {
    /// No deadlines, time zero.
    pub(crate) fn new() -> Self {
        Self(Rc::new(Inner { started: Instant::now(), now: Cell::new(0), entries: RefCell::default() }))
    }

    /// A deadline that passes after `wait`, rounded up to a tick.
    pub(crate) fn after(&self, wait: Duration) -> Deadline {
        let at = self.0.due(wait);
        let key = self.0.entries.borrow_mut().insert(Entry { at, waker: None });
        Deadline { owner: Rc::clone(&self.0), key }
    }

    /// Coarse milliseconds, for measuring what need not be exact.
    pub(crate) fn now_millis(&self) -> u64 {
        self.0.now.get()
    }

    /// Moves the coarse time on and wakes what has passed.
    pub(crate) fn sweep(&self) {
        let since = self.0.started.elapsed().as_millis();
        let now = u64::try_from(since).unwrap_or(u64::MAX);
        self.0.now.set(now);
        self.wake(|entry| entry.at <= now);
    }

    /// Wakes everything that waits, passed or not: something that all look at has changed.
    pub(crate) fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, which: impl Fn(&Entry) -> bool) {
        // Collected first: waking may run code that adds or drops deadlines.
        let due: Vec<Waker> = self
            .0
            .entries
            .borrow_mut()
            .iter_mut()
            .filter(|(_, entry)| which(entry))
            .filter_map(|(_, entry)| entry.waker.take())
            .collect();
        due.into_iter().for_each(Waker::wake);
    }
}

impl Inner {
    fn due(&self, wait: Duration) -> u64 {
        // From now, not from the last sweep: a core that was busy for long sweeps late.
        let at = self.started.elapsed().saturating_add(wait).saturating_add(limits::TICK);
        u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Deadline {
    /// Starts over: passes after `wait` from now.
    pub(crate) fn reset(&self, wait: Duration) {
        let at = self.owner.due(wait);
        if let Some(entry) = self.owner.entries.borrow_mut().get_mut(self.key) {
            entry.at = at;
        }
    }

    /// Ready once it has passed; until then the task is woken when it does.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut entries = self.owner.entries.borrow_mut();
        let Some(entry) = entries.get_mut(self.key) else {
            return Poll::Ready(());
        };
        if entry.at <= self.owner.now.get() {
            return Poll::Ready(());
        }
        match &entry.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => entry.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Waits until it has passed.
    pub(crate) async fn passed(&self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    /// Runs `work` until it is done or the deadline has passed, which gives `None`.
    /// Takes it pinned: by value, the waiting future would hold it twice.
    pub(crate) async fn bound<T>(&self, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // The waker is dropped after the borrow ends: it may own the task that owns other deadlines.
        let freed = self.owner.entries.borrow_mut().try_remove(self.key);
        drop(freed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn poll_once(deadline: &Deadline) -> Poll<()> {
        let mut passed = pin!(deadline.passed());
        passed.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_deadline_never_passes_early_and_passes_at_a_sweep() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.after(Duration::from_millis(50));
        assert!(poll_once(&deadline).is_pending());
        deadlines.0.now.set(149);
        assert!(poll_once(&deadline).is_pending(), "a tick is added");
        deadlines.0.now.set(100_000);
        assert!(poll_once(&deadline).is_ready());
    }

    #[test]
    fn a_reset_deadline_starts_over() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.after(Duration::from_millis(50));
        deadlines.0.now.set(200);
        deadline.reset(Duration::from_secs(50));
        assert!(poll_once(&deadline).is_pending());
    }

    #[test]
    fn a_dropped_deadline_leaves_no_slot_behind() {
        let deadlines = Deadlines::new();
        drop(deadlines.after(Duration::ZERO));
        assert!(deadlines.0.entries.borrow().is_empty());
    }
}
