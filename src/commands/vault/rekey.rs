//! `vault rekey`: everything under the newest key, so that an older one can go. A running gateway does the same in the background.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::commands::vault::progress::Progress;
use crate::commands::vault::{Answer, CommandFault, counted};
use crate::vault::{Table, Vault};

/// Seal everything again that an older key has sealed.
///
/// Gateways may run meanwhile: nobody's request fails. May be interrupted and run again.
#[derive(Debug, Args)]
pub(crate) struct RekeyArgs {
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(vault: &Vault) -> Result<Answer, CommandFault> {
    let mut total = 0;
    for table in Table::ALL {
        total += vault.count(table, "").await?;
    }
    let mut progress = Progress::new("looked at", Some(total));
    let done = vault.reseal(|so_far| progress.at(so_far.seen)).await?;
    drop(progress);
    let mut text = format!("{} sealed again, of {}\n", counted(done.sealed, "record"), done.seen);
    if done.overtaken > 0 {
        let _written = writeln!(text, "{} changed in between", counted(done.overtaken, "record"));
    }
    if done.unreadable > 0 {
        let _written =
            writeln!(text, "{} cannot be read with vault.keys, and stayed", counted(done.unreadable, "record"));
    }
    let json = json!({
        "seen": done.seen, "sealed": done.sealed, "overtaken": done.overtaken, "unreadable": done.unreadable,
    });
    Ok(Answer { text, json, is_whole: done.unreadable == 0 })
}
