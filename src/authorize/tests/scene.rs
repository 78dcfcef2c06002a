//! What the tests of the flow play with: a gateway's pages, a monday.com that says who is signed in, providers that count how often they are
//! asked, and browsers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::authorize::door::{Admission, Identified, Reconnect, Visit};
use crate::authorize::flow::{Flow, Parts};
use crate::clock::Clock;
use crate::config::resolved::Config;
use crate::config::{Secrets, load};
use crate::grants::journal::{Journal, Opening};
use crate::grants::standing::Standing;
use crate::grants::{AppGrants, Grants, Terms, Who};
use crate::oauth::discovery::Discovery;
use crate::oauth::web::Web;
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::snapshot::served::{Page, providers, served};
use crate::telemetry::metrics::{BuildInfo, Metrics, Tables};
use crate::vault::{StoreAddress, Vault};

/// The time of all tests.
pub(super) const NOW: i64 = 1_800_000_000;
/// The account of the user who connects.
pub(super) const ACCOUNT: i64 = 1_825_529;
/// The user who connects.
pub(super) const USER: i64 = 4_012_689;
/// Where they want to go in the end.
pub(super) const BACK: &str = "https://myaccount.monday.com/boards/1111/app_automations/2222";
/// Never in a page, log or URL.
pub(super) const CANARY: &str = "canary-3f1c8d";

/// What is played.
pub(super) struct Scene {
    /// The pages.
    pub(super) flow: Flow,
    /// Their configuration.
    pub(super) config: Config,
    /// What was granted.
    pub(super) grants: Grants,
    /// The time.
    pub(super) clock: Clock,
    /// How often a token endpoint was asked.
    pub(super) exchanges: Arc<AtomicUsize>,
    /// What backends and `status_url` were asked: whole requests.
    pub(super) asked: Asked,
    /// Where the vault is.
    pub(super) folder: tempfile::TempDir,
    vault: Vault,
}

/// Whole requests.
#[expect(clippy::disallowed_types, reason = "a test's own server")]
type Asked = Arc<std::sync::Mutex<Vec<String>>>;

/// A browser with its cookies.
pub(super) struct Browser<'s> {
    scene: &'s Scene,
    /// By name.
    pub(super) jar: BTreeMap<String, String>,
    /// What it prefers.
    pub(super) language: &'static str,
    /// What it sends of where a POST comes from.
    pub(super) origin: (Option<&'static str>, Option<&'static str>),
    /// Redirects are followed unless they leave.
    seen: Vec<String>,
}

/// What a browser got.
#[derive(Debug)]
pub(super) struct Got {
    /// Status.
    pub(super) status: u16,
    /// Of a redirect that leaves the gateway.
    pub(super) location: Option<String>,
    /// Fields.
    pub(super) headers: HeaderMap,
    /// The page, or JSON.
    pub(super) body: String,
}

/// The file of a scene: `GRANTS` is the list, `MORE` what stands in `[apps.planner.authorization]`.
const FILE: &str = r#"
[server]
listen = "127.0.0.1:0"
public_url = "https://gw.example.com"
[apps.planner]
client_id = "cid"
client_secret = "client-secret-client-secret-client-secret"
signing_secret = "signing-secret-signing-secret-signing-secret"
[apps.planner.authorization]
path = "/planner/authorize"
MODE
[monday]
auth_url = "http://FAKE"
api_url = "http://FAKE/v2"
[providers.github]
name = "GitHub"
authorize_url = "http://FAKE/github/authorize"
token_url = "http://FAKE/github/token"
client_id = "gid"
client_secret = "github-secret-github-secret-github-secret"
scopes = ["repo"]
PER
[providers.crm]
name = "CRM"
authorize_url = "http://FAKE/crm/authorize"
token_url = "http://FAKE/crm/token"
client_id = "crm"
client_secret = "crm-secret-crm-secret-crm-secret-crm-secret"
scopes = ["all"]
iss = "https://crm.example.com"
[providers.mailer]
name = "Mailer"
type = "api_key"
fields = [{ name = "key", label = "API key" }, { name = "domain", label = "Domain", secret = false }]
test = { url = "http://FAKE/mailer/me", headers = { Authorization = "Bearer {key}" } }
[vault]
store = "sqlite:vault.db"
keys = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
[upstreams.backend]
servers = ["http://127.0.0.1:1"]
signing_secret = "backend-secret-backend-secret-backend-secret"
[[routes]]
path = "/planner/actions"
app = "planner"
kind = "action"
upstream = "backend"
"#;

