//! What becomes of grants on the way of a request: headers, `require`, the store that is down, refused tokens, uninstalls; and
//! where no secret ever is.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::backend::{Backend, Step, ok};
use crate::support::fake_monday::Monday;
use crate::support::fake_provider::Provider;
use crate::support::gateway::Gateway;
use crate::support::mint::{self, ACCOUNT, BACK_TO, CLIENT, USER, kind};
use crate::support::peers::Peer;
use crate::support::scene::{
    AUTHORIZE, NEXT_VAULT_KEY, Scene, VAULT_KEY, act, action_token_of, authorization_url, call, connect_all, got,
};
use crate::support::site::{Said, Site};
use crate::support::stores::{Kind, Store};
use crate::support::visitor::Visitor;
use crate::support::{SOON, within};

#[tokio::test]
async fn tokens_reach_a_real_backend_and_only_where_they_are_wanted() {
    let mut scene = Scene::usual();
    let express = Peer::express();
    scene.tables = format!(
        "[upstreams.express]\nservers = [\"{}\"]\n[[routes]]\npath = \"/planner/real/{{*rest}}\"\nkind = \"action\"\napp = \"planner\"\n\
         upstream = \"express\"\n[[routes]]\npath = \"/planner/plain/{{*rest}}\"\nkind = \"view\"\napp = \"planner\"\nupstream = \"express\"\n\
         [[routes]]\npath = \"/planner/onlygithub/{{*rest}}\"\nkind = \"action\"\napp = \"planner\"\nupstream = \"express\"\ngrants = [\"github\"]\n",
        express.url()
    );
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    let (monday, github) = (scene.monday.oauth.last_access(), scene.provider("github").oauth.last_access());
    let answer = call(&gateway, "real", &kind("action").token()).await;
    assert_eq!(got(&answer, "x-monday-access-token").as_deref(), Some(monday.as_str()));
    assert_eq!(got(&answer, "x-github-access-token").as_deref(), Some(github.as_str()));
    let answer = call(&gateway, "onlygithub", &kind("action").token()).await;
    assert_eq!(got(&answer, "x-monday-access-token"), None);
    assert_eq!(got(&answer, "x-github-access-token").as_deref(), Some(github.as_str()));
    assert_eq!(got(&answer, "x-monday-grants").as_deref(), Some("github=ok"));
    for (route, token) in [("plain", kind("view").token()), ("public", String::new())] {
        let answer = call(&gateway, route, &token).await;
        for name in ["x-monday-access-token", "x-github-access-token", "x-monday-grants"] {
            assert_eq!(got(&answer, name), None, "{route} {name}");
        }
    }
    // Nobody else's, and no caller's own.
    let lines = format!(
        "Authorization: {}\r\nX-Monday-Access-Token: forged\r\nX-Github-Access-Token: forged\r\nX-GitHub-Access-Token: forged\r\nX-Monday-Grants: github=ok\r\n",
        action_token_of(ACCOUNT, USER + 1)
    );
    for route in ["real", "onlygithub", "action", "public"] {
        let answer = gateway.request("POST", &format!("/planner/{route}/x"), &lines, "{}").await;
        assert!(!answer.text().contains("forged"), "{route}: {}", answer.text());
        assert!(!answer.text().contains(&github) && !answer.text().contains(&monday), "{route}");
    }
}

