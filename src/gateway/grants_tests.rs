//! Grants over real sockets: what backends are told, what is refused and how, a token that a backend refuses, a store that is down, an
//! uninstall. With a backend and a provider in the test, and a vault in a file.
#![expect(clippy::disallowed_methods, reason = "the answers of a test's own backend are as long as it makes them")]
#![expect(clippy::disallowed_types, reason = "what a test's own backend saw")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::clock::Clock;
use crate::config::{self, Secrets};
use crate::gateway::assemble::{Gateway, metrics};
use crate::grants::Grants;
use crate::grants::record::{Grant, GrantKey, State};
use crate::monday::kinds::Kind;
use crate::monday::mint::{self, Mint};
use crate::secret::Secret;
use crate::vault::{Table, Vault};

const NOW: i64 = 1_800_000_000;
const ACCOUNT: i64 = 1_825_529;
const USER: i64 = 4_012_689;
const SIGNING: &str = "signing-signing-signing-signing-0";
const CLIENT: &str = "client-client-client-client-client";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What the backend saw.
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

struct Bench {
    gateway: Gateway,
    grants: Grants,
    clock: Clock,
    seen: Seen,
    refreshes: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
}

/// Refuses `a1` for `/rejecting`, and every token for `/never`.
async fn backend(seen: Seen) -> SocketAddr {
    served(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            drop(body.collect().await);
            let token = parts.headers.get("x-github-access-token").cloned();
            let rejects = match parts.uri.path() {
                "/rejecting" | "/streamed" => token.is_none_or(|token| token == "a1"),
                "/never" => true,
                _ => false,
            };
            seen.lock().unwrap().push(parts.headers);
            let mut answer = Response::new(Full::new(Bytes::from_static(b"alive")));
            if rejects {
                *answer.status_mut() = StatusCode::CONFLICT;
                answer.headers_mut().insert("x-monday-token-rejected", HeaderValue::from_static("github"));
            }
            answer
        }
    })
    .await
}

/// Makes `aN` and `rN` of `r(N-1)`, slowly.
async fn provider(refreshes: Arc<AtomicUsize>) -> SocketAddr {
    served(move |request: Request<Incoming>| {
        let refreshes = Arc::clone(&refreshes);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            let number =
                body.split("refresh_token=r").nth(1).and_then(|rest| rest.split('&').next()?.parse::<u32>().ok());
            refreshes.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(400)).await;
            let next = number.unwrap_or(98) + 1;
            let text = format!(
                r#"{{"access_token":"a{next}","refresh_token":"r{next}","token_type":"Bearer","expires_in":3600}}"#
            );
            let mut answer = Response::new(Full::new(Bytes::from(text)));
            answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            answer
        }
    })
    .await
}

/// A server that answers as it is told.
async fn served<F, A>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn routes() -> String {
    let route = |path: &str, rest: &str| {
        format!("[[routes]]\npath = \"{path}\"\napp = \"planner\"\nupstream = \"backend\"\n{rest}\n")
    };
    [
        route("/plain", "kind = \"action\"\ngrants = []"),
        route("/told", "kind = \"action\"\ngrants = [\"monday\", \"github\"]"),
        route("/needing", "kind = \"action\"\nrequire = [\"github\"]"),
        route("/view", "kind = \"view\"\nrequire = [\"github\"]"),
        route("/rejecting", "kind = \"action\"\nrequire = [\"github\"]"),
        route("/streamed", "kind = \"action\"\nrequire = [\"github\"]"),
        route("/never", "kind = \"action\"\nrequire = [\"github\"]"),
        route("/lifecycle", "kind = \"app-lifecycle\"\ngrants = []"),
    ]
    .concat()
}

