//! The thread that writes. It takes what has come together into one transaction, and answers when the disk has it; a fault answers all of
//! them with itself, after each was tried alone. Nothing is acknowledged that is not committed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::limits::VAULT_BATCH;
use crate::vault::row::{self, Put, Row};
use crate::vault::sqlite::reader::{self, alive};
use crate::vault::sqlite::{fault_of, schema};
use crate::vault::{Change, Expected, Table, VaultFault};

/// How often what has expired is removed, and how much of it at once.
const SWEEP: (Duration, u32) = (Duration::from_secs(1), 1000);

/// What the thread is given.
pub(crate) struct State {
    /// The file.
    pub(crate) path: PathBuf,
    /// The newest version that is known here: the committed one, or, for a moment, the one that is about to be.
    pub(crate) known: Arc<AtomicU64>,
    /// Who wants to know of changes.
    pub(crate) changes: broadcast::Sender<Change>,
}

/// What somebody waits for: all of it in one transaction.
pub(crate) struct Job {
    /// What to do.
    pub(crate) ops: Vec<Op>,
    /// Gets what became of each.
    pub(crate) reply: oneshot::Sender<Result<Vec<Done>, VaultFault>>,
}

/// Something to write.
pub(crate) enum Op {
    /// See `Vault::put`.
    Put(Put),
    /// See `Vault::put_with`.
    Pair(Put, Put),
    /// See `Vault::take`.
    Take(Table, String),
    /// See `Vault::remove`.
    Remove(Table, String, Expected),
    /// See `Vault::replace`.
    Replace(Table, Row),
}

/// What became of it.
#[derive(Default)]
pub(crate) struct Done {
    /// The version that it made, if it did something.
    pub(crate) version: Option<u64>,
    /// What it took.
    pub(crate) row: Option<Row>,
}

/// Writes until nobody can ask any more. Says first whether the file could be opened.
pub(crate) fn run(state: &State, mut jobs: mpsc::Receiver<Job>, ready: oneshot::Sender<Result<(), VaultFault>>) {
    let opened = schema::connect_writer(&state.path, schema::MIGRATIONS).and_then(|connection| {
        schema::writes(&connection).map(|writes| (connection, writes)).map_err(|f| fault_of(&f))
    });
    let mut connection = match opened {
        Ok((connection, writes)) => {
            state.known.store(writes, Ordering::Release);
            drop(ready.send(Ok(())));
            connection
        }
        Err(fault) => return drop(ready.send(Err(fault))),
    };
    let mut swept = Instant::now();
    let mut batch = Vec::new();
    while let Some(job) = jobs.blocking_recv() {
        batch.push(job);
        while batch.len() < VAULT_BATCH {
            let Ok(job) = jobs.try_recv() else { break };
            batch.push(job);
        }
        batch.retain(|job| !job.reply.is_closed()); // whoever asked has given up: better undone than unknown
        serve(state, &mut connection, &mut batch);
        if swept.elapsed() >= SWEEP.0 {
            swept = Instant::now();
            if let Err(fault) = sweep(&connection) {
                tracing::debug!(%fault, "what has expired was not removed from the vault");
            }
        }
    }
}

/// One transaction for all; if it fails, one for each, so that nobody fails for another's sake.
fn serve(state: &State, connection: &mut Connection, batch: &mut Vec<Job>) {
    match commit(state, connection, batch) {
        Ok(done) => batch.drain(..).zip(done).for_each(|(job, done)| answer(state, job, Ok(done))),
        Err(fault) if batch.len() == 1 => batch.drain(..).for_each(|job| answer(state, job, Err(fault_of(&fault)))),
        Err(_shared) => {
            for job in batch.drain(..) {
                let mut alone = [job];
                let done = commit(state, connection, &alone).map(|mut done| done.pop().unwrap_or_default());
                let [job] = &mut alone;
                let job = Job {
                    ops: std::mem::take(&mut job.ops),
                    reply: std::mem::replace(&mut job.reply, oneshot::channel().0),
                };
                answer(state, job, done.map_err(|fault| fault_of(&fault)));
            }
        }
    }
}

/// Tells whoever asked, and then everybody what changed.
fn answer(state: &State, job: Job, done: Result<Vec<Done>, VaultFault>) {
    let changed: Vec<Change> = match &done {
        Ok(done) => job.ops.iter().zip(done).filter_map(|(op, done)| change(op, done)).collect(),
        Err(_) => Vec::new(),
    };
    drop(job.reply.send(done));
    for change in changed {
        let _listeners = state.changes.send(change);
    }
}

fn change(op: &Op, done: &Done) -> Option<Change> {
    let (table, key) = match op {
        Op::Put(put) | Op::Pair(put, _) => (put.table, &put.key),
        Op::Take(table, key) | Op::Remove(table, key, _) => (*table, key),
        Op::Replace(..) => return None, // the same record
    };
    (done.version.is_some() && table.is_told()).then(|| Change::Row(table, key.clone()))
}