#[tokio::test]
async fn a_route_that_requires_says_how_to_connect() {
    let mut scene = Scene::usual();
    scene.tables = "[[routes]]\npath = \"/planner/page/{*rest}\"\nkind = \"authorization\"\napp = \"planner\"\nupstream = \"backend\"\nrequire = [\"github\"]\n".into();
    let gateway = scene.start();
    let refused = call(&gateway, "needs", &kind("action").token()).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let body = refused.json();
    assert_eq!(body["severityCode"], 4000);
    assert!(refused.text().contains("https://gw.test/planner/authorize/go?ticket="), "{body}");
    let refused = call(&gateway, "viewneeds", &kind("view").token()).await;
    assert_eq!(refused.status, 403);
    let link = refused.json()["reconnect"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://gw.test/planner/authorize/go?ticket="), "{link}");
    let into_the_flow =
        gateway.request("GET", &format!("/planner/page/x?token={}", kind("authorization").token()), "", "").await;
    assert_eq!(into_the_flow.status, 303, "{}", into_the_flow.text());
    assert!(into_the_flow.field("location").unwrap().contains("/planner/authorize/"), "{into_the_flow:?}");
    assert_eq!(scene.backend.count(), 0);
    assert!(gateway.metric("gateway_grants_total", &["provider=\"github\"", "result=\"missing\""]).await >= 1.0);
}

async fn a_store_that_is_down(kind_of_store: Kind) {
    let mut store = Store::start(kind_of_store);
    let mut scene = Scene::usual();
    scene.store = store.url();
    scene.vault = "stale = \"1h\"\n".into();
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    assert_eq!(call(&gateway, "needs", &kind("action").token()).await.status, 200);
    for what in ["frozen", "killed"] {
        if what == "frozen" {
            store.freeze();
        } else {
            store.kill();
        }
        let begun = Instant::now();
        let answer = call(&gateway, "needs", &action_token_of(ACCOUNT, USER + 77)).await;
        assert_eq!(answer.status, 503, "{what}: {}", answer.text());
        assert!(begun.elapsed() < Duration::from_millis(1500), "{what}: {:?}", begun.elapsed());
        assert!(!answer.text().contains("severityCode"), "{what}");
        for (route, token) in [("view", kind("view").token()), ("public", String::new())] {
            if route == "public" {
                assert_eq!(call(&gateway, route, &token).await.status, 200, "{what} {route}");
            }
        }
        let known = call(&gateway, "needs", &kind("action").token()).await;
        assert_eq!(known.status, 200, "{what}: what the cache has is used: {}", known.text());
        let page = Visitor::new(&gateway).visit(&authorization_url("https://other.monday.com/")).await;
        assert!(page.status() == 503 || page.url.host_str() == Some("other.monday.com"), "{what}: {}", page.text());
        assert_eq!(gateway.ask_admin("/readyz").await.status, 200, "{what}: a store takes no gateway out");
        if what == "frozen" {
            store.thaw();
        } else {
            store.start_again();
        }
        let back = Instant::now();
        loop {
            let answer = call(&gateway, "needs", &action_token_of(ACCOUNT, USER + 78)).await;
            if answer.status == 403 {
                break;
            }
            assert!(back.elapsed() < Duration::from_secs(5), "{what}: {} {}", answer.status, answer.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("cases: {kind_of_store:?} {what}, back after {:?}", back.elapsed());
    }
}

#[tokio::test]
async fn r13_postgresql_that_is_down_costs_only_those_who_need_it() {
    a_store_that_is_down(Kind::Postgres).await;
}

#[tokio::test]
async fn r13_redis_that_is_down_costs_only_those_who_need_it() {
    a_store_that_is_down(Kind::Redis).await;
}

#[tokio::test]
async fn a_grant_at_one_gateway_is_known_at_the_other_at_once() {
    for kind_of_store in [Kind::Postgres, Kind::Redis] {
        let store = Store::start(kind_of_store);
        let mut scene = Scene::usual();
        scene.store = store.url();
        let gateways = [scene.start(), scene.start()];
        let told = async |at: usize| got(&act(&gateways[at]).await, "x-monday-grants").unwrap();
        // Both know that there is nothing: the negative answers are what must go.
        for at in [0, 1] {
            assert_eq!(told(at).await, "monday=missing, github=missing");
        }
        let mut visitor = Visitor::new(&gateways[0]);
        connect_all(&mut visitor).await;
        let connected = Instant::now();
        while told(1).await != "monday=ok, github=ok" {
            assert!(connected.elapsed() < Duration::from_secs(2), "{kind_of_store:?}: {}", told(1).await);
        }
        println!("cases: {kind_of_store:?}: known at the other gateway after {:?}", connected.elapsed());
        let page = visitor.visit(&format!("{AUTHORIZE}/connections")).await;
        visitor.press(&page, "Disconnect github").await;
        let gone = Instant::now();
        while told(1).await != "monday=ok, github=revoked" {
            assert!(gone.elapsed() < Duration::from_secs(2), "{kind_of_store:?}: {}", told(1).await);
        }
    }
}

/// A backend that refuses a token until it gets another one than `old`.
fn refusing(provider: &'static str, header: &'static str) -> Backend {
    let first = std::sync::Mutex::new(None::<String>);
    Backend::scripted(move |seen| {
        let token = seen.field(header).unwrap_or_default().to_owned();
        let mut first = first.lock().unwrap();
        let old = first.get_or_insert_with(|| token.clone());
        if *old == token {
            let text = format!(
                "HTTP/1.1 401 Unauthorized\r\nX-Monday-Token-Rejected: {provider}\r\nContent-Length: 2\r\n\r\nno"
            );
            vec![Step::ReadBody, Step::Send(text.into_bytes())]
        } else {
            vec![Step::ReadBody, Step::Echo]
        }
    })
}

#[tokio::test]
async fn a_token_that_the_backend_saw_refused_is_renewed_and_the_request_sent_again() {
    let mut scene = Scene::usual();
    scene.backend = refusing("github", "x-github-access-token");
    scene.movable_clock = true;
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    let old = scene.provider("github").oauth.last_access();
    // A token of a moment ago would not be renewed: that was just done.
    gateway.move_clock(70);
    let answer = act(&gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let new = scene.provider("github").oauth.last_access();
    assert_ne!(old, new);
    assert_eq!(got(&answer, "x-github-access-token"), Some(new));
    assert_eq!(scene.backend.count(), 2);
    assert_eq!(scene.provider("github").oauth.refreshes().len(), 1);
    let bodies: Vec<Vec<u8>> = scene.backend.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies[0], bodies[1], "the same request");
    assert_eq!(answer.field("x-monday-token-rejected"), None);
}

#[tokio::test]
async fn a_backend_that_refuses_every_token_hears_of_a_request_twice_and_costs_one_renewal_a_minute() {
    let mut scene = Scene::usual();
    scene.backend = Backend::answering(
        "HTTP/1.1 401 Unauthorized\r\nX-Monday-Token-Rejected: github\r\nContent-Length: 2\r\n\r\nno".as_bytes(),
    );
    scene.movable_clock = true;
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    gateway.move_clock(70);
    for n in 0..10 {
        let answer = act(&gateway).await;
        assert_eq!(answer.status, 401, "{n}");
        assert_eq!(answer.field("x-monday-token-rejected"), None);
        assert!(scene.backend.count() <= 2 * (n + 1), "{n}: {}", scene.backend.count());
    }
    assert_eq!(scene.provider("github").oauth.refreshes().len(), 1);
    // A provider that the route has no grant of, or none at all, changes nothing.
    for name in ["nobody", "", "github, monday", "../x"] {
        let mut scene = Scene::usual();
        scene.backend = Backend::answering(format!(
            "HTTP/1.1 401 Unauthorized\r\nX-Monday-Token-Rejected: {name}\r\nContent-Length: 2\r\n\r\nno"
        ));
        let gateway = scene.start();
        let answer = act(&gateway).await;
        assert_eq!((answer.status, answer.field("x-monday-token-rejected")), (401, None), "{name}");
        assert_eq!(scene.backend.count(), 1, "{name}");
    }
}

fn uninstall_of(account: i64) -> String {
    let mut claims = kind("app-lifecycle").claims();
    claims["dat"]["account_id"] = json!(account);
    mint::sign(&claims, CLIENT)
}

async fn send_uninstall(gateway: &Gateway, account: i64, body: &Value) -> u16 {
    let lines = format!("Authorization: {}\r\nContent-Type: application/json\r\n", uninstall_of(account));
    gateway.request("POST", "/planner/lifecycle", &lines, &body.to_string()).await.status
}

#[tokio::test]
async fn an_uninstall_takes_the_grants_of_the_tokens_account_and_never_the_bodys() {
    let mut scene = Scene::usual();
    scene.backend = Backend::answering(ok("{}"));
    scene.movable_clock = true;
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    let body = |account: i64| json!({ "type": "uninstall", "data": { "account_id": account, "user_id": USER } });
    // An uninstall of another account that names this one in its body.
    assert_eq!(send_uninstall(&gateway, ACCOUNT + 1, &body(ACCOUNT)).await, 200);
    let lookup = async || {
        let seen = scene.backend.count();
        act(&gateway).await;
        scene.backend.when_seen(seen + 1).await.last().unwrap().field("x-monday-grants").unwrap_or_default().to_owned()
    };
    assert_eq!(lookup().await, "monday=ok, github=ok");
    // This account's, and monday refuses its grant: all are gone.
    scene.monday.oauth.forget_chains();
    scene.monday.oauth.state().live.clear();
    assert_eq!(send_uninstall(&gateway, ACCOUNT, &body(ACCOUNT)).await, 200);
    let begun = Instant::now();
    loop {
        let told = lookup().await;
        if !told.contains("=ok") {
            println!("cases: an uninstall, {told} after {:?}", begun.elapsed());
            break;
        }
        if begun.elapsed() > Duration::from_secs(5) {
            // Requests that are signed with the signing secret say that the app is there: quiet for a day.
            gateway.move_clock(25 * 3600);
        }
        assert!(begun.elapsed() < SOON * 3, "{told}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

const EVENTS_KEY: &str = "canary-events-key-0123456789abcdef0123456789";

/// Every file below.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn no_secret_is_in_any_log_metric_page_or_database_file() {
    let mut scene = Scene::usual();
    let told = Site::start(async |_| Said::json(200, &json!({})));
    scene.vault = "audit = \"audit.jsonl\"\n".into();
    scene.authorization = format!("events = {{ url = \"{}\", key = \"{EVENTS_KEY}\" }}\n", told.url("/events"));
    let setup = scene.setup().log("format = \"json\"\naccess = { file = \"access.log\" }\nlevel = \"debug\"\n");
    let gateway = Gateway::start(&setup);
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let denied = visitor.press(&at_monday, "Deny").await;
    visitor.press(&denied, "Try again").await;
    connect_all(&mut visitor).await;
    let tokens = [scene.monday.oauth.last_access(), scene.provider("github").oauth.last_access()];
    assert_eq!(got(&act(&gateway).await, "x-github-access-token").as_ref(), Some(&tokens[1]));
    for failure in ["invalid_grant", "temporarily_unavailable"] {
        scene.provider("github").oauth.state().failure = Some(crate::support::oauth_server::Failure::Error(failure));
        let page = visitor.visit(&format!("{AUTHORIZE}/connections")).await;
        let at_github = visitor.press(&page, "onnect github").await;
        if at_github.text().contains("Allow") {
            visitor.press(&at_github, "Allow").await;
        }
    }
    let events = within(SOON, "the backend is told", || {
        let events: Vec<String> =
            told.asked().iter().map(|asked| format!("{asked:?} {}", String::from_utf8_lossy(&asked.body))).collect();
        (events.iter().any(|event| event.contains("grant.created"))).then(|| events.join("\n"))
    })
    .await;
    let metrics = gateway.metrics().await;
    let ready = gateway.ask_admin("/readyz").await.text();
    let cookies: Vec<String> = visitor.cookies().into_iter().map(|(_, value)| value).collect();
    let pages: String = visitor.answers.iter().map(Answer::text).collect();
    let mut secrets = scene.secrets();
    secrets.push(EVENTS_KEY.to_owned());
    secrets.extend(
        secrets
            .clone()
            .iter()
            .map(|secret| base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, secret)),
    );
    let mut searched = 0;
    for secret in secrets.iter().chain(&cookies) {
        // A code or a state is in the address of the page that the provider sent the browser to, never in a page.
        for (what, text) in [("metrics", &metrics), ("readyz", &ready), ("a page", &pages), ("an event", &events)] {
            assert!(!text.contains(secret.as_str()), "{secret} in {what}");
        }
        gateway.assert_printed_none(&[secret]);
        for file in files(gateway.folder.path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if matches!(name.as_str(), "gateway.toml" | "clock")
                || file.extension().is_some_and(|extension| extension == "key")
            {
                continue;
            }
            let bytes = std::fs::read(&file).unwrap();
            assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "{secret} in {name}");
            searched += bytes.len();
        }
    }
    println!("cases: {} secrets searched for, {} MiB of files", secrets.len() + cookies.len(), searched >> 20);
}

#[tokio::test]
async fn a_vault_key_in_front_of_the_old_one_reads_everything() {
    let mut scene = Scene::usual();
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    scene.vault_keys = vec![NEXT_VAULT_KEY, VAULT_KEY];
    let gateway = scene.restart(gateway);
    for _ in 0..50 {
        assert_eq!(got(&act(&gateway).await, "x-monday-grants").as_deref(), Some("monday=ok, github=ok"));
    }
}

#[tokio::test]
async fn with_a_foreign_key_the_vault_is_not_read_and_nothing_is_lost() {
    let mut scene = Scene::usual();
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    scene.vault_keys = vec![NEXT_VAULT_KEY];
    let folder = gateway.into_folder();
    std::fs::write(folder.path().join("gateway.toml"), scene.setup().toml()).unwrap();
    let file = folder.path().join("gateway.toml");
    let mut child = crate::support::gateway::binary()
        .args(["run", "--config"])
        .arg(&file)
        .current_dir(folder.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let words = crate::support::gateway::Printed::gather(child.stderr.take().unwrap());
    // It says so at the start, or answers 503: never a grant that it cannot read, never an empty vault.
    let deadline = Instant::now() + SOON;
    while child.try_wait().unwrap().is_none() && !words.text().contains("listening") && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().ok();
    child.wait().ok();
    scene.vault_keys = vec![VAULT_KEY];
    let gateway = Gateway::start_in(folder, crate::support::certificates::Authority::new(), &scene.setup());
    assert_eq!(got(&act(&gateway).await, "x-monday-grants").as_deref(), Some("monday=ok, github=ok"));
}

#[tokio::test]
async fn grants_outlive_a_kill() {
    let scene = Scene::with(Monday::v21(), vec![(Provider::standard("github"), String::new())]);
    let mut gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    for _ in 0..5 {
        gateway = scene.restart(gateway);
        assert_eq!(got(&act(&gateway).await, "x-monday-grants").as_deref(), Some("monday=ok, github=ok"));
    }
}

/// As a gateway whose store was down when it started, and came.
async fn starts_without_its_store(kind_of_store: Kind) {
    let mut store = Store::start(kind_of_store);
    let mut scene = Scene::usual();
    scene.backend = Backend::answering(ok("{}"));
    scene.store = store.url();
    store.kill();
    let gateway = scene.start();
    assert_eq!(gateway.ask_admin("/readyz").await.status, 200);
    assert_eq!(act(&gateway).await.status, 200, "nothing is required there");
    assert_eq!(call(&gateway, "public", "").await.status, 200);
    assert_eq!(call(&gateway, "needs", &kind("action").token()).await.status, 503);
    let page = Visitor::new(&gateway).visit(&authorization_url(BACK_TO)).await;
    assert_eq!(page.status(), 503, "{}", page.text());
    // Nothing may be lost that was acknowledged.
    let uninstall = json!({ "type": "uninstall", "data": {} });
    let seen = scene.backend.count();
    assert_eq!(send_uninstall(&gateway, ACCOUNT + 5, &uninstall).await, 503);
    assert_eq!(scene.backend.count(), seen, "it comes again, and is heard then");
    assert_eq!(send_uninstall(&gateway, ACCOUNT + 5, &json!({ "type": "install", "data": {} })).await, 200);
    store.start_again();
    let begun = Instant::now();
    while call(&gateway, "needs", &kind("action").token()).await.status != 403 {
        assert!(begun.elapsed() < SOON, "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("cases: {kind_of_store:?}: served {:?} after the store came", begun.elapsed());
    connect_all(&mut Visitor::new(&gateway)).await;
    assert_eq!(call(&gateway, "needs", &kind("action").token()).await.status, 200);
    assert_eq!(send_uninstall(&gateway, ACCOUNT + 5, &uninstall).await, 200);
}

#[tokio::test]
async fn a_gateway_starts_without_its_postgresql_and_uses_it_when_it_comes() {
    starts_without_its_store(Kind::Postgres).await;
}

#[tokio::test]
async fn a_gateway_starts_without_its_redis_and_uses_it_when_it_comes() {
    starts_without_its_store(Kind::Redis).await;
}

#[tokio::test]
async fn an_uninstall_that_the_store_does_not_take_is_not_acknowledged() {
    for kind_of_store in [Kind::Postgres, Kind::Redis] {
        let mut store = Store::start(kind_of_store);
        let mut scene = Scene::usual();
        scene.backend = Backend::answering(ok("{}"));
        scene.store = store.url();
        let gateway = scene.start();
        let uninstall = json!({ "type": "uninstall", "data": {} });
        assert_eq!(send_uninstall(&gateway, ACCOUNT, &uninstall).await, 200);
        assert_eq!(scene.backend.count(), 1);
        store.kill();
        assert_eq!(send_uninstall(&gateway, ACCOUNT + 1, &uninstall).await, 503, "{kind_of_store:?}");
        assert_eq!(scene.backend.count(), 1);
        store.start_again();
        let begun = Instant::now();
        while send_uninstall(&gateway, ACCOUNT + 1, &uninstall).await != 200 {
            assert!(begun.elapsed() < SOON, "{}", gateway.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