impl Bench {
    async fn start() -> Self {
        crate::tls::install_default_provider();
        let (folder, seen, refreshes) = (tempfile::tempdir().unwrap(), Seen::default(), Arc::<AtomicUsize>::default());
        let (backend, provider) = (backend(Arc::clone(&seen)).await, provider(Arc::clone(&refreshes)).await);
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://localhost\"\nworkers = 1\n[log]\naccess = \"off\"\n\
             [apps.planner]\nclient_id = \"planner\"\nclient_secret = \"{CLIENT}\"\nsigning_secret = \"{SIGNING}\"\naudience = \"off\"\n\
             [providers.github]\nauthorize_url = \"http://{provider}/a\"\ntoken_url = \"http://{provider}/t\"\nclient_id = \"c\"\nclient_secret = \"s\"\n\
             [vault]\nstore = \"sqlite:vault.db\"\nkeys = [\"{KEY}\"]\n\
             [upstreams.backend]\nservers = [\"http://{backend}\"]\n{}",
            routes()
        );
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&file, Secrets::Read).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let clock = Clock::standing_at(NOW);
        let metrics = metrics(&loaded.config, &clock).unwrap();
        let gateway = Gateway::start(&loaded.config, metrics, clock.clone()).await.unwrap();
        let grants = gateway.grants().unwrap();
        Self { gateway, grants, clock, seen, refreshes, folder }
    }

    async fn keep(&self, provider: &str, grant: Grant) {
        self.grants.keep(key(provider), grant).await.unwrap();
    }

    /// A request with monday's token, as this kind has it.
    async fn send(&self, path: &str, kind: Kind, body: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::post(path).body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        self.send_request(request.map(BodyExt::boxed), kind).await
    }

    async fn send_request(
        &self,
        mut request: Request<http_body_util::combinators::BoxBody<Bytes, Infallible>>,
        kind: Kind,
    ) -> (StatusCode, HeaderMap, String) {
        let now = self.clock.unix_seconds();
        let mint = Mint { issued_at: now, expires: now + 300, ..Mint::default() };
        let secret = if mint::signed_by_client(kind) { CLIENT } else { SIGNING };
        let token = mint::token(&mint.claims(kind), &Secret::new(secret));
        let fields = request.headers_mut();
        fields.insert("host", HeaderValue::from_static("localhost"));
        fields.insert("authorization", HeaderValue::try_from(token).unwrap());
        // A caller's own, which nobody may believe.
        fields.insert("x-monday-grants", HeaderValue::from_static("github=ok"));
        fields.insert("x-github-access-token", HeaderValue::from_static("forged"));
        fields.insert("x-monday-access-token", HeaderValue::from_static("forged"));
        let stream = TcpStream::connect(self.gateway.addresses[0]).await.unwrap();
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (head, body) = send.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
    }

    /// What the backend saw last of these.
    fn last(&self, name: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        seen.last()?.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// The accounts that the vault says have uninstalled the app.
    fn marked(&self) -> Vec<String> {
        let raw = self.raw();
        let mut rows = raw.prepare("SELECT key FROM records").unwrap();
        let mut found = rows.query([]).unwrap();
        let mut keys = Vec::new();
        while let Some(row) = found.next().unwrap() {
            keys.push(row.get::<_, String>(0).unwrap());
        }
        // Grants have more parts, and leases other names.
        keys.retain(|key| key.starts_with("planner/") && key.matches('/').count() == 1);
        keys
    }

    fn forwarded(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The store as another process sees it.
    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("vault.db")).unwrap()
    }
}

fn key(provider: &str) -> GrantKey {
    GrantKey { app: "planner".to_owned(), account: ACCOUNT, user: Some(USER), provider: provider.to_owned() }
}

fn grant(access: &str) -> Grant {
    Grant {
        state: State::Ok,
        access: access.to_owned(),
        refresh: Some("r1".to_owned()),
        expires: Some(NOW + 3600),
        scopes: Vec::new(),
        asked: vec!["me:read".to_owned()],
        values: BTreeMap::new(),
        granted_at: NOW - 7200,
        renewed_at: NOW - 7200,
        granted_by: None,
    }
}

