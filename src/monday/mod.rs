//! What monday.com says: kinds of request, claims, its error body, the challenge.

pub(crate) mod kinds;
pub(crate) mod severity;
