//! A running gateway.

pub(crate) mod admin;
pub(crate) mod readiness;
