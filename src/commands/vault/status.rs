//! `vault status`: which store, how much is in it, and under which keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::commands::vault::progress::Progress;
use crate::commands::vault::{Answer, CommandFault, counted};
use crate::config::resolved::grants::VaultSettings;
use crate::limits::VAULT_LIST;
use crate::seal::{KeyId, SEALS_MAX};
use crate::vault::{Rows, Table, Vault};

/// Say what is in the vault, and under which keys.
///
/// Keys are named by an id that says nothing of them. A key under which nothing is counted can be removed from `vault.keys`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(_args: &StatusArgs, vault: &Vault, settings: &VaultSettings) -> Result<Answer, CommandFault> {
    let writes = vault.writes().await?;
    let mut tables = BTreeMap::new();
    for table in Table::ALL {
        tables.insert(table.name(), vault.count(table, "").await?);
    }
    let under = under_keys(vault, tables.values().sum()).await?;
    let newest = vault.keys().newest();
    let ring = vault.keys().ids();
    let mut text = format!("store    {}\n", settings.store);
    for (table, count) in &tables {
        let _written = writeln!(text, "{table:<8} {count}");
    }
    let share = writes.saturating_mul(100) / SEALS_MAX;
    let _written = writeln!(text, "writes   {writes}, {share} % of what one key may seal");
    let mut keys = Vec::new();
    for id in ring.iter().copied().chain(under.keys().copied().filter(|id| !ring.contains(id))) {
        let count = under.get(&id).copied().unwrap_or(0);
        let role = match (Some(id) == newest, ring.contains(&id)) {
            (true, _) => "newest",
            (false, true) => "old",
            (false, false) => "missing",
        };
        let hint = match role {
            "old" if count == 0 => ", can be removed from vault.keys",
            "old" => ", `vault rekey` seals it again",
            "missing" => ", cannot be read: vault.keys does not have it",
            _ => "",
        };
        let _written = writeln!(text, "key      {id} {role}: {}{hint}", counted(count, "record"));
        keys.push(json!({ "id": id.to_string(), "role": role, "records": count }));
    }
    let json = json!({
        "store": settings.store.to_string(),
        "kind": settings.store.kind(),
        "records": tables,
        "writes": writes,
        "seals_max": SEALS_MAX,
        "keys": keys,
    });
    Ok(Answer { text, json, is_whole: under.keys().all(|id| ring.contains(id)) })
}

/// How many records each key has sealed. One that has no id is counted under none.
async fn under_keys(vault: &Vault, total: u64) -> Result<BTreeMap<KeyId, u64>, CommandFault> {
    let mut under = BTreeMap::new();
    let (mut seen, mut progress) = (0, Progress::new("looked at", Some(total)));
    for table in Table::ALL {
        let mut after: Option<String> = None;
        loop {
            let rows = vault.rows(Rows::new(table, "", after.as_deref(), VAULT_LIST)?).await?;
            seen += rows.len() as u64;
            for id in rows.iter().filter_map(|row| KeyId::of(&row.sealed)) {
                *under.entry(id).or_default() += 1;
            }
            progress.at(seen);
            if rows.len() < VAULT_LIST {
                break;
            }
            after = rows.last().map(|row| row.key.clone());
        }
    }
    Ok(under)
}