impl Scene {
    /// Users connect monday.com, then GitHub.
    pub(super) async fn new() -> Self {
        Self::with(r#"grants = ["monday", "github"]"#, "").await
    }

    /// With this in `[apps.planner.authorization]` and in `[providers.github]`.
    pub(super) async fn with(mode: &str, github: &str) -> Self {
        let (exchanges, asked) = (Arc::default(), Arc::default());
        let fake = fake(&exchanges, &asked).await;
        let text = FILE.replace("MODE", mode).replace("PER", github).replace("FAKE", &fake);
        let folder = tempfile::tempdir().unwrap();
        let loaded = load::load_text("gateway.toml", &text, folder.path(), Secrets::Read);
        let config = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).config;
        let clock = Clock::standing_at(NOW);
        let vault = open(folder.path()).await;
        let web = Web::new(None).unwrap();
        let grants = grants(&config, &vault, &web, &clock);
        let parts = Parts { discovery: Discovery::new(web.clone(), clock.clone()), web, clock: clock.clone() };
        let flow = Flow::new(&config, parts).unwrap();
        flow.open(vault.clone(), grants.clone());
        Self { flow, config, grants, clock, exchanges, asked, folder, vault }
    }

    /// The pages again, after the keys of the vault changed.
    pub(super) async fn rekeyed(&mut self, keys: &[[u8; 32]]) {
        let keys: Vec<Secret> = keys.iter().map(Secret::new).collect();
        let address = StoreAddress::Sqlite(self.folder.path().join("vault.db"));
        self.vault = Vault::open(&address, KeyRing::new(&keys).unwrap()).await.unwrap();
        let web = Web::new(None).unwrap();
        self.grants = grants(&self.config, &self.vault, &web, &self.clock);
        let parts =
            Parts { discovery: Discovery::new(web.clone(), self.clock.clone()), web, clock: self.clock.clone() };
        self.flow = Flow::new(&self.config, parts).unwrap();
        self.flow.open(self.vault.clone(), self.grants.clone());
    }

    /// Takes the table of records away, so that the store refuses everything.
    pub(super) fn break_store(&self) {
        let raw = rusqlite::Connection::open(self.folder.path().join("vault.db")).unwrap();
        raw.execute_batch("ALTER TABLE records RENAME TO gone").unwrap();
    }

    /// A browser without cookies.
    pub(super) fn browser(&self) -> Browser<'_> {
        let origin = (None, Some("same-origin"));
        Browser { scene: self, jar: BTreeMap::new(), language: "en", origin, seen: Vec::new() }
    }

    /// What became of a grant of the user.
    pub(super) async fn standing(&self, provider: &str) -> Standing {
        self.standing_of((ACCOUNT, USER), provider).await
    }

    /// What became of a grant of somebody.
    pub(super) async fn standing_of(&self, (account, user): (i64, i64), provider: &str) -> Standing {
        let who = Who { app: "planner".to_owned(), account, user };
        let known = providers(&self.config, 0);
        let provider = known.iter().find(|one| one.name == provider).unwrap();
        self.grants.standing(&who, provider).await.unwrap()
    }

    /// How many grants there are.
    pub(super) async fn kept(&self) -> usize {
        self.grants.list("planner", None, None, 1000).await.unwrap().len()
    }

    /// How often a token endpoint was asked.
    pub(super) fn exchanges(&self) -> usize {
        self.exchanges.load(Ordering::SeqCst)
    }

    /// A link as a refused request gets one.
    pub(super) async fn reconnect(&self, providers: &[&str]) -> Option<String> {
        let providers = providers.iter().map(|name| (*name).to_owned()).collect();
        let reconnect = Reconnect { app: "planner".to_owned(), account: ACCOUNT, user: USER, slug: None, providers };
        self.flow.reconnect_link(&reconnect).await
    }
}

