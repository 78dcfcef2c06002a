//! What the steps of a request cost: guard, token, headers. One request of monday's, again and again.
#![expect(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    reason = "a bench stops at what it did not expect, and its functions say what they measure"
)]

mod guard;
mod headers;
mod token;

use criterion::{Criterion, criterion_group, criterion_main};
use monday_gateway::internals::measured::Parts;

fn parts() -> Parts {
    Parts::new().expect("the request passes every step")
}

fn every(c: &mut Criterion) {
    guard::judging(c);
    token::verifying(c);
    headers::changing(c);
}

criterion_group!(benches, every);
criterion_main!(benches);
