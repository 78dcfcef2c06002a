//! The counters of the process and their names. [`Metrics`] hands a shard to whoever counts, when the snapshot is built,
//! and turns all shards into the Prometheus text when somebody scrapes.
//! Names (route, app, upstream) are asked for by the control plane and outlive a snapshot: a reload resets nothing. What
//! a request touches is in `shards`: no lock, no lookup.

use std::collections::BTreeMap;
#[expect(
    clippy::disallowed_types,
    reason = "names are looked up by the control plane and at a scrape, never for a request"
)]
use std::sync::Mutex;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use prometheus::{Registry, TextEncoder};

use crate::telemetry::counters::{Gauge, Health, PerWorker, Tally};
use crate::telemetry::exposition::Scrape;
use crate::telemetry::grants::{CacheCounters, GrantCounters, GrantUse};
pub use crate::telemetry::shards::{
    AppCounters, Handshake, ProcessCounters, Protocol, RouteCounters, TlsVersion, UpstreamCounters,
};

/// The route label of requests that no route matched. No route may be named so.
pub const NO_ROUTE: &str = "none";

/// Labels that are fixed when the process starts. Counters are addressed by the index of a name in its table.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// `kind` of `gateway_token_verifications_total`.
    pub kinds: &'static [&'static str],
    /// `result` of `gateway_token_verifications_total`.
    pub results: &'static [&'static str],
    /// `reason` of `gateway_refusals_total`.
    pub reasons: &'static [&'static str],
    /// `header` of `gateway_headers_omitted_total`; names outside the table are counted as `odd_name`.
    pub headers: &'static [&'static str],
    /// `result` of `gateway_grants_total`.
    pub grants: &'static [&'static str],
}

/// The labels of `gateway_build_info`.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// The crate's version.
    pub version: &'static str,
    /// The commit it was built from, or `unknown`.
    pub revision: &'static str,
}

/// What happened to the configuration file since the start. Written by the control plane alone.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    pub(super) succeeded: Tally,
    pub(super) failed: Tally,
    /// Unix seconds of the file in use; 0 before the first.
    pub(super) last_success: Gauge,
}

/// An app's and a provider's name.
pub(super) type GrantName = (String, String);

/// Counters of the control plane by the names they are shown under.
#[derive(Debug)]
pub(super) struct Tallied<K, T> {
    #[expect(clippy::disallowed_types, reason = "taken by the control plane, never for a request")]
    counters: Mutex<BTreeMap<K, Arc<T>>>,
}

impl<K, T> Default for Tallied<K, T> {
    fn default() -> Self {
        Self {
            #[expect(clippy::disallowed_types, reason = "as above")]
            counters: Mutex::default(),
        }
    }
}

impl<K: Ord + Clone, T> Tallied<K, T> {
    /// The counters of a name, made when it is new.
    fn counters(&self, name: K, make: impl FnOnce() -> T) -> Arc<T> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counters.entry(name).or_insert_with(|| Arc::new(make())))
    }

    /// All names with their counters, sorted.
    pub(super) fn all(&self) -> Vec<(K, Arc<T>)> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().map(|(name, counters)| (name.clone(), Arc::clone(counters))).collect()
    }
}

/// Shards by the names they are shown under.
#[derive(Debug)]
pub(super) struct Named<T> {
    #[expect(clippy::disallowed_types, reason = "taken by the control plane, never for a request")]
    shards: Mutex<BTreeMap<String, Arc<PerWorker<T>>>>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            #[expect(clippy::disallowed_types, reason = "as above")]
            shards: Mutex::default(),
        }
    }
}

impl<T> Named<T> {
    /// The shards of a name, made when it is new.
    fn shards(&self, name: &str, make: impl FnOnce() -> PerWorker<T>) -> Arc<PerWorker<T>> {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shards.get(name) {
            return Arc::clone(known);
        }
        let new = Arc::new(make());
        shards.insert(name.to_owned(), Arc::clone(&new));
        new
    }

    /// All names with their shards, sorted. The lock is given back before anything is added up.
    pub(super) fn all(&self) -> Vec<(String, Arc<PerWorker<T>>)> {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.iter().map(|(name, shards)| (name.clone(), Arc::clone(shards))).collect()
    }
}

/// An upstream's name and one of its servers.
type ServerName = (String, String);

/// Everything that is counted; what a scrape reads.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) workers: usize,
    pub(super) tables: Tables,
    pub(super) build: BuildInfo,
    pub(super) routes: Named<RouteCounters>,
    pub(super) apps: Named<AppCounters>,
    pub(super) upstreams: Named<UpstreamCounters>,
    pub(super) grants: Tallied<GrantName, GrantCounters>,
    pub(super) grant_uses: Tallied<GrantName, PerWorker<GrantUse>>,
    pub(super) caches: Tallied<&'static str, CacheCounters>,
    pub(super) process: PerWorker<ProcessCounters>,
    pub(super) lines_dropped: Arc<Tally>,
    pub(super) panics: Tally,
    pub(super) reloads: Reloads,
    /// Servers vanish with the last snapshot that has them: a health that nobody sees any more would be a lie.
    #[expect(clippy::disallowed_types, reason = "taken by the control plane, never for a request")]
    servers: Mutex<BTreeMap<ServerName, Weak<Health>>>,
}

