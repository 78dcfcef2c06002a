//! What becomes of grants when an account uninstalls an app. The account is the token's, never the body's, and whoever holds a token could
//! say so: the account is only marked. Its grants go when monday refuses one of them, or after a day without a sign of life: a request
//! signed with the signing secret, a refresh, an `install`. `authorization.on_uninstall` says how they go.

use std::collections::HashMap;
#[expect(clippy::disallowed_types, reason = "control plane only, and never held over an await")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::config::resolved::grants::OnUninstall;
use crate::grants::journal::{By, Happening, What};
use crate::grants::lease::Lease;
use crate::grants::record::{Grant, GrantKey, State};
use crate::grants::standing::seconds;
use crate::grants::{Grants, MONDAY, decode};
use crate::limits;
use crate::vault::{Expected, Table, Vault, VaultFault, Written};

/// Seconds between two signs of life that are written down.
const LIFE_NOTED_EVERY: i64 = 600;
/// Attempts at a write that somebody else keeps overtaking, or that the store does not take.
const ATTEMPTS: u32 = 20;
/// So many grants of one account monday refuses before it is believed to have uninstalled the app; fewer, if there are no more.
const REFUSALS: usize = 3;
/// The pause between two attempts.
const ATTEMPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// An app's name and an account.
type Account = (String, i64);

/// The mark of an account that has uninstalled an app, in the table of installations by `app/account`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Unix seconds of the `uninstall`.
    uninstalled: i64,
    /// Unix seconds of the last sign of life; the `uninstall`, if there was none.
    alive: i64,
}

/// The marked accounts, as this process knows them.
#[derive(Debug)]
pub(crate) struct Marks {
    #[expect(clippy::disallowed_types, reason = "control plane only, and never held over an await")]
    marked: Mutex<HashMap<Account, Mark>>,
    /// How many: workers look at it, and tell of signs of life only if there is one.
    number: AtomicUsize,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            #[expect(clippy::disallowed_types, reason = "as above")]
            marked: Mutex::default(),
            number: AtomicUsize::new(0),
        }
    }
}

impl Marks {
    /// Whether no account is marked, as nearly always.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.number.load(Ordering::Relaxed) == 0
    }

    fn get(&self, app: &str, account: i64) -> Option<Mark> {
        self.marked().get(&(app.to_owned(), account)).copied()
    }

    fn set(&self, app: &str, account: i64, mark: Option<Mark>) {
        let mut marked = self.marked();
        match mark {
            Some(mark) => marked.insert((app.to_owned(), account), mark),
            None => marked.remove(&(app.to_owned(), account)),
        };
        self.number.store(marked.len(), Ordering::Relaxed);
    }

    fn all(&self) -> Vec<(Account, Mark)> {
        self.marked().iter().map(|(account, mark)| (account.clone(), *mark)).collect()
    }

    fn marked(&self) -> MutexGuard<'_, HashMap<Account, Mark>> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another gateway has changed a mark.
    pub(super) async fn reread(&self, vault: &Vault, row: &str) {
        let Some((app, account)) = account_of(row) else { return };
        match vault.get(Table::Installs, row).await {
            Ok(record) => {
                let mark = record.and_then(|record| serde_json::from_slice(&record.plain).ok());
                self.set(&app, account, mark);
            }
            Err(fault) => tracing::warn!(%fault, "cannot read what is known of an installation"),
        }
    }

    /// Reads all marks; those that are not there any more are forgotten.
    pub(super) async fn reread_all(&self, vault: &Vault) {
        let (mut after, mut all) = (None::<String>, HashMap::new());
        loop {
            let page = match vault.list_readable(Table::Installs, "", after.as_deref(), limits::GRANTS_PAGE).await {
                Ok(page) => page,
                Err(fault) => return tracing::warn!(%fault, "cannot read what is known of installations"),
            };
            let marks = page.iter().filter_map(|record| {
                Some((account_of(&record.key)?, serde_json::from_slice::<Mark>(&record.plain).ok()?))
            });
            all.extend(marks);
            match page.last() {
                Some(last) if page.len() == limits::GRANTS_PAGE => after = Some(last.key.clone()),
                _ => break,
            }
        }
        let mut marked = self.marked();
        *marked = all;
        self.number.store(marked.len(), Ordering::Relaxed);
    }
}

/// Whether monday can be asked with this grant whether the app is there.
fn is_probe((key, grant): &(GrantKey, Grant)) -> bool {
    key.provider == MONDAY && grant.state == State::Ok && grant.refresh.is_some()
}

