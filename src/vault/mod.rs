//! Sealed records by key, in one of three stores: SQLite, PostgreSQL, Redis. Knows no OAuth: a record is bytes, sealed before a store sees
//! them. What `put` and `take` have acknowledged is durable: the store has synchronised it to its disk.
//!
//! Keys of rows are not sealed, since they are listed by prefix: whoever has a key that is secret gives its hash. Each operation ends within
//! its bound (`limits`), also when the store hangs; what became of a write that ended so is not known, as with any commit.

mod address;
mod change;
mod reseal;
mod row;
mod wire;

mod postgres;
mod redis;
#[expect(clippy::result_large_err, reason = "rusqlite's error: there is a disk in between")]
mod sqlite;

pub(crate) use self::address::{AddressFlaw, StoreAddress};
pub(crate) use self::row::{Put, Row, Rows};

use std::time::Duration;

use tokio::sync::broadcast;
use zeroize::Zeroizing;

use self::postgres::Postgres;
use self::redis::Redis;
use self::sqlite::Sqlite;
use crate::limits::{VAULT_LIST, VAULT_RECORD_BYTES};
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

impl Table {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Grants, Self::States, Self::Leases, Self::Events, Self::Installs];

    /// Its name in the stores, and a part of each record's identity: never changed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::States => "states",
            Self::Leases => "leases",
            Self::Events => "events",
            Self::Installs => "installs",
        }
    }

    /// The table of that name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Whether gateways tell each other of its changes: of those that somebody keeps copies of. The others are many and short.
    pub(crate) const fn is_told(self) -> bool {
        matches!(self, Self::Grants | Self::Installs)
    }
}

/// A record, opened.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its key.
    pub(crate) key: String,
    /// The fence: it grows with every write of this key, also after a removal. Sealing again does not change it.
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

/// An open vault. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    /// Where the records are.
    store: Store,
    /// What seals them.
    keys: KeyRing,
}

/// The three.
#[derive(Clone, Debug)]
enum Store {
    Sqlite(Sqlite),
    Postgres(Postgres),
    Redis(Redis),
}

/// Does the same with whichever store it is.
macro_rules! of_store {
    ($vault:expr, $store:ident => $what:expr) => {
        match &$vault.store {
            Store::Sqlite($store) => $what,
            Store::Postgres($store) => $what,
            Store::Redis($store) => $what,
        }
    };
}

impl Vault {
    /// Opens the store, migrates its schema forward, refuses one that cannot keep what it acknowledges. Within a tokio runtime, which carries
    /// the store's tasks from then on.
    pub(crate) async fn open(address: &StoreAddress, keys: KeyRing) -> Result<Self, VaultFault> {
        let store = match address {
            StoreAddress::Sqlite(path) => Store::Sqlite(Sqlite::open(path).await?),
            StoreAddress::Postgres(url) => Store::Postgres(Postgres::open(url).await?),
            StoreAddress::Redis(url) => Store::Redis(Redis::open(url).await?),
        };
        Ok(Self { store, keys })
    }

    /// Says that this process is a gateway, which changes the store for as long as it runs. A file has one gateway only; a second
    /// one is refused. Commands that look into the same file, or change a record, need not ask.
    pub(crate) fn serve(&self) -> Result<(), VaultFault> {
        match &self.store {
            Store::Sqlite(sqlite) => sqlite.lock(),
            Store::Postgres(_) | Store::Redis(_) => Ok(()),
        }
    }

    /// A record, unless it is absent or expired.
    pub(crate) async fn get(&self, table: Table, key: &str) -> Result<Option<Record>, VaultFault> {
        let found = of_store!(self, store => store.get(table, row::key(key)?).await)?;
        found.map(|row| self.opened(table, row)).transpose()
    }

    /// Writes a record, if what is there is what is expected. `lifetime` from now, by the store's clock.
    pub(crate) async fn put(
        &self,
        (table, key): (Table, &str),
        plain: &[u8],
        lifetime: Option<Duration>,
        expected: Expected,
    ) -> Result<Written, VaultFault> {
        self.put_with(self.sealed((table, key), plain, lifetime, expected)?, None).await
    }

    /// Writes a sealed record and, in the same step, another one, which has a lifetime: both or neither. The first one's expectation is
    /// the one that counts.
    pub(crate) async fn put_with(&self, put: Put, with: Option<Put>) -> Result<Written, VaultFault> {
        if let Some(with) = with {
            return of_store!(self, store => store.write_pair(put, with).await);
        }
        let written = self.write(vec![put]).await?;
        written.into_iter().next().ok_or_else(|| VaultFault::Refused("no answer".to_owned()))
    }

