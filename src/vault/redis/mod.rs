//! The vault in one Redis server, for several gateways. Each write is one script; it is acknowledged when the server has synchronised its
//! append-only file, which a server that cannot is refused for. Two connections, one for reads and one for writes, are made again when they
//! fail or hang; a third listens.

mod dial;
mod link;
mod listen;
mod scripts;
mod writer;

use std::sync::Arc;

use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;

use self::dial::Dial;
use self::link::Link;
use self::writer::{Done, Job, Op};
use crate::limits::{VAULT_BATCH, VAULT_CHANGES, VAULT_PATIENCE, VAULT_QUEUE, VAULT_WALK_PATIENCE};
use crate::secret::Secret;
use crate::vault::row::{Put, Row, Rows};
use crate::vault::{Change, Expected, Table, VaultFault, Written, change, wire};

/// An open database. Cheap to clone; its tasks end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// For what only reads.
    reads: Link,
    /// To the task that writes.
    writer: mpsc::Sender<Job>,
    /// How long a write may take: longer where the server synchronises once a second.
    patience: std::time::Duration,
    /// Who wants to know of changes.
    changes: broadcast::Sender<Change>,
    /// The task that listens.
    listening: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Redis {
    /// Connects, and judges the server.
    pub(crate) async fn open(address: &Secret) -> Result<Self, VaultFault> {
        let dial = Dial::new(address)?;
        let (_probe, durable) =
            tokio::time::timeout(VAULT_PATIENCE, dial.connect()).await.map_err(|_late| late())??;
        let (changes, _nobody) = broadcast::channel(VAULT_CHANGES);
        let origin = change::origin()?;
        let (writer, jobs) = mpsc::channel(VAULT_QUEUE);
        tokio::spawn(writer::run(Link::new(dial.clone()), origin.clone(), changes.clone(), jobs));
        let listening = tokio::spawn(listen::run(dial.clone(), origin, changes.clone())).abort_handle();
        let patience = writer::patience(durable);
        Ok(Self(Arc::new(Inner { reads: Link::new(dial), writer, patience, changes, listening })))
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    pub(crate) async fn get(&self, table: Table, key: String) -> Result<Option<Row>, VaultFault> {
        let mut command = Cmd::new();
        command.arg("GET").arg(record(table, &key));
        let found: Option<Vec<u8>> = self.read(&command, VAULT_PATIENCE).await?;
        found.map(|text| row(key, &text)).transpose()
    }

    pub(crate) async fn list(&self, rows: Rows) -> Result<Vec<Row>, VaultFault> {
        if rows.limit == 0 {
            return Ok(Vec::new());
        }
        let (from, until) = ends(&rows);
        let mut command = Cmd::new();
        command.arg("EVAL").arg(scripts::LIST).arg(1).arg(index(rows.table));
        command.arg(from).arg(until).arg(rows.limit).arg(record(rows.table, ""));
        let found: Vec<Vec<u8>> = self.read(&command, VAULT_WALK_PATIENCE).await?;
        let (pairs, _odd) = found.as_chunks::<2>();
        pairs
            .iter()
            .map(|[key, text]| row(String::from_utf8(key.clone()).map_err(|_bytes| unexpected())?, text))
            .collect()
    }

    pub(crate) async fn count(&self, rows: Rows) -> Result<u64, VaultFault> {
        let (from, until) = ends(&rows);
        let mut command = Cmd::new();
        command.arg("EVAL").arg(scripts::COUNT).arg(2).arg(index(rows.table)).arg(expiry(rows.table));
        command.arg(from).arg(until).arg(record(rows.table, ""));
        let counted: i64 = self.read(&command, VAULT_WALK_PATIENCE).await?;
        Ok(u64::try_from(counted).unwrap_or(0))
    }

    pub(crate) async fn writes(&self) -> Result<u64, VaultFault> {
        let mut command = Cmd::new();
        command.arg("GET").arg(scripts::VERSIONS);
        Ok(self.read::<Option<u64>>(&command, VAULT_PATIENCE).await?.unwrap_or(0))
    }

    pub(crate) async fn write(&self, puts: Vec<Put>) -> Result<Vec<Written>, VaultFault> {
        let mut written = Vec::with_capacity(puts.len());
        let mut puts = puts.into_iter();
        loop {
            let batch: Vec<Op> = puts.by_ref().take(VAULT_BATCH).map(Op::Put).collect();
            if batch.is_empty() {
                return Ok(written);
            }
            let done = self.run(batch).await?;
            written.extend(done.into_iter().map(|one| one.version.map_or(Written::Conflict, Written::Version)));
        }
    }

    pub(crate) async fn write_pair(&self, put: Put, with: Put) -> Result<Written, VaultFault> {
        let done = self.run(vec![Op::Pair(put, with)]).await?.pop();
        Ok(done.and_then(|one| one.version).map_or(Written::Conflict, Written::Version))
    }

    pub(crate) async fn take(&self, table: Table, key: String) -> Result<Option<Row>, VaultFault> {
        Ok(self.run(vec![Op::Take(table, key, Expected::Any)]).await?.pop().and_then(|one| one.row))
    }

    pub(crate) async fn remove(&self, table: Table, key: String, expected: Expected) -> Result<bool, VaultFault> {
        Ok(self.run(vec![Op::Take(table, key, expected)]).await?.pop().is_some_and(|one| one.row.is_some()))
    }

    pub(crate) async fn replace(&self, table: Table, rows: Vec<Row>) -> Result<u64, VaultFault> {
        let done = self.run(rows.into_iter().map(|row| Op::Replace(table, row)).collect()).await?;
        Ok(done.iter().filter(|one| one.version.is_some()).count() as u64)
    }

    async fn run(&self, ops: Vec<Op>) -> Result<Vec<Done>, VaultFault> {
        // Hundreds at once are nobody's request.
        let patience = if ops.len() > 1 { VAULT_WALK_PATIENCE } else { self.0.patience };
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.0.writer.send(Job { ops, reply }).await.map_err(|_gone| late())?;
            answer.await.map_err(|_gone| late())?
        };
        tokio::time::timeout(patience, asked).await.map_err(|_late| late())?
    }

    async fn read<T: FromRedisValue>(&self, command: &Cmd, patience: std::time::Duration) -> Result<T, VaultFault> {
        let answer =
            self.0.reads.ask(patience, async |mut connection, _durable| connection.send_packed_command(command).await);
        let value = answer.await?.extract_error().map_err(|fault| fault_of(&fault))?;
        ::redis::from_redis_value(value).map_err(|_quotes| unexpected())
    }
}

