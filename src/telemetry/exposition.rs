//! Adds up all shards and writes them as Prometheus families: names, labels, help. Runs at a scrape, on the control plane.
//! Takes what `metrics` counted. Small closed sets are shown with their zeros; what multiplies with the names of the
//! configuration (codes, verifications, refusals) only where it occurred, so that 500 routes stay a readable page.
//! Source: prometheus.io, "Exposition formats" and "Metric and label naming".

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use crate::telemetry::counters::{BOUNDS, Counter, Distribution, PerWorker};
use crate::telemetry::grants::GrantUse;
use crate::telemetry::metrics::Counted;
use crate::telemetry::process;
use crate::telemetry::shards::{AppCounters, ProcessCounters, Protocol, RouteCounters};

/// What the registry asks.
pub(super) struct Scrape(pub(super) Arc<Counted>);

impl Collector for Scrape {
    /// None: the labels' values grow with the configuration.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        families.extend(routes(&self.0));
        families.extend(apps(&self.0));
        families.extend(upstreams(&self.0));
        families.extend(grants(&self.0));
        families.extend(caches(&self.0));
        families.extend(connections(&self.0));
        families.extend(happenings(&self.0));
        families.extend(process_usage());
        families.into_iter().filter_map(Family::finish).collect()
    }
}

/// A family that is being filled.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    metrics: Vec<Metric>,
}

/// The labels of one sample.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Family {
    /// A family of numbers that only grow.
    fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::COUNTER, metrics: Vec::new() }
    }

    /// A family of numbers that go up and down.
    fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::GAUGE, metrics: Vec::new() }
    }

    /// A family of durations.
    fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::HISTOGRAM, metrics: Vec::new() }
    }

    /// Adds one number.
    fn number(&mut self, labels: Labels<'_>, number: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        if self.kind == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(number);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(number);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// Adds one distribution of durations, in seconds.
    fn distribution(&mut self, labels: Labels<'_>, sum: &Distribution) {
        let mut below = 0;
        let buckets = BOUNDS.iter().zip(sum.buckets).map(|(bound, number)| {
            below += number;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(sum.count());
        histogram.set_sample_sum(float(sum.nanos) / 1e9);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    /// The family, unless nothing is in it: the encoder refuses empty ones.
    fn finish(self) -> Option<MetricFamily> {
        if self.metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.metrics);
        Some(family)
    }
}

/// Labels as the prometheus crate has them, which wants them sorted by name.
fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pairs = labels.iter().map(|(name, text)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*text).to_owned());
        pair
    });
    pairs.collect()
}

/// Prometheus knows only floating point.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and Prometheus keeps no more")]
fn float(number: u64) -> f64 {
    number as f64
}

/// As [`float`].
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and Prometheus keeps no more")]
fn signed(number: i64) -> f64 {
    number as f64
}

/// What each route answered.
fn routes(counted: &Counted) -> [Family; 3] {
    let mut requests = Family::counter("gateway_http_requests_total", "Requests answered, by route and status code.");
    let mut durations = Family::histogram(
        "gateway_http_request_duration_seconds",
        "Time from a request's head to the end of its answer.",
    );
    let mut refusals =
        Family::counter("gateway_refusals_total", "Requests that the gateway answered itself, by route and reason.");
    for (route, shards) in counted.routes.all() {
        for (code, number) in codes(&shards) {
            let code = code.map_or_else(|| "other".to_owned(), |code| code.to_string());
            requests.number(&[("code", &code), ("route", &route)], float(number));
        }
        let mut sum = Distribution::default();
        shards.iter().for_each(|shard| sum.add(shard.durations()));
        durations.distribution(&[("route", &route)], &sum);
        let reasons = sums(shards.iter().map(RouteCounters::refusals));
        for (reason, number) in counted.tables.reasons.iter().zip(reasons).filter(|(_, number)| *number > 0) {
            refusals.number(&[("reason", reason), ("route", &route)], float(number));
        }
    }
    [requests, durations, refusals]
}

