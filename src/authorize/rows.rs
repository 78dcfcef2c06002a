//! What the flow remembers between two requests, in the vault's table of states: each row by the hash of a value that only the browser has,
//! and no longer than it is good. Knows what a row is for by its prefix, and nothing of its content.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::authorize::opaque::{NoRandomness, Opaque};
use crate::clock::Clock;
use crate::vault::{Expected, Table, Vault, VaultFault};

/// The flow's part of the vault. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    vault: Vault,
    clock: Clock,
}

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A user's way through the providers.
    Attempt,
    /// A step at a provider; one-time.
    Pending,
    /// A link; one-time.
    Ticket,
}

/// Why a row was not written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowFault {
    /// The store.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// No value could be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// It cannot be written as JSON, which every row can.
    #[error("a row cannot be written")]
    Form,
}

/// A row with its end: the store's clock may not be this gateway's.
#[derive(Serialize, serde::Deserialize)]
struct Lasting<T> {
    until: i64,
    is: T,
}

impl Rows {
    /// In this vault.
    pub(crate) fn new(vault: Vault, clock: Clock) -> Self {
        Self { vault, clock }
    }

    /// Writes a row, or writes it anew. Durable when it returns.
    pub(crate) async fn keep<T: Serialize>(
        &self,
        (sort, id): (Sort, &Opaque),
        row: &T,
        lifetime: Duration,
    ) -> Result<(), RowFault> {
        let until = self.clock.unix_seconds().saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let plain = serde_json::to_vec(&Lasting { until, is: row }).map_err(|_impossible| RowFault::Form)?;
        let plain = Zeroizing::new(plain);
        let key = sort.key(id);
        self.vault.put((Table::States, &key), &plain, Some(lifetime), Expected::Any).await?;
        Ok(())
    }

    /// Reads a row; none if there is none, or none any more.
    pub(crate) async fn read<T: DeserializeOwned>(&self, sort: Sort, id: &Opaque) -> Result<Option<T>, RowFault> {
        let record = self.vault.get(Table::States, &sort.key(id)).await;
        Ok(opened(record)?.and_then(|record| self.good(&record.plain)))
    }

    /// Reads a row and removes it, in one step: of many who ask, one gets it.
    pub(crate) async fn take<T: DeserializeOwned>(&self, sort: Sort, id: &Opaque) -> Result<Option<T>, RowFault> {
        let record = self.vault.take(Table::States, &sort.key(id)).await;
        Ok(opened(record)?.and_then(|record| self.good(&record.plain)))
    }

    fn good<T: DeserializeOwned>(&self, plain: &[u8]) -> Option<T> {
        let row: Lasting<T> = serde_json::from_slice(plain).ok()?;
        (self.clock.unix_seconds() < row.until).then_some(row.is)
    }
}

/// A row under a key that the ring no longer has is as good as none: whoever began it begins again.
fn opened<T>(read: Result<Option<T>, VaultFault>) -> Result<Option<T>, RowFault> {
    match read {
        Err(VaultFault::Sealed(_)) => Ok(None),
        other => Ok(other?),
    }
}

impl Sort {
    fn key(self, id: &Opaque) -> String {
        let sort = match self {
            Self::Attempt => "attempt",
            Self::Pending => "pending",
            Self::Ticket => "ticket",
        };
        format!("{sort}/{}", id.hash().as_str())
    }
}
