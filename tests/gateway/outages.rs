//! R13 of the catalogue of failures, at its full length: a store that is stopped for half a minute, killed, that knows another password,
//! that is read-only. Routes without grants notice nothing; the others say 503 within a second, and are back within two.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::mint::{self, ACCOUNT, kind};
use crate::support::raw;
use crate::support::scene::{Scene, action_token_of, call, connect_all, got};
use crate::support::stores::{Kind, Store};
use crate::support::visitor::Visitor;
use crate::support::{SOON, within};

const PASSWORD: &str = "canary-password-of-the-store";
/// As long as the catalogue says.
const STOPPED: Duration = Duration::from_secs(30);
/// The catalogue says a second: that long the gateway waits, and this machine is busy besides.
const REFUSED_WITHIN: Duration = Duration::from_millis(1300);
const BACK_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    Stopped,
    Killed,
    OtherPassword,
    ReadOnly,
}

/// A store with a password, and somebody who may change everything.
struct Guarded {
    store: Store,
    kind: Kind,
}

impl Guarded {
    async fn start(kind: Kind) -> Self {
        let arguments: &[&str] = if kind == Kind::Redis { &["--requirepass", PASSWORD] } else { &[] };
        let store = tokio::task::block_in_place(|| Store::start_with(kind, arguments));
        let guarded = Self { store, kind };
        if kind == Kind::Postgres {
            let hba = guarded.store.folder().join("data/pg_hba.conf");
            let rest = std::fs::read_to_string(&hba).unwrap();
            std::fs::write(&hba, format!("host all keeper 127.0.0.1/32 scram-sha-256\n{rest}")).unwrap();
            guarded.sql(&format!("CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'")).await;
            guarded.sql("GRANT CREATE ON DATABASE postgres TO keeper; SELECT pg_reload_conf()").await;
        }
        guarded
    }

    fn url(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://keeper:{PASSWORD}@{}/postgres", self.store.address()),
            Kind::Redis => format!("redis://:{PASSWORD}@{}", self.store.address()),
        }
    }

    /// As PostgreSQL's owner, one statement after the other.
    async fn sql(&self, statements: &str) {
        let url = format!("postgres://gateway@{}/postgres", self.store.address());
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        let carried = tokio::spawn(connection);
        for statement in statements.split(';') {
            client.simple_query(statement).await.unwrap();
        }
        drop(client);
        carried.await.unwrap().ok();
    }

    /// Commands to Redis, each of which must be done.
    fn redis(&self, password: &str, commands: &[&str]) {
        let mut stream = std::net::TcpStream::connect(self.store.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        for command in [&format!("AUTH {password}") as &str].iter().chain(commands) {
            stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
            let mut said = [0; 512];
            let length = stream.read(&mut said).unwrap();
            assert!(matches!(said[0], b'+' | b':'), "{command}: {}", String::from_utf8_lossy(&said[..length]));
        }
    }

    async fn begin(&mut self, outage: Outage) {
        const OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'";
        match (outage, self.kind) {
            (Outage::Stopped, _) => self.store.freeze(),
            (Outage::Killed, _) => self.store.die(),
            (Outage::OtherPassword, Kind::Postgres) => {
                self.sql(&format!("ALTER ROLE keeper PASSWORD 'another'; {OTHERS}")).await;
            }
            (Outage::OtherPassword, Kind::Redis) => {
                self.redis(PASSWORD, &["CONFIG SET requirepass another", "CLIENT KILL TYPE normal SKIPME yes"]);
            }
            (Outage::ReadOnly, Kind::Postgres) => {
                self.sql("ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()").await;
            }
            (Outage::ReadOnly, Kind::Redis) => self.redis(PASSWORD, &["REPLICAOF 127.0.0.1 1"]),
        }
    }

    async fn end(&mut self, outage: Outage) {
        match (outage, self.kind) {
            (Outage::Stopped, _) => self.store.thaw(),
            (Outage::Killed, _) => tokio::task::block_in_place(|| self.store.start_again()),
            (Outage::OtherPassword, Kind::Postgres) => {
                self.sql(&format!("ALTER ROLE keeper PASSWORD '{PASSWORD}'")).await;
            }
            (Outage::OtherPassword, Kind::Redis) => {
                self.redis("another", &[&format!("CONFIG SET requirepass {PASSWORD}")]);
            }
            (Outage::ReadOnly, Kind::Postgres) => {
                let not = "SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only";
                self.sql(&format!("{not}; SELECT pg_reload_conf()")).await;
            }
            (Outage::ReadOnly, Kind::Redis) => self.redis(PASSWORD, &["REPLICAOF NO ONE"]),
        }
    }
}

/// What the routes without grants saw.
#[derive(Default)]
struct Others {
    times: Vec<Duration>,
    failed: Vec<String>,
}

impl Others {
    fn p99(&mut self) -> Duration {
        self.times.sort();
        self.times[self.times.len() * 99 / 100]
    }
}

