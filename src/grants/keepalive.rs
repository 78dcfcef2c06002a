//! Uses idle chains of refresh tokens once in their `keepalive`, so that they do not lapse, and tells of those that end soon whatever is
//! done. Looks at every grant now and then, at one gateway of all; each grant's day is its own, so that they are spread.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::grants::cache::Held;
use crate::grants::journal::{By, Happening, What};
use crate::grants::lease::Lease;
use crate::grants::record::{Grant, GrantKey, State};
use crate::grants::standing::seconds;
use crate::grants::{Grants, decode};
use crate::limits;
use crate::oauth::provider::{Client, Provider};
use crate::vault::{Expected, Table, VaultFault, Written};

/// The longest pause between two looks at all grants.
const LOOK: Duration = Duration::from_hours(6);
/// Between two pages: a look has time, and requests come first.
const PAGE_PAUSE: Duration = Duration::from_millis(20);

/// How many grants of each app and provider end soon.
type Ending = BTreeMap<(String, String), i64>;

impl Grants {
    /// Looks at all grants now and then; runs until it is dropped.
    #[expect(clippy::infinite_loop, reason = "ends with its task; returns early where nothing has to be kept")]
    pub(crate) async fn keep_alive(self) {
        let shortest = self.clients().map(|client| client.keepalive).min();
        let Some(shortest) = shortest else { return };
        let pause = (shortest / 20).clamp(Duration::from_secs(1), LOOK);
        loop {
            match Lease::once_in(&self.0.vault, "look/keepalive", pause).await {
                Ok(true) => {
                    if let Err(fault) = self.look_at_all().await {
                        tracing::warn!(%fault, "cannot look at all grants");
                    }
                }
                Ok(false) => {}
                Err(fault) => tracing::warn!(%fault, "cannot look at all grants"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at every grant once.
    pub(super) async fn look_at_all(&self) -> Result<(), VaultFault> {
        let mut ending = self.nothing_ends();
        let mut after: Option<String> = None;
        loop {
            let page = self.0.vault.list_readable(Table::Grants, "", after.as_deref(), limits::GRANTS_PAGE).await?;
            for record in &page {
                let (Some(key), Ok(grant)) = (GrantKey::of_row(&record.key), decode(&record.plain)) else { continue };
                let Some(provider) = self.provider(&key.app, &key.provider) else { continue };
                let held = Held { key, grant, version: record.version };
                self.look_at(Arc::new(held), &provider, &mut ending).await;
            }
            match page.last() {
                Some(last) if page.len() == limits::GRANTS_PAGE => after = Some(last.key.clone()),
                _ => break,
            }
            tokio::time::sleep(PAGE_PAUSE).await;
        }
        for ((app, provider), number) in ending {
            self.0.metrics.grant(&app, &provider).ending.set(number);
        }
        Ok(())
    }

    async fn look_at(&self, held: Arc<Held>, provider: &Provider, ending: &mut Ending) {
        let Some(client) = provider.client().filter(|_| held.grant.state == State::Ok) else { return };
        if ends_soon(&held.grant, client, self.now()) {
            *ending.entry((held.key.app.clone(), held.key.provider.clone())).or_default() += 1;
            self.tell_ending(&held.key).await;
        }
        if is_idle(&held, client, self.now()) && !self.is_marked(&held.key) {
            // One after the other: a provider is not asked for many at once.
            if let Err(fault) = self.refresh(&held, provider).outcome().await {
                let (app, account) = (&held.key.app, held.key.account);
                tracing::info!(%fault, app, account, "an idle grant was not renewed");
            }
        }
    }

    /// Tells once that a grant ends soon: the place of the telling is taken in the vault.
    async fn tell_ending(&self, key: &GrantKey) {
        let place = format!("ending/{}", key.row());
        let ending = Happening { what: What::Ending, key, by: By::Gateway };
        let kept = Some(2 * limits::CHAIN_ENDING);
        let vault = &self.0.vault;
        let told = match (
            vault.sealed((Table::Leases, &place), b"{}", kept, Expected::Absent),
            self.0.journal.event(ending),
        ) {
            (Ok(put), Ok(event)) => vault.put_with(put, event).await,
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
        };
        match told {
            Ok(Written::Version(_)) => self.told(ending),
            Ok(Written::Conflict) => {}
            Err(fault) => tracing::warn!(%fault, "cannot tell that a grant ends soon"),
        }
    }

    fn nothing_ends(&self) -> Ending {
        let apps = self.0.apps.iter();
        apps.flat_map(|app| app.providers.iter().map(|provider| ((app.name.clone(), provider.name.clone()), 0)))
            .collect()
    }

    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.0.apps.iter().flat_map(|app| &app.providers).filter_map(|provider| provider.client())
    }
}

/// Whether a chain of refresh tokens was not used for its `keepalive`, less up to a tenth that is each grant's own.
fn is_idle(held: &Held, client: &Client, now: i64) -> bool {
    let mut hasher = DefaultHasher::new();
    held.key.hash(&mut hasher);
    let early = i64::try_from(hasher.finish() % 100).unwrap_or(0);
    let keepalive = seconds(client.keepalive);
    let due = held.grant.renewed_at.saturating_add(keepalive - keepalive / 1000 * early);
    held.grant.refresh.is_some() && now >= due
}

/// Whether its chain ends within 14 days, whatever is done.
fn ends_soon(grant: &Grant, client: &Client, now: i64) -> bool {
    client.absolute_lifetime.is_some_and(|lifetime| {
        let end = grant.granted_at.saturating_add(seconds(lifetime));
        grant.refresh.is_some() && now >= end.saturating_sub(seconds(limits::CHAIN_ENDING))
    })
}