/// The name of a record; without a key, what is before the keys of a table.
fn record(table: Table, key: &str) -> String {
    format!("{}r:{}:{key}", scripts::PREFIX, table.name())
}

/// The sorted set of a table's keys.
fn index(table: Table) -> String {
    format!("{}i:{}", scripts::PREFIX, table.name())
}

/// The sorted set of a table's keys that expire, by when.
fn expiry(table: Table) -> String {
    format!("{}x:{}", scripts::PREFIX, table.name())
}

/// A range as ZRANGEBYLEX writes it.
fn ends(rows: &Rows) -> (String, String) {
    let from = match rows.from.parts() {
        (key, true) if key.is_empty() => "-".to_owned(),
        (key, true) => format!("[{key}"),
        (key, false) => format!("({key}"),
    };
    (from, rows.until.as_ref().map_or_else(|| "+".to_owned(), |until| format!("({until}")))
}

/// A record: `version expires sealed`.
fn row(key: String, text: &[u8]) -> Result<Row, VaultFault> {
    let mut parts = text.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let (version, expires) = (number().ok_or_else(unexpected)?, number().ok_or_else(unexpected)?);
    let sealed = parts.next().ok_or_else(unexpected)?.to_vec();
    Ok(Row { key, version, expires: (expires > 0).then_some(expires), sealed })
}

fn late() -> VaultFault {
    VaultFault::Unreachable("Redis did not answer in time".to_owned())
}

fn unexpected() -> VaultFault {
    VaultFault::Refused("Redis answered what no gateway has written".to_owned())
}

/// What Redis said: its code and words, which have no values of ours in them.
fn fault_of(fault: &RedisError) -> VaultFault {
    let words = wire::told(&fault.to_string());
    match fault.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        )
        | ErrorKind::Io => VaultFault::Unreachable(words),
        _ => VaultFault::Refused(words),
    }
}

/// Whether a connection is of no use after this. An answer that was a refusal leaves it as it is, except one that another server would
/// not give.
fn is_lost(fault: &RedisError) -> bool {
    !matches!(fault.kind(), ErrorKind::Server(kind) if kind != ServerErrorKind::ReadOnly)
        && !matches!(fault.kind(), ErrorKind::Extension)
}

/// Whether a server's refusal means that it is not the one it was.
fn is_refused_for_good(value: &Value) -> bool {
    matches!(value, Value::ServerError(fault) if fault.code() == "READONLY")
}
