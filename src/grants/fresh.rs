//! Tokens that work. Refreshed on use, in the background, while the old one still does; waited for only when it is dead. Of many requests
//! in this process one begins a refresh, and all that wait get what came of it: `redeem` is the refresh itself.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
#[expect(clippy::disallowed_types, reason = "control plane only, and never held over an await")]
use std::sync::Mutex;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::grants::cache::Held;
use crate::grants::record::GrantKey;
use crate::grants::standing::{self, Life, Standing};
use crate::grants::{Down, Grants, Reach, Unusable, Who};
use crate::oauth::provider::Provider;

/// Failures that are remembered; more are forgotten early.
const FAILURES: u64 = 10_000;

/// A token to use.
#[derive(Clone)]
pub(crate) struct Fresh {
    /// The grant that it is of, with its version.
    pub(crate) held: Arc<Held>,
    /// `Ok`, or `Insufficient`.
    pub(crate) standing: Standing,
    /// How long a worker may keep what is made of it.
    pub(crate) keeps: Duration,
}

impl Fresh {
    /// The access token.
    pub(crate) fn access(&self) -> &str {
        &self.held.grant.access
    }

    /// Unix seconds at which it ends, if it does.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.held.grant.expires
    }

    /// What else the provider gave.
    pub(crate) fn values(&self) -> &BTreeMap<String, String> {
        &self.held.grant.values
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").field("key", &self.held.key).field("standing", &self.standing).finish_non_exhaustive()
    }
}

/// What a refresh came to.
pub(super) type Outcome = Result<Arc<Held>, Unusable>;
type Waiting = watch::Receiver<Option<Outcome>>;

/// A refresh that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Refresh(Waiting);

impl Refresh {
    /// What it comes to. It goes on when nobody waits any more.
    pub(super) async fn outcome(mut self) -> Outcome {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(Unusable::Down(Down::Provider))),
            // Its task panicked.
            Err(_closed) => Err(Unusable::Down(Down::Provider)),
        }
    }
}

/// What is known at once.
#[derive(Debug)]
pub(crate) enum AtOnce {
    /// A token.
    Fresh(Fresh),
    /// None, and how long a worker may keep that.
    Not(Standing, Duration),
    /// It is being refreshed, and the old one is dead.
    Soon(Refresh),
}

/// The refreshes of this process.
#[derive(Debug)]
pub(super) struct Refreshing {
    #[expect(clippy::disallowed_types, reason = "control plane only, and never held over an await")]
    under_way: Mutex<HashMap<GrantKey, Waiting>>,
    /// Grants whose provider failed a moment ago.
    failed: moka::sync::Cache<GrantKey, ()>,
}

impl Refreshing {
    pub(super) fn new(pause: Duration) -> Self {
        Self {
            #[expect(clippy::disallowed_types, reason = "as above")]
            under_way: Mutex::default(),
            failed: moka::sync::Cache::builder().max_capacity(FAILURES).time_to_live(pause).build(),
        }
    }

    /// A new consent: what failed before says nothing any more.
    pub(super) fn forgive(&self, key: &GrantKey) {
        self.failed.invalidate(key);
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<GrantKey, Waiting>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clears a refresh's place, also when its task panics.
struct Place {
    grants: Grants,
    key: GrantKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.grants.0.refreshing.under_way().remove(&self.key);
    }
}

impl Grants {
    /// As [`Grants::fresh`], for whose grants may be used.
    pub(super) async fn fresh_within(&self, who: &Who, provider: &Provider, reach: Reach) -> Result<Fresh, Unusable> {
        match self.at_once(who, provider, reach).await? {
            AtOnce::Fresh(fresh) => Ok(fresh),
            AtOnce::Not(standing, _) => Err(standing.into()),
            AtOnce::Soon(refresh) => self.refreshed(refresh.outcome().await?, provider),
        }
    }