    /// Seals a record that `put_all` or `put_with` is to write.
    pub(crate) fn sealed(
        &self,
        (table, key): (Table, &str),
        plain: &[u8],
        lifetime: Option<Duration>,
        expected: Expected,
    ) -> Result<Put, VaultFault> {
        let key = row::key(key)?;
        if plain.len() > VAULT_RECORD_BYTES {
            return Err(VaultFault::Refused(format!(
                "a record of {} bytes: {VAULT_RECORD_BYTES} at most",
                plain.len()
            )));
        }
        let sealed = self.keys.seal(&identity(table, &key), plain)?;
        Ok(Put { table, key, sealed, lifetime, expected })
    }

    /// Writes many, each for itself, with fewer waits for the disk than one after the other. Answers in their order. A fault leaves
    /// open which of them are written.
    pub(crate) async fn put_all(&self, puts: Vec<Put>) -> Result<Vec<Written>, VaultFault> {
        if puts.is_empty() { Ok(Vec::new()) } else { self.write(puts).await }
    }

    /// Reads and removes a record in one step: of many that take it, one gets it.
    pub(crate) async fn take(&self, table: Table, key: &str) -> Result<Option<Record>, VaultFault> {
        let taken = of_store!(self, store => store.take(table, row::key(key)?).await)?;
        taken.map(|row| self.opened(table, row)).transpose()
    }

    /// Removes a record, if what is there is what is expected. True if it is gone by this call.
    pub(crate) async fn remove(&self, table: Table, key: &str, expected: Expected) -> Result<bool, VaultFault> {
        of_store!(self, store => store.remove(table, row::key(key)?, expected).await)
    }

    /// Records whose keys begin with `prefix` and come after `after`, in the order of their keys' bytes; at most `limits::VAULT_LIST` at once.
    /// Fewer than `limit` (or than that) are the last ones.
    pub(crate) async fn list(
        &self,
        table: Table,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, VaultFault> {
        let rows = self.rows(Rows::new(table, prefix, after, limit)?).await?;
        rows.into_iter().map(|row| self.opened(table, row)).collect()
    }

    /// As [`Vault::list`], without what no key of the ring opens: one such row keeps nobody from the others.
    pub(crate) async fn list_readable(
        &self,
        table: Table,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, VaultFault> {
        let limit = limit.min(VAULT_LIST);
        let (mut after, mut records) = (after.map(str::to_owned), Vec::new());
        loop {
            let wanted = limit - records.len();
            let rows = self.rows(Rows::new(table, prefix, after.as_deref(), wanted)?).await?;
            let is_last = rows.len() < wanted;
            after = rows.last().map(|row| row.key.clone()).or(after);
            records.extend(rows.into_iter().filter_map(|row| self.opened(table, row).ok()));
            if is_last || records.len() >= limit {
                return Ok(records);
            }
        }
    }

    /// How many records a table has under a prefix.
    pub(crate) async fn count(&self, table: Table, prefix: &str) -> Result<u64, VaultFault> {
        of_store!(self, store => store.count(Rows::new(table, prefix, None, VAULT_LIST)?).await)
    }

    /// What changes from now on: grants and installs, at every gateway. A receiver that is told it lagged takes that as `Anything`.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        of_store!(self, store => store.changes())
    }

    /// How many writes the store has seen in all: at least as many as were sealed by any gateway with any key.
    pub(crate) async fn writes(&self) -> Result<u64, VaultFault> {
        of_store!(self, store => store.writes().await)
    }

    /// The keys that seal it.
    pub(crate) const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Rows as the store has them.
    pub(crate) async fn rows(&self, rows: Rows) -> Result<Vec<Row>, VaultFault> {
        of_store!(self, store => store.list(rows).await)
    }

    /// A row, opened.
    pub(crate) fn opened(&self, table: Table, row: Row) -> Result<Record, VaultFault> {
        let opened = self.keys.open(&identity(table, &row.key), &row.sealed)?;
        Ok(Record { key: row.key, version: row.version, expires: row.expires, plain: opened.plain })
    }

    async fn write(&self, puts: Vec<Put>) -> Result<Vec<Written>, VaultFault> {
        of_store!(self, store => store.write(puts).await)
    }

    /// Puts the same records under the newest key in their rows' places, unless a row has changed. Versions stay. How many it did.
    async fn replace(&self, table: Table, rows: Vec<Row>) -> Result<u64, VaultFault> {
        if rows.is_empty() { Ok(0) } else { of_store!(self, store => store.replace(table, rows).await) }
    }
}

/// What a record is the value of.
fn identity(table: Table, key: &str) -> [&[u8]; 2] {
    [table.name().as_bytes(), key.as_bytes()]
}

#[cfg(test)]
mod trials;
