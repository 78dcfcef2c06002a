//! The internal API over real sockets, with a real vault: who may ask what, what is answered, and that nothing is hidden or shown beyond it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::config::{self, Secrets};
use crate::gateway::assemble::{Gateway, metrics};
use crate::gateway::internal::answers::PROBLEMS;
use crate::grants::record::{Grant, GrantKey, State};
use crate::limits;

const NOW: i64 = 1_800_000_000;
const KEY: &str = "the key of the backend, 32 bytes!!";
const OLD_KEY: &str = "the older key of the backend, too!";
const READER: &str = "the key of one who may only read!!";
const STRANGER: &str = "the key of the client of another..";
const TOKEN: &str = "canary-access-token";

/// A gateway with the internal API, and its grants.
struct Bench {
    gateway: Gateway,
    grants: Grants,
    folder: tempfile::TempDir,
}

struct Answered {
    status: u16,
    head: String,
    body: Value,
}

/// Two apps, of which one has grants of two providers.
const APPS: &str = r#"
[server]
listen = "127.0.0.1:0"
public_url = "https://localhost"
workers = 1
trusted_proxies = ["10.0.0.0/8"]
[log]
access = "off"
[vault]
store = "sqlite:vault.db"
keys = ["BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="]
audit = "audit.log"
[apps.planner]
app_id = 10012345
client_id = "id"
client_secret = "a client secret that is long enough"
signing_secret = "a signing secret that is long enough"
[apps.planner.authorization]
path = "/planner/authorize"
grants = ["monday", "github"]
[apps.other]
client_id = "other"
client_secret = "another client secret, long enough"
signing_secret = "another signing secret, long enough"
[providers.github]
preset = "github"
client_id = "id"
client_secret = "a secret of GitHub that is long enough"
scopes = ["repo"]
[upstreams.backend]
servers = ["http://127.0.0.1:1"]
[[routes]]
path = "/planner/actions"
app = "planner"
kind = "action"
upstream = "backend"
[[routes]]
path = "/other/actions"
app = "other"
kind = "action"
upstream = "backend"
"#;

fn text(listen: &str) -> String {
    format!(
        r#"{APPS}[internal]
{listen}
[internal.clients.backend]
key = ["{KEY}", "{OLD_KEY}"]
apps = ["planner"]
grants = ["github"]
can = ["read", "list", "revoke", "sign"]
[internal.clients.reader]
key = ["{READER}"]
apps = ["planner"]
grants = ["github", "monday"]
can = ["read"]
[internal.clients.stranger]
key = ["{STRANGER}"]
apps = ["other"]
grants = ["github"]
can = ["read", "list", "revoke"]
"#
    )
}

impl Bench {
    async fn start(listen: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), listen).await
    }

    async fn start_in(folder: tempfile::TempDir, listen: &str) -> Self {
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, text(listen)).unwrap();
        let loaded = config::load(&file, Secrets::Read).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let clock = Clock::standing_at(NOW);
        let metrics = metrics(&loaded.config, &clock).unwrap();
        let gateway = Gateway::start(&loaded.config, metrics, clock).await.unwrap();
        let grants = gateway.grants().unwrap();
        Self { gateway, grants, folder }
    }

    async fn plain() -> Self {
        Self::start("listen = \"127.0.0.1:0\"").await
    }

    fn address(&self) -> SocketAddr {
        self.gateway.internal.unwrap()
    }

    async fn keep(&self, app: &str, user: Option<i64>, provider: &str, state: State) {
        let key = GrantKey { app: app.to_owned(), account: 1, user, provider: provider.to_owned() };
        let grant = Grant {
            state,
            access: format!("{TOKEN}-{}", user.unwrap_or(0)),
            refresh: None,
            expires: None,
            scopes: vec!["repo".to_owned()],
            asked: vec!["repo".to_owned()],
            values: BTreeMap::from([("instance_url".to_owned(), "https://x.example".to_owned())]),
            granted_at: NOW - 60,
            renewed_at: NOW - 30,
            granted_by: None,
        };
        self.grants.keep(key, grant).await.unwrap();
    }

    async fn ask(&self, method: &str, path: &str, key: &str) -> Answered {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        ask_over(stream, &head(method, path, key, "")).await
    }

    async fn raw(&self, request: &str) -> Answered {
        ask_over(TcpStream::connect(self.address()).await.unwrap(), request).await
    }
}

