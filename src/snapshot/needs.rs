//! Which grants a route puts into headers, and which of them it requires: made once a snapshot. Knows no grant and no user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::resolved;
use crate::monday::kinds::Kind;
use crate::oauth::provider::Provider;
use crate::telemetry::counters::PerWorker;
use crate::telemetry::grants::GrantUse;
use crate::telemetry::metrics::Metrics;

/// Numbers of all sets that a process has ever made.
static SETS: AtomicU64 = AtomicU64::new(0);

/// The grants of a route.
#[derive(Debug)]
pub(crate) struct Needs {
    /// Unlike that of every other set of this process, so that a core's copies are told apart by it.
    pub(crate) id: u64,
    /// `apps.NAME`.
    pub(crate) app: String,
    /// In the configuration's order, which is the order in `X-Monday-Grants`.
    pub(crate) grants: Vec<Need>,
    /// Whether a grant that is the account's may be used: not where its guests are let in.
    pub(crate) takes_shared: bool,
}

/// One grant of a route.
#[derive(Debug)]
pub(crate) struct Need {
    /// Where it is from.
    pub(crate) provider: Arc<Provider>,
    /// Without it the request is not forwarded.
    pub(crate) is_required: bool,
    /// One set a core.
    pub(crate) counters: Arc<PerWorker<GrantUse>>,
}

impl Needs {
    /// Whether there are requests that are not forwarded for want of a grant.
    pub(crate) fn requires_any(&self) -> bool {
        self.grants.iter().any(|need| need.is_required)
    }

    /// What a route needs of an app's grants; none if it needs nothing.
    pub(super) fn of(route: &resolved::Route, app: &str, metrics: &Metrics) -> Option<Arc<Self>> {
        let needs = route.grants.iter().map(|provider| Need {
            provider: Arc::clone(provider),
            is_required: route.require.iter().any(|required| required.name == provider.name),
            counters: metrics.grant_use(app, &provider.name),
        });
        let grants: Vec<Need> = needs.collect();
        let id = SETS.fetch_add(1, Ordering::Relaxed);
        let takes_shared = route.kind != Kind::View || route.allow.no_guests;
        (!grants.is_empty()).then(|| Arc::new(Self { id, app: app.to_owned(), grants, takes_shared }))
    }
}