impl Browser<'_> {
    /// Opens the Authorization URL with a token of this user.
    pub(super) async fn open(&mut self, account: i64, user: i64, back_to: &str) -> Got {
        let claims = format!(r#"{{"accountId":{account},"userId":{user},"token":"{CANARY}"}}"#);
        let caller =
            Identified { account, user, slug: None, back_to: Some(back_to.to_owned()), claims: Bytes::from(claims) };
        let got = self.once("/planner/authorize", Some(caller), None).await;
        self.follow(got).await
    }

    /// Asks for a link as a view's front end does.
    pub(super) async fn ask_link(&mut self, account: i64, user: i64, body: &str) -> Got {
        let slug = Some("myaccount".to_owned());
        let caller = Identified { account, user, slug, back_to: None, claims: Bytes::from_static(b"{}") };
        self.once("/planner/authorize/connect", Some(caller), Some(body.to_owned())).await
    }

    /// Opens a URL of the gateway.
    pub(super) async fn get(&mut self, url: &str) -> Got {
        let got = self.once(url, None, None).await;
        self.follow(got).await
    }

    /// Sends the form of a page that has this text on its button, filled in.
    pub(super) async fn press(&mut self, page: &Got, button: &str, filled: &[(&str, &str)]) -> Got {
        let form = page
            .body
            .split("<form ")
            .skip(1)
            .find(|form| form.split("</form>").next().unwrap().contains(&format!(">{button}</button>")));
        let form = form.unwrap_or_else(|| panic!("no button {button}: {}", page.body)).split("</form>").next().unwrap();
        let action = attribute(form, "action=\"");
        let mut body = form_urlencoded::Serializer::new(String::new());
        for input in form.split("<input type=\"hidden\"").skip(1) {
            body.append_pair(&attribute(input, "name=\""), &attribute(input, "value=\""));
        }
        body.extend_pairs(filled);
        self.post(&action, body.finish()).await
    }

    /// Sends a form.
    pub(super) async fn post(&mut self, url: &str, body: String) -> Got {
        let got = self.once(url, None, Some(body)).await;
        self.follow(got).await
    }

    /// Follows a link to a provider, consents there with this code, and comes back.
    pub(super) async fn consent(&mut self, page: &Got, code: &str) -> Got {
        let state = page.asked("state");
        self.come_back(page, &[("code", code), ("state", &state)]).await
    }

    /// Comes back from the provider of a page's link, with these parameters.
    pub(super) async fn come_back(&mut self, page: &Got, parameters: &[(&str, &str)]) -> Got {
        let redirect = page.asked("redirect_uri");
        let path = redirect.strip_prefix("https://gw.example.com").unwrap().to_owned();
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.get(&format!("{path}?{query}")).await
    }

    /// Follows redirects that stay.
    async fn follow(&mut self, mut got: Got) -> Got {
        for _ in 0..10 {
            let Some(location) = got.location.clone() else { return got };
            self.seen.push(location.clone());
            if !location.starts_with('/') {
                return got;
            }
            got = self.once(&location, None, None).await;
        }
        panic!("redirected for ever: {:?}", self.seen);
    }

    /// One request.
    async fn once(&mut self, url: &str, caller: Option<Identified>, body: Option<String>) -> Got {
        let url = url.strip_prefix("https://gw.example.com").unwrap_or(url);
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let known = served(&self.scene.config);
        let page = known.into_iter().find(|one| one.route.path == path);
        let page: Page = page.unwrap_or_else(|| panic!("nothing is served at {path}")).page;
        let cookies = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let (origin, fetch_site) = if body.is_some() { self.origin } else { (None, None) };
        let visit = Visit {
            app: "planner".to_owned(),
            page,
            is_post: body.is_some(),
            path: path.to_owned(),
            query: query.to_owned(),
            cookies: vec![cookies],
            origin: origin.map(str::to_owned),
            fetch_site: fetch_site.map(str::to_owned),
            accept_language: self.language.to_owned(),
            caller,
            request_id: "0123456789abcdef".to_owned(),
            body: Bytes::from(body.unwrap_or_default()),
        };
        let answer = match self.scene.flow.visit(&visit).await {
            Admission::Answer(answer) => *answer,
            Admission::Onwards => {
                return Got { status: 0, location: None, headers: HeaderMap::new(), body: String::new() };
            }
        };
        for field in answer.headers().get_all(http::header::SET_COOKIE) {
            let (name, rest) = field.to_str().unwrap().split_once('=').unwrap();
            self.jar.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        let got = Got {
            status: answer.status().as_u16(),
            location: answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned()),
            headers: answer.headers().clone(),
            body: String::from_utf8(answer.into_body().to_vec()).unwrap(),
        };
        got.hold_rules();
        got
    }
}