/// Asks routes that need no grant, one request after the other, until it is told to end.
async fn ask_others(gateway: Arc<Gateway>, ends: Arc<AtomicBool>) -> Others {
    let mut others = Others::default();
    let lines = format!("Authorization: {}\r\n", kind("view").token());
    let mut connection = gateway.connect().await;
    while !ends.load(Ordering::Relaxed) {
        for path in ["/planner/public/x", "/planner/plain/x"] {
            let begun = Instant::now();
            connection.send(&raw::request("POST", path, &lines, "{}")).await;
            let answer = connection.maybe_answer().await;
            others.times.push(begun.elapsed());
            if answer.as_ref().is_none_or(|answer| answer.status != 200) {
                others.failed.push(answer.map_or_else(|| "closed".to_owned(), |answer| answer.text()));
            }
            if others.times.len().is_multiple_of(50) {
                connection = gateway.connect().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    others
}

/// A request that needs a grant, and how long it took.
async fn timed(gateway: &Gateway, token: &str) -> (Answer, Duration) {
    let begun = Instant::now();
    (call(gateway, "needs", token).await, begun.elapsed())
}

/// Somebody whom no cache knows.
fn stranger() -> String {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    action_token_of(ACCOUNT, 1_000_000 + i64::from(u32::from_le_bytes(bytes)))
}

/// Asks for a grant until the time is over; each time the answer is 503 at once. Returns how often, and the slowest.
async fn refused(gateway: &Gateway, outage: Outage, lasts: Duration) -> (usize, Duration) {
    let (mut count, mut slowest) = (0, Duration::ZERO);
    let begun = Instant::now();
    // A dead token cannot be renewed by a store that takes nothing; that there is no grant it still says.
    let token = || if outage == Outage::ReadOnly { kind("action").token() } else { stranger() };
    while begun.elapsed() < lasts {
        let (answer, took) = timed(gateway, &token()).await;
        assert_eq!(answer.status, 503, "{outage:?} after {:?}: {}", begun.elapsed(), answer.text());
        (count, slowest) = (count + 1, slowest.max(took));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (count, slowest)
}

/// How long until the store answers again.
async fn back(gateway: &Gateway, outage: Outage) -> Duration {
    let begun = Instant::now();
    loop {
        let (token, expected) =
            if outage == Outage::ReadOnly { (kind("action").token(), 200) } else { (stranger(), 403) };
        let answer = call(gateway, "needs", &token).await;
        if answer.status == expected {
            return begun.elapsed();
        }
        assert_eq!(answer.status, 503, "{outage:?}: {}", answer.text());
        assert!(begun.elapsed() < SOON, "{outage:?}: {}", answer.text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn outages_of(kind_of_store: Kind) {
    let mut guarded = Guarded::start(kind_of_store).await;
    let mut scene = Scene::usual();
    scene.grants = vec!["monday"];
    scene.providers.clear();
    scene.store = guarded.url();
    scene.tables =
        "[[routes]]\npath = \"/planner/plain/{*rest}\"\nkind = \"view\"\napp = \"planner\"\nupstream = \"backend\"\n"
            .into();
    let mut faults = Vec::new();
    // The first has a token that dies; afterwards there is one that lives.
    for outage in [Outage::ReadOnly, Outage::Stopped, Outage::Killed, Outage::OtherPassword] {
        let gateway = Arc::new(scene.start());
        scene.monday.oauth.state().life = Some(if outage == Outage::ReadOnly { 3 } else { 3600 });
        let connected = mint::now();
        connect_all(&mut Visitor::new(&gateway)).await;
        if outage == Outage::ReadOnly {
            within(SOON, "the token dies", || (mint::now() > connected + 4).then_some(())).await;
            scene.monday.oauth.state().life = Some(3600);
        }
        let ends = Arc::<AtomicBool>::default();
        let before = tokio::spawn(ask_others(Arc::clone(&gateway), Arc::clone(&ends)));
        tokio::time::sleep(Duration::from_secs(2)).await;
        ends.store(true, Ordering::Relaxed);
        let mut before = before.await.unwrap();
        let ends = Arc::<AtomicBool>::default();
        let others = tokio::spawn(ask_others(Arc::clone(&gateway), Arc::clone(&ends)));
        guarded.begin(outage).await;
        // What was asked before the store had changed its mind does not count.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let lasts = if outage == Outage::Stopped { STOPPED } else { Duration::from_secs(5) };
        let (count, slowest) = refused(&gateway, outage, lasts).await;
        guarded.end(outage).await;
        let back = back(&gateway, outage).await;
        ends.store(true, Ordering::Relaxed);
        let mut others = others.await.unwrap();
        assert_eq!(
            scene
                .backend
                .seen()
                .iter()
                .filter(|seen| seen.target.contains("/needs/") && seen.field("x-monday-access-token").is_none())
                .count(),
            0
        );
        println!(
            "figure: R13, {kind_of_store:?} {outage:?} for {lasts:?}: without grants 0 failed, with them 503 within 1 s, back within 2 s | \
             {} of {} failed (p99 {:.1?}, {:.1?} before), {count} times 503 within {slowest:.0?}, back after {back:.0?}",
            others.failed.len(),
            others.times.len(),
            others.p99(),
            before.p99(),
        );
        if !others.failed.is_empty() || slowest > REFUSED_WITHIN || back > BACK_WITHIN {
            faults.push(format!("{outage:?}: {:?} {slowest:?} {back:?}", others.failed.first()));
        }
        let known = call(&gateway, "needs", &kind("action").token()).await;
        assert_eq!(got(&known, "x-monday-access-token"), Some(scene.monday.oauth.last_access()), "{}", known.text());
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: make resilience"]
async fn r13_postgresql_that_is_away_for_long() {
    outages_of(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: make resilience"]
async fn r13_redis_that_is_away_for_long() {
    outages_of(Kind::Redis).await;
}
