//! A worker's own copies of the key sets: one atomic number is read for a token, and nothing is locked or counted on the way.

use std::cell::RefCell;
use std::sync::Arc;

use crate::issuers::Issuer;
use crate::issuers::key_set::KeySet;

/// The key sets of all issuers, as one worker has them.
#[derive(Debug, Default)]
pub(crate) struct Copies(RefCell<Vec<Copied>>);

#[derive(Clone, Debug, Default)]
struct Copied {
    generation: u64,
    set: Option<Arc<KeySet>>,
}

impl Copies {
    /// Calls `look` with the newest set that may still be used at `now`, and with its generation.
    pub(crate) fn with<T>(&self, issuer: &Issuer, now: i64, look: impl FnOnce(Option<&KeySet>, u64) -> T) -> T {
        let mut copies = self.0.borrow_mut();
        if copies.len() <= issuer.at {
            copies.resize_with(issuer.at + 1, Copied::default);
        }
        let generation = issuer.generation();
        match copies.get_mut(issuer.at) {
            Some(copied) => {
                if copied.generation != generation {
                    *copied = Copied { generation, set: issuer.newest() };
                }
                look(copied.set.as_deref().filter(|set| set.usable_until > now), generation)
            }
            None => look(None, generation),
        }
    }
}
