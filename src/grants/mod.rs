//! The one handle that the data plane has on grants, and what keeps them: records in the vault, the cache before it, fresh tokens,
//! who is authorized. Runs on the control plane; a worker asks through one bounded port and never a store.

pub(crate) mod answering;
pub(crate) mod cache;
pub(crate) mod fresh;
pub(crate) mod journal;
pub(crate) mod keepalive;
pub(crate) mod lease;
pub(crate) mod outbox;
pub(crate) mod port;
pub(crate) mod record;
pub(crate) mod redeem;
pub(crate) mod standing;
#[cfg(test)]
mod tests;
pub(crate) mod uninstall;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::resolved::grants::OnUninstall;
use crate::grants::cache::{Cache, Found, Generations, Held};
use crate::grants::fresh::{Fresh, Refreshing};
use crate::grants::journal::{By, Happening, Journal, JournalFault, What};
use crate::grants::record::{Grant, GrantKey, State};
use crate::grants::standing::Standing;
use crate::grants::uninstall::Marks;
use crate::limits;
use crate::oauth::discovery::Discovery;
use crate::oauth::provider::{Per, Provider};
use crate::oauth::web::Web;
use crate::telemetry::metrics::Metrics;
use crate::vault::{Change, Expected, Table, Vault, VaultFault, Written};

/// All grants of all apps. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Grants(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    vault: Vault,
    discovery: Discovery,
    clock: Clock,
    journal: Journal,
    metrics: Arc<Metrics>,
    apps: Vec<AppGrants>,
    terms: Terms,
    cache: Cache,
    refreshing: Refreshing,
    marks: Arc<Marks>,
}

/// What grants are kept with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Where.
    pub(crate) vault: Vault,
    /// Asks providers.
    pub(crate) discovery: Discovery,
    /// The time.
    pub(crate) clock: Clock,
    /// Told of everything that happens to a grant.
    pub(crate) journal: Journal,
    /// Counts.
    pub(crate) metrics: Arc<Metrics>,
    /// Tell the workers that their copies are void.
    pub(crate) generations: Arc<Generations>,
    /// Tell the workers whether there is an uninstalled account.
    pub(crate) marks: Arc<Marks>,
    /// Whose.
    pub(crate) apps: Vec<AppGrants>,
    /// How long, how many.
    pub(crate) terms: Terms,
}

/// The grants of one app.
#[derive(Clone, Debug)]
pub(crate) struct AppGrants {
    /// `apps.NAME`.
    pub(crate) name: String,
    /// Everything that its users connect.
    pub(crate) providers: Vec<Arc<Provider>>,
    /// What becomes of them.
    pub(crate) on_uninstall: OnUninstall,
}

/// Every span of time that grants depend on; tests shorten them.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// `vault.stale`.
    pub(crate) stale: Duration,
    /// `vault.cache_entries`.
    pub(crate) cache_entries: u64,
    /// See [`limits::GRANT_BELIEVED`].
    pub(crate) believed: Duration,
    /// See [`limits::ABSENCE_BELIEVED`].
    pub(crate) absence_believed: Duration,
    /// See [`limits::GRANT_READ`].
    pub(crate) read: Duration,
    /// See [`limits::LEASE`].
    pub(crate) lease: Duration,
    /// See [`limits::LEASE_RENEWED`].
    pub(crate) lease_renewed: Duration,
    /// See [`limits::REFRESH_FAILED_PAUSE`].
    pub(crate) failed_pause: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            stale: Duration::from_mins(5),
            cache_entries: 100_000,
            believed: limits::GRANT_BELIEVED,
            absence_believed: limits::ABSENCE_BELIEVED,
            read: limits::GRANT_READ,
            lease: limits::LEASE,
            lease_renewed: limits::LEASE_RENEWED,
            failed_pause: limits::REFRESH_FAILED_PAUSE,
        }
    }
}

/// Whose grants are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    /// `apps.NAME`.
    pub(crate) app: String,
    /// monday's account id.
    pub(crate) account: i64,
    /// monday's user id.
    pub(crate) user: i64,
}

/// Why it is not known whether there is a usable grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Down {
    /// The store did not answer, or refused.
    #[error("the vault's store does not answer")]
    Store,
    /// The token is dead, and the provider does not answer as it should.
    #[error("the provider does not refresh the token")]
    Provider,
    /// Too many questions at once.
    #[error("the control plane has too many questions about grants")]
    Busy,
    /// No answer in time.
    #[error("the control plane did not answer in time")]
    Late,
}

