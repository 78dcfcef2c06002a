//! Sealing again what an older key has sealed, so that the older key can be removed. Goes through every table in batches, and changes a
//! row only if nobody else has in between. May be ended at any moment and begun again: what is done is done.

use std::time::Duration;

use crate::limits::VAULT_LIST;
use crate::vault::row::{Row, Rows};
use crate::vault::{Table, Vault, VaultFault, identity};

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resealed {
    /// Rows looked at.
    pub(crate) seen: u64,
    /// Rows that are under the newest key now and were not before.
    pub(crate) sealed: u64,
    /// Rows that somebody else has written in between, under the newest key of his.
    pub(crate) overtaken: u64,
    /// Rows that no key of the ring opens; they stay as they are.
    pub(crate) unreadable: u64,
}

/// How much of the store's time it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// All that there is.
    Full,
    /// Half.
    Gentle,
}

/// When it is tried again after the store failed.
const AGAIN: Duration = Duration::from_secs(30);

fn told(done: Resealed) {
    if done.sealed > 0 {
        tracing::info!(records = done.sealed, "the vault is sealed under its newest key");
    }
    if done.unreadable > 0 {
        tracing::error!(records = done.unreadable, "vault.keys lacks a key: these records of the vault cannot be read");
    }
}

impl Vault {
    /// Seals every row under the newest key. `progress` is told after each batch.
    pub(crate) async fn reseal(&self, progress: impl FnMut(Resealed)) -> Result<Resealed, VaultFault> {
        self.reseal_at(Pace::Full, progress).await
    }

    /// The same beside requests, and again until it is done; then it ends.
    pub(crate) async fn keep_sealed(self) {
        loop {
            match self.reseal_at(Pace::Gentle, |_so_far| ()).await {
                Ok(done) => return told(done),
                Err(fault) => tracing::debug!(%fault, "sealing the vault again is tried later"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn reseal_at(&self, pace: Pace, mut progress: impl FnMut(Resealed)) -> Result<Resealed, VaultFault> {
        let mut so_far = Resealed::default();
        for table in Table::ALL {
            let mut after: Option<String> = None;
            loop {
                let began = tokio::time::Instant::now();
                let rows = self.rows(Rows::new(table, "", after.as_deref(), VAULT_LIST)?).await?;
                let is_last = rows.len() < VAULT_LIST;
                after = rows.last().map(|row| row.key.clone());
                self.reseal_rows(table, rows, &mut so_far).await?;
                progress(so_far);
                if is_last {
                    break;
                }
                if pace == Pace::Gentle {
                    tokio::time::sleep(began.elapsed()).await; // half of the time is the requests'
                }
            }
        }
        Ok(so_far)
    }

    async fn reseal_rows(&self, table: Table, rows: Vec<Row>, so_far: &mut Resealed) -> Result<(), VaultFault> {
        let mut again = Vec::new();
        for row in rows {
            so_far.seen += 1;
            if self.keys.is_current(&row.sealed) {
                continue;
            }
            let Ok(opened) = self.keys.open(&identity(table, &row.key), &row.sealed) else {
                so_far.unreadable += 1;
                continue;
            };
            let sealed = self.keys.seal(&identity(table, &row.key), &opened.plain)?;
            again.push(Row { sealed, ..row });
        }
        let (asked, done) = (again.len() as u64, self.replace(table, again).await?);
        so_far.sealed += done;
        so_far.overtaken += asked - done;
        Ok(())
    }
}
