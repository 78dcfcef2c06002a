//! Redeems a refresh token: once among all gateways that share the store. Under a lease, renewed while the provider is slow; others wait
//! and read again. The new token is written, fenced by the version of what was read, before anyone gets it. After a death the lease
//! lapses, and whoever takes over redeems the old token once; if the provider refuses it, the grant is `expired`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::grants::cache::Held;
use crate::grants::fresh::Outcome;
use crate::grants::journal::{By, Happening, What};
use crate::grants::lease::{Lease, LeaseTerms};
use crate::grants::record::{Grant, GrantKey, State};
use crate::grants::standing::{self, Life, Standing};
use crate::grants::{Down, Grants, Unusable};
use crate::limits;
use crate::oauth::provider::Provider;
use crate::oauth::token::{self, Given, Tokens};
use crate::vault::{Expected, VaultFault, Written};

/// Between two attempts to write a token down.
const WRITE_PAUSE: Duration = Duration::from_millis(300);

/// Seconds in which a new token is used, however short it lives: it is what somebody has just waited for.
const JUST_NOW: i64 = 5;

impl Grants {
    /// A newer token than that of `read`: another gateway's, or our own redemption's.
    pub(super) async fn redeem(&self, read: &Held, provider: &Provider) -> Outcome {
        let key = &read.key;
        let name = key.row();
        let terms = LeaseTerms { lasts: self.0.terms.lease, renewed: self.0.terms.lease_renewed };
        loop {
            if let Some(outcome) = self.settled(read).await? {
                return outcome;
            }
            let Some(lease) = Lease::take(&self.0.vault, &name, terms).await.map_err(store)? else {
                tokio::time::sleep(limits::LEASE_LOOK.min(terms.lasts / 4)).await;
                continue;
            };
            // Who had it before may have written since.
            let outcome = match self.settled(read).await {
                Ok(None) => self.redeem_alone(key, provider).await,
                Ok(Some(outcome)) => outcome,
                Err(unusable) => Err(unusable),
            };
            lease.release().await;
            return outcome;
        }
    }

    /// What there is to say without a redemption: something newer than `read` is there, or nothing at all.
    async fn settled(&self, read: &Held) -> Result<Option<Outcome>, Unusable> {
        let Some(now) = self.reread(&read.key).await.map_err(store)? else {
            self.0.cache.forget(&read.key);
            return Ok(Some(Err(Unusable::Missing)));
        };
        let is_dead = now.grant.refresh.is_some()
            && standing::life(&now.grant, self.now()) == Life::Over
            && self.now().saturating_sub(now.grant.renewed_at) > JUST_NOW;
        if now.version == read.version || is_dead {
            return Ok(None);
        }
        self.0.cache.forget(&read.key);
        Ok(Some(usable(now)))
    }

    /// Under the lease: redeems what the store has now, and writes down what came of it.
    async fn redeem_alone(&self, key: &GrantKey, provider: &Provider) -> Outcome {
        let Some(held) = self.reread(key).await.map_err(store)? else { return Err(Unusable::Missing) };
        let Some(refresh) = held.grant.refresh.as_deref().filter(|_| held.grant.state == State::Ok) else {
            return usable(held);
        };
        match token::refresh(&self.0.discovery, provider, refresh).await {
            Ok(tokens) => {
                let grant = renewed(&held.grant, tokens, self.now());
                let refreshed = Happening { what: What::Refreshed, key, by: By::Gateway };
                let outcome = self.write(&held, (grant, refreshed), provider).await;
                if outcome.is_ok() {
                    self.count(key, |counters| counters.refreshed.add(1));
                    self.alive_by_refresh(key).await;
                }
                outcome
            }
            Err(fault) if fault.is_final() => {
                tracing::warn!(%fault, app = key.app, account = key.account, "a grant is lost");
                let lost = Happening { what: What::Lost, key, by: By::Provider };
                let outcome = self.write(&held, (held.grant.expired(self.now()), lost), provider).await;
                self.count(key, |counters| counters.refused.add(1));
                self.refused_by_provider(key).await;
                outcome
            }
            Err(fault) => {
                tracing::warn!(%fault, app = key.app, account = key.account, "a token was not refreshed");
                self.count(key, |counters| counters.failed.add(1));
                Err(Unusable::Down(Down::Provider))
            }
        }
    }

