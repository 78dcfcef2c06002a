//! A token from the header field to the caller's claims.

use std::hint::black_box;

use criterion::Criterion;

use crate::parts;

pub(crate) fn verifying(c: &mut Criterion) {
    let parts = parts();
    c.bench_function("token: verify", |b| b.iter(|| black_box(&parts).verify()));
}
