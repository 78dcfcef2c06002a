//! The vault in PostgreSQL, for several gateways. Each operation is one statement, and a procedure where it has parts. A statement and a
//! connection that take too long are given up, and a connection that failed is never used again. What changes is told by LISTEN and NOTIFY.

mod connect;
mod listen;
mod schema;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use self::connect::Dial;
use crate::limits::{VAULT_CHANGES, VAULT_LIST, VAULT_PATIENCE, VAULT_WALK_PATIENCE};
use crate::vault::row::{self, Put, Row, Rows};
use crate::vault::{Change, Expected, Table, VaultFault, Written, change, wire};

/// Connections of a gateway: its control plane is one thread, and a server has a hundred for all.
const CONNECTIONS: usize = 8;
/// How often what has expired is removed, and how much of it at once.
const SWEEP: (Duration, i64) = (Duration::from_secs(30), 2000);
/// How long a change of the schema may take.
const MIGRATION: Duration = Duration::from_secs(70);
/// What every question for rows asks, and which are still there.
const COLUMNS: &str = "SELECT key, version, expires, sealed FROM monday_gateway.records";
const ALIVE: &str = "(expires IS NULL OR expires > monday_gateway.now_ms())";

/// An open database. Cheap to clone; its tasks end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Postgres(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    /// Who wants to know of changes.
    changes: broadcast::Sender<Change>,
    /// Tells this gateway's notifications from others'.
    origin: String,
    /// Listens and sweeps.
    tasks: [AbortHandle; 2],
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Postgres {
    /// Connects, and makes the schema the newest.
    pub(crate) async fn open(address: &crate::secret::Secret) -> Result<Self, VaultFault> {
        let dial = Dial::new(address)?;
        prepare(&dial).await?;
        let pool = pool(dial.clone())?;
        let (changes, _nobody) = broadcast::channel(VAULT_CHANGES);
        let origin = change::origin()?;
        let listening = tokio::spawn(listen::run(dial, origin.clone(), changes.clone())).abort_handle();
        let sweeping = tokio::spawn(sweep(pool.clone())).abort_handle();
        Ok(Self(Arc::new(Inner { pool, changes, origin, tasks: [listening, sweeping] })))
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    pub(crate) async fn get(&self, table: Table, key: String) -> Result<Option<Row>, VaultFault> {
        let sql = format!("{COLUMNS} WHERE tbl = $1 AND key = $2 AND {ALIVE}");
        Ok(self.ask(&sql, &[&table.name(), &key], row).await?.pop())
    }

    pub(crate) async fn list(&self, rows: Rows) -> Result<Vec<Row>, VaultFault> {
        let (from, _with) = rows.from.parts();
        let limit = i64::try_from(rows.limit).unwrap_or(i64::MAX);
        let sql = format!("{COLUMNS} WHERE {} AND {ALIVE} ORDER BY key LIMIT $4", range(&rows));
        let until = rows.until.as_deref().unwrap_or_default();
        self.ask(&sql, &[&rows.table.name(), from, &until, &limit], row).await
    }

    pub(crate) async fn count(&self, rows: Rows) -> Result<u64, VaultFault> {
        let (from, _with) = rows.from.parts();
        let sql = format!("SELECT count(*) FROM monday_gateway.records WHERE {} AND {ALIVE}", range(&rows));
        let until = rows.until.as_deref().unwrap_or_default();
        let found = self.walk(&sql, &[&rows.table.name(), from, &until], |row| row.try_get::<_, i64>(0)).await?;
        Ok(found.first().copied().unwrap_or(0).cast_unsigned())
    }

    pub(crate) async fn writes(&self) -> Result<u64, VaultFault> {
        let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM monday_gateway.versions";
        let found = self.ask(sql, &[], |row| row.try_get::<_, i64>(0)).await?;
        Ok(found.first().copied().unwrap_or(0).cast_unsigned())
    }

    pub(crate) async fn write(&self, puts: Vec<Put>) -> Result<Vec<Written>, VaultFault> {
        let mut written = vec![Written::Conflict; puts.len()];
        // Everybody writes keys in their order: two who write the same ones do not wait for each other in a circle.
        let mut puts: Vec<(usize, Put)> = puts.into_iter().enumerate().collect();
        puts.sort_by(|(_, one), (_, other)| (one.table, &one.key).cmp(&(other.table, &other.key)));
        for batch in puts.chunks(VAULT_LIST) {
            let versions = self.write_batch(batch).await?;
            for ((place, put), version) in batch.iter().zip(versions) {
                let Some(version) = version else { continue };
                if let Some(one) = written.get_mut(*place) {
                    *one = Written::Version(version.cast_unsigned());
                }
                self.tell(put.table, &put.key);
            }
        }
        Ok(written)
    }

    async fn write_batch(&self, batch: &[(usize, Put)]) -> Result<Vec<Option<i64>>, VaultFault> {
        let version = |row: &tokio_postgres::Row| row.try_get::<_, Option<i64>>(0);
        if let [(_, put)] = batch {
            let sql = "SELECT monday_gateway.put($1, $2, $3, $4, $5, $6)";
            let (lifetime, expected) = (row::millis(put.lifetime), put.expected.number());
            let values: [&(dyn ToSql + Sync); 6] =
                [&put.table.name(), &put.key, &put.sealed, &lifetime, &expected, &self.0.origin];
            return self.ask(sql, &values, version).await;
        }
        let sql = "SELECT monday_gateway.put(t, k, s, l, e, $6)
            FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[]) WITH ORDINALITY u (t, k, s, l, e, o)";
        let tables: Vec<&str> = batch.iter().map(|(_, put)| put.table.name()).collect();
        let keys: Vec<&str> = batch.iter().map(|(_, put)| put.key.as_str()).collect();
        let sealed: Vec<&[u8]> = batch.iter().map(|(_, put)| put.sealed.as_slice()).collect();
        let lifetimes: Vec<i64> = batch.iter().map(|(_, put)| row::millis(put.lifetime)).collect();
        let expected: Vec<i64> = batch.iter().map(|(_, put)| put.expected.number()).collect();
        self.walk(sql, &[&tables, &keys, &sealed, &lifetimes, &expected, &self.0.origin], version).await
    }

    /// One statement, and so one transaction. The inner question is not merged into the outer one: it is asked once, and first.
    pub(crate) async fn write_pair(&self, put: Put, with: Put) -> Result<Written, VaultFault> {
        let sql =
            "SELECT first.made, CASE WHEN first.made IS NOT NULL THEN monday_gateway.put($7, $8, $9, $10, -1, $6) END
            FROM (SELECT monday_gateway.put($1, $2, $3, $4, $5, $6) AS made OFFSET 0) first";
        let (lifetime, expected) = (row::millis(put.lifetime), put.expected.number());
        let (table, with_table, with_lifetime) = (put.table.name(), with.table.name(), row::millis(with.lifetime));
        let values: [&(dyn ToSql + Sync); 10] = [
            &table,
            &put.key,
            &put.sealed,
            &lifetime,
            &expected,
            &self.0.origin,
            &with_table,
            &with.key,
            &with.sealed,
            &with_lifetime,
        ];
        let made = self.ask(sql, &values, |row| row.try_get::<_, Option<i64>>(0)).await?;
        let Some(version) = made.first().copied().flatten() else { return Ok(Written::Conflict) };
        self.tell(put.table, &put.key);
        Ok(Written::Version(version.cast_unsigned()))
    }

    pub(crate) async fn take(&self, table: Table, key: String) -> Result<Option<Row>, VaultFault> {
        self.take_expected(table, key, Expected::Any).await
    }

    pub(crate) async fn remove(&self, table: Table, key: String, expected: Expected) -> Result<bool, VaultFault> {
        Ok(self.take_expected(table, key, expected).await?.is_some())
    }

    async fn take_expected(&self, table: Table, key: String, expected: Expected) -> Result<Option<Row>, VaultFault> {
        let sql = "SELECT key, version, expires, sealed FROM monday_gateway.take($1, $2, $3, $4)";
        let taken = self.ask(sql, &[&table.name(), &key, &expected.number(), &self.0.origin], row).await?.pop();
        if taken.is_some() {
            self.tell(table, &key);
        }
        Ok(taken)
    }

    pub(crate) async fn replace(&self, table: Table, rows: Vec<Row>) -> Result<u64, VaultFault> {
        let sql = "WITH changed AS (
                UPDATE monday_gateway.records r SET sealed = u.s
                FROM unnest($2::text[], $3::bigint[], $4::bytea[]) u (k, v, s)
                WHERE r.tbl = $1 AND r.key = u.k AND r.version = u.v RETURNING 1
            ) SELECT count(*) FROM changed";
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let versions: Vec<i64> = rows.iter().map(|row| row.version.cast_signed()).collect();
        let sealed: Vec<&[u8]> = rows.iter().map(|row| row.sealed.as_slice()).collect();
        let counted =
            self.walk(sql, &[&table.name(), &keys, &versions, &sealed], |row| row.try_get::<_, i64>(0)).await?;
        Ok(counted.first().copied().unwrap_or(0).cast_unsigned())
    }

    /// Here at once; the others hear of it from the database.
    fn tell(&self, table: Table, key: &str) {
        if table.is_told() {
            let _listeners = self.0.changes.send(Change::Row(table, key.to_owned()));
        }
    }

    /// A short statement.
    async fn ask<T>(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        read: impl Fn(&tokio_postgres::Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, VaultFault> {
        let asking = async {
            let client = self.0.pool.get().await.map_err(pool_fault)?;
            let mut client = Held(Some(client));
            let found = client.query(sql, values).await;
            client.done(found)?.iter().map(read).collect::<Result<_, _>>().map_err(|fault| fault_of(&fault))
        };
        tokio::time::timeout(VAULT_PATIENCE, asking).await.map_err(|_late| late())?
    }

    /// A statement that goes through many rows and may take its time.
    async fn walk<T>(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        read: impl Fn(&tokio_postgres::Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, VaultFault> {
        let asking = async {
            let client = self.0.pool.get().await.map_err(pool_fault)?;
            let mut client = Held(Some(client));
            let found = client.query_slowly(sql, values).await;
            client.done(found)?.iter().map(read).collect::<Result<_, _>>().map_err(|fault| fault_of(&fault))
        };
        tokio::time::timeout(VAULT_WALK_PATIENCE, asking).await.map_err(|_late| late())?
    }
}

/// Judges the server, and makes the schema the newest, which may take longer than any request.
async fn prepare(dial: &Dial) -> Result<(), VaultFault> {
    let connecting = async {
        let (client, task) = dial.connect(&connect::drive).await.map_err(|fault| fault_of(&fault))?;
        match flaw(&client).await {
            Ok(None) => Ok((client, task)),
            Ok(Some(flaw)) => Err(VaultFault::Refused(flaw.to_owned())),
            Err(fault) => Err(fault_of(&fault)),
        }
    };
    let (mut client, task) = tokio::time::timeout(VAULT_PATIENCE, connecting).await.map_err(|_late| late())??;
    let migrated = tokio::time::timeout(MIGRATION, schema::migrate(&mut client)).await;
    task.abort();
    migrated.map_err(|_late| late())?
}

/// A connection that goes back to the pool only after an answer. Whoever gives up, or is refused, takes it out.
struct Held(Option<Object>);

impl Held {
    async fn query(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Option<tokio_postgres::Error>> {
        let client = self.0.as_ref().ok_or(None)?;
        let statement = client.prepare_cached(sql).await.map_err(Some)?;
        client.query(&statement, values).await.map_err(Some)
    }

    async fn query_slowly(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Option<tokio_postgres::Error>> {
        let client = self.0.as_mut().ok_or(None)?;
        let transaction = client.transaction().await.map_err(Some)?;
        let patience = VAULT_WALK_PATIENCE.as_millis();
        let settings = format!("SET LOCAL statement_timeout = {patience}; SET LOCAL lock_timeout = {patience}");
        transaction.batch_execute(&settings).await.map_err(Some)?;
        let statement = transaction.prepare_cached(sql).await.map_err(Some)?;
        let found = transaction.query(&statement, values).await.map_err(Some)?;
        transaction.commit().await.map_err(Some)?;
        Ok(found)
    }

    /// An answer gives the connection back.
    fn done<T>(&mut self, answer: Result<T, Option<tokio_postgres::Error>>) -> Result<T, VaultFault> {
        let found = answer.map_err(|fault| fault.as_ref().map_or_else(late, fault_of))?;
        drop(self.0.take());
        Ok(found)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client)); // closes it: who knows what it still answers
        }
    }
}

fn pool(dial: Dial) -> Result<Pool, VaultFault> {
    let config = dial.config();
    let making = Manager::from_connect(config, dial, ManagerConfig { recycling_method: RecyclingMethod::Verified });
    let timeouts =
        Timeouts { wait: Some(VAULT_PATIENCE), create: Some(VAULT_PATIENCE), recycle: Some(VAULT_PATIENCE / 2) };
    let fresh = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move {
            match flaw(client).await {
                Ok(None) => Ok(()),
                Ok(Some(flaw)) => Err(HookError::message(flaw)),
                Err(fault) => Err(HookError::Backend(fault)),
            }
        })
    });
    Pool::builder(making)
        .max_size(CONNECTIONS)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .post_create(fresh)
        .build()
        .map_err(|fault| VaultFault::Refused(fault.to_string()))
}