impl Counted {
    /// The servers by upstream and name.
    fn servers(&self) -> MutexGuard<'_, BTreeMap<ServerName, Weak<Health>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All servers that a snapshot still has, sorted.
    pub(super) fn health(&self) -> Vec<(String, String, bool)> {
        let servers = self.servers();
        let living = servers.iter().filter_map(|((upstream, server), health)| {
            Some((upstream.clone(), server.clone(), health.upgrade()?.is_up()))
        });
        living.collect()
    }
}

/// The metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    counted: Arc<Counted>,
    registry: Registry,
}

impl Metrics {
    /// Zeros for so many workers. Fails only if the registry does not take its only collector.
    pub fn new(workers: usize, build: BuildInfo, tables: Tables) -> Result<Arc<Self>, prometheus::Error> {
        let counted = Arc::new(Counted {
            workers,
            tables,
            build,
            routes: Named::default(),
            apps: Named::default(),
            upstreams: Named::default(),
            grants: Tallied::default(),
            grant_uses: Tallied::default(),
            caches: Tallied::default(),
            process: PerWorker::new(workers, || ProcessCounters::new(tables.headers.len())),
            lines_dropped: Arc::default(),
            panics: Tally::default(),
            reloads: Reloads::default(),
            #[expect(clippy::disallowed_types, reason = "as above")]
            servers: Mutex::default(),
        });
        let registry = Registry::new();
        registry.register(Box::new(Scrape(Arc::clone(&counted))))?;
        let metrics = Arc::new(Self { counted, registry });
        metrics.route(NO_ROUTE);
        Ok(metrics)
    }

    /// The counters of a route. Control plane only.
    pub fn route(&self, name: &str) -> Arc<PerWorker<RouteCounters>> {
        let reasons = self.counted.tables.reasons.len();
        let make = || PerWorker::new(self.counted.workers, || RouteCounters::new(reasons));
        self.counted.routes.shards(name, make)
    }

    /// The counters of an app. Control plane only.
    pub fn app(&self, name: &str) -> Arc<PerWorker<AppCounters>> {
        let tables = &self.counted.tables;
        let make =
            || PerWorker::new(self.counted.workers, || AppCounters::new(tables.kinds.len(), tables.results.len()));
        self.counted.apps.shards(name, make)
    }

    /// The counters of an upstream. Control plane only.
    pub fn upstream(&self, name: &str) -> Arc<PerWorker<UpstreamCounters>> {
        let make = || PerWorker::new(self.counted.workers, UpstreamCounters::default);
        self.counted.upstreams.shards(name, make)
    }

    /// What the control plane counts of one provider's grants of an app.
    pub fn grant(&self, app: &str, provider: &str) -> Arc<GrantCounters> {
        self.counted.grants.counters((app.to_owned(), provider.to_owned()), GrantCounters::default)
    }

    /// What requests count of one provider's grants of an app. Control plane only.
    pub fn grant_use(&self, app: &str, provider: &str) -> Arc<PerWorker<GrantUse>> {
        let make = || PerWorker::new(self.counted.workers, GrantUse::default);
        self.counted.grant_uses.counters((app.to_owned(), provider.to_owned()), make)
    }

    /// The counters of a cache of the control plane.
    pub fn cache(&self, name: &'static str) -> Arc<CacheCounters> {
        self.counted.caches.counters(name, CacheCounters::default)
    }

    /// The health of one server; shown as long as somebody keeps it. Control plane only.
    pub fn server(&self, upstream: &str, server: &str) -> Arc<Health> {
        let mut servers = self.counted.servers();
        servers.retain(|_, health| health.strong_count() > 0);
        let name = (upstream.to_owned(), server.to_owned());
        if let Some(known) = servers.get(&name).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(Health::default());
        servers.insert(name, Arc::downgrade(&new));
        new
    }

    /// Upstream, server, and whether its last connection succeeded. Takes a lock: for the admin listener.
    pub fn health(&self) -> Vec<(String, String, bool)> {
        self.counted.health()
    }

    /// The counters that belong to no name.
    pub fn process(&self) -> &PerWorker<ProcessCounters> {
        &self.counted.process
    }

    /// Access log lines that were lost, for [`AccessLog::start`](crate::telemetry::access_log::AccessLog::start).
    pub fn lines_dropped(&self) -> Arc<Tally> {
        Arc::clone(&self.counted.lines_dropped)
    }

    /// Counts one panic, from any thread.
    pub fn panicked(&self) {
        self.counted.panics.add(1);
    }

    /// The process started with a file, read at this time (Unix seconds).
    pub fn config_loaded(&self, unix: i64) {
        self.counted.reloads.last_success.set(unix);
    }