fn row(app: &str, account: i64) -> String {
    format!("{app}/{account}")
}

fn account_of(row: &str) -> Option<Account> {
    let (app, account) = row.split_once('/')?;
    Some((app.to_owned(), account.parse().ok()?))
}

impl Grants {
    /// An account uninstalled the app: it is marked, and monday is asked whether that is so. `heard` is told once the mark is durable, and
    /// dropped if the store did not take it at once: then it is tried for a while, but monday should tell it again.
    pub(crate) async fn uninstalled(&self, app: &str, account: i64, heard: oneshot::Sender<()>) {
        if self.on_uninstall(app) == OnUninstall::Keep {
            let _told: Result<(), ()> = heard.send(());
            return;
        }
        let now = self.now();
        tracing::info!(app, account, "uninstalled: its grants go unless it shows that it lives");
        let mark = Some(Mark { uninstalled: now, alive: now });
        if self.try_mark(app, account, mark).await {
            let _told: Result<(), ()> = heard.send(());
        } else {
            drop(heard);
            self.mark(app, account, mark).await;
        }
        self.probe(app, account).await;
    }

    /// An account has the app: whatever was said before.
    pub(crate) async fn installed(&self, app: &str, account: i64) {
        if self.0.marks.get(app, account).is_some() {
            tracing::info!(app, account, "installed again");
            self.mark(app, account, None).await;
        }
    }

    /// A request signed with the signing secret came for an account.
    pub(crate) async fn alive(&self, app: &str, account: i64) {
        let now = self.now();
        if let Some(mark) = self.0.marks.get(app, account)
            && now.saturating_sub(mark.alive) >= LIFE_NOTED_EVERY
        {
            self.mark(app, account, Some(Mark { alive: now, ..mark })).await;
        }
    }

    /// A refresh succeeded. One of monday's, once its tokens would have ended, shows that the app is installed.
    pub(super) async fn alive_by_refresh(&self, key: &GrantKey) {
        let Some(mark) = self.0.marks.get(&key.app, key.account) else { return };
        let since = self.now().saturating_sub(mark.uninstalled);
        if key.provider == MONDAY && since >= seconds(limits::UNINSTALL_SETTLED) {
            self.installed(&key.app, key.account).await;
        } else {
            self.alive(&key.app, key.account).await;
        }
    }

    /// A provider refused a grant for good. If it was monday, of an account that is marked: all its grants go, once monday has refused some
    /// more of them. One alone may be of a user who left, and any user's token can say `uninstall`.
    pub(super) async fn refused_by_provider(&self, key: &GrantKey) {
        let (app, account) = (&key.app, key.account);
        let Some(mark) = self.0.marks.get(app, account).filter(|_| key.provider == MONDAY) else { return };
        let Ok(grants) = self.of_account(app, account).await else { return };
        let is_refused = |(key, grant): &&(GrantKey, Grant)| {
            key.provider == MONDAY && grant.state == State::Expired && grant.renewed_at >= mark.uninstalled
        };
        if grants.iter().filter(is_refused).count() >= REFUSALS || !grants.iter().any(is_probe) {
            self.purge(app, account).await;
        } else {
            self.probe(app, account).await;
        }
    }

    /// Looks now and then which marked accounts were silent; runs until it is dropped.
    #[expect(clippy::infinite_loop, reason = "ends with its task, of which nothing is expected")]
    pub(crate) async fn watch_uninstalled(self) {
        self.0.marks.reread_all(&self.0.vault).await;
        let mut looks = tokio::time::interval(limits::UNINSTALL_LOOK);
        loop {
            looks.tick().await;
            if self.0.marks.is_empty() {
                continue;
            }
            match Lease::once_in(&self.0.vault, "look/uninstalled", limits::UNINSTALL_LOOK / 2).await {
                Ok(true) => self.look_at_uninstalled().await,
                Ok(false) => {}
                Err(fault) => tracing::warn!(%fault, "cannot look at uninstalled accounts"),
            }
        }
    }

    /// Purges the accounts that were silent for a day; asks monday about the others.
    pub(super) async fn look_at_uninstalled(&self) {
        for ((app, account), _) in self.0.marks.all() {
            // Another gateway may have seen it alive.
            self.0.marks.reread(&self.0.vault, &row(&app, account)).await;
            let Some(mark) = self.0.marks.get(&app, account) else { continue };
            // Signs of life are written down with a delay.
            let silent = self.now().saturating_sub(mark.alive) - LIFE_NOTED_EVERY;
            if silent >= seconds(limits::UNINSTALL_SILENCE) {
                self.purge(&app, account).await;
            } else if self.now().saturating_sub(mark.uninstalled) >= seconds(limits::UNINSTALL_SETTLED) {
                self.probe(&app, account).await;
            }
        }
    }