/// What keeps a server from keeping what it acknowledges, or from knowing what others have written.
async fn flaw(client: &tokio_postgres::Client) -> Result<Option<&'static str>, tokio_postgres::Error> {
    if connect::is_standby(client).await? {
        return Ok(Some("it is a standby: name the primary"));
    }
    let row = client.query_one("SELECT current_setting('fsync')", &[]).await?;
    let is_synchronised = row.try_get::<_, &str>(0)? == "on";
    Ok((!is_synchronised).then_some("its `fsync` is off: a crash would lose what was acknowledged"))
}

#[expect(clippy::infinite_loop, reason = "its owner aborts it")]
async fn sweep(pool: Pool) {
    const SWEPT: &str =
        "DELETE FROM monday_gateway.records WHERE expires <= monday_gateway.now_ms() AND (tbl, key) IN (
        SELECT tbl, key FROM monday_gateway.records
        WHERE expires <= monday_gateway.now_ms() LIMIT $1 FOR UPDATE SKIP LOCKED)";
    let mut turns = tokio::time::interval(SWEEP.0);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let sweeping = async {
            let client = pool.get().await.map_err(pool_fault)?;
            let client = Held(Some(client));
            client.query(SWEPT, &[&SWEEP.1]).await.map_err(|fault| fault.as_ref().map_or_else(late, fault_of))
        };
        if let Ok(Err(fault)) = tokio::time::timeout(VAULT_PATIENCE, sweeping).await {
            tracing::debug!(%fault, "what has expired was not removed from the vault");
        }
    }
}

