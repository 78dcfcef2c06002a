//! What is counted of grants and of caches. What requests touch is one set a core; what the control plane does is tallied.
//! Knows no names but those of the closed sets here.

use crate::telemetry::counters::{Counter, Gauge, Tally};

/// What grants come to at a request: the places of `Tables::grants`.
const STANDINGS: usize = 6;

/// One provider's grants of one app, as requests need them: one set a core.
#[derive(Debug, Default)]
pub struct GrantUse([Counter; STANDINGS]);

impl GrantUse {
    /// Counts a grant that a request needed, by what it came to.
    #[inline]
    pub fn came_to(&self, standing: usize) {
        debug_assert!(standing < STANDINGS, "no standing has the number {standing}");
        if let Some(counter) = self.0.get(standing) {
            counter.add(1);
        }
    }

    /// In the order of `Tables::grants`.
    pub(super) fn all(&self) -> &[Counter] {
        &self.0
    }
}

/// One provider's grants of one app, as the control plane keeps them.
#[derive(Debug, Default)]
pub struct GrantCounters {
    /// Consents that were kept.
    pub granted: Tally,
    /// Refresh tokens that became new tokens.
    pub refreshed: Tally,
    /// Refresh tokens that the provider refused for good.
    pub refused: Tally,
    /// Refreshes that failed and may succeed later.
    pub failed: Tally,
    /// Grants that were taken back.
    pub revoked: Tally,
    /// Grants that went with an uninstalled app.
    pub purged: Tally,
    /// Grants whose chain of refresh tokens ends within 14 days.
    pub ending: Gauge,
}

impl GrantCounters {
    /// The tallies with their labels.
    pub(super) fn happenings(&self) -> [(&'static str, &Tally); 6] {
        [
            ("failed", &self.failed),
            ("granted", &self.granted),
            ("purged", &self.purged),
            ("refreshed", &self.refreshed),
            ("refused", &self.refused),
            ("revoked", &self.revoked),
        ]
    }
}

/// A cache of the control plane.
#[derive(Debug, Default)]
pub struct CacheCounters {
    /// Answered from the cache.
    pub hit: Tally,
    /// Asked for.
    pub miss: Tally,
    /// Could not be asked for; what was known before was used.
    pub stale: Tally,
    /// Could not be asked for, and nothing was known.
    pub failed: Tally,
}

impl CacheCounters {
    /// The tallies with their labels.
    pub(super) fn results(&self) -> [(&'static str, &Tally); 4] {
        [("failed", &self.failed), ("hit", &self.hit), ("miss", &self.miss), ("stale", &self.stale)]
    }
}
