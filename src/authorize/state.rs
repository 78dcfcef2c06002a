//! `state`: what a provider gives back with the browser. It is opaque (two values of 256 bits: the attempt's and the step's own), good once
//! and for ten minutes, and its row is bound to the browser that began, to the provider, and to the callback.
//! RFC 6749, section 10.12; RFC 9700, sections 2.1.2 and 4.7.

use serde::{Deserialize, Serialize};

use crate::authorize::opaque::{Hash, NoRandomness, Opaque};

/// Characters of a state.
const CHARACTERS: usize = 87;

/// A state, as it is in a URL.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) struct State {
    /// Which attempt it is a step of: known also when the step is over.
    pub(crate) attempt: Opaque,
    /// The step.
    pub(crate) step: Opaque,
}

/// A step at a provider: the row of a state.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// `apps.NAME`.
    pub(crate) app: String,
    /// monday's account id.
    pub(crate) account: i64,
    /// monday's user id.
    pub(crate) user: i64,
    /// Which provider was asked.
    pub(crate) provider: String,
    /// The path to which it sends the browser back, and no other.
    pub(crate) callback: String,
    /// Of PKCE, where there is one.
    pub(crate) verifier: Option<String>,
    /// What `iss` of the callback must be, where it is known.
    pub(crate) issuer: Option<String>,
    /// Whether `iss` must be there.
    pub(crate) issuer_required: bool,
    /// Which attempt it is a step of.
    pub(crate) attempt: Hash,
    /// Which browser began.
    pub(crate) browser: Hash,
}

impl State {
    /// A new step of an attempt.
    pub(crate) fn fresh(attempt: &Opaque) -> Result<Self, NoRandomness> {
        Ok(Self { attempt: attempt.clone(), step: Opaque::fresh()? })
    }

    /// One that came from outside, if it has the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != CHARACTERS {
            return None;
        }
        let (attempt, step) = text.split_once('.')?;
        Some(Self { attempt: Opaque::parse(attempt)?, step: Opaque::parse(step)? })
    }

    /// As it is written.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.attempt.as_str(), self.step.as_str())
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("app", &self.app).field("provider", &self.provider).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_has_more_than_128_bits() {
        let state = State::fresh(&Opaque::fresh().unwrap()).unwrap();
        assert_eq!(State::parse(&state.text()), Some(state.clone()));
        assert!(state.text().len() * 6 > 128);
        assert_ne!(State::fresh(&state.attempt).unwrap(), state);
    }

    proptest! {
        #[test]
        fn whatever_is_taken_for_a_state_is_written_as_it_came(text in "[A-Za-z0-9_-]{43}[.][A-Za-z0-9_-]{43}|[A-Za-z0-9_.=-]{80,95}|.{0,90}") {
            if let Some(state) = State::parse(&text) {
                prop_assert_eq!(state.text(), text);
            }
        }
    }
}