/// Which keys: $2 (with it or after it) to $3. Without an end, $3 is empty.
fn range(rows: &Rows) -> String {
    let begins = if rows.from.parts().1 { "key >= $2" } else { "key > $2" };
    let ends = if rows.until.is_some() { "key < $3" } else { "$3 = ''" };
    format!("tbl = $1 AND {begins} AND {ends}")
}

fn row(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    Ok(Row {
        key: row.try_get(0)?,
        version: row.try_get::<_, i64>(1)?.cast_unsigned(),
        expires: row.try_get::<_, Option<i64>>(2)?.map(i64::cast_unsigned),
        sealed: row.try_get(3)?,
    })
}

fn late() -> VaultFault {
    VaultFault::Unreachable("PostgreSQL did not answer in time".to_owned())
}

fn pool_fault(fault: PoolError) -> VaultFault {
    match fault {
        PoolError::Timeout(_) => late(),
        PoolError::Backend(fault) | PoolError::PostCreateHook(HookError::Backend(fault)) => fault_of(&fault),
        PoolError::PostCreateHook(HookError::Message(words)) => VaultFault::Refused(words.into_owned()),
        PoolError::Closed | PoolError::NoRuntimeSpecified => VaultFault::Unreachable(fault.to_string()),
    }
}

/// What PostgreSQL said: its words, which have no values of ours in them, and its code.
fn fault_of(fault: &tokio_postgres::Error) -> VaultFault {
    let Some(said) = fault.as_db_error() else {
        let source = std::error::Error::source(fault).map(|source| format!(": {source}")).unwrap_or_default();
        return VaultFault::Unreachable(wire::told(&format!("{fault}{source}")));
    };
    let words = format!("{} (PostgreSQL {})", wire::told(said.message()), wire::told(said.code().code()));
    let gone = [
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CRASH_SHUTDOWN,
        &SqlState::CANNOT_CONNECT_NOW,
        &SqlState::TOO_MANY_CONNECTIONS,
        &SqlState::QUERY_CANCELED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::T_R_DEADLOCK_DETECTED,
    ];
    if gone.contains(&said.code()) { VaultFault::Unreachable(words) } else { VaultFault::Refused(words) }
}
