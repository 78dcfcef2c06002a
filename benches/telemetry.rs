//! What counting and logging cost a request.
#![expect(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    reason = "a bench stops at what it did not expect, and its functions say what they measure"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use monday_gateway::internals::measured::{
    AccessLog, Bounds, BuildInfo, Destination, Format, Metrics, Record, Tables, Tally,
};

const TABLES: Tables = Tables {
    kinds: &["action"],
    results: &["ok"],
    reasons: &["no_route"],
    headers: &["x-monday-account-slug"],
    grants: &["ok"],
};

fn metrics(workers: usize) -> Arc<Metrics> {
    Metrics::new(workers, BuildInfo { version: "0", revision: "0" }, TABLES).expect("a new registry takes it")
}

fn record() -> Record<'static> {
    Record {
        unix_millis: 1_700_000_000_042,
        client: Some([203, 0, 113, 9].into()),
        method: "POST",
        host: b"gw.example.com",
        path: b"/planner/actions/create-item",
        protocol: "HTTP/2",
        tls: Some("TLSv1.3"),
        status: 200,
        duration: Duration::from_micros(812),
        bytes_in: 512,
        bytes_out: 2048,
        route: Some("/planner/actions/{*rest}"),
        app: Some("planner"),
        kind: Some("action"),
        account: Some(1_825_529),
        user: Some(4_012_689),
        upstream: Some("http://127.0.0.1:3000"),
        upstream_time: Some(Duration::from_micros(640)),
        reason: None,
        detail: None,
        request_id: "01890a5d-ac96-774b-bcce-b302099a8057",
    }
}

fn counting(c: &mut Criterion) {
    let metrics = metrics(2);
    let route = metrics.route("/planner/actions/{*rest}");
    c.bench_function("count one request: code and duration", |b| {
        b.iter(|| {
            let shard = black_box(&route).get(black_box(1));
            shard.requests(black_box(200));
            shard.duration(black_box(Duration::from_micros(812)));
        });
    });
}

fn logging(c: &mut Criterion) {
    let bounds = Bounds { buffer: 64 * 1024, queue: 64 };
    for (name, format) in [("json", Format::Json), ("text", Format::Text)] {
        let destination = Destination::File("/dev/null".into());
        let log = AccessLog::start(&destination, format, bounds, Arc::new(Tally::default())).expect("a writer thread");
        let mut lines = log.lines();
        c.bench_function(&format!("access log line: {name}"), |b| {
            b.iter(|| lines.record(black_box(&record())));
        });
        drop(lines);
        log.finish();
    }
}

fn scraping(c: &mut Criterion) {
    let metrics = metrics(4);
    for number in 0..500 {
        let route = metrics.route(&format!("/route/{number}"));
        for worker in 0..4 {
            for code in [200, 401, 502] {
                route.get(worker).requests(code);
            }
            route.get(worker).duration(Duration::from_millis(number));
        }
    }
    c.bench_function("scrape 500 routes of 4 workers", |b| {
        b.iter(|| metrics.encode());
    });
}

criterion_group!(benches, counting, logging, scraping);
criterion_main!(benches);
