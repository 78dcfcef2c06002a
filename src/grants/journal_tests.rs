//! What a journal leaves behind: audit lines, and events that a backend gets at least once, from whichever gateway lives.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use url::Url;

use super::*;
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::vault::{StoreAddress, Table};

const NOW: i64 = 1_800_000_000;

/// A backend that answers what it is told to, and remembers what it was sent.
#[derive(Clone)]
struct Backend {
    took: mpsc::Sender<(HeaderMap, Value)>,
    answers: Arc<watch::Sender<VecDeque<u16>>>,
    calls: Arc<AtomicUsize>,
}

impl Post for Backend {
    async fn post(&self, url: &Url, fields: HeaderMap, body: Bytes) -> Result<StatusCode, String> {
        assert_eq!(url.path(), "/events");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut status = 204;
        self.answers.send_modify(|answers| status = answers.pop_front().unwrap_or(204));
        if status == 0 {
            return Err("no connection".to_owned());
        }
        if status < 300 {
            self.took.send((fields, serde_json::from_slice(&body).unwrap())).await.unwrap();
        }
        Ok(StatusCode::from_u16(status).unwrap())
    }
}

struct Place {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Clock::standing_at(NOW) }
    }

    async fn vault(&self) -> Vault {
        let address = StoreAddress::Sqlite(self.folder.path().join("vault.db"));
        Vault::open(&address, KeyRing::new(&[Secret::new([7; 32])]).unwrap()).await.unwrap()
    }

    /// Another process' journal of the same files.
    async fn journal(&self) -> Journal {
        let events = Events {
            url: "http://127.0.0.1:1/events".parse().unwrap(),
            keys: vec![Secret::new("a signing key that is long enough")],
        };
        let opening = Opening {
            audit: Some(&self.folder.path().join("audit.log")),
            vault: self.vault().await,
            events: BTreeMap::from([("planner".to_owned(), events)]),
            clock: self.clock.clone(),
        };
        Journal::open(opening).unwrap()
    }
}

fn backend(answers: &[u16]) -> (Backend, mpsc::Receiver<(HeaderMap, Value)>) {
    let (took, taken) = mpsc::channel(100);
    let answers = Arc::new(watch::Sender::new(answers.iter().copied().collect()));
    (Backend { took, answers, calls: Arc::default() }, taken)
}

fn key(app: &str, user: Option<i64>) -> GrantKey {
    GrantKey { app: app.to_owned(), account: 1_825_529, user, provider: "github".to_owned() }
}

fn run<T>(play: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play)
}

async fn note(journal: &Journal, what: What) {
    journal.note(Happening { what, key: &key("planner", Some(77)), by: By::User(77) }).await.unwrap();
}

/// The next message, or none for a while.
async fn next(taken: &mut mpsc::Receiver<(HeaderMap, Value)>) -> Option<(HeaderMap, Value)> {
    tokio::time::timeout(Duration::from_millis(700), taken.recv()).await.ok().flatten()
}

#[test]
fn each_happening_is_one_line_for_this_user_s_eyes_and_never_overwritten() {
    run(async {
        let place = Place::new();
        for what in [What::Granted, What::Refreshed] {
            note(&place.journal().await, what).await;
        }
        let journal = place.journal().await;
        let read = Happening { what: What::Read, key: &key("planner", None), by: By::Client("backend") };
        journal.note(read).await.unwrap();
        let path = place.folder.path().join("audit.log");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let lines = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let time = "2027-01-15T08:00:00.000Z";
        let line = |what: &str| {
            json!({ "time": time, "what": what, "app": "planner", "account": 1_825_529, "user": 77,
                    "provider": "github", "by": "user", "who": 77 })
        };
        let read = json!({ "time": time, "what": "read", "app": "planner", "account": 1_825_529,
                           "provider": "github", "by": "client", "who": "backend" });
        assert_eq!(lines, [line("granted"), line("refreshed"), read]);
    });
}

#[test]
fn an_event_reaches_the_backend_signed_and_is_then_forgotten() {
    run(async {
        let place = Place::new();
        let journal = place.journal().await;
        let (backend, mut taken) = backend(&[]);
        let delivering = tokio::spawn(journal.clone().deliver(backend));
        for (what, kind) in [
            (What::Granted, "grant.created"),
            (What::Refreshed, "grant.renewed"),
            (What::Lost, "grant.lost"),
            (What::Revoked, "grant.revoked"),
            (What::Ending, "grant.ending"),
        ] {
            note(&journal, what).await;
            let (fields, body) = next(&mut taken).await.unwrap();
            let expected = json!({ "type": kind, "timestamp": "2027-01-15T08:00:00.000Z",
                "data": { "app": "planner", "account_id": 1_825_529, "user_id": 77, "provider": "github" } });
            assert_eq!(body, expected);
            assert!(fields["webhook-id"].to_str().unwrap().starts_with("msg_"));
            assert_eq!(fields["webhook-timestamp"], NOW.to_string());
            assert!(fields["webhook-signature"].to_str().unwrap().starts_with("v1,"));
        }
        note(&journal, What::Read).await;
        assert!(next(&mut taken).await.is_none(), "a read is for the audit log only");
        assert_eq!(place.vault().await.count(Table::Events, "").await.unwrap(), 0);
        delivering.abort();
    });
}

