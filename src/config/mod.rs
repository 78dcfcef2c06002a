//! gateway.toml: as written (with spans), resolved, and the mistakes in it.

pub(crate) mod access_log;
pub(crate) mod address;
pub(crate) mod endpoint;
pub(crate) mod headers;
pub(crate) mod kind_words;
pub(crate) mod load;
pub(crate) mod mask;
pub(crate) mod mistake;
#[cfg(test)]
mod mutants;
pub(crate) mod parameters;
pub(crate) mod read;
pub(crate) mod relations;
pub(crate) mod resolve;
pub(crate) mod resolved;
pub(crate) mod schema;
pub(crate) mod secret_source;
pub(crate) mod sheet;
pub(crate) mod store;
pub(crate) mod suggest;
pub(crate) mod units;
pub(crate) mod written;

pub(crate) use load::{Loaded, load};
pub(crate) use mistake::{Mistake, Mistakes};
pub(crate) use sheet::Secrets;
