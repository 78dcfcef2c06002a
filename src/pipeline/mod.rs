//! The way of a request, one file a step. Each step takes what the step before it returned.

pub(crate) mod cors;
pub(crate) mod forwarded;
pub(crate) mod guard;
pub(crate) mod peer;
pub(crate) mod refusal;
pub(crate) mod reply;
pub(crate) mod verify;