fn head(method: &str, path: &str, key: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n{more}\r\n")
}

async fn ask_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answered {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // An answer that came before all was sent may end in a reset.
    let _reset = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.get(9..12).unwrap().parse().unwrap();
    Answered { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

fn grant(user: &str, provider: &str) -> String {
    format!("/v1/apps/planner/accounts/1/users/{user}/grants/{provider}")
}

#[tokio::test]
async fn a_client_reads_a_fresh_token_and_the_audit_log_says_so() {
    let bench = Bench::plain().await;
    bench.keep("planner", Some(77), "github", State::Ok).await;
    let read = bench.ask("GET", &grant("77", "github"), KEY).await;
    assert_eq!(read.status, 200);
    let expected = json!({ "access_token": "canary-access-token-77", "expires_at": null, "scopes": ["repo"],
                           "values": { "instance_url": "https://x.example" }, "sufficient": true });
    assert_eq!(read.body, expected);
    assert!(read.head.contains("cache-control: no-store") && read.head.contains("content-type: application/json"));
    let audit = std::fs::read_to_string(bench.folder.path().join("audit.log")).unwrap();
    let last: Value = serde_json::from_str(audit.lines().last().unwrap()).unwrap();
    assert_eq!((&last["what"], &last["by"], &last["who"]), (&json!("read"), &json!("client"), &json!("backend")));
    assert!(!audit.contains(TOKEN));
    assert_eq!(bench.ask("GET", &grant("77", "github"), OLD_KEY).await.status, 200, "a rotation");
}

#[tokio::test]
async fn what_is_unknown_foreign_or_absent_is_the_same_404() {
    let bench = Bench::plain().await;
    bench.keep("planner", Some(77), "monday", State::Ok).await;
    bench.keep("planner", Some(77), "github", State::Ok).await;
    let absent = bench.ask("GET", &grant("78", "github"), KEY).await;
    assert_eq!(absent.status, 404);
    for (path, key) in [
        (grant("77", "monday"), KEY),
        (grant("77", "gitlab"), KEY),
        (grant("77", "github"), STRANGER),
        ("/v1/apps/other/accounts/1/users/77/grants/github".to_owned(), KEY),
        ("/v1/apps/none/accounts/1/users/77/grants/github".to_owned(), KEY),
        ("/v1/apps/planner/accounts/2/users/77/grants/github".to_owned(), KEY),
        ("/v1/apps/none/accounts/1/grants".to_owned(), KEY),
        ("/v1/apps/planner/accounts/1/grants".to_owned(), STRANGER),
        ("/v1/apps/other/tokens".to_owned(), KEY),
        ("/v2/apps".to_owned(), KEY),
        ("/".to_owned(), KEY),
    ] {
        let method = if path.ends_with("tokens") { "POST" } else { "GET" };
        let answered = bench.ask(method, &path, key).await;
        assert_eq!((answered.status, &answered.body), (404, &absent.body), "{path}");
    }
    let deleted = bench.ask("DELETE", &grant("77", "monday"), KEY).await;
    assert_eq!((deleted.status, deleted.body), (404, absent.body));
}

#[tokio::test]
async fn who_has_no_key_or_no_right_is_told_so_whatever_is_asked() {
    let bench = Bench::plain().await;
    bench.keep("planner", Some(77), "github", State::Ok).await;
    let path = grant("77", "github");
    for request in [
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        head("GET", &path, "", ""),
        head("GET", &path, KEY.get(1..).unwrap(), ""),
        head("GET", &path, &format!("{KEY}x"), ""),
        head("GET", &path, KEY, &format!("Authorization: Bearer {KEY}\r\n")),
        head("GET", &path, KEY, "").replace("Bearer", "Basic"),
        head("GET", "/nothing", "wrong", ""),
        head("PATCH", &path, "wrong", ""),
    ] {
        let answered = bench.raw(&request).await;
        assert_eq!(answered.status, 401, "{request}");
        assert!(answered.head.contains("www-authenticate: bearer"));
        assert_eq!(answered.body["code"], "no_client");
    }
    assert_eq!(bench.ask("GET", &path, READER).await.status, 200);
    for (method, path) in [
        ("DELETE", path.as_str()),
        ("DELETE", "/v1/apps/none/accounts/1/users/1/grants/none"),
        ("GET", "/v1/apps/planner/accounts/1/grants"),
        ("POST", "/v1/apps/planner/tokens"),
    ] {
        assert_eq!(bench.ask(method, path, READER).await.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn a_dead_grant_says_why_and_one_that_is_taken_back_is_gone() {
    let bench = Bench::plain().await;
    bench.keep("planner", Some(1), "github", State::Expired).await;
    bench.keep("planner", Some(2), "github", State::Revoked).await;
    bench.keep("planner", Some(3), "github", State::Ok).await;
    bench.keep("planner", None, "github", State::Ok).await;
    for (user, code) in [("1", "grant_expired"), ("2", "grant_revoked")] {
        let answered = bench.ask("GET", &grant(user, "github"), KEY).await;
        assert_eq!((answered.status, &answered.body["code"]), (409, &json!(code)));
    }
    for user in ["3", "-"] {
        let deleted = bench.ask("DELETE", &grant(user, "github"), KEY).await;
        assert_eq!((deleted.status, deleted.body), (204, Value::Null), "{user}");
        assert_eq!(bench.ask("DELETE", &grant(user, "github"), KEY).await.status, 404, "{user}");
    }
    assert_eq!(bench.ask("GET", &grant("3", "github"), KEY).await.body["code"], "grant_revoked");
    let audit = std::fs::read_to_string(bench.folder.path().join("audit.log")).unwrap();
    assert_eq!(audit.lines().filter(|line| line.contains(r#""what":"revoked""#)).count(), 2);
}

#[tokio::test]
async fn a_listing_has_every_grant_once_over_all_its_pages_and_no_token() {
    let bench = Bench::plain().await;
    for user in 1..=25 {
        bench.keep("planner", Some(user), "github", State::Ok).await;
    }
    bench.keep("planner", None, "github", State::Ok).await;
    bench.keep("planner", Some(9), "monday", State::Ok).await;
    let mut users = std::collections::BTreeSet::new();
    let mut query = "limit=7".to_owned();
    let mut pages = 0;
    loop {
        let page = bench.ask("GET", &format!("/v1/apps/planner/accounts/1/grants?{query}"), KEY).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.to_string().contains(TOKEN));
        for one in page.body["grants"].as_array().unwrap() {
            assert_eq!((&one["provider"], &one["state"]), (&json!("github"), &json!("ok")));
            assert!(users.insert(one["user_id"].as_i64()), "{one}");
        }
        pages += 1;
        match page.body["next"].as_str() {
            Some(next) => query = format!("limit=7&after={next}"),
            None => break,
        }
    }
    assert_eq!((users.len(), pages), (26, 4));
    let empty = bench.ask("GET", "/v1/apps/planner/accounts/2/grants", KEY).await;
    assert_eq!((empty.status, empty.body), (200, json!({ "grants": [], "next": null })));
    for query in ["limit=0", "limit=1000", "after=!", "x=1", "limit=1&limit=2"] {
        let answered = bench.ask("GET", &format!("/v1/apps/planner/accounts/1/grants?{query}"), KEY).await;
        assert_eq!(answered.status, 400, "{query}");
    }
}

#[tokio::test]
async fn what_is_signed_says_the_app_s_id_and_two_times_and_nothing_else() {
    let bench = Bench::plain().await;
    let signed = bench.ask("POST", "/v1/apps/planner/tokens", KEY).await;
    assert_eq!((signed.status, &signed.body["expires_at"]), (200, &json!(NOW + 300)));
    let token = signed.body["token"].as_str().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims, json!({ "appId": 10_012_345, "iat": NOW, "exp": NOW + 300 }));
    let key = jwt::Key::new(&crate::secret::Secret::new("a signing secret that is long enough"));
    assert_eq!(jwt::Compact::split(token).unwrap().verify(&[key]), Ok(0));
    for body in [r#"{"appId":1}"#, "{}", " "] {
        let more = format!("Content-Length: {}\r\n", body.len());
        let request = head("POST", "/v1/apps/planner/tokens", KEY, &more) + body;
        assert_eq!(bench.raw(&request).await.status, 400, "{body}");
    }
    assert_eq!(bench.ask("POST", "/v1/apps/planner/tokens?appId=1", KEY).await.status, 400);
}

#[tokio::test]
async fn odd_requests_have_their_statuses() {
    let bench = Bench::plain().await;
    let path = grant("77", "github");
    for method in ["PUT", "POST", "PATCH", "OPTIONS", "TRACE"] {
        let answered = bench.ask(method, &path, KEY).await;
        assert_eq!(answered.status, 405, "{method}");
        assert!(answered.head.contains("allow: get, delete"), "{}", answered.head);
        assert!(answered.head.contains("content-type: application/problem+json"));
    }
    for user in ["077", "-1", "+1", "1.0", "99999999999999999999", "x", "%00", "-"] {
        assert_eq!(bench.ask("GET", &grant(user, "github"), KEY).await.status, 400, "{user}");
    }
    let more = format!("Content-Length: {}\r\n", limits::INTERNAL_BODY + 1);
    assert_eq!(bench.raw(&head("POST", "/v1/apps/planner/tokens", KEY, &more)).await.status, 413);
    let chunks = "1000\r\n".to_owned() + &"x".repeat(4096) + "\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
    let request = head("POST", "/v1/apps/planner/tokens", KEY, "Transfer-Encoding: chunked\r\n") + &chunks;
    assert_eq!(bench.raw(&request).await.status, 413);
    let long = format!("X-Long: {}\r\n", "x".repeat(limits::INTERNAL_HEAD));
    assert_eq!(bench.raw(&head("GET", &path, KEY, &long)).await.status, 431);
    let encoded = bench.ask("GET", "/v1/apps/%70lanner/accounts/1/grants", KEY).await;
    assert_eq!(encoded.status, 200, "a segment is what it says when decoded");
}

#[tokio::test]
async fn a_listing_says_nothing_of_grants_that_its_client_may_not_know_of() {
    let bench = Bench::plain().await;
    for user in 1..=6 {
        bench.keep("planner", Some(user), "monday", State::Ok).await;
        if user % 3 == 0 {
            bench.keep("planner", Some(user), "github", State::Ok).await;
        }
    }
    for limit in [1, 2, 3] {
        let (mut query, mut users) = (format!("limit={limit}"), Vec::new());
        loop {
            let page = bench.ask("GET", &format!("/v1/apps/planner/accounts/1/grants?{query}"), KEY).await;
            assert_eq!(page.status, 200);
            assert!(!page.body.to_string().contains("monday"), "{}", page.body);
            let grants = page.body["grants"].as_array().unwrap();
            users.extend(grants.iter().map(|one| one["user_id"].as_i64().unwrap()));
            let Some(next) = page.body["next"].as_str() else { break };
            assert_eq!(grants.len(), limit, "how many there are between says something, too");
            query = format!("limit={limit}&after={next}");
        }
        assert_eq!(users, [3, 6]);
    }
}

#[tokio::test]
async fn the_description_is_served_to_everybody_and_every_problem_is_in_it() {
    let bench = Bench::plain().await;
    let described = bench.ask("GET", "/openapi.json", "").await;
    assert_eq!((described.status, &described.body), (200, &openapi::document()));
    assert_eq!(bench.ask("POST", "/openapi.json", "").await.status, 405);
    let codes = described.body["components"]["schemas"]["Problem"].to_string();
    for problem in PROBLEMS {
        let code = serde_json::to_value(problem).unwrap();
        assert!(codes.contains(code.as_str().unwrap()), "{code}");
    }
}

#[tokio::test]
async fn too_many_at_once_of_one_client_are_429_and_others_are_served() {
    let bench = Bench::plain().await;
    let config = config::load(&bench.folder.path().join("gateway.toml"), Secrets::Read).unwrap().config;
    let grants = watch::channel(Some(bench.grants.clone())).1;
    let api = Api::new(&config, config.internal.as_ref().unwrap(), grants, Clock::standing_at(NOW));
    let busy = api.0.clients.find(std::iter::once(format!("Bearer {KEY}").as_bytes())).unwrap();
    let _taken = Arc::clone(&busy.places).try_acquire_many_owned(u32::try_from(limits::INTERNAL_REQUESTS).unwrap());
    for (key, status) in [(KEY, 429), (STRANGER, 200)] {
        let app = if key == KEY { "planner" } else { "other" };
        let request = http::Request::get(format!("/v1/apps/{app}/accounts/1/grants"))
            .header("authorization", format!("Bearer {key}"))
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let answer = api.respond(&parts, &bytes::Bytes::new()).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 429);
    }
}

#[tokio::test]
async fn a_unix_socket_is_its_owner_s_only_and_takes_the_place_of_a_dead_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("internal.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bench = Bench::start_in(folder, &format!("listen = \"unix:{}\"", path.display())).await;
    assert_eq!(bench.gateway.internal, None);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    bench.keep("planner", Some(77), "github", State::Ok).await;
    let stream = UnixStream::connect(&path).await.unwrap();
    assert_eq!(ask_over(stream, &head("GET", &grant("77", "github"), KEY, "")).await.status, 200);
    let again = |path: &Path| listen::Bound::new(&Internal { listen: unix_at(path), clients: Vec::new() });
    assert!(again(&path).is_err(), "somebody listens there");
    std::fs::write(bench.folder.path().join("file"), "").unwrap();
    assert!(again(&bench.folder.path().join("file")).is_err(), "a file is left alone");
}

fn unix_at(path: &Path) -> config::resolved::grants::InternalListen {
    config::resolved::grants::InternalListen::Unix(path.to_owned())
}

#[tokio::test]
async fn with_tls_a_client_without_a_certificate_of_the_authority_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let (server, client, strange) = (authority.issue(), authority.issue(), Authority::new().issue());
    write("ca.pem", &authority.certificate.pem());
    write("server.pem", &server.0);
    write("server.key", &server.1);
    let listen = "listen = \"127.0.0.1:0\"\n[internal.tls]\ncertificate = \"server.pem\"\n\
                  private_key = \"server.key\"\nclient_ca = \"ca.pem\"";
    let bench = Bench::start_in(folder, listen).await;
    bench.keep("planner", Some(77), "github", State::Ok).await;
    let folder = tempfile::tempdir().unwrap();
    let ask = async |shown: Option<&(String, String)>| {
        let connector = authority.connector(folder.path(), shown);
        let tcp = TcpStream::connect(bench.address()).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, tcp).await.ok()?;
        stream.write_all(head("GET", &grant("77", "github"), KEY, "").as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        (!answer.is_empty()).then(|| String::from_utf8(answer).unwrap())
    };
    assert!(ask(Some(&client)).await.unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(ask(None).await, None);
    assert_eq!(ask(Some(&strange)).await, None);
}

/// An authority, for both sides.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(parameters, key) }
    }

    /// A certificate and its key, in PEM.
    fn issue(&self) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn connector(&self, folder: &Path, shown: Option<&(String, String)>) -> tokio_rustls::TlsConnector {
        let files = ["ca.pem", "client.pem", "client.key"].map(|name| folder.join(name));
        let [ca, certificate, private_key] = &files;
        std::fs::write(ca, self.certificate.pem()).unwrap();
        if let Some((chain, key)) = shown {
            std::fs::write(certificate, chain).unwrap();
            std::fs::write(private_key, key).unwrap();
        }
        let pair = shown.map(|_| crate::tls::CertificatePaths { certificate, private_key });
        tokio_rustls::TlsConnector::from(crate::tls::roots::client_config(Some(ca), pair).unwrap())
    }
}
