//! How gateways that share a store tell each other what changed: `origin/table/key`. Each knows its own by its origin, and skips them: it has
//! told itself already.

use crate::vault::{Change, Table, VaultFault};

/// A name for this vault among those that share the store.
pub(crate) fn origin() -> Result<String, VaultFault> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_opaque| VaultFault::Refused("no randomness".to_owned()))?;
    Ok(format!("{:016x}", u64::from_be_bytes(random)))
}

/// What another gateway tells; none if it is this one's own. Words that are not understood may mean anything.
pub(crate) fn read(told: &str, origin: &str) -> Option<Change> {
    let mut parts = told.splitn(3, '/');
    let (from, table, key) = (parts.next(), parts.next().and_then(Table::of_name), parts.next());
    match (from, table, key) {
        (Some(from), _, _) if from == origin => None,
        (_, Some(table), Some(key)) => Some(Change::Row(table, key.to_owned())),
        _ => Some(Change::Anything),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_another_gateways_row_or_anything() {
        let row = Change::Row(Table::Grants, "a/1/2/github".to_owned());
        assert_eq!(read("other/grants/a/1/2/github", "own"), Some(row));
        assert_eq!(read("own/grants/a", "own"), None);
        for odd in ["", "x", "other/unknown/key", "other/grants"] {
            assert_eq!(read(odd, "own"), Some(Change::Anything), "{odd}");
        }
        assert_ne!(origin().unwrap(), origin().unwrap());
    }
}
