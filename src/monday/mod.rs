//! What monday.com says: kinds of request, claims, its error body, the challenge.

pub(crate) mod app_keys;
pub(crate) mod challenge;
pub(crate) mod claims;
pub(crate) mod kinds;
pub(crate) mod mint;
pub(crate) mod sample;
pub(crate) mod severity;
pub(crate) mod verdict;