    /// What is known now, or the refresh that is to be waited for.
    pub(super) async fn at_once(&self, who: &Who, provider: &Provider, reach: Reach) -> Result<AtOnce, Down> {
        let found = self.find(who, provider, reach).await?;
        let now = self.now();
        let standing = standing::judge(found.held.as_deref().map(|held| &held.grant), provider, now);
        let (Some(held), true) = (found.held, standing.is_usable()) else {
            return Ok(AtOnce::Not(standing, found.keeps));
        };
        let can_refresh = held.grant.refresh.is_some();
        match standing::life(&held.grant, now) {
            Life::Over if can_refresh => Ok(AtOnce::Soon(self.refresh(&held, provider))),
            Life::Short if can_refresh => {
                // Nobody waits for it.
                drop(self.refresh(&held, provider));
                Ok(AtOnce::Fresh(Fresh { held, standing, keeps: Duration::from_secs(1) }))
            }
            Life::Long | Life::Short | Life::Over => {
                let keeps = found.keeps.min(until_short(&held, now));
                Ok(AtOnce::Fresh(Fresh { held, standing, keeps }))
            }
        }
    }

    /// Waits until no refresh is under way in this process, for so long.
    pub(crate) async fn settle(&self, patience: Duration) {
        let waiting: Vec<Waiting> = self.0.refreshing.under_way().values().cloned().collect();
        let all = async {
            for waiting in waiting {
                drop(Refresh(waiting).outcome().await);
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("refreshes were cut");
        }
    }

    /// What a refresh came to, for those who waited. However short the new token lives, they use it.
    pub(super) fn refreshed(&self, held: Arc<Held>, provider: &Provider) -> Result<Fresh, Unusable> {
        let standing = match standing::judge(Some(&held.grant), provider, held.grant.renewed_at) {
            usable @ (Standing::Ok | Standing::Insufficient) => usable,
            not @ (Standing::Missing | Standing::Expired | Standing::Revoked) => return Err(not.into()),
        };
        let keeps = until_short(&held, self.now()).min(Duration::from_secs(1));
        Ok(Fresh { held, standing, keeps })
    }

    /// Begins to refresh a grant that was read as `held`, or joins a refresh that has begun.
    pub(super) fn refresh(&self, held: &Arc<Held>, provider: &Provider) -> Refresh {
        let refreshing = &self.0.refreshing;
        let mut under_way = refreshing.under_way();
        if let Some(waiting) = under_way.get(&held.key) {
            return Refresh(waiting.clone());
        }
        if refreshing.failed.contains_key(&held.key) {
            let failed = watch::channel(Some(Err(Unusable::Down(Down::Provider)))).1;
            return Refresh(failed);
        }
        let (tell, waiting) = watch::channel(None);
        under_way.insert(held.key.clone(), waiting.clone());
        drop(under_way);
        let place = Place { grants: self.clone(), key: held.key.clone() };
        let (grants, held, provider) = (self.clone(), Arc::clone(held), provider.clone());
        tokio::spawn(async move {
            let outcome = grants.redeem(&held, &provider).await;
            if let Err(Unusable::Down(_)) = &outcome {
                grants.0.refreshing.failed.insert(held.key.clone(), ());
            }
            // First the place, so that who comes now begins anew with what is known now.
            drop(place);
            tell.send_replace(Some(outcome));
        });
        Refresh(waiting)
    }
}

/// How long an access token needs no look.
fn until_short(held: &Held, now: i64) -> Duration {
    let Some(expires) = held.grant.expires else { return Duration::MAX };
    let left = expires.saturating_sub(now).saturating_sub(standing::seconds(crate::limits::TOKEN_REFRESHED_BEFORE));
    Duration::from_secs(u64::try_from(left).unwrap_or(0).max(1))
}

impl From<Standing> for Unusable {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Expired => Self::Expired,
            Standing::Revoked => Self::Revoked,
            // The usable ones do not come here.
            Standing::Missing | Standing::Ok | Standing::Insufficient => Self::Missing,
        }
    }
}