/// The codes that a route answered with, summed over the workers, sorted.
fn codes(shards: &PerWorker<RouteCounters>) -> Vec<(Option<u16>, u64)> {
    let mut codes: Vec<(Option<u16>, u64)> = shards.iter().flat_map(RouteCounters::codes).collect();
    codes.sort_unstable();
    codes.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = kept.1.wrapping_add(later.1);
        }
        same
    });
    codes
}

/// Adds up tables of the same length, element by element.
fn sums<'a>(shards: impl Iterator<Item = &'a [Counter]>) -> Vec<u64> {
    let mut sums = Vec::new();
    for shard in shards {
        sums.resize(shard.len(), 0);
        for (sum, counter) in sums.iter_mut().zip(shard) {
            *sum += counter.value();
        }
    }
    sums
}

/// What became of each app's tokens.
fn apps(counted: &Counted) -> [Family; 1] {
    let mut family =
        Family::counter("gateway_token_verifications_total", "Tokens judged, by app, kind of request and result.");
    for (app, shards) in counted.apps.all() {
        let cells = counted.tables.kinds.iter().flat_map(|kind| {
            let results = counted.tables.results.iter();
            results.map(move |result| (kind, result))
        });
        let numbers = sums(shards.iter().map(AppCounters::verifications));
        for ((kind, result), number) in cells.zip(numbers).filter(|(_, number)| *number > 0) {
            family.number(&[("app", &app), ("kind", kind), ("result", result)], float(number));
        }
    }
    [family]
}

/// The backends.
fn upstreams(counted: &Counted) -> [Family; 3] {
    let mut durations = Family::histogram(
        "gateway_upstream_request_duration_seconds",
        "Time from sending a request to an upstream to the head of its answer.",
    );
    let mut connections = Family::gauge("gateway_upstream_connections", "Open connections to an upstream.");
    let mut healthy = Family::gauge(
        "gateway_upstream_healthy",
        "Whether the last connection to a server succeeded: 1, or 0 until one succeeds again.",
    );
    for (upstream, shards) in counted.upstreams.all() {
        let mut sum = Distribution::default();
        shards.iter().for_each(|shard| sum.add(&shard.durations));
        durations.distribution(&[("upstream", &upstream)], &sum);
        let active = shards.iter().map(|shard| shard.active.value()).sum();
        let idle = shards.iter().map(|shard| shard.idle.value()).sum();
        connections.number(&[("state", "active"), ("upstream", &upstream)], signed(active));
        connections.number(&[("state", "idle"), ("upstream", &upstream)], signed(idle));
    }
    for (upstream, server, up) in counted.health() {
        healthy.number(&[("server", &server), ("upstream", &upstream)], f64::from(u8::from(up)));
    }
    [durations, connections, healthy]
}

/// What became of grants: at requests, and by themselves.
fn grants(counted: &Counted) -> [Family; 3] {
    let mut uses =
        Family::counter("gateway_grants_total", "Grants that requests needed, by app, provider and what they came to.");
    let mut changes = Family::counter("gateway_grant_changes_total", "Changes of grants, by app, provider and result.");
    let mut ending = Family::gauge(
        "gateway_grants_ending",
        "Grants that end within 14 days, whatever is done: their users have to connect again.",
    );
    for ((app, provider), shards) in counted.grant_uses.all() {
        let numbers = sums(shards.iter().map(GrantUse::all));
        for (result, number) in counted.tables.grants.iter().zip(numbers).filter(|(_, number)| *number > 0) {
            uses.number(&[("app", &app), ("provider", &provider), ("result", result)], float(number));
        }
    }
    for ((app, provider), counters) in counted.grants.all() {
        for (result, tally) in counters.happenings().into_iter().filter(|(_, tally)| tally.value() > 0) {
            let labels = [("app", app.as_str()), ("provider", &provider), ("result", result)];
            changes.number(&labels, float(tally.value()));
        }
        ending.number(&[("app", &app), ("provider", &provider)], signed(counters.ending.value()));
    }
    [uses, changes, ending]
}