impl Got {
    /// The page's heading.
    pub(super) fn title(&self) -> &str {
        self.body.split("<h1>").nth(1).map_or("", |rest| rest.split("</h1>").next().unwrap())
    }

    /// The address behind a link with this text.
    pub(super) fn link(&self, text: &str) -> Option<String> {
        let link = self.body.split("<a ").skip(1).find(|link| link.contains(&format!(">{text}</a>")))?;
        Some(attribute(link, "href=\""))
    }

    /// A parameter of the address behind the main link.
    pub(super) fn asked(&self, name: &str) -> String {
        let main = self.body.split("<a ").find(|link| link.contains("class=\"button\""));
        let href = attribute(main.unwrap_or_else(|| panic!("no main link: {}", self.body)), "href=\"");
        let url = Url::parse(&href).unwrap_or_else(|_| panic!("{href}"));
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    /// What holds for every answer of the flow: see design.md, "Pages".
    fn hold_rules(&self) {
        let field = |name: &str| self.headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(field("cache-control"), "no-store");
        assert_eq!(field("referrer-policy"), "no-referrer");
        for secret in [CANARY, "client-secret", "github-secret", "access-of-", "signing-secret"] {
            assert!(!self.body.contains(secret) && !field("location").contains(secret), "{secret}");
        }
        if field("content-type").starts_with("text/html") {
            assert!(field("content-security-policy").contains("frame-ancestors 'none'"));
            assert!(!self.title().is_empty() && self.body.contains("<main>"), "no blank page: {}", self.body);
            assert!(
                self.body.contains("<dt>App</dt><dd>planner</dd>") || !self.body.contains("lang=\"en\""),
                "{}",
                self.body
            );
        } else {
            assert!((300..400).contains(&self.status) || field("content-type") == "application/json");
        }
    }
}

/// The code that makes monday.com give a token of this user.
pub(super) fn code_of(account: i64, user: i64, rank: &str) -> String {
    let claims = format!(r#"{{"exp":{},"me":"{account}/{user}/{rank}"}}"#, NOW + 3600);
    format!("access-of-{user}.{}.x", URL_SAFE_NO_PAD.encode(claims))
}

/// The code of the user who connects.
pub(super) fn own_code() -> String {
    code_of(ACCOUNT, USER, "member")
}

fn attribute(text: &str, name: &str) -> String {
    let value = text.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {text}")).split('"').next().unwrap();
    value.replace("&#38;", "&").replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">").replace("&#39;", "'")
}

async fn open(folder: &Path) -> Vault {
    let keys = KeyRing::new(&[Secret::new(*b"01234567890123456789012345678901")]).unwrap();
    Vault::open(&StoreAddress::Sqlite(folder.join("vault.db")), keys).await.unwrap()
}

fn grants(config: &Config, vault: &Vault, web: &Web, clock: &Clock) -> Grants {
    let opening = Opening { audit: None, vault: vault.clone(), events: BTreeMap::new(), clock: clock.clone() };
    let tables = Tables { kinds: &[], results: &[], reasons: &[], headers: &[], grants: &Standing::LABELS };
    let on_uninstall = crate::config::resolved::grants::OnUninstall::Purge;
    Grants::new(crate::grants::Parts {
        vault: vault.clone(),
        discovery: Discovery::new(web.clone(), clock.clone()),
        clock: clock.clone(),
        journal: Journal::open(opening).unwrap(),
        metrics: Metrics::new(1, BuildInfo { version: "0", revision: "0" }, tables).unwrap(),
        generations: Arc::default(),
        marks: Arc::default(),
        apps: vec![AppGrants { name: "planner".to_owned(), providers: providers(config, 0), on_uninstall }],
        terms: Terms::default(),
    })
}

/// monday.com, its API, GitHub, a CRM, a mailer and a backend: one server, by paths.
async fn fake(exchanges: &Arc<AtomicUsize>, asked: &Asked) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (exchanges, asked) = (Arc::clone(exchanges), Arc::clone(asked));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (exchanges, asked) = (Arc::clone(&exchanges), Arc::clone(&asked));
            tokio::spawn(async move {
                let request = read_request(&mut stream).await;
                let (status, body) = answer(&request, &exchanges);
                asked.lock().unwrap().push(request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
                    body.len()
                );
                drop(stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await);
                drop(stream.shutdown().await);
            });
        }
    });
    address
}

