//! PostgreSQL's tables and procedures, and how an older schema becomes a newer one. What must be one step with several parts is a procedure:
//! one round trip, one transaction, and its notification with it.

use tokio_postgres::{Client, IsolationLevel};

use crate::vault::VaultFault;
use crate::vault::postgres::fault_of;

/// What makes of version n version n + 1. Never changed once released, only added to.
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql")];

/// Guards against two gateways that migrate at once: any number that others would not take.
const MIGRATING: i64 = 0x6d67_7776_0001;

/// Makes the schema the newest. Looks first, since a database may be read-only for a while.
pub(crate) async fn migrate(client: &mut Client) -> Result<(), VaultFault> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found = version(client).await?;
    if found > known {
        return Err(VaultFault::Newer { found, known });
    }
    if found == known {
        return Ok(());
    }
    let fault = |fault| fault_of(&fault);
    let building = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
    let transaction = building.start().await.map_err(fault)?;
    transaction
        .batch_execute("SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '60s'")
        .await
        .map_err(fault)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATING]).await.map_err(fault)?;
    let begun = version(transaction.client()).await?; // again: another gateway may have been first
    for (step, number) in MIGRATIONS.iter().zip(1u32..).filter(|(_, number)| *number > begun) {
        transaction.batch_execute(step).await.map_err(fault)?;
        let set = format!("UPDATE monday_gateway.schema_version SET version = {number}");
        transaction.batch_execute(&set).await.map_err(fault)?;
    }
    transaction.commit().await.map_err(fault)
}

/// 0 where there is none yet.
async fn version(client: &Client) -> Result<u32, VaultFault> {
    let fault = |fault| fault_of(&fault);
    let there = client
        .query_one("SELECT to_regclass('monday_gateway.schema_version') IS NOT NULL", &[])
        .await
        .and_then(|row| row.try_get::<_, bool>(0))
        .map_err(fault)?;
    if !there {
        return Ok(0);
    }
    let row = client.query_one("SELECT version FROM monday_gateway.schema_version", &[]).await.map_err(fault)?;
    let version: i32 = row.try_get(0).map_err(fault)?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}