/// The caches before stores and issuers. A core's own copies of grants are a cache, too.
fn caches(counted: &Counted) -> [Family; 1] {
    let mut family = Family::counter("gateway_cache_requests_total", "Questions to a cache, by cache and result.");
    let caches = counted.caches.all();
    if caches.is_empty() {
        return [family];
    }
    let copies = counted.process.iter().map(ProcessCounters::grant_copies);
    let [hit, miss] = copies.fold([0, 0], |[hits, misses], [hit, miss]| [hits + hit, misses + miss]);
    family.number(&[("cache", "grant_copies"), ("result", "hit")], float(hit));
    family.number(&[("cache", "grant_copies"), ("result", "miss")], float(miss));
    for (cache, counters) in caches {
        for (result, tally) in counters.results() {
            family.number(&[("cache", cache), ("result", result)], float(tally.value()));
        }
    }
    [family]
}

/// The clients' connections.
fn connections(counted: &Counted) -> [Family; 2] {
    let mut connections = Family::gauge("gateway_connections", "Open client connections, by what they speak.");
    let mut handshakes = Family::counter("gateway_tls_handshakes_total", "TLS handshakes, by version and result.");
    for protocol in Protocol::ALL {
        let number = counted.process.iter().map(|shard| shard.connections(protocol).value()).sum();
        connections.number(&[("protocol", protocol.label())], signed(number));
    }
    let mut sums: Vec<_> = Vec::new();
    for shard in counted.process.iter() {
        sums.resize_with(shard.handshakes().count(), || ("", "", 0));
        for (sum, (version, result, number)) in sums.iter_mut().zip(shard.handshakes()) {
            *sum = (version.label(), result.label(), sum.2 + number);
        }
    }
    for (version, result, number) in sums {
        handshakes.number(&[("result", result), ("version", version)], float(number));
    }
    [connections, handshakes]
}

/// What happened in the process as a whole.
fn happenings(counted: &Counted) -> [Family; 6] {
    let mut omitted = Family::counter(
        "gateway_headers_omitted_total",
        "Headers left out: a value that does not fit, or a name with a character outside [A-Za-z0-9-] (odd_name).",
    );
    let names = counted.tables.headers.iter().copied().chain(["odd_name"]);
    for (header, number) in names.zip(sums(counted.process.iter().map(ProcessCounters::headers))) {
        omitted.number(&[("header", header)], float(number));
    }
    let mut dropped = Family::counter("gateway_access_log_lines_dropped_total", "Access log lines that were lost.");
    dropped.number(&[], float(counted.lines_dropped.value()));
    let mut panics = Family::counter("gateway_panics_total", "Panics: each is a bug, and ended one request at most.");
    panics.number(&[], float(counted.panics.value()));
    let mut reloads =
        Family::counter("gateway_config_reloads_total", "Changes of gateway.toml, by what became of them.");
    reloads.number(&[("result", "failed")], float(counted.reloads.failed.value()));
    reloads.number(&[("result", "ok")], float(counted.reloads.succeeded.value()));
    let mut last = Family::gauge(
        "gateway_config_last_reload_success_timestamp_seconds",
        "When the configuration in use was read, in Unix seconds.",
    );
    last.number(&[], signed(counted.reloads.last_success.value()));
    let mut build = Family::gauge("gateway_build_info", "Always 1; the labels say what is running.");
    build.number(&[("revision", counted.build.revision), ("version", counted.build.version)], 1.0);
    [omitted, dropped, panics, reloads, last, build]
}

/// What the kernel says about this process; nothing where there is no /proc.
fn process_usage() -> Vec<Family> {
    let measured = process::measure();
    let families = measured.into_iter().map(|sample| {
        let mut family = if sample.grows {
            Family::counter(sample.name, sample.help)
        } else {
            Family::gauge(sample.name, sample.help)
        };
        family.number(&[], sample.number);
        family
    });
    families.collect()
}
