//! The one handle that the data plane has on grants, and what keeps them: records in the vault, the cache before it, fresh tokens,
//! who is authorized. Runs on the control plane; a worker asks through one bounded port and never a store.

pub(crate) mod journal;
pub(crate) mod outbox;
pub(crate) mod record;
