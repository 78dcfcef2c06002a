//! A lease: of all gateways that share the store, one holds it. Renewed by a task of its own while its holder is at work; lapses by the
//! store's clock when the holder has died. It keeps others from beginning, no more: what is written under it is fenced by the
//! version of what was read.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::vault::{Expected, Table, Vault, VaultFault, Written};

/// Held until it is released, or dropped and lapsed.
#[derive(Debug)]
pub(super) struct Lease {
    release: Option<oneshot::Sender<()>>,
    renewing: Option<JoinHandle<()>>,
}

/// How long a lease lasts, and how often it is renewed.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseTerms {
    /// Unless renewed.
    pub(super) lasts: Duration,
    /// Several times in that.
    pub(super) renewed: Duration,
}

impl Lease {
    /// Takes the lease of that name, unless another holds it.
    pub(super) async fn take(vault: &Vault, name: &str, terms: LeaseTerms) -> Result<Option<Self>, VaultFault> {
        let place = (Table::Leases, name);
        match vault.put(place, b"{}", Some(terms.lasts), Expected::Absent).await? {
            Written::Conflict => Ok(None),
            Written::Version(version) => {
                let (release, released) = oneshot::channel();
                let renewing = tokio::spawn(hold(vault.clone(), (name.to_owned(), version), terms, released));
                Ok(Some(Self { release: Some(release), renewing: Some(renewing) }))
            }
        }
    }

    /// Takes a lease that nobody renews: what is done under it is done once in that time, by one of all gateways.
    pub(super) async fn once_in(vault: &Vault, name: &str, span: Duration) -> Result<bool, VaultFault> {
        let written = vault.put((Table::Leases, name), b"{}", Some(span), Expected::Absent).await?;
        Ok(written != Written::Conflict)
    }

    /// Gives it back at once.
    pub(super) async fn release(mut self) {
        drop(self.release.take());
        if let Some(renewing) = self.renewing.take() {
            // It ends by itself, having given the lease back.
            drop(renewing.await);
        }
    }
}

impl Drop for Lease {
    /// Without a release nobody renews it any more, and it lapses.
    fn drop(&mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
    }
}

/// Renews, and in the end gives back.
async fn hold(
    vault: Vault,
    (name, mut version): (String, u64),
    terms: LeaseTerms,
    mut released: oneshot::Receiver<()>,
) {
    let place = (Table::Leases, name.as_str());
    loop {
        if tokio::time::timeout(terms.renewed, &mut released).await.is_ok() {
            if let Err(fault) = vault.remove(place.0, place.1, Expected::Version(version)).await {
                tracing::warn!(%fault, "a lease was not given back; it lapses");
            }
            return;
        }
        match vault.put(place, b"{}", Some(terms.lasts), Expected::Version(version)).await {
            Ok(Written::Version(next)) => version = next,
            Ok(Written::Conflict) => {
                tracing::warn!(lease = name, "a lease had lapsed before it was renewed");
                return;
            }
            // Perhaps the next one comes through in time.
            Err(fault) => tracing::warn!(%fault, "a lease was not renewed"),
        }
    }
}