/// Does it all, and waits for the disk.
fn commit(state: &State, connection: &mut Connection, batch: &[Job]) -> rusqlite::Result<Vec<Vec<Done>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = schema::writes(&transaction)?;
    let mut version = before;
    let done = batch
        .iter()
        .map(|job| job.ops.iter().map(|op| apply(&transaction, op, &mut version)).collect())
        .collect::<rusqlite::Result<Vec<Vec<Done>>>>()?;
    if version != before {
        transaction
            .prepare_cached("UPDATE counters SET value = ?1 WHERE name = 'writes'")?
            .execute([version.cast_signed()])?;
    }
    let known = state.known.swap(version, Ordering::AcqRel);
    if let Err(fault) = transaction.commit() {
        state.known.store(known, Ordering::Release);
        return Err(fault);
    }
    if known != before {
        let _listeners = state.changes.send(Change::Anything); // another process has written in between
    }
    Ok(done)
}

fn apply(transaction: &Transaction<'_>, op: &Op, version: &mut u64) -> rusqlite::Result<Done> {
    match op {
        Op::Put(put) => apply_put(transaction, put, version),
        Op::Pair(put, with) => {
            let done = apply_put(transaction, put, version)?;
            if done.version.is_some() {
                apply_put(transaction, with, version)?;
            }
            Ok(done)
        }
        Op::Take(table, key) => {
            let row = reader::get(transaction, *table, key)?;
            if row.is_none() {
                return Ok(Done::default());
            }
            *version += 1;
            transaction.prepare_cached(REMOVE)?.execute(params![table.name(), key])?;
            Ok(Done { version: Some(*version), row })
        }
        Op::Remove(table, key, expected) => {
            let found = found(transaction, *table, key)?;
            if found.is_none() || !is_expected(*expected, found) {
                return Ok(Done::default());
            }
            *version += 1;
            transaction.prepare_cached(REMOVE)?.execute(params![table.name(), key])?;
            Ok(Done { version: Some(*version), row: None })
        }
        Op::Replace(table, row) => {
            let changed = transaction
                .prepare_cached("UPDATE records SET sealed = ?4 WHERE tbl = ?1 AND key = ?2 AND version = ?3")?
                .execute(params![table.name(), row.key, row.version.cast_signed(), row.sealed])?;
            Ok(Done { version: (changed > 0).then_some(row.version), row: None })
        }
    }
}

/// Removes a row.
const REMOVE: &str = "DELETE FROM records WHERE tbl = ?1 AND key = ?2";

fn apply_put(transaction: &Transaction<'_>, put: &Put, version: &mut u64) -> rusqlite::Result<Done> {
    const PUT: &str = "
        INSERT INTO records (tbl, key, version, expires, sealed)
        VALUES (?1, ?2, ?3, CASE ?4 WHEN 0 THEN NULL ELSE CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?4 END, ?5)
        ON CONFLICT (tbl, key) DO UPDATE
        SET version = excluded.version, expires = excluded.expires, sealed = excluded.sealed";
    if put.expected != Expected::Any && !is_expected(put.expected, found(transaction, put.table, &put.key)?) {
        return Ok(Done::default());
    }
    *version += 1;
    let lifetime = row::millis(put.lifetime);
    transaction.prepare_cached(PUT)?.execute(params![
        put.table.name(),
        put.key,
        version.cast_signed(),
        lifetime,
        put.sealed
    ])?;
    Ok(Done { version: Some(*version), row: None })
}

/// The version that is there.
fn found(transaction: &Transaction<'_>, table: Table, key: &str) -> rusqlite::Result<Option<u64>> {
    const FOUND: &str = concat!("SELECT version FROM records WHERE tbl = ?1 AND key = ?2 AND ", alive!());
    transaction
        .prepare_cached(FOUND)?
        .query_row(params![table.name(), key], |row| row.get::<_, i64>(0))
        .optional()
        .map(|found| found.map(i64::cast_unsigned))
}

fn is_expected(expected: Expected, found: Option<u64>) -> bool {
    match expected {
        Expected::Any => true,
        Expected::Absent => found.is_none(),
        Expected::Version(version) => found == Some(version),
    }
}

fn sweep(connection: &Connection) -> rusqlite::Result<()> {
    const SWEPT: &str = "
        DELETE FROM records WHERE rowid IN (
            SELECT rowid FROM records
            WHERE expires IS NOT NULL AND expires <= CAST(unixepoch('subsec') * 1000 AS INTEGER) LIMIT ?1)";
    connection.prepare_cached(SWEPT)?.execute([SWEEP.1]).map(drop)
}
