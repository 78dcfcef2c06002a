//! `vault revoke`: grants that an operator takes back. The running gateways hear of it at once. The provider does not: whoever wants its
//! token dead there too lets the user disconnect, or does it at the provider.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::clock::Clock;
use crate::commands::vault::list::{named, read};
use crate::commands::vault::{Answer, CommandFault, counted};
use crate::config::resolved::Config;
use crate::config::resolved::grants::VaultSettings;
use crate::grants::journal::{By, Happening, Journal, Opening, What};
use crate::grants::record::State;
use crate::limits::VAULT_LIST;
use crate::vault::{Expected, Table, Vault, Written};

/// How often a grant is read again that somebody else is writing.
const TRIES: usize = 8;

/// Take grants back: the gateway uses them no more, and asks their users again.
///
/// The tokens are forgotten here. They stay valid at the provider until it is told too, by the user's Disconnect or there.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway vault revoke planner/1825529/4012689/github
  monday-gateway vault revoke --all planner/1825529/
      Everything of an account.")]
#[expect(clippy::struct_excessive_bools, reason = "three switches of a command line")]
pub(crate) struct RevokeArgs {
    /// As `vault list` names them: app/account/user/provider
    #[arg(required = true, value_name = "GRANT")]
    grants: Vec<String>,
    /// Take back every grant whose name begins so
    #[arg(long)]
    all: bool,
    /// Leave no trace of it: the user has never connected, instead of not any more
    #[arg(long)]
    purge: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(
    args: &RevokeArgs,
    vault: &Vault,
    config: &Config,
    settings: &VaultSettings,
) -> Result<Answer, CommandFault> {
    let journal = journal(vault, config, settings)?;
    let mut rows = Vec::new();
    for name in &args.grants {
        if args.all {
            rows.extend(below(vault, name).await?);
        } else {
            rows.push(name.clone());
        }
    }
    let (mut revoked, mut before, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let key = named(&row)?;
        match take_back(args, vault, &row).await? {
            Taken::Back => {
                journal.note(Happening { what: What::Revoked, key: &key, by: By::Operator }).await?;
                revoked.push(row);
            }
            Taken::Before => before.push(row),
            Taken::Missing => missing.push(row),
        }
    }
    let mut text = String::new();
    for row in &missing {
        let _written = writeln!(text, "no grant {row}");
    }
    let _written = writeln!(text, "{} taken back", counted(revoked.len() as u64, "grant"));
    if !before.is_empty() {
        let forgotten = if args.purge { ", and forgotten now" } else { "" };
        let _written = writeln!(text, "{} taken back before{forgotten}", counted(before.len() as u64, "grant"));
    }
    let json = json!({ "revoked": revoked, "revoked_before": before, "missing": missing });
    Ok(Answer { text, json, is_whole: missing.is_empty() })
}

/// The names of all grants that begin so.
async fn below(vault: &Vault, prefix: &str) -> Result<Vec<String>, CommandFault> {
    let mut rows: Vec<String> = Vec::new();
    loop {
        let page = vault.list(Table::Grants, prefix, rows.last().map(String::as_str), VAULT_LIST).await?;
        let is_last = page.len() < VAULT_LIST;
        rows.extend(page.into_iter().map(|record| record.key));
        if is_last {
            return Ok(rows);
        }
    }
}

/// What became of one.
enum Taken {
    /// It was usable, or could be refreshed or connected again.
    Back,
    /// It had been taken back already.
    Before,
    /// There is none.
    Missing,
}

/// Marks it, or removes it.
async fn take_back(args: &RevokeArgs, vault: &Vault, row: &str) -> Result<Taken, CommandFault> {
    for _ in 0..TRIES {
        let Some(record) = vault.get(Table::Grants, row).await? else { return Ok(Taken::Missing) };
        let expected = Expected::Version(record.version);
        let grant = read(&record);
        let is_over = grant.as_ref().is_ok_and(|(_, grant)| grant.state == State::Revoked);
        let taken = if is_over { Taken::Before } else { Taken::Back };
        if args.purge {
            if vault.remove(Table::Grants, row, expected).await? {
                return Ok(taken);
            }
            continue;
        }
        if is_over {
            return Ok(taken);
        }
        let grant = grant?.1.revoked(Clock::system().unix_seconds());
        let plain = serde_json::to_vec(&grant).map_err(|fault| CommandFault::words(fault.to_string()))?;
        if let Written::Version(_) = vault.put((Table::Grants, row), &plain, None, expected).await? {
            return Ok(taken);
        }
    }
    Err(CommandFault::words(format!("{row}: somebody else keeps writing it; try again")))
}

/// Where it is written down.
fn journal(vault: &Vault, config: &Config, settings: &VaultSettings) -> Result<Journal, CommandFault> {
    let events: BTreeMap<_, _> = config
        .apps
        .iter()
        .filter_map(|app| Some((app.name.clone(), app.authorization.as_ref()?.events.clone()?)))
        .collect();
    let opening = Opening { audit: settings.audit.as_deref(), vault: vault.clone(), events, clock: Clock::system() };
    Ok(Journal::open(opening)?)
}