fn answer(request: &str, exchanges: &AtomicUsize) -> (u16, String) {
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path.ends_with("/token") {
        exchanges.fetch_add(1, Ordering::SeqCst);
        let code = request.split("code=").nth(1).or_else(|| request.split("\"code\":\"").nth(1)).unwrap_or_default();
        let code = code.split(['&', '"']).next().unwrap();
        return match code {
            "refused" => (400, r#"{"error":"invalid_grant"}"#.to_owned()),
            "odd" => (200, r#"{"token":"access-of-nobody"}"#.to_owned()),
            "html" => (200, "<html>".to_owned()),
            code => {
                (200, format!(r#"{{"access_token":"{code}","refresh_token":"access-of-r","token_type":"Bearer"}}"#))
            }
        };
    }
    if path == "/v2" {
        let token = request.split("access-of-").nth(1).and_then(|rest| rest.split('.').nth(1)).unwrap_or_default();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
        let me: Vec<&str> = claims.split("\"me\":\"").nth(1).unwrap().split('"').next().unwrap().split('/').collect();
        let (is_admin, is_guest) = (me[2] == "admin", me[2] == "guest");
        let me = format!(
            r#"{{"id":"{}","is_admin":{is_admin},"is_guest":{is_guest},"account":{{"id":"{}","slug":"myaccount"}}}}"#,
            me[1], me[0]
        );
        return (200, format!(r#"{{"data":{{"me":{me}}}}}"#));
    }
    if path.starts_with("/mailer") {
        return if request.contains("Bearer good") { (200, "{}".to_owned()) } else { (401, "{}".to_owned()) };
    }
    if path.starts_with("/status") {
        let said = match request.split("\"user_id\":").nth(1).map(|rest| rest.split([',', '}']).next().unwrap()) {
            Some("1") => (200, r#"{"authorized":true,"max_age":300}"#),
            Some("2") => (200, r#"{"authorized":false}"#),
            Some("3") => (200, r#"{"authorized":true,"max_age":999999}"#),
            Some("4") => (500, "{}"),
            _ => (200, r#"{"authorized":"yes"}"#),
        };
        return (said.0, said.1.to_owned());
    }
    (404, "{}".to_owned())
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).await.unwrap_or(0);
        all.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&all).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.to_ascii_lowercase().split("content-length:").nth(1).map(str::to_owned);
            let length = length.and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
            body.len() >= length.unwrap_or(0)
        });
        if whole || read == 0 {
            return text;
        }
    }
}
