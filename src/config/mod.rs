//! gateway.toml: as written (with spans), resolved, and the mistakes in it.

pub(crate) mod resolved;
