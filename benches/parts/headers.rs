//! What is taken out of a request's fields, and what is set.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};

use crate::parts;

pub(crate) fn changing(c: &mut Criterion) {
    let parts = parts();
    c.bench_function("headers: strip", |b| {
        let fields = || parts.request().headers().clone();
        b.iter_batched_ref(fields, |fields| black_box(&parts).strip(fields), BatchSize::SmallInput);
    });
    c.bench_function("headers: inject", |b| {
        let fields = || parts.request().headers().clone();
        b.iter_batched_ref(fields, |fields| black_box(&parts).inject(fields), BatchSize::SmallInput);
    });
}
