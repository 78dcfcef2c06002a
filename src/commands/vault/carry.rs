//! Records on their way into a vault, from another one, a backup or a list of tokens: written in batches, never over something else unless
//! that is wanted. What is there already, alike, is left; so whatever was interrupted can be run again.

use std::fmt::Write as _;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::commands::vault::{CommandFault, counted};
use crate::grants::record::Grant;
use crate::vault::{Expected, Table, Vault, Written};

/// Records of a batch.
pub(crate) const BATCH: usize = 200;

/// A record on its way.
#[derive(Debug)]
pub(crate) struct Carried {
    /// Where it belongs.
    pub(crate) table: Table,
    /// Its key.
    pub(crate) key: String,
    /// Unix milliseconds.
    pub(crate) expires: Option<u64>,
    /// Its bytes.
    pub(crate) plain: Zeroizing<Vec<u8>>,
}

/// What to do where something else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// Leave it.
    Leave,
    /// Write over it.
    Overwrite,
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Written.
    pub(crate) written: u64,
    /// Were there already, alike.
    pub(crate) same: u64,
    /// Had expired on their way.
    pub(crate) expired: u64,
    /// Their keys hold something else, which was left.
    pub(crate) left: Vec<String>,
}

/// Writes a batch.
pub(crate) async fn carry(
    vault: &Vault,
    batch: &[Carried],
    meeting: Meeting,
    now: u64,
    tally: &mut Tally,
) -> Result<(), CommandFault> {
    let expected = if meeting == Meeting::Overwrite { Expected::Any } else { Expected::Absent };
    let mut puts = Vec::with_capacity(batch.len());
    let mut carried = Vec::with_capacity(batch.len());
    for one in batch {
        let lifetime = one.expires.map(|at| std::time::Duration::from_millis(at.saturating_sub(now)));
        if lifetime.is_some_and(|lifetime| lifetime.is_zero()) {
            tally.expired += 1;
            continue;
        }
        puts.push(vault.sealed((one.table, &one.key), &one.plain, lifetime, expected)?);
        carried.push(one);
    }
    let written = vault.put_all(puts).await?;
    for (one, written) in carried.into_iter().zip(written) {
        if let Written::Version(_) = written {
            tally.written += 1;
            continue;
        }
        let there = vault.get(one.table, &one.key).await?;
        if there.is_some_and(|there| is_same(one.table, &there.plain, &one.plain)) {
            tally.same += 1;
        } else {
            tally.left.push(one.key.clone());
        }
    }
    Ok(())
}

/// Whether two records say the same. Of grants the times do not count: tokens that are read again from a list were granted when the
/// list was first read.
fn is_same(table: Table, there: &[u8], carried: &[u8]) -> bool {
    if there == carried {
        return true;
    }
    let grant = |bytes: &[u8]| -> Option<Grant> {
        let grant = serde_json::from_slice(bytes).ok()?;
        Some(Grant { granted_at: 0, renewed_at: 0, ..grant })
    };
    table == Table::Grants && grant(there).is_some_and(|there| grant(carried).is_some_and(|carried| there == carried))
}

impl Tally {
    /// All that were looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.written + self.same + self.expired + self.left.len() as u64
    }

    /// For a person.
    pub(crate) fn text(&self, what: &str) -> String {
        let mut text = format!("{} {what}", counted(self.written, "record"));
        if self.same > 0 {
            let _written = write!(text, ", {} there already", self.same);
        }
        if self.expired > 0 {
            let _written = write!(text, ", {} had expired", self.expired);
        }
        text.push('\n');
        for key in self.left.iter().take(20) {
            let _written = writeln!(text, "left as it is, since something else is there: {key}");
        }
        if !self.left.is_empty() {
            let words = "left as they are: --overwrite writes over them";
            let _written = writeln!(text, "{} {words}", counted(self.left.len() as u64, "record"));
        }
        text
    }

    /// For a program.
    pub(crate) fn json(&self) -> Value {
        json!({ "written": self.written, "same": self.same, "expired": self.expired, "left": self.left })
    }
}
