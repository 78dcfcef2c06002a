//! The task that writes to Redis: what has come together goes out together, and is answered when the append-only file has it. Where the
//! server does not synchronise each write, one WAITAOF waits for all of them.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Pipeline, RedisError, Value};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::limits::{VAULT_BATCH, VAULT_PATIENCE, VAULT_WALK_PATIENCE};
use crate::vault::redis::dial::Durable;
use crate::vault::redis::link::Link;
use crate::vault::redis::{expiry, fault_of, index, is_refused_for_good, record, row, scripts, unexpected};
use crate::vault::row::{self as rows, Put, Row};
use crate::vault::{Change, Expected, Table, VaultFault};

/// How long WAITAOF waits: `appendfsync everysec` synchronises once a second.
const SYNCHRONISED: Duration = Duration::from_secs(3);

/// What somebody waits for. Each of it is a step of its own.
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
    /// See `Vault::take` and `Vault::remove`.
    Take(Table, String, Expected),
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

/// How long a write may take.
pub(crate) const fn patience(durable: Durable) -> Duration {
    match durable {
        Durable::Always => VAULT_PATIENCE,
        Durable::Wait => SYNCHRONISED,
    }
}

/// Writes until nobody can ask any more.
pub(crate) async fn run(link: Link, origin: String, changes: broadcast::Sender<Change>, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, VAULT_BATCH).await > 0 {
        batch.retain(|job| !job.reply.is_closed()); // whoever asked has given up: better undone than unknown
        if batch.is_empty() {
            continue;
        }
        let single = batch.iter().all(|job| job.ops.len() == 1);
        let answer = link
            .ask(if single { SYNCHRONISED } else { VAULT_WALK_PATIENCE }, async |connection, durable| {
                let own = if single { patience(durable) } else { VAULT_WALK_PATIENCE };
                let sent = send(connection, durable, &batch, &origin);
                match tokio::time::timeout(own, sent).await {
                    Ok(answer) => answer,
                    Err(_late) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
                }
            })
            .await;
        match answer {
            Ok(values) => {
                if values.iter().any(is_refused_for_good) {
                    link.lose_any().await;
                }
                settle(&mut batch, values, &changes);
            }
            Err(fault) => batch.drain(..).for_each(|job| drop(job.reply.send(Err(fault.clone())))),
        }
    }
}

/// Sends all of it at once. An error is of the connection, or of the disk: what Redis answers to each is among the values.
async fn send(
    mut connection: MultiplexedConnection,
    durable: Durable,
    batch: &[Job],
    origin: &str,
) -> Result<Vec<Value>, RedisError> {
    let mut pipeline = Pipeline::new();
    let ops = || batch.iter().flat_map(|job| &job.ops);
    for op in ops() {
        add(&mut pipeline, op, origin);
    }
    let mut count = ops().count();
    if durable == Durable::Wait {
        pipeline.cmd("WAITAOF").arg(1).arg(0).arg(SYNCHRONISED.as_millis().to_string());
        count += 1;
    }
    let mut values = connection.send_packed_commands(&pipeline, 0, count).await?;
    if durable == Durable::Wait {
        let synchronised = values.pop().map(Value::extract_error).transpose()?;
        let is_on_disk =
            matches!(&synchronised, Some(Value::Array(counts)) if matches!(counts.first(), Some(Value::Int(1..))));
        if !is_on_disk {
            return Err(RedisError::from(std::io::Error::other(
                "Redis did not synchronise its append-only file in time",
            )));
        }
    }
    Ok(values)
}

fn add(pipeline: &mut Pipeline, op: &Op, origin: &str) {
    let told = |table: Table, key: &str| {
        if table.is_told() { format!("{origin}/{}/{key}", table.name()) } else { String::new() }
    };
    match op {
        Op::Put(put) => add_put(pipeline, (put, None), told(put.table, &put.key)),
        Op::Pair(put, with) => add_put(pipeline, (put, Some(with)), told(put.table, &put.key)),
        Op::Take(table, key, expected) => {
            let command = pipeline.cmd("EVAL").arg(scripts::TAKE).arg(4).arg(record(*table, key));
            let command = command.arg(index(*table)).arg(expiry(*table)).arg(scripts::VERSIONS);
            command.arg(key).arg(expected.number()).arg(told(*table, key));
        }
        Op::Replace(table, row) => {
            let command = pipeline.cmd("EVAL").arg(scripts::REPLACE).arg(1).arg(record(*table, &row.key));
            command.arg(row.version).arg(row.sealed.as_slice());
        }
    }
}

fn add_put(pipeline: &mut Pipeline, (put, with): (&Put, Option<&Put>), told: String) {
    let Put { table, key, sealed, lifetime, expected } = put;
    let keys = if with.is_some() { 7 } else { 4 };
    let command = pipeline.cmd("EVAL").arg(scripts::PUT).arg(keys).arg(record(*table, key));
    let mut command = command.arg(index(*table)).arg(expiry(*table)).arg(scripts::VERSIONS);
    if let Some(Put { table, key, .. }) = with {
        command = command.arg(record(*table, key)).arg(index(*table)).arg(expiry(*table));
    }
    command = command.arg(key).arg(sealed.as_slice()).arg(rows::millis(*lifetime)).arg(expected.number());
    command = command.arg(told).arg(record(*table, ""));
    if let Some(Put { key, sealed, lifetime, .. }) = with {
        command.arg(key).arg(sealed.as_slice()).arg(rows::millis(*lifetime));
    }
}

/// Gives everybody his answers, and tells what changed.
fn settle(batch: &mut Vec<Job>, values: Vec<Value>, changes: &broadcast::Sender<Change>) {
    let mut values = values.into_iter();
    for job in batch.drain(..) {
        let done: Result<Vec<Done>, VaultFault> = job
            .ops
            .iter()
            .map(|op| done(op, values.next().ok_or_else(unexpected)?))
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        let changed: Vec<Change> = match &done {
            Ok(done) => job.ops.iter().zip(done).filter_map(|(op, done)| change(op, done)).collect(),
            Err(_) => Vec::new(),
        };
        drop(job.reply.send(done));
        for change in changed {
            let _listeners = changes.send(change);
        }
    }
}

fn done(op: &Op, value: Value) -> Result<Done, VaultFault> {
    let value = value.extract_error().map_err(|fault| fault_of(&fault))?;
    match (op, value) {
        (Op::Put(_) | Op::Pair(..), Value::BulkString(version)) if version.is_empty() => Ok(Done::default()),
        (Op::Put(_) | Op::Pair(..), Value::BulkString(version)) => {
            let version = std::str::from_utf8(&version).ok().and_then(|text| text.parse().ok());
            Ok(Done { version: Some(version.ok_or_else(unexpected)?), row: None })
        }
        (Op::Take(..), Value::Nil) | (Op::Replace(..), Value::Int(0)) => Ok(Done::default()),
        (Op::Take(_, key, _), Value::BulkString(text)) => {
            let row = row(key.clone(), &text)?;
            Ok(Done { version: Some(row.version), row: Some(row) })
        }
        (Op::Replace(_, row), Value::Int(1)) => Ok(Done { version: Some(row.version), row: None }),
        _ => Err(unexpected()),
    }
}

fn change(op: &Op, done: &Done) -> Option<Change> {
    let (table, key) = match op {
        Op::Put(put) | Op::Pair(put, _) => (put.table, &put.key),
        Op::Take(table, key, _) => (*table, key),
        Op::Replace(..) => return None, // the same record
    };
    (done.version.is_some() && table.is_told()).then(|| Change::Row(table, key.clone()))
}
