//! Sealed records by key, in one of three stores. Knows no OAuth: a record is bytes. What `put` and `take` have acknowledged is durable.

use zeroize::Zeroizing;

use crate::seal::KeyRing;

/// What kinds of records there are: each has its own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    /// Grants, by `GrantKey::row`.
    Grants,
    /// One-time states and tickets of flows.
    States,
    /// Leases.
    Leases,
    /// Events that a backend has not taken yet.
    Events,
    /// What is known of an app's installation on an account.
    Installs,
}

/// A record, opened.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its key.
    pub(crate) key: String,
    /// The fence: it grows with every write of this key.
    pub(crate) version: u64,
    /// Unix milliseconds after which it is not there any more, by the store's clock.
    pub(crate) expires: Option<u64>,
    /// Its bytes.
    pub(crate) plain: Zeroizing<Vec<u8>>,
}

/// What must be there for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Anything or nothing.
    Any,
    /// Nothing, or something that has expired.
    Absent,
    /// This version.
    Version(u64),
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Durable, with this version.
    Version(u64),
    /// Something else was there than expected; nothing was written.
    Conflict,
}

/// Why a store did not do it. Nothing was acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum VaultFault {
    /// No connection, or none in time.
    #[error("the vault's store cannot be reached: {0}")]
    Unreachable(String),
    /// It refused: full, read-only, evicting.
    #[error("the vault's store refused: {0}")]
    Refused(String),
    /// A record that cannot be opened.
    #[error("a record of the vault cannot be opened: {0}")]
    Sealed(#[from] crate::seal::SealFault),
    /// A newer gateway has written it.
    #[error("the vault's schema is version {found}, newer than this gateway's {known}")]
    Newer {
        /// In the store.
        found: u32,
        /// The newest that this gateway knows.
        known: u32,
    },
}

/// Tells that a record changed, here or at another gateway that shares the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// This one.
    Row(Table, String),
    /// Perhaps any: the connection that would have told was away.
    Anything,
}

/// `vault.store`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAddress {
    /// A file.
    Sqlite(std::path::PathBuf),
    /// A URL with its password in it, or the name of a libpq environment.
    Postgres(crate::secret::Secret),
    /// redis or rediss.
    Redis(crate::secret::Secret),
}

/// An open vault. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Vault {}

impl Vault {
    /// Opens the store, migrates its schema forward, refuses one that cannot keep what it acknowledges.
    pub(crate) async fn open(_address: &StoreAddress, _keys: KeyRing) -> Result<Self, VaultFault> {
        unimplemented!()
    }

    /// A record, unless it is absent or expired.
    pub(crate) async fn get(&self, _table: Table, _key: &str) -> Result<Option<Record>, VaultFault> {
        unimplemented!()
    }

    /// Writes a record, if what is there is what is expected. `lifetime` from now, by the store's clock.
    pub(crate) async fn put(
        &self,
        _place: (Table, &str),
        _plain: &[u8],
        _lifetime: Option<std::time::Duration>,
        _expected: Expected,
    ) -> Result<Written, VaultFault> {
        unimplemented!()
    }

    /// Reads and removes a record in one step: of many that take it, one gets it.
    pub(crate) async fn take(&self, _table: Table, _key: &str) -> Result<Option<Record>, VaultFault> {
        unimplemented!()
    }

    /// Removes a record, if what is there is what is expected. True if it is gone by this call.
    pub(crate) async fn remove(&self, _table: Table, _key: &str, _expected: Expected) -> Result<bool, VaultFault> {
        unimplemented!()
    }

    /// Records whose keys begin with `prefix` and come after `after`, in the order of their keys' bytes.
    pub(crate) async fn list(
        &self,
        _table: Table,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<Record>, VaultFault> {
        unimplemented!()
    }

    /// How many records a table has under a prefix.
    pub(crate) async fn count(&self, _table: Table, _prefix: &str) -> Result<u64, VaultFault> {
        unimplemented!()
    }

    /// What changes from now on.
    pub(crate) fn changes(&self) -> tokio::sync::broadcast::Receiver<Change> {
        unimplemented!()
    }
}
