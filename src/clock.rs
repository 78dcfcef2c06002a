//! The one source of time. Wall time judges tokens; tests move it. Durations are measured with `Instant`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the wall time. Cheap to clone; all clones tell the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub(crate) fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `unix`.
    pub(crate) fn standing_at(unix: i64) -> Self {
        Self(Source::Set(Arc::new(AtomicI64::new(unix))))
    }

    /// Moves a standing clock and all its clones, as only a test does. The machine's clock ignores it.
    #[cfg(test)]
    pub(crate) fn set(&self, unix: i64) {
        if let Source::Set(now) = &self.0 {
            now.store(unix, Ordering::Relaxed);
        }
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down (RFC 7519, "`NumericDate`").
    pub(crate) fn unix_seconds(&self) -> i64 {
        match &self.0 {
            Source::Set(now) => now.load(Ordering::Relaxed),
            Source::System => i64::try_from(self.unix_millis() / 1000).unwrap_or(i64::MAX),
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z. A machine whose clock is before that is told 0: every token is then refused.
    #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
    pub(crate) fn unix_millis(&self) -> u64 {
        match &self.0 {
            Source::Set(now) => u64::try_from(now.load(Ordering::Relaxed)).unwrap_or(0) * 1000,
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_told_and_with_all_its_clones() {
        let clock = Clock::standing_at(100);
        let other = clock.clone();
        clock.set(250);
        assert_eq!((other.unix_seconds(), other.unix_millis()), (250, 250_000));
    }
}
