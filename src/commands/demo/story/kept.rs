//! What the vault has: to judge it, and as `vault show` tells it, which is everything of a grant but its tokens.

use crate::commands::vault;
use crate::grants::record::{Grant, GrantKey, State};
use crate::vault::{Table, Vault, VaultFault};

/// Grants that are looked at.
const MOST: usize = 100;

/// One grant.
#[derive(Debug)]
pub(super) struct Kept {
    /// Whose.
    pub(super) key: GrantKey,
    /// What.
    pub(super) grant: Grant,
}

/// All grants.
pub(super) async fn all(vault: &Vault) -> Result<Vec<Kept>, VaultFault> {
    let records = vault.list(Table::Grants, "", None, MOST).await?;
    let read = records.iter().filter_map(|record| {
        Some(Kept { key: GrantKey::of_row(&record.key)?, grant: serde_json::from_slice(&record.plain).ok()? })
    });
    Ok(read.collect())
}

/// All grants, for a person.
pub(in crate::commands::demo) async fn shown(kept: &Vault) -> Result<String, String> {
    let mut text = String::new();
    for one in all(kept).await.map_err(|fault| fault.to_string())? {
        text.push_str(&vault::shown(kept, one.key.row()).await?);
    }
    Ok(if text.is_empty() { "nothing".to_owned() } else { text })
}

impl Kept {
    /// Whose it is, and what became of it.
    pub(super) fn line(&self) -> String {
        let state = match self.grant.state {
            State::Ok => "ok",
            State::Expired => "expired",
            State::Revoked => "revoked",
        };
        format!("the vault says {}: {state}", self.key.row())
    }
}