    /// Writes what became of a grant, unless somebody else has written since it was read; then theirs holds. The provider
    /// has given the token out already, so a store that is down is waited for: nobody else can redeem the old one.
    async fn write(&self, read: &Held, (grant, happening): (Grant, Happening<'_>), provider: &Provider) -> Outcome {
        let (key, began) = (&read.key, Instant::now());
        let lifetime = (grant.state != State::Ok).then_some(limits::REVOKED_REMEMBERED);
        loop {
            match self.write_told(happening, &grant, (lifetime, Expected::Version(read.version))).await {
                Ok(Written::Version(version)) => {
                    self.0.cache.forget(key);
                    self.told(happening);
                    return usable(Arc::new(Held { key: key.clone(), grant, version }));
                }
                Ok(Written::Conflict) => return self.overtaken(key, grant, provider).await,
                Err(fault) if began.elapsed() > limits::TOKEN_WRITTEN_WITHIN => {
                    tracing::error!(%fault, app = key.app, account = key.account, "a new token could not be kept; the grant is lost");
                    return Err(store(fault));
                }
                Err(fault) => {
                    tracing::warn!(%fault, "a new token waits for the store");
                    tokio::time::sleep(WRITE_PAUSE).await;
                }
            }
        }
    }

    /// Somebody has written in the meantime. An own write whose acknowledgement was lost is recognised.
    async fn overtaken(&self, key: &GrantKey, own: Grant, provider: &Provider) -> Outcome {
        self.0.cache.forget(key);
        match self.reread(key).await.map_err(store)? {
            Some(held) if held.grant == own => usable(held),
            Some(held) if held.grant.state == State::Ok => usable(held),
            Some(held) => {
                self.revoke(key, &own, provider).await;
                usable(held)
            }
            None => {
                self.revoke(key, &own, provider).await;
                Err(Unusable::Missing)
            }
        }
    }

    /// Tells the provider in the background that a grant is not wanted any more.
    pub(super) fn revoke_at_provider(&self, key: &GrantKey, grant: Grant) {
        let Some(provider) = self.provider(&key.app, &key.provider) else { return };
        let (grants, key) = (self.clone(), key.clone());
        tokio::spawn(async move { grants.revoke(&key, &grant, &provider).await });
    }

    /// Tells the provider that a grant is not wanted any more, as far as it listens.
    pub(super) async fn revoke(&self, key: &GrantKey, grant: &Grant, provider: &Provider) {
        if grant.state != State::Ok || provider.client().is_none() {
            return;
        }
        let given = grant.refresh.as_deref().map_or(Given::Access(&grant.access), Given::Refresh);
        if let Err(fault) = token::revoke(&self.0.discovery, provider, given).await {
            if fault.is_unheard() {
                tracing::debug!(%fault, app = key.app, account = key.account, "the provider is not told");
                return;
            }
            tracing::warn!(%fault, app = key.app, account = key.account, "not taken back at the provider");
        }
    }
}

/// The grant with new tokens. What the provider does not repeat stays.
fn renewed(grant: &Grant, tokens: Tokens, now: i64) -> Grant {
    let mut values = grant.values.clone();
    values.extend(tokens.values);
    Grant {
        state: State::Ok,
        access: tokens.access,
        refresh: tokens.refresh.or_else(|| grant.refresh.clone()),
        expires: tokens.expires,
        scopes: tokens.scopes.unwrap_or_else(|| grant.scopes.clone()),
        asked: grant.asked.clone(),
        values,
        granted_at: grant.granted_at,
        renewed_at: now,
        granted_by: grant.granted_by,
    }
}

/// What is there, if it can be used.
fn usable(held: Arc<Held>) -> Outcome {
    match held.grant.state {
        State::Ok => Ok(held),
        State::Expired => Err(Standing::Expired.into()),
        State::Revoked => Err(Standing::Revoked.into()),
    }
}

/// The store did not do it.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn store(fault: VaultFault) -> Unusable {
    tracing::warn!(%fault, "a refresh could not use the store");
    Unusable::Down(Down::Store)
}
