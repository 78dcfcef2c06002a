//! The vault in one SQLite file, for one gateway: WAL, `synchronous = FULL`, so that what a commit acknowledges is on the disk. One thread
//! writes, and shares one wait for the disk among all who wait (group commit); two read, and a third walks long lists. The file and its
//! companions are readable by their owner only. <https://www.sqlite.org/wal.html>

mod reader;
mod schema;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use rusqlite::ErrorCode;
use tokio::sync::{broadcast, mpsc, oneshot};

use self::reader::Look;
use self::writer::{Done, Job, Op};
use crate::limits::{VAULT_CHANGES, VAULT_FILE_PATIENCE, VAULT_PATIENCE, VAULT_QUEUE};
use crate::vault::row::{Put, Row, Rows};
use crate::vault::{Change, Expected, Table, VaultFault, Written};

/// Threads that look single records up.
const LOOKUPS: usize = 2;
/// How often it is looked whether another process, such as a command, has written to the file.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// An open file. Cheap to clone; its threads end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The file.
    path: PathBuf,
    /// To the thread that writes.
    writer: mpsc::Sender<Job>,
    /// To the threads that read; the last one walks.
    readers: Vec<mpsc::Sender<Look>>,
    /// Whose turn it is.
    turn: AtomicUsize,
    /// Who wants to know of changes.
    changes: broadcast::Sender<Change>,
    /// Held by a gateway for as long as it runs.
    lock: OnceLock<File>,
}

impl Sqlite {
    /// Opens or makes the file.
    pub(crate) async fn open(path: &Path) -> Result<Self, VaultFault> {
        prepare_file(path).map_err(|source| refused(path, &source))?;
        let (changes, _nobody) = broadcast::channel(VAULT_CHANGES);
        let known = Arc::new(AtomicU64::new(0));
        let (writer, jobs) = mpsc::channel(VAULT_QUEUE);
        let (ready, opened) = oneshot::channel();
        let state = writer::State { path: path.to_owned(), known: Arc::clone(&known), changes: changes.clone() };
        thread("vault-write", move || writer::run(&state, jobs, ready))?;
        opened.await.map_err(|_gone| VaultFault::Refused("the vault's writer ended".to_owned()))??;
        let mut readers = Vec::new();
        for _ in 0..=LOOKUPS {
            let (reader, looks) = mpsc::channel(VAULT_QUEUE);
            let path = path.to_owned();
            thread("vault-read", move || reader::run(&path, looks))?;
            readers.push(reader);
        }
        let inner =
            Inner { path: path.to_owned(), writer, readers, turn: AtomicUsize::new(0), changes, lock: OnceLock::new() };
        let sqlite = Self(Arc::new(inner));
        tokio::spawn(look_around(Arc::downgrade(&sqlite.0), known));
        Ok(sqlite)
    }

    /// See `Vault::serve`.
    pub(crate) fn lock(&self) -> Result<(), VaultFault> {
        if self.0.lock.get().is_some() {
            return Ok(());
        }
        let mut path = self.0.path.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|source| refused(&path, &source))?;
        file.try_lock().map_err(|_held| {
            VaultFault::Refused(format!(
                "another gateway serves with {}: a file is for one gateway, PostgreSQL and Redis are for several",
                self.0.path.display()
            ))
        })?;
        self.0.lock.set(file).or(Ok(())) // a clone was first; its lock is held, and this one was of the same process
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    pub(crate) async fn get(&self, table: Table, key: String) -> Result<Option<Row>, VaultFault> {
        self.look(Turn::Lookup, move |connection| reader::get(connection, table, &key)).await
    }

    pub(crate) async fn list(&self, rows: Rows) -> Result<Vec<Row>, VaultFault> {
        self.look(Turn::Walk, move |connection| reader::list(connection, &rows)).await
    }

    pub(crate) async fn count(&self, rows: Rows) -> Result<u64, VaultFault> {
        self.look(Turn::Walk, move |connection| reader::count(connection, &rows)).await
    }

    pub(crate) async fn writes(&self) -> Result<u64, VaultFault> {
        self.look(Turn::Lookup, schema::writes).await
    }

    pub(crate) async fn write(&self, puts: Vec<Put>) -> Result<Vec<Written>, VaultFault> {
        let done = self.run(puts.into_iter().map(Op::Put).collect()).await?;
        Ok(done.into_iter().map(|one| one.version.map_or(Written::Conflict, Written::Version)).collect())
    }

