//! Black-box tests: the gateway as its users have it, over real sockets, one module a capability. The backends, minters and
//! clients beside it are in `support` and, as programs of their own, in `tests/peers`.
#![expect(clippy::disallowed_types, reason = "what backends and the gateway print is gathered by other threads")]
#![expect(clippy::disallowed_methods, reason = "tokens are minted for the clock of the machine")]
#![expect(clippy::excessive_nesting, reason = "a table of cases in an async test is two levels before it begins")]
#![expect(clippy::too_many_lines, reason = "a table of cases is as long as it is")]
#![expect(clippy::unused_result_ok, reason = "a peer that is gone is what many tests are about")]

#[cfg(test)]
mod support;

#[cfg(test)]
mod access_log;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod core_files;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod flow_attacks;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod hostile_stores;
#[cfg(test)]
mod internal;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod many_grants;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod resilience;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod stalled;
#[cfg(test)]
mod start;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod tokens_fresh;
#[cfg(test)]
mod vault;
#[cfg(test)]
mod volume;
#[cfg(test)]
mod websocket;
