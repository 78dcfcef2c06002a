//! What is known of grants without asking the store: moka, with the time of reading inside each entry. One lookup at a time for
//! each key, however many wait for it. A change makes the workers' copies void by their generation. While the store is down, what it
//! said before is used up to `vault.stale`. Knows no provider.

use std::collections::HashMap;
#[expect(clippy::disallowed_types, reason = "control plane only, and never held over an await")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::grants::record::{Grant, GrantKey, State};
use crate::grants::{Down, Terms, decode};
use crate::limits;
use crate::telemetry::grants::CacheCounters;
use crate::vault::{Table, Vault, VaultFault};

/// Slots of accounts, and of users: a change makes only the copies of its slot void.
const ACCOUNTS: usize = 256;
const USERS: usize = 4096;

/// A grant as it was read.
#[derive(Debug)]
pub(crate) struct Held {
    /// Whose.
    pub(crate) key: GrantKey,
    /// The record.
    pub(crate) grant: Grant,
    /// The fence of its row.
    pub(crate) version: u64,
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The grant, if there is one.
    pub(crate) held: Option<Arc<Held>>,
    /// How long a worker may keep what was made of it.
    pub(crate) keeps: Duration,
}

impl Found {
    /// Whether there is a grant that was neither refused nor taken back.
    pub(crate) fn is_usable(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.grant.state == State::Ok)
    }
}

/// Numbers that grow with every change: a user's own, and the account's, for a grant that is the account's. A copy with another number
/// than the sum of the two is void: both only grow, so that a sum comes once.
#[derive(Debug)]
pub(crate) struct Generations {
    accounts: Box<[AtomicU64]>,
    users: Box<[AtomicU64]>,
}

impl Default for Generations {
    fn default() -> Self {
        let slots = |count| (0..count).map(|_| AtomicU64::new(1)).collect();
        Self { accounts: slots(ACCOUNTS), users: slots(USERS) }
    }
}

impl Generations {
    /// The number of a user.
    #[inline]
    pub(crate) fn of(&self, (account, user): (i64, i64)) -> u64 {
        let number = |slot: Option<&AtomicU64>| slot.map_or(0, |slot| slot.load(Ordering::Acquire));
        number(self.account(account)) + number(self.user(account, user))
    }

    /// Makes the copies void that a grant may be in.
    pub(crate) fn advance(&self, key: &GrantKey) {
        if let Some(slot) = self.slot(key) {
            slot.fetch_add(1, Ordering::Release);
        }
    }

    /// Makes all copies void.
    pub(crate) fn advance_all(&self) {
        self.accounts.iter().for_each(|slot| {
            slot.fetch_add(1, Ordering::Release);
        });
    }

    /// How often a grant has changed, as far as its slot tells.
    fn changes(&self, key: &GrantKey) -> u64 {
        self.slot(key).map_or(0, |slot| slot.load(Ordering::Acquire))
    }

    fn slot(&self, key: &GrantKey) -> Option<&AtomicU64> {
        match key.user {
            Some(user) => self.user(key.account, user),
            None => self.account(key.account),
        }
    }

    fn account(&self, account: i64) -> Option<&AtomicU64> {
        place(&self.accounts, account.unsigned_abs())
    }

    fn user(&self, account: i64, user: i64) -> Option<&AtomicU64> {
        // Users of one account have numbers beside each other: the account's only moves them.
        place(&self.users, account.unsigned_abs().wrapping_mul(31).wrapping_add(user.unsigned_abs()))
    }
}

fn place(slots: &[AtomicU64], number: u64) -> Option<&AtomicU64> {
    usize::try_from(number % slots.len() as u64).ok().and_then(|at| slots.get(at))
}

#[derive(Clone, Debug)]
struct Entry {
    held: Option<Arc<Held>>,
    read: Instant,
    doubts: u64,
}

type Outcome = Result<Option<Arc<Held>>, Down>;
type Lookup = Arc<OnceCell<Outcome>>;

/// The cache before the store.
#[derive(Debug)]
pub(super) struct Cache {
    vault: Vault,
    entries: moka::sync::Cache<GrantKey, Entry>,
    generations: Arc<Generations>,
    /// How often everything was doubted.
    doubts: AtomicU64,
    #[expect(clippy::disallowed_types, reason = "control plane only, and never held over an await")]
    lookups: Mutex<HashMap<GrantKey, Lookup>>,
    /// When the store failed last.
    #[expect(clippy::disallowed_types, reason = "control plane only, and never held over an await")]
    failed: Mutex<Option<Instant>>,
    counters: Arc<CacheCounters>,
    terms: Terms,
}

/// One of those who wait for a lookup. The last one to leave clears the place.
struct Seat<'a> {
    cache: &'a Cache,
    key: &'a GrantKey,
    lookup: Lookup,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut lookups = self.cache.lookups();
        let is_same = lookups.get(self.key).is_some_and(|other| Arc::ptr_eq(other, &self.lookup));
        // The map's and this one.
        if is_same && (self.lookup.initialized() || Arc::strong_count(&self.lookup) <= 2) {
            lookups.remove(self.key);
        }
    }
}

