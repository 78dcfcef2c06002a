//! What stores are asked and what they answer: rows whose bytes are sealed, and ranges of keys. Knows no store.

use std::time::Duration;

use crate::limits::{VAULT_KEY_BYTES, VAULT_LIST};
use crate::vault::{Expected, Table, VaultFault};

/// A row as a store has it.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its key.
    pub(crate) key: String,
    /// The fence.
    pub(crate) version: u64,
    /// Unix milliseconds, by the store's clock.
    pub(crate) expires: Option<u64>,
    /// The record.
    pub(crate) sealed: Vec<u8>,
}

/// A row to be written.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    /// Where.
    pub(crate) table: Table,
    /// Its key.
    pub(crate) key: String,
    /// The record.
    pub(crate) sealed: Vec<u8>,
    /// Start now, by the store's clock.
    pub(crate) lifetime: Option<Duration>,
    /// What must be there.
    pub(crate) expected: Expected,
}

/// A range of keys, in the order of their bytes.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// Of this table.
    pub(crate) table: Table,
    /// Where it begins.
    pub(crate) from: Start,
    /// The first key that is not in it any more; none: to the end.
    pub(crate) until: Option<String>,
    /// Rows at most.
    pub(crate) limit: usize,
}

/// Where a range begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With this key.
    With(String),
    /// After this key.
    After(String),
}

impl Rows {
    /// The keys that begin with `prefix` and come after `after`.
    pub(crate) fn new(table: Table, prefix: &str, after: Option<&str>, limit: usize) -> Result<Self, VaultFault> {
        let from = match after {
            Some(after) if after >= prefix => Start::After(key(after)?),
            Some(_) | None if prefix.is_empty() => Start::With(String::new()),
            Some(_) | None => Start::With(key(prefix)?),
        };
        Ok(Self { table, from, until: beyond(prefix), limit: limit.min(VAULT_LIST) })
    }
}

impl Start {
    /// The key, and whether it is in the range itself.
    pub(crate) const fn parts(&self) -> (&String, bool) {
        match self {
            Self::With(key) => (key, true),
            Self::After(key) => (key, false),
        }
    }
}

/// A key that every store can take: not empty, no NUL (PostgreSQL has none in texts), not too long for an index.
pub(crate) fn key(key: &str) -> Result<String, VaultFault> {
    if key.is_empty() || key.len() > VAULT_KEY_BYTES || key.contains('\0') {
        return Err(VaultFault::Refused(format!("a key is 1 to {VAULT_KEY_BYTES} bytes without NUL")));
    }
    Ok(key.to_owned())
}

/// The least text that comes after everything that begins with `prefix`. UTF-8 sorts as its code points do.
fn beyond(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// A lifetime in milliseconds; 0 is none. A record that would have none left lives one.
pub(crate) fn millis(lifetime: Option<Duration>) -> i64 {
    lifetime.map_or(0, |lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX / 4).clamp(1, i64::MAX / 4))
}

impl Expected {
    /// As the stores' procedures take it: -1 for anything, 0 for nothing.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Any => -1,
            Self::Absent => 0,
            Self::Version(version) => i64::try_from(version).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_ends_where_no_key_begins_with_the_prefix() {
        for (prefix, end) in [
            ("a/1/", Some("a/10")),
            ("a", Some("b")),
            ("", None),
            ("\u{10ffff}", None),
            ("a\u{10ffff}", Some("b")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("é", Some("ê")),
        ] {
            assert_eq!(beyond(prefix).as_deref(), end, "{prefix:?}");
        }
    }

    #[test]
    fn keys_that_a_store_could_not_take_are_refused() {
        for bad in [String::new(), "a\0b".to_owned(), "x".repeat(VAULT_KEY_BYTES + 1)] {
            assert!(key(&bad).is_err(), "{} bytes", bad.len());
        }
        assert!(key(&"x".repeat(VAULT_KEY_BYTES)).is_ok());
    }

    proptest! {
        #[test]
        fn a_key_is_in_the_range_if_it_begins_with_the_prefix(prefix in "\\PC{0,3}", rest in "\\PC{0,3}", other in "\\PC{0,4}") {
            let until = beyond(&prefix);
            let inside = |key: &str| key >= prefix.as_str() && until.as_deref().is_none_or(|until| key < until);
            let key = format!("{prefix}{rest}");
            prop_assert!(inside(&key));
            prop_assert_eq!(inside(&other), other.starts_with(&prefix));
        }
    }
}