    pub(crate) async fn write_pair(&self, put: Put, with: Put) -> Result<Written, VaultFault> {
        let done = self.run(vec![Op::Pair(put, with)]).await?.pop();
        Ok(done.and_then(|one| one.version).map_or(Written::Conflict, Written::Version))
    }

    pub(crate) async fn take(&self, table: Table, key: String) -> Result<Option<Row>, VaultFault> {
        Ok(self.run(vec![Op::Take(table, key)]).await?.pop().and_then(|one| one.row))
    }

    pub(crate) async fn remove(&self, table: Table, key: String, expected: Expected) -> Result<bool, VaultFault> {
        Ok(self.run(vec![Op::Remove(table, key, expected)]).await?.pop().is_some_and(|one| one.version.is_some()))
    }

    pub(crate) async fn replace(&self, table: Table, rows: Vec<Row>) -> Result<u64, VaultFault> {
        let done = self.run(rows.into_iter().map(|row| Op::Replace(table, row)).collect()).await?;
        Ok(done.iter().filter(|one| one.version.is_some()).count() as u64)
    }

    async fn run(&self, ops: Vec<Op>) -> Result<Vec<Done>, VaultFault> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.0.writer.send(Job { ops, reply }).await.map_err(|_gone| ended())?;
            answer.await.map_err(|_gone| ended())?
        };
        tokio::time::timeout(VAULT_FILE_PATIENCE, asked).await.map_err(|_late| late())?
    }

    async fn look<T: Send + 'static>(
        &self,
        turn: Turn,
        what: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, VaultFault> {
        let (place, patience) = match turn {
            Turn::Lookup => (self.0.turn.fetch_add(1, Ordering::Relaxed) % LOOKUPS, VAULT_PATIENCE),
            Turn::Walk => (LOOKUPS, VAULT_FILE_PATIENCE),
        };
        let reader = self.0.readers.get(place).ok_or_else(ended)?;
        let (reply, answer) = oneshot::channel();
        let look: Look = Box::new(move |connection| {
            if !reply.is_closed() {
                drop(reply.send(connection.and_then(|connection| what(connection).map_err(|fault| fault_of(&fault)))));
            }
        });
        let asked = async {
            reader.send(look).await.map_err(|_gone| ended())?;
            answer.await.map_err(|_gone| ended())?
        };
        tokio::time::timeout(patience, asked).await.map_err(|_late| late())?
    }
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// One of those that look single records up.
    Lookup,
    /// The one that takes its time.
    Walk,
}

/// Tells when another process has written: a command that takes a grant back, say.
async fn look_around(inner: Weak<Inner>, known: Arc<AtomicU64>) {
    let mut looking = tokio::time::interval(LOOK_AROUND);
    looking.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looking.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        let before = known.load(Ordering::Acquire);
        let Ok(found) = Sqlite(Arc::clone(&inner)).writes().await else { continue };
        let after = known.load(Ordering::Acquire);
        // This process's own writes are known before they are committed: what is found beyond them is another's.
        if found != before
            && found > after
            && known.compare_exchange(after, found, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            let _listeners = inner.changes.send(Change::Anything);
        }
    }
}

/// The folder, and the file with its permissions: SQLite gives its companions the same.
fn prepare_file(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            File::open(folder)?.sync_all()
        }
        Err(there) if there.kind() == ErrorKind::AlreadyExists => {
            let permissions = std::fs::metadata(path)?.permissions();
            let is_open = permissions.mode() & 0o077 != 0;
            if is_open { std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)) } else { Ok(()) }
        }
        Err(fault) => Err(fault),
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), VaultFault> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map(drop).map_err(|fault| VaultFault::Refused(format!("no thread for the vault: {fault}")))
}

fn refused(path: &Path, source: &io::Error) -> VaultFault {
    VaultFault::Refused(format!("{}: {source}", path.display()))
}

fn ended() -> VaultFault {
    VaultFault::Unreachable("the vault's thread has ended".to_owned())
}

fn late() -> VaultFault {
    VaultFault::Unreachable("the disk did not answer in time".to_owned())
}

/// What SQLite said. Its words have no values in them.
fn fault_of(fault: &rusqlite::Error) -> VaultFault {
    match fault.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            VaultFault::Unreachable("another process holds the file".to_owned())
        }
        Some(ErrorCode::DiskFull) => VaultFault::Refused("the disk is full".to_owned()),
        _ => VaultFault::Refused(fault.to_string()),
    }
}

#[cfg(test)]
mod tests;
