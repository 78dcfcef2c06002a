//! `vault migrate`: everything into another store, sealed under the same keys.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::clock::Clock;
use crate::commands::vault::carry::{BATCH, Carried, Meeting, Tally, carry};
use crate::commands::vault::progress::Progress;
use crate::commands::vault::{Answer, CommandFault};
use crate::config::resolved::grants::VaultSettings;
use crate::seal::KeyRing;
use crate::vault::{Record, StoreAddress, Table, Vault};

/// What is taken along. Leases are not: whoever holds one holds it in the store that he uses.
const TABLES: [Table; 4] = [Table::Grants, Table::Installs, Table::Events, Table::States];

/// Copy everything into another store.
///
/// The same keys seal it there. Nothing is removed here: when it is done, name the new store in gateway.toml and start the
/// gateways again. Stop them before the last run, so that nothing changes after it was copied. May be interrupted and run again.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway vault migrate --to postgres://gateway@db.internal/gateway
  VAULT_NEW=rediss://... monday-gateway vault migrate
      With a password in the URL, which does not show in the list of processes.")]
pub(crate) struct MigrateArgs {
    /// The other store, as `vault.store` names one
    #[arg(long, value_name = "STORE", env = "VAULT_NEW", hide_env_values = true)]
    to: String,
    /// Write over what differs there
    #[arg(long)]
    overwrite: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(args: &MigrateArgs, vault: &Vault, settings: &VaultSettings) -> Result<Answer, CommandFault> {
    let address = StoreAddress::parse(&args.to, Path::new(""))?;
    if address == settings.store {
        return Err(CommandFault::words("that is the store which gateway.toml names already"));
    }
    let keys = KeyRing::new(&settings.keys).map_err(CommandFault::Keys)?;
    let other = Vault::open(&address, keys).await?;
    let meeting = if args.overwrite { Meeting::Overwrite } else { Meeting::Leave };
    let tally = copy(vault, &other, meeting).await?;
    let mut text = tally.text("copied");
    if tally.left.is_empty() {
        let _written = writeln!(text, "in gateway.toml: [vault] store = \"{address}\"");
    }
    let mut json = tally.json();
    if let Some(object) = json.as_object_mut() {
        object.insert("to".to_owned(), json!(address.to_string()));
    }
    Ok(Answer { text, json, is_whole: tally.left.is_empty() })
}

/// Table by table, batch by batch.
pub(super) async fn copy(from: &Vault, to: &Vault, meeting: Meeting) -> Result<Tally, CommandFault> {
    let mut total = 0;
    for table in TABLES {
        total += from.count(table, "").await?;
    }
    let (mut tally, clock) = (Tally::default(), Clock::system());
    let mut progress = Progress::new("copied", Some(total));
    for table in TABLES {
        let mut after: Option<String> = None;
        loop {
            let page = from.list(table, "", after.as_deref(), BATCH).await?;
            let is_last = page.len() < BATCH;
            after = page.last().map(|record| record.key.clone());
            let batch: Vec<Carried> = page.into_iter().map(|record| carried(table, record)).collect();
            carry(to, &batch, meeting, clock.unix_millis(), &mut tally).await?;
            progress.at(tally.seen());
            if is_last {
                break;
            }
        }
    }
    Ok(tally)
}

/// A record that leaves.
pub(super) fn carried(table: Table, record: Record) -> Carried {
    Carried { table, key: record.key, expires: record.expires, plain: record.plain }
}
