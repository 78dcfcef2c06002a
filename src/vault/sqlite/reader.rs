//! The threads that read. A reader sees what is committed, never waits for the writer, and opens its file again after a fault.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::mpsc;

use crate::vault::row::{Row, Rows};
use crate::vault::sqlite::{fault_of, schema};
use crate::vault::{Table, VaultFault};

/// Something to look up, which answers whoever asked.
pub(crate) type Look = Box<dyn FnOnce(Result<&Connection, VaultFault>) + Send>;

/// Whether a record is still there, by the clock of the machine that has the file.
macro_rules! alive {
    () => {
        "(expires IS NULL OR expires > CAST(unixepoch('subsec') * 1000 AS INTEGER))"
    };
}
pub(crate) use alive;

/// The rows of a table between ?2 (with it where ?3 is 1) and ?4.
macro_rules! range {
    () => {
        "tbl = ?1 AND key >= ?2 AND (?3 OR key > ?2) AND key < ?4"
    };
}

/// Reads until nobody can ask any more.
pub(crate) fn run(path: &Path, mut looks: mpsc::Receiver<Look>) {
    let mut connection = None;
    while let Some(look) = looks.blocking_recv() {
        if connection.is_none() {
            match connect(path) {
                Ok(opened) => connection = Some(opened),
                Err(fault) => {
                    look(Err(fault_of(&fault)));
                    continue;
                }
            }
        }
        if let Some(connection) = &connection {
            look(Ok(connection));
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = schema::connect(path)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

/// One record.
pub(crate) fn get(connection: &Connection, table: Table, key: &str) -> rusqlite::Result<Option<Row>> {
    const GET: &str =
        concat!("SELECT key, version, expires, sealed FROM records WHERE tbl = ?1 AND key = ?2 AND ", alive!());
    connection.prepare_cached(GET)?.query_row(params![table.name(), key], row).optional()
}

/// A range of them.
pub(crate) fn list(connection: &Connection, rows: &Rows) -> rusqlite::Result<Vec<Row>> {
    const LIST: &str = concat!(
        "SELECT key, version, expires, sealed FROM records WHERE ",
        range!(),
        " AND ",
        alive!(),
        " ORDER BY key LIMIT ?5"
    );
    let (from, with) = rows.from.parts();
    let limit = i64::try_from(rows.limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(LIST)?;
    statement.query_map(params![rows.table.name(), from, with, end(rows), limit], row)?.collect()
}

/// How many there are: counted in the index of keys, less those that have expired, of which there are few.
pub(crate) fn count(connection: &Connection, rows: &Rows) -> rusqlite::Result<u64> {
    const COUNT: &str = concat!(
        "SELECT (SELECT count(*) FROM records WHERE ",
        range!(),
        ") - (SELECT count(*) FROM records INDEXED BY records_expiry WHERE expires IS NOT NULL \
         AND expires <= CAST(unixepoch('subsec') * 1000 AS INTEGER) AND ",
        range!(),
        ")"
    );
    let (from, with) = rows.from.parts();
    let mut statement = connection.prepare_cached(COUNT)?;
    statement
        .query_row(params![rows.table.name(), from, with, end(rows)], |row| row.get::<_, i64>(0))
        .map(|count| u64::try_from(count).unwrap_or(0))
}

/// Where a range ends. A BLOB comes after every TEXT: without an end, all keys are before it.
fn end(rows: &Rows) -> Value {
    rows.until.clone().map_or(Value::Blob(Vec::new()), Value::Text)
}

/// The four columns that every question asks for, in this order.
pub(crate) fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        key: row.get(0)?,
        version: row.get::<_, i64>(1)?.cast_unsigned(),
        expires: row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned),
        sealed: row.get(3)?,
    })
}
