//! A running gateway: what listens, which threads serve, and how it starts and ends. Above the way of a request; knows
//! sockets, threads and signals.

pub(crate) mod admin;
pub(crate) mod assemble;
pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod flow;
pub(crate) mod granting;
#[cfg(test)]
mod grants_tests;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod internal;
#[cfg(test)]
mod jwt_tests;
pub(crate) mod listener;
pub(crate) mod pace;
pub(crate) mod pages;
pub(crate) mod readiness;
#[cfg(test)]
mod tests;
pub(crate) mod tunnel;
pub(crate) mod worker;
