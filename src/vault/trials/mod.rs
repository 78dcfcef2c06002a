//! What the stores must stand, tried on each: the contract, servers that lie, hang, are stopped, killed or read-only, disks that are full,
//! and processes that are killed while they write.

#![expect(clippy::large_stack_arrays, clippy::large_futures, reason = "tests")]

mod contract;
mod crash;
mod encrypted;
mod figures;
mod full_disk;
mod hostile;
mod outage;
mod servers;

pub(crate) use self::contract::{keys, put, text};
pub(crate) use self::servers::{Kind, Place, block_on};

/// How often a long trial is repeated: few times in each run of the tests, often in `make resilience`.
fn times(name: &str, few: u32) -> u32 {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}
