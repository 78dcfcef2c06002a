//! Verification keys from elsewhere: tokens of the kind `jwt`, which an issuer of the configuration signs with a key of its JWKS. A worker
//! judges tokens with its own copy of the set and takes no lock; the control plane fetches sets, before they lapse and once for all who wait.
//! Makes no `Caller`: that is `pipeline::verify`. RFC 7515, 7517, 7519, 8725; OpenID Connect Discovery 1.0.

pub(crate) mod claims;
pub(crate) mod copies;
pub(crate) mod fetch;
pub(crate) mod keeper;
pub(crate) mod key_set;
#[cfg(test)]
pub(crate) mod minter;
pub(crate) mod token;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::resolved::grants::Issuer as Written;
use crate::issuers::keeper::{Ask, Keeper, Learnt};
use crate::issuers::key_set::KeySet;
use crate::limits;

/// One issuer, as all workers share it.
pub(crate) struct Issuer {
    /// Its place in the configuration.
    pub(crate) at: usize,
    /// What its tokens must say.
    pub(crate) rules: Written,
    /// Grows with each set that was fetched.
    generation: AtomicU64,
    sets: KeySets,
    unknown: Unknown,
    asks: mpsc::Sender<Ask>,
}

/// The newest key set of each issuer.
type KeySets = Cache<usize, Arc<KeySet>>;
/// `kid`s that no set had: by issuer's place and generation.
type Unknown = Cache<(usize, u64, Box<str>), ()>;

/// A set for a `kid` cannot be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoKey {
    /// The issuer has no such key.
    #[error("the issuer has no key of this kid")]
    Unknown,
    /// The issuer could not be asked.
    #[error("the issuer's keys cannot be had")]
    Down,
}

impl Issuer {
    /// The issuers of a configuration, each with the keeper of its keys, which the control plane runs.
    pub(crate) fn all(written: &[Written], clock: &Clock) -> Vec<(Arc<Self>, Keeper)> {
        let sets = Cache::builder()
            .max_capacity(u64::try_from(written.len()).unwrap_or(u64::MAX))
            .time_to_live(limits::KEYS_STALE)
            .build();
        let unknown =
            Cache::builder().max_capacity(limits::KEYS_UNKNOWN).time_to_live(limits::KEYS_UNKNOWN_REMEMBERED).build();
        let one = |(at, rules): (usize, &Written)| {
            let (asks, asked) = mpsc::channel(limits::KEYS_QUEUE);
            let (sets, unknown) = (sets.clone(), unknown.clone());
            let rules = rules.clone();
            let issuer = Arc::new(Self { at, rules, generation: AtomicU64::new(0), sets, unknown, asks });
            let keeper = Keeper::new(Arc::clone(&issuer), asked, clock.clone());
            (issuer, keeper)
        };
        written.iter().enumerate().map(one).collect()
    }

    /// The number of the newest set; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The newest set, unless it is too old.
    pub(crate) fn newest(&self) -> Option<Arc<KeySet>> {
        self.sets.get(&self.at)
    }

    /// Puts a new set in the place of the one before.
    fn publish(&self, set: KeySet) {
        self.sets.insert(self.at, Arc::new(set));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Waits until there is a newer set than that of `generation`, which had no key for the token; returns when it is worth looking again.
    pub(crate) async fn learn(&self, kid: Option<&str>, generation: u64) -> Result<(), NoKey> {
        let remembered = kid.map(|kid| (self.at, generation, Box::from(kid)));
        if remembered.as_ref().is_some_and(|kid| self.unknown.contains_key(kid)) {
            return Err(NoKey::Unknown);
        }
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Ask { generation, answer }).map_err(|fault| match fault {
            TrySendError::Full(_) | TrySendError::Closed(_) => NoKey::Down,
        })?;
        match timeout(limits::KEYS_WAIT, answered).await {
            Ok(Ok(Learnt::Newer)) => Ok(()),
            Ok(Ok(Learnt::Nothing)) => {
                if let Some(kid) = remembered {
                    self.unknown.insert(kid, ());
                }
                Err(NoKey::Unknown)
            }
            Ok(Ok(Learnt::Down) | Err(_)) | Err(_) => Err(NoKey::Down),
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.rules.name)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