    /// A changed file was taken over at this time (Unix seconds).
    pub fn reload_succeeded(&self, unix: i64) {
        self.counted.reloads.succeeded.add(1);
        self.counted.reloads.last_success.set(unix);
    }

    /// A changed file was refused; the one before stays in use.
    pub fn reload_failed(&self) {
        self.counted.reloads.failed.add(1);
    }

    /// All metrics in the Prometheus text format 0.0.4, sorted by name and labels.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const TABLES: Tables = Tables {
        kinds: &["action", "view"],
        results: &["ok", "expired"],
        reasons: &["no_route", "expired"],
        headers: &["x-monday-account-slug"],
        grants: &["ok", "missing", "expired", "revoked", "insufficient", "unknown"],
    };
    const BUILD: BuildInfo = BuildInfo { version: "0.1.0", revision: "abc" };

    fn metrics(workers: usize) -> Arc<Metrics> {
        Metrics::new(workers, BUILD, TABLES).unwrap()
    }

    /// What is shown, without what the kernel says.
    fn own(metrics: &Metrics) -> String {
        let text = metrics.encode().unwrap();
        let own = text.lines().filter(|line| !line.contains("process_")).map(|line| format!("{line}\n"));
        own.collect()
    }

    #[test]
    fn the_whole_page_for_one_of_each() {
        let metrics = metrics(2);
        let route = metrics.route("/hook");
        route.get(0).requests(200);
        route.get(1).requests(200);
        route.get(1).requests(401);
        route.get(1).requests(777);
        route.get(0).duration(Duration::from_millis(3));
        route.get(1).duration(Duration::from_secs(90));
        route.get(1).refused(1);
        metrics.app("planner").get(1).verified(1, 0);
        let upstream = metrics.upstream("backend");
        upstream.get(0).idle.raise();
        upstream.get(1).active.raise();
        let server = metrics.server("backend", "http://127.0.0.1:3000");
        server.down();
        drop(metrics.server("backend", "http://gone"));
        let process = metrics.process();
        metrics.grant_use("planner", "github").get(0).came_to(0);
        metrics.grant_use("planner", "github").get(1).came_to(2);
        metrics.grant("planner", "github").refreshed.add(3);
        metrics.grant("planner", "github").ending.set(2);
        metrics.cache("grants").hit.add(9);
        process.get(0).grant_copy_hit();
        process.get(0).connections(Protocol::Http2).raise();
        process.get(1).connections(Protocol::Http2).raise();
        process.get(0).handshake(TlsVersion::V13, Handshake::Ok);
        process.get(1).handshake(TlsVersion::V13, Handshake::Ok);
        process.get(1).handshake(TlsVersion::None, Handshake::Overload);
        process.get(0).header_omitted(0);
        process.get(1).odd_names_omitted(2);
        metrics.lines_dropped().add(7);
        metrics.panicked();
        metrics.config_loaded(100);
        metrics.reload_failed();
        metrics.reload_succeeded(200);
        insta::assert_snapshot!(own(&metrics));
    }

    #[test]
    fn a_label_with_quotes_and_line_ends_stays_one_label() {
        let metrics = metrics(1);
        metrics.route("/a\"b\\c\nd").get(0).requests(204);
        assert!(own(&metrics).contains(r#"{code="204",route="/a\"b\\c\nd"} 1"#));
    }

    #[test]
    fn a_name_outlives_whoever_asked_for_it() {
        let metrics = metrics(1);
        metrics.route("/a").get(0).requests(200);
        metrics.route("/a").get(0).requests(200);
        assert!(own(&metrics).contains(r#"{code="200",route="/a"} 2"#));
    }

    #[test]
    fn a_server_is_shown_as_long_as_a_snapshot_has_it() {
        let metrics = metrics(1);
        let first = metrics.server("b", "s");
        first.down();
        let second = metrics.server("b", "s");
        drop(first);
        assert_eq!(metrics.health(), [("b".to_owned(), "s".to_owned(), false)]);
        drop(second);
        assert_eq!(metrics.health(), []);
    }

    #[test]
    fn all_names_follow_the_conventions() {
        let text = metrics(1).encode().unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(name.starts_with("gateway_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            assert_eq!(kind == "histogram", name.ends_with("duration_seconds"), "{name}");
        }
    }

    #[test]
    fn a_scrape_of_500_busy_routes_is_quick() {
        let metrics = metrics(4);
        for number in 0..500 {
            let route = metrics.route(&format!("/route/{number}"));
            for worker in 0..4 {
                for code in [200, 302, 401, 404, 502] {
                    route.get(worker).requests(code);
                }
                route.get(worker).duration(Duration::from_millis(number));
                route.get(worker).refused(0);
            }
        }
        // 50 ms in a release build on an idle machine; tests run in neither
        let quickest = (0..5).map(|_| {
            let begun = Instant::now();
            assert!(metrics.encode().unwrap().len() > 500_000);
            begun.elapsed()
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < Duration::from_millis(500), "{quickest:?}");
    }
}