impl Cache {
    pub(super) fn new(
        vault: Vault,
        generations: Arc<Generations>,
        counters: Arc<CacheCounters>,
        terms: &Terms,
    ) -> Self {
        Self {
            vault,
            entries: moka::sync::Cache::builder().max_capacity(terms.cache_entries).build(),
            generations,
            doubts: AtomicU64::new(0),
            #[expect(clippy::disallowed_types, reason = "as above")]
            lookups: Mutex::default(),
            #[expect(clippy::disallowed_types, reason = "as above")]
            failed: Mutex::default(),
            counters,
            terms: terms.clone(),
        }
    }

    /// What is known of a key, asked of the store if need be.
    pub(super) async fn read(&self, key: &GrantKey) -> Result<Found, Down> {
        let known = self.entries.get(key);
        if let Some(found) = known.as_ref().and_then(|entry| self.believe(entry)) {
            self.counters.hit.add(1);
            return Ok(found);
        }
        self.counters.miss.add(1);
        match self.lookup(key).await {
            Ok(held) => Ok(Found { keeps: self.believed(held.as_ref()), held }),
            Err(down) => known.and_then(|entry| self.make_do(entry)).ok_or_else(|| {
                self.counters.failed.add(1);
                down
            }),
        }
    }

    /// What makes the workers' copies void.
    #[cfg(test)]
    pub(super) fn generations(&self) -> &Generations {
        &self.generations
    }

    /// How many entries it has, once it has thrown out what is too much.
    #[cfg(test)]
    pub(super) fn entries(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }

    /// A row changed.
    pub(super) fn forget(&self, key: &GrantKey) {
        // Who asks from now on must not join a lookup that began before.
        self.lookups().remove(key);
        self.generations.advance(key);
        self.entries.invalidate(key);
    }

    /// Any row may have changed. What was known is asked for again, and still used while the store does not answer.
    pub(super) fn doubt_all(&self) {
        self.doubts.fetch_add(1, Ordering::Release);
        self.lookups().clear();
        self.generations.advance_all();
    }

    fn believe(&self, entry: &Entry) -> Option<Found> {
        let left = self.believed(entry.held.as_ref()).checked_sub(entry.read.elapsed())?;
        (entry.doubts == self.doubts.load(Ordering::Acquire)).then(|| Found { held: entry.held.clone(), keeps: left })
    }

    fn believed(&self, held: Option<&Arc<Held>>) -> Duration {
        if held.is_some() { self.terms.believed } else { self.terms.absence_believed }
    }

    /// A grant that was read before, while the store is down. That there was none is not believed any longer than usual.
    fn make_do(&self, entry: Entry) -> Option<Found> {
        let left = self.terms.stale.checked_sub(entry.read.elapsed())?;
        entry.held.as_ref()?;
        self.counters.stale.add(1);
        Some(Found { held: entry.held, keeps: left.min(Duration::from_secs(1)) })
    }

    async fn lookup(&self, key: &GrantKey) -> Outcome {
        if self.is_pausing() {
            return Err(Down::Store);
        }
        let lookup = Arc::clone(self.lookups().entry(key.clone()).or_default());
        let seat = Seat { cache: self, key, lookup };
        seat.lookup.get_or_init(|| self.ask(key)).await.clone()
    }

    async fn ask(&self, key: &GrantKey) -> Outcome {
        let changes = (self.generations.changes(key), self.doubts.load(Ordering::Acquire));
        let row = key.row();
        let answer = tokio::time::timeout(self.terms.read, self.vault.get(Table::Grants, &row)).await;
        let held = match answer {
            Ok(Ok(record)) => record
                .map(|record| Ok(Held { key: key.clone(), grant: decode(&record.plain)?, version: record.version }))
                .transpose()
                .map_err(|fault| self.failed(&fault))?
                .map(Arc::new),
            Ok(Err(fault)) => return Err(self.failed(&fault)),
            Err(_elapsed) => return Err(self.failed(&VaultFault::Unreachable("no answer in time".to_owned()))),
        };
        self.entries.insert(key.clone(), Entry { held: held.clone(), read: Instant::now(), doubts: changes.1 });
        if self.generations.changes(key) != changes.0 {
            // It changed while it was read.
            self.entries.invalidate(key);
        }
        Ok(held)
    }

    /// Logs the first of many failures, and leaves the store alone for a moment.
    fn failed(&self, fault: &VaultFault) -> Down {
        if matches!(fault, VaultFault::Unreachable(_)) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.is_none_or(|last| last.elapsed() > 10 * limits::STORE_PAUSE) {
                tracing::error!(%fault, "cannot look grants up");
            }
            *failed = Some(Instant::now());
        } else {
            tracing::error!(%fault, "cannot read a grant");
        }
        Down::Store
    }

    fn is_pausing(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|last| last.elapsed() < limits::STORE_PAUSE)
    }

    fn lookups(&self) -> MutexGuard<'_, HashMap<GrantKey, Lookup>> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
