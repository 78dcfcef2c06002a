//! The file's tables, how an older file becomes a newer one, and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::vault::VaultFault;
use crate::vault::sqlite::fault_of;

/// Says that a file is a vault: "mgwv" (`PRAGMA application_id`).
const APPLICATION: i64 = 0x6d67_7776;
/// How long SQLite itself waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(3);
/// What makes of version n version n + 1: the first makes an empty file version 1. Never changed once released, only added to.
pub(crate) const MIGRATIONS: &[&str] = &["
    CREATE TABLE records (
        tbl TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        expires INTEGER,
        sealed BLOB NOT NULL,
        PRIMARY KEY (tbl, key)
    ) STRICT;
    CREATE INDEX records_expiry ON records (expires) WHERE expires IS NOT NULL;
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO counters VALUES ('writes', 0);
"];

/// A connection with the settings that every one has.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -8000;",
    )?;
    Ok(connection)
}

/// The connection that writes: makes the file a vault of the newest version.
pub(crate) fn connect_writer(path: &Path, migrations: &[&str]) -> Result<Connection, VaultFault> {
    let mut connection = connect(path).map_err(|fault| fault_of(&fault))?;
    let version = version(&connection).map_err(|fault| fault_of(&fault))?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if version > known {
        return Err(VaultFault::Newer { found: version, known });
    }
    if is_foreign(&connection, version).map_err(|fault| fault_of(&fault))? {
        return Err(VaultFault::Refused(format!("{} is a database of something else", path.display())));
    }
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(|fault| fault_of(&fault))?;
    if mode != "wal" {
        return Err(VaultFault::Refused(format!("{} cannot have a write-ahead log there", path.display())));
    }
    migrate(&mut connection, migrations).map_err(|fault| fault_of(&fault))?;
    Ok(connection)
}

/// All steps in one transaction: a crash leaves the older file.
fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA journal_size_limit = 67108864;")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?; // again: another process may have been first
    let missing = migrations.iter().skip(usize::try_from(version).unwrap_or(usize::MAX));
    for step in missing {
        transaction.execute_batch(step)?;
    }
    if (version as usize) < migrations.len() {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", u32::try_from(migrations.len()).unwrap_or(u32::MAX))?;
    }
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Whether the file has tables that no gateway made.
fn is_foreign(connection: &Connection, version: u32) -> rusqlite::Result<bool> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(application != APPLICATION && (tables > 0 || version > 0))
}

/// How many writes the file has seen; it is also the newest version of a record.
pub(crate) fn writes(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT value FROM counters WHERE name = 'writes'")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}