#[tokio::test]
async fn a_backend_gets_its_users_tokens_and_what_became_of_each_grant() {
    let bench = Bench::start().await;
    let told = |bench: &Bench| {
        (bench.last("x-monday-access-token"), bench.last("x-github-access-token"), bench.last("x-monday-grants"))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(bench.send("/told", Kind::Action, "{}").await.0, 200);
    assert_eq!(told(&bench), (None, None, text("monday=missing, github=missing")), "nothing that the caller made up");
    bench.keep("github", grant("a1")).await;
    for _ in 0..2 {
        assert_eq!(bench.send("/told", Kind::Action, "{}").await.0, 200);
        assert_eq!(told(&bench), (None, text("a1"), text("monday=missing, github=ok")));
    }
    bench.keep("monday", grant("m1")).await;
    bench.grants.take_back(&key("github"), crate::grants::journal::By::User(USER)).await.unwrap();
    assert_eq!(bench.send("/told", Kind::Action, "{}").await.0, 200);
    assert_eq!(told(&bench), (text("m1"), None, text("monday=ok, github=revoked")));
    assert_eq!(bench.send("/plain", Kind::Action, "{}").await.0, 200);
    assert_eq!(told(&bench), (None, None, None), "a route that asks for none");
    let page = bench.gateway.metrics.encode().unwrap();
    assert!(page.contains(r#"gateway_grants_total{app="planner",provider="github",result="ok"} 2"#), "{page}");
    assert!(page.contains(r#"gateway_grants_total{app="planner",provider="github",result="revoked"} 1"#), "{page}");
    assert!(page.contains(r#"gateway_cache_requests_total{cache="grant_copies",result="hit"} 1"#), "{page}");
    bench.gateway.stop().await;
}

#[tokio::test]
async fn a_route_that_requires_a_grant_is_refused_without_one_and_monday_does_not_retry() {
    let bench = Bench::start().await;
    let (status, _, body) = bench.send("/needing", Kind::Action, "{}").await;
    assert_eq!(status, 403);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["severityCode"], 4000);
    assert!(body["notificationErrorDescription"].as_str().unwrap().contains("github"), "{body}");
    assert_eq!(bench.send("/view", Kind::View, "{}").await.0, 403);
    assert_eq!(bench.forwarded(), 0);
    bench.keep("github", grant("a1")).await;
    assert_eq!(bench.send("/needing", Kind::Action, "{}").await.0, 200);
    assert_eq!(bench.send("/view", Kind::View, "{}").await.0, 200);
    bench.gateway.stop().await;
}

#[tokio::test]
async fn with_the_store_down_only_routes_that_require_a_grant_are_refused_and_at_once() {
    let bench = Bench::start().await;
    bench.raw().execute_batch("ALTER TABLE records RENAME TO gone").unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        let (status, _, body) = bench.send("/needing", Kind::Action, "{}").await;
        assert_eq!(status, 503, "{body}");
        assert!(!body.contains("severityCode"), "monday is to try again: {body}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(bench.send("/plain", Kind::Action, "{}").await.0, 200);
        assert_eq!(bench.send("/told", Kind::Action, "{}").await.0, 200);
        assert_eq!((bench.last("x-monday-grants"), bench.last("x-github-access-token")), (None, None));
    }
    bench.raw().execute_batch("ALTER TABLE gone RENAME TO records").unwrap();
    bench.keep("github", grant("a1")).await;
    let began = Instant::now();
    while bench.send("/needing", Kind::Action, "{}").await.0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(2), "it recovers");
    }
    bench.gateway.stop().await;
}

#[tokio::test]
async fn a_request_whose_token_the_backend_refused_is_sent_again_with_the_vaults_newer_one() {
    let bench = Bench::start().await;
    bench.keep("github", grant("a1")).await;
    assert_eq!(bench.send("/needing", Kind::Action, "{}").await.0, 200);
    // Written by another process, which this one has not heard of.
    let keys = crate::seal::KeyRing::new(&[Secret::new((0..32).collect::<Vec<u8>>())]).unwrap();
    let address = crate::vault::StoreAddress::Sqlite(bench.folder.path().join("vault.db"));
    let other = Vault::open(&address, keys).await.unwrap();
    let newer = serde_json::to_vec(&grant("a7")).unwrap();
    other.put((Table::Grants, &key("github").row()), &newer, None, crate::vault::Expected::Any).await.unwrap();
    let before = bench.forwarded();
    let (status, fields, body) = bench.send("/rejecting", Kind::Action, "{\"a\":1}").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "alive"));
    assert!(!fields.contains_key("x-monday-token-rejected"));
    assert_eq!(bench.forwarded() - before, 2, "sent twice");
    assert_eq!(bench.last("x-github-access-token").as_deref(), Some("a7"));
    assert_eq!(bench.last("content-length").as_deref(), Some("7"), "with its body");
    assert_eq!(bench.refreshes.load(Ordering::SeqCst), 0, "no refresh");
    bench.gateway.stop().await;
}

#[tokio::test]
async fn a_refused_token_is_refreshed_once_a_request_and_a_streamed_body_is_never_sent_twice() {
    let bench = Bench::start().await;
    bench.keep("github", grant("a1")).await;
    let (status, fields, _) = bench.send("/never", Kind::Action, "{}").await;
    assert_eq!(status, 409, "the backend's own answer, once the new token was refused, too");
    assert!(!fields.contains_key("x-monday-token-rejected"), "between the backend and the gateway");
    assert_eq!((bench.forwarded(), bench.refreshes.load(Ordering::SeqCst)), (2, 1));
    assert_eq!(bench.last("x-github-access-token").as_deref(), Some("a2"));
    // Refreshed a moment ago: not again within a minute.
    assert_eq!(bench.send("/never", Kind::Action, "{}").await.0, 409);
    assert_eq!((bench.forwarded(), bench.refreshes.load(Ordering::SeqCst)), (3, 1));
    bench.keep("github", grant("a1")).await;
    let body = BodyExt::boxed(Pieces(vec!["}", "{"]));
    let (status, ..) = bench.send_request(Request::post("/streamed").body(body).unwrap(), Kind::Action).await;
    assert_eq!((status.as_u16(), bench.forwarded()), (409, 4), "its body is gone");
    bench.gateway.stop().await;
}

/// A body without a length.
struct Pieces(Vec<&'static str>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
}

#[tokio::test]
async fn requests_of_one_user_with_a_dead_token_wait_for_one_refresh() {
    let bench = Bench::start().await;
    bench.keep("github", Grant { expires: Some(NOW - 60), ..grant("a1") }).await;
    let sent = (0..30).map(|_| bench.send("/needing", Kind::Action, "{}"));
    let all: Vec<_> = futures_all(sent).await;
    assert!(all.iter().all(|(status, ..)| *status == 200), "{all:?}");
    let seen = bench.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|fields| fields["x-github-access-token"] == "a2"));
    assert_eq!(bench.refreshes.load(Ordering::SeqCst), 1);
    bench.gateway.stop().await;
}

/// All at once, on this task.
async fn futures_all<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|cx| {
        for (one, done) in &mut waiting {
            if done.is_none()
                && let std::task::Poll::Ready(output) = one.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if waiting.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn an_uninstall_marks_the_tokens_account_and_never_the_bodys() {
    let bench = Bench::start().await;
    bench.keep("github", grant("a1")).await;
    let body = r#"{"type":"uninstall","data":{"account_id":7,"user_id":8}}"#;
    assert_eq!(bench.send("/lifecycle", Kind::AppLifecycle, body).await.0, 200);
    let began = Instant::now();
    while bench.marked() != [format!("planner/{ACCOUNT}")] {
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", bench.marked());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bench.send("/needing", Kind::Action, "{}").await.0, 200, "marked, and no more");
    assert_eq!(bench.send("/lifecycle", Kind::AppLifecycle, r#"{"type":"install","data":{}}"#).await.0, 200);
    while !bench.marked().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", bench.marked());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.gateway.stop().await;
}