#[test]
fn an_event_that_was_not_taken_waits_longer_each_time_and_survives_its_gateway() {
    run(async {
        let place = Place::new();
        let journal = place.journal().await;
        note(&journal, What::Granted).await;
        drop(journal);
        let journal = place.journal().await;
        let (backend, mut taken) = backend(&[500, 0]);
        let delivering = tokio::spawn(journal.clone().deliver(backend.clone()));
        assert!(next(&mut taken).await.is_none());
        assert_eq!(backend.calls.load(Ordering::SeqCst), 1);
        for (later, calls) in [(4, 1), (5, 2), (14, 2)] {
            place.clock.set(NOW + later);
            note(&journal, What::Read).await;
            journal.0.outbox.wake();
            assert!(next(&mut taken).await.is_none(), "{later} s later");
            assert_eq!(backend.calls.load(Ordering::SeqCst), calls, "{later} s later");
        }
        place.clock.set(NOW + 15);
        journal.0.outbox.wake();
        let (_, body) = next(&mut taken).await.unwrap();
        assert_eq!(body["type"], "grant.created");
        delivering.abort();
    });
}

#[test]
fn of_two_gateways_one_delivers() {
    run(async {
        let place = Place::new();
        let (first, second) = (place.journal().await, place.journal().await);
        let (backend, mut taken) = backend(&[]);
        let both = [&first, &second].map(|journal| tokio::spawn(journal.clone().deliver(backend.clone())));
        for _ in 0..20 {
            note(&first, What::Refreshed).await;
        }
        first.0.outbox.wake();
        second.0.outbox.wake();
        let mut ids = std::collections::BTreeSet::new();
        while let Some((fields, _)) = next(&mut taken).await {
            assert!(ids.insert(fields["webhook-id"].to_str().unwrap().to_owned()), "once is enough here");
        }
        assert_eq!(ids.len(), 20);
        both.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

#[test]
fn an_app_without_events_has_audit_lines_only() {
    run(async {
        let place = Place::new();
        let journal = place.journal().await;
        let happening = Happening { what: What::Lost, key: &key("other", Some(1)), by: By::Provider };
        journal.note(happening).await.unwrap();
        assert_eq!(place.vault().await.count(Table::Events, "").await.unwrap(), 0);
        let lines = std::fs::read_to_string(place.folder.path().join("audit.log")).unwrap();
        assert!(lines.contains(r#""by":"provider""#) && lines.lines().count() == 1, "{lines}");
    });
}

#[test]
fn what_cannot_be_written_is_not_acknowledged() {
    run(async {
        let place = Place::new();
        let opening = Opening {
            audit: Some(Path::new("/dev/full")),
            vault: place.vault().await,
            events: BTreeMap::new(),
            clock: place.clock.clone(),
        };
        let journal = Journal::open(opening).unwrap();
        let noted = journal.note(Happening { what: What::Read, key: &key("planner", None), by: By::Gateway }).await;
        assert!(matches!(noted, Err(JournalFault::Audit(_))), "{noted:?}");
    });
}

/// A backend of which one app's hangs.
#[derive(Clone)]
struct Hanging(Backend);

impl Post for Hanging {
    async fn post(&self, url: &Url, fields: HeaderMap, body: Bytes) -> Result<StatusCode, String> {
        if url.host_str() == Some("hangs.example") {
            std::future::pending::<()>().await;
        }
        self.0.post(url, fields, body).await
    }
}

#[test]
fn a_backend_that_hangs_keeps_no_other_apps_from_being_told() {
    run(async {
        let place = Place::new();
        let events = |host: &str| Events {
            url: format!("https://{host}/events").parse().unwrap(),
            keys: vec![Secret::new("a signing key that is long enough")],
        };
        let opening = Opening {
            audit: None,
            vault: place.vault().await,
            events: BTreeMap::from([
                ("a-slow-one".to_owned(), events("hangs.example")),
                ("planner".to_owned(), events("backend.example")),
            ]),
            clock: place.clock.clone(),
        };
        let journal = Journal::open(opening).unwrap();
        let (backend, mut taken) = backend(&[]);
        let delivering = tokio::spawn(journal.clone().deliver(Hanging(backend)));
        for app in ["a-slow-one", "planner"] {
            let granted = Happening { what: What::Granted, key: &key(app, Some(77)), by: By::User(77) };
            journal.note(granted).await.unwrap();
        }
        let (_, body) = next(&mut taken).await.expect("an app that nothing hangs for");
        assert_eq!(body["data"]["app"], "planner");
        delivering.abort();
    });
}
