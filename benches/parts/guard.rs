//! The guard's two halves, and finding the route.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};

use crate::parts;

pub(crate) fn judging(c: &mut Criterion) {
    let parts = parts();
    c.bench_function("guard: raw head", |b| b.iter(|| black_box(&parts).judge_head()));
    c.bench_function("guard: parsed head", |b| {
        b.iter_batched(|| parts.request(), |request| black_box(&parts).check(request), BatchSize::SmallInput);
    });
    c.bench_function("route: find", |b| b.iter(|| black_box(&parts).route()));
}
