//! Counters that cost a request one load and one store.
//! A worker writes only its own shard ([`PerWorker`]), so nothing is locked and no cache line moves between cores; a scrape
//! reads all shards and adds them up. Knows no names: `metrics` gives the shards theirs.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows. One thread writes; any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the shard's own worker may call it: a second writer's additions could be lost.
    #[inline]
    pub fn add(&self, n: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// What was added so far.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks. One thread writes; any thread reads.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    #[inline]
    pub fn raise(&self) {
        self.set(self.value().wrapping_add(1));
    }

    /// One less.
    #[inline]
    pub fn lower(&self) {
        self.set(self.value().wrapping_sub(1));
    }

    /// Replaces the number.
    #[inline]
    pub fn set(&self, number: i64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number now.
    #[inline]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter that many threads write, for what happens rarely: dropped lines, panics, reloads.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds `n`, from any thread.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What was added so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a server takes connections, as the worker that asked last saw it. Begins as healthy.
#[derive(Debug)]
pub struct Health(AtomicBool);

impl Default for Health {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Health {
    /// A connection was made. Stores only what changes: workers that agree share the cache line instead of taking it from
    /// each other.
    #[inline]
    pub fn up(&self) {
        if !self.is_up() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A connection failed.
    #[inline]
    pub fn down(&self) {
        if self.is_up() {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    /// What was last seen.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets, inclusive. From half a millisecond (a loopback backend) to the 60 s that monday waits.
pub const BOUNDS: [Duration; 15] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
];

/// Durations by bucket. One thread writes; any thread reads.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many fell into each bucket and no lower one; the last is beyond all bounds.
    buckets: [Counter; BOUNDS.len() + 1],
    /// The sum, in nanoseconds: 584 years fit.
    nanos: Counter,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn observe(&self, elapsed: Duration) {
        let index = BOUNDS.iter().position(|bound| elapsed <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.nanos.add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// The sum of histograms at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many fell into each bucket and no lower one.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// The sum, in nanoseconds.
    pub nanos: u64,
}

impl Distribution {
    /// Adds one shard. The count is the sum of the buckets, so that both agree whatever is written meanwhile.
    pub fn add(&mut self, shard: &Histogram) {
        for (total, bucket) in self.buckets.iter_mut().zip(&shard.buckets) {
            *total = total.wrapping_add(bucket.value());
        }
        self.nanos = self.nanos.wrapping_add(shard.nanos.value());
    }

    /// How many durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// One `T` for each worker, each on cache lines of its own.
#[derive(Debug)]
pub struct PerWorker<T> {
    first: Padded<T>,
    rest: Box<[Padded<T>]>,
}

/// Two cache lines: x86 fetches them in pairs, and Apple's are 128 bytes.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T> PerWorker<T> {
    /// Shards for the workers `0..workers`, at least one.
    pub fn new(workers: usize, make: impl Fn() -> T) -> Self {
        Self { first: Padded(make()), rest: (1..workers).map(|_| Padded(make())).collect() }
    }

    /// The shard of one worker, which alone may write to it. A number beyond the workers is a mistake of the caller; it
    /// gets the first shard, where counts of two writers can be lost but nothing else goes wrong.
    #[inline]
    pub fn get(&self, worker: usize) -> &T {
        debug_assert!(worker <= self.rest.len(), "no worker has the number {worker}");
        let later = worker.checked_sub(1).and_then(|index| self.rest.get(index));
        &later.unwrap_or(&self.first).0
    }

    /// All shards, for adding them up.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.rest).map(|padded| &padded.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus::core::Collector;

    use super::*;

    #[test]
    fn shards_of_all_workers_add_up() {
        let shards = Arc::new(PerWorker::new(4, Counter::default));
        let threads: Vec<_> = (0..4)
            .map(|worker| {
                let shards = Arc::clone(&shards);
                std::thread::spawn(move || (0..10_000).for_each(|_| shards.get(worker).add(1)))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(shards.iter().map(Counter::value).sum::<u64>(), 40_000);
        assert!(shards.iter().all(|shard| shard.value() == 10_000));
    }

    #[test]
    fn shards_share_no_cache_line() {
        let shards = PerWorker::new(3, Counter::default);
        let mut addresses: Vec<_> = shards.iter().map(|shard| std::ptr::from_ref(shard).addr()).collect();
        addresses.sort_unstable();
        assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] >= 128));
    }

    #[test]
    fn a_histogram_agrees_with_that_of_the_prometheus_crate() {
        let bounds = BOUNDS.map(|bound| bound.as_secs_f64()).to_vec();
        let options = prometheus::HistogramOpts::new("theirs", "theirs").buckets(bounds.clone());
        let theirs = prometheus::Histogram::with_opts(options).unwrap();
        let ours = Histogram::default();
        let beside = BOUNDS.iter().flat_map(|bound| {
            [bound.saturating_sub(Duration::from_nanos(1)), *bound, *bound + Duration::from_nanos(1)]
        });
        for elapsed in beside.chain([Duration::ZERO, Duration::from_hours(1)]) {
            ours.observe(elapsed);
            theirs.observe(elapsed.as_secs_f64());
        }

        let mut sum = Distribution::default();
        sum.add(&ours);
        let family = theirs.collect().remove(0);
        let expected = family.get_metric()[0].get_histogram();
        assert_eq!(sum.count(), expected.get_sample_count());
        let mut below = 0;
        for (bucket, (bound, own)) in expected.get_bucket().iter().zip(bounds.iter().zip(sum.buckets)) {
            below += own;
            assert_eq!((bucket.cumulative_count(), bucket.upper_bound()), (below, *bound));
        }
        let seconds = Duration::from_nanos(sum.nanos).as_secs_f64();
        assert!((seconds - expected.get_sample_sum()).abs() < 1e-6);
    }

    #[test]
    fn a_gauge_goes_up_and_down_and_health_begins_as_up() {
        let gauge = Gauge::default();
        gauge.raise();
        gauge.raise();
        gauge.lower();
        assert_eq!(gauge.value(), 1);
        let health = Health::default();
        assert!(health.is_up());
        health.down();
        assert!(!health.is_up());
        health.up();
        assert!(health.is_up());
    }
}
