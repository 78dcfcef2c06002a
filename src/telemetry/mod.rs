//! What the operator sees: metrics, the access log, the event log.
//! Imports nothing of the crate: labels come in as tables of names when the process starts, and as indices into them
//! afterwards, so that counting knows neither requests nor the configuration.

pub(crate) mod access_log;
pub(crate) mod counters;
mod exposition;
pub(crate) mod grants;
pub(crate) mod log;
pub(crate) mod metrics;
mod process;
mod shards;