/// Why there is no token to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// Never given, or gone.
    #[error("there is no grant")]
    Missing,
    /// Its token is dead and cannot be refreshed.
    #[error("the grant has expired")]
    Expired,
    /// Taken back.
    #[error("the grant was taken back")]
    Revoked,
    /// Nobody knows.
    #[error(transparent)]
    Down(#[from] Down),
}

impl Who {
    /// The key of this user's own grant.
    pub(crate) fn own(&self, provider: &str) -> GrantKey {
        GrantKey { app: self.app.clone(), account: self.account, user: Some(self.user), provider: provider.to_owned() }
    }

    /// The key of the account's grant.
    pub(crate) fn shared(&self, provider: &str) -> GrantKey {
        GrantKey { user: None, ..self.own(provider) }
    }
}

impl Grants {
    /// Grants in a vault. Nothing runs yet: see [`Grants::follow`], [`Grants::keep_alive`] and [`Grants::watch_uninstalled`].
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { vault, discovery, clock, journal, metrics, generations, marks, apps, terms } = parts;
        let cache = Cache::new(vault.clone(), generations, metrics.cache("grants"), &terms);
        let refreshing = Refreshing::new(terms.failed_pause);
        Self(Arc::new(Inner { vault, discovery, clock, journal, metrics, apps, terms, cache, refreshing, marks }))
    }

    /// Where they are kept.
    pub(crate) fn vault(&self) -> Vault {
        self.0.vault.clone()
    }

    /// Takes over what other gateways change, until the vault is closed.
    pub(crate) async fn follow(self) {
        let mut changes = self.0.vault.changes();
        loop {
            match changes.recv().await {
                Ok(Change::Row(Table::Grants, row)) => {
                    if let Some(key) = GrantKey::of_row(&row) {
                        self.0.cache.forget(&key);
                    }
                }
                Ok(Change::Row(Table::Installs, row)) => self.0.marks.reread(&self.0.vault, &row).await,
                Ok(Change::Row(Table::States | Table::Leases | Table::Events, _)) => {}
                Ok(Change::Anything) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                    self.0.cache.doubt_all();
                    self.0.marks.reread_all(&self.0.vault).await;
                }
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// What becomes of a user's grant: of their own, or else of the account's where the provider has such.
    pub(crate) async fn standing(&self, who: &Who, provider: &Provider) -> Result<Standing, Down> {
        let found = self.find(who, provider, Reach::Shared).await?;
        Ok(standing::judge(found.held.as_deref().map(|held| &held.grant), provider, self.now()))
    }

    /// A token that works, refreshed first if it has to be; or why there is none.
    pub(crate) async fn fresh(&self, who: &Who, provider: &Provider) -> Result<Fresh, Unusable> {
        self.fresh_within(who, provider, Reach::Shared).await
    }

    /// Writes a grant down after a consent. When it returns, the grant is durable.
    pub(crate) async fn keep(&self, key: GrantKey, grant: Grant) -> Result<(), VaultFault> {
        let by = key.user.or(grant.granted_by).map_or(By::Gateway, By::User);
        let granted = Happening { what: What::Granted, key: &key, by };
        self.write_told(granted, &grant, (None, Expected::Any)).await?;
        self.0.cache.forget(&key);
        self.0.refreshing.forgive(&key);
        self.told(granted);
        self.count(&key, |counters| counters.granted.add(1));
        if key.provider == MONDAY {
            self.installed(&key.app, key.account).await;
        }
        Ok(())
    }

    /// Takes a grant back: nobody is given its token any more when this returns; the provider is told afterwards, as far as
    /// it listens. False if there was none.
    pub(crate) async fn take_back(&self, key: &GrantKey, by: By<'_>) -> Result<bool, VaultFault> {
        let row = key.row();
        loop {
            let Some(record) = self.0.vault.get(Table::Grants, &row).await? else { return Ok(false) };
            let grant = decode(&record.plain)?;
            if grant.state == State::Revoked {
                return Ok(false);
            }
            let taken = Happening { what: What::Revoked, key, by };
            let lasts = (Some(limits::REVOKED_REMEMBERED), Expected::Version(record.version));
            if self.write_told(taken, &grant.revoked(self.now()), lasts).await? == Written::Conflict {
                continue;
            }
            self.0.cache.forget(key);
            self.told(taken);
            self.count(key, |counters| counters.revoked.add(1));
            self.revoke_at_provider(key, grant);
            return Ok(true);
        }
    }

    /// Grants of an app, or of one of its accounts, in the order of their rows, after a row.
    pub(crate) async fn list(
        &self,
        app: &str,
        account: Option<i64>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(GrantKey, Grant)>, VaultFault> {
        let prefix = account.map_or_else(|| format!("{app}/"), |account| format!("{app}/{account}/"));
        let records = self.0.vault.list_readable(Table::Grants, &prefix, after, limit).await?;
        let read = |record: crate::vault::Record| Some((GrantKey::of_row(&record.key)?, decode(&record.plain).ok()?));
        Ok(records.into_iter().filter_map(read).collect())
    }

    /// Tells backends what happens to grants, until the vault is closed.
    pub(crate) async fn deliver_events(self, web: Web) {
        self.0.journal.clone().deliver(web).await;
    }

    /// A client of the internal API is about to be given this grant's token. Only when this returns may it be.
    pub(crate) async fn note_read(&self, key: &GrantKey, client: &str) -> Result<(), JournalFault> {
        self.0.journal.note(Happening { what: What::Read, key, by: By::Client(client) }).await
    }

    /// What is known of a key is void.
    fn forget(&self, key: &GrantKey) {
        self.0.cache.forget(key);
    }

    /// Unix seconds.
    fn now(&self) -> i64 {
        self.0.clock.unix_seconds()
    }

    /// The provider of that name, as this app uses it.
    fn provider(&self, app: &str, name: &str) -> Option<Arc<Provider>> {
        let app = self.0.apps.iter().find(|one| one.name == app)?;
        app.providers.iter().find(|provider| provider.name == name).map(Arc::clone)
    }

    /// A user's own grant if it is usable; else the account's, if there is one and it may be used.
    async fn find(&self, who: &Who, provider: &Provider, reach: Reach) -> Result<Found, Down> {
        let own = self.0.cache.read(&who.own(&provider.name)).await?;
        if provider.per == Per::User || reach == Reach::Own || own.is_usable() {
            return Ok(own);
        }
        let shared = self.0.cache.read(&who.shared(&provider.name)).await?;
        Ok(if shared.held.is_some() || own.held.is_none() { shared } else { own })
    }

    /// A row as the store has it now, whatever the cache says.
    async fn reread(&self, key: &GrantKey) -> Result<Option<Arc<Held>>, VaultFault> {
        let Some(record) = self.0.vault.get(Table::Grants, &key.row()).await? else { return Ok(None) };
        let grant = decode(&record.plain)?;
        Ok(Some(Arc::new(Held { key: key.clone(), grant, version: record.version })))
    }

    /// Writes a grant, and in the same step the event that says so: a death in between loses neither.
    async fn write_told(
        &self,
        happening: Happening<'_>,
        grant: &Grant,
        (lifetime, expected): (Option<Duration>, Expected),
    ) -> Result<Written, VaultFault> {
        let event = self.0.journal.event(happening)?;
        let place = (Table::Grants, happening.key.row());
        let put = self.0.vault.sealed((place.0, &place.1), &encode(grant)?, lifetime, expected)?;
        self.0.vault.put_with(put, event).await
    }

    /// Tells the journal what is written. What it cannot write down does not undo what happened.
    fn told(&self, happening: Happening<'_>) {
        if let Err(fault) = self.0.journal.happened(happening) {
            let GrantKey { app, account, provider, .. } = happening.key;
            tracing::error!(%fault, app, account, provider, "not noted");
        }
    }

    fn count(&self, key: &GrantKey, add: impl FnOnce(&crate::telemetry::grants::GrantCounters)) {
        add(&self.0.metrics.grant(&key.app, &key.provider));
    }
}

/// The built-in provider's name.
pub(crate) const MONDAY: &str = "monday";

/// Whose grants may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The user's own only.
    Own,
    /// Also the account's.
    Shared,
}

/// A grant as the vault keeps it.
fn encode(grant: &Grant) -> Result<zeroize::Zeroizing<Vec<u8>>, VaultFault> {
    let bytes = serde_json::to_vec(grant).map_err(|fault| VaultFault::Refused(fault.to_string()))?;
    Ok(zeroize::Zeroizing::new(bytes))
}

/// A grant of the vault.
fn decode(plain: &[u8]) -> Result<Grant, VaultFault> {
    // The words of serde quote no value of a field that is a string.
    serde_json::from_slice(plain).map_err(|_unreadable| VaultFault::Refused("a grant is no JSON of a grant".to_owned()))
}