    /// Asks monday whether the account still has the app, by a refresh of one of its grants.
    async fn probe(&self, app: &str, account: i64) {
        let Some(provider) = self.provider(app, MONDAY) else { return };
        let Ok(grants) = self.of_account(app, account).await else { return };
        if let Some((key, _)) = grants.iter().find(|grant| is_probe(grant))
            && let Ok(Some(held)) = self.reread(key).await
        {
            // A refusal leads on from here, and a success is a sign of life: `redeem` sees to both.
            drop(self.refresh(&held, &provider).outcome().await);
        }
    }

    /// Removes an account's grants, and first takes them back at their providers if the app wants that.
    async fn purge(&self, app: &str, account: i64) {
        let Ok(grants) = self.of_account(app, account).await else { return };
        for (key, grant) in grants {
            let revoked = Happening { what: What::Revoked, key: &key, by: By::Monday };
            if let Err(fault) = self.remove_told(revoked).await {
                // The mark stays, and the next look tries again.
                return tracing::warn!(%fault, app, account, "an uninstalled account's grants are not removed");
            }
            self.0.cache.forget(&key);
            self.told(revoked);
            self.count(&key, |counters| counters.purged.add(1));
            if self.on_uninstall(app) == OnUninstall::Revoke {
                self.revoke_at_provider(&key, grant);
            }
        }
        tracing::info!(app, account, "the grants of an uninstalled account are gone");
        self.mark(app, account, None).await;
    }

    /// Removes a grant. Its event is written first: whoever takes over after a death finds the grant, and tells it again.
    async fn remove_told(&self, revoked: Happening<'_>) -> Result<(), VaultFault> {
        if let Some(event) = self.0.journal.event(revoked)? {
            let _new: Written = self.0.vault.put_with(event, None).await?;
        }
        self.0.vault.remove(Table::Grants, &revoked.key.row(), Expected::Any).await.map(drop)
    }

    async fn of_account(&self, app: &str, account: i64) -> Result<Vec<(GrantKey, Grant)>, VaultFault> {
        let (prefix, mut all, mut after) = (format!("{app}/{account}/"), Vec::new(), None::<String>);
        loop {
            let page = self.0.vault.list_readable(Table::Grants, &prefix, after.as_deref(), limits::GRANTS_PAGE).await;
            let page =
                page.inspect_err(|fault| tracing::warn!(%fault, app, account, "cannot list an account's grants"))?;
            let read =
                page.iter().filter_map(|record| Some((GrantKey::of_row(&record.key)?, decode(&record.plain).ok()?)));
            all.extend(read);
            match page.last() {
                Some(last) if page.len() == limits::GRANTS_PAGE => after = Some(last.key.clone()),
                _ => return Ok(all),
            }
        }
    }

    /// Writes a mark, or removes it. A store that is down is waited for a little: monday tells once.
    async fn mark(&self, app: &str, account: i64, mark: Option<Mark>) {
        for _ in 0..ATTEMPTS {
            if self.try_mark(app, account, mark).await {
                return;
            }
            tokio::time::sleep(ATTEMPT_PAUSE).await;
        }
    }

    /// Writes a mark, or removes it, if the store takes it.
    async fn try_mark(&self, app: &str, account: i64, mark: Option<Mark>) -> bool {
        self.0.marks.set(app, account, mark);
        let row = row(app, account);
        let written = match mark.and_then(|mark| serde_json::to_vec(&mark).ok()) {
            Some(bytes) => self.0.vault.put((Table::Installs, &row), &bytes, None, Expected::Any).await.map(drop),
            None => self.0.vault.remove(Table::Installs, &row, Expected::Any).await.map(drop),
        };
        if let Err(fault) = &written {
            tracing::warn!(%fault, app, account, "what is known of an installation is not written");
        }
        written.is_ok()
    }

    /// Whether the account of a grant has uninstalled the app, as far as is known.
    pub(super) fn is_marked(&self, key: &GrantKey) -> bool {
        self.0.marks.get(&key.app, key.account).is_some()
    }

    fn on_uninstall(&self, app: &str) -> OnUninstall {
        self.0.apps.iter().find(|one| one.name == app).map_or(OnUninstall::Purge, |app| app.on_uninstall)
    }
}
