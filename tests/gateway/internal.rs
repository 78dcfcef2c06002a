//! The internal API: fresh tokens, listings, revocation and signatures for backends that work in the background, each client
//! only for its apps and grants; and what schemathesis makes of its OpenAPI document.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::fake_monday::Monday;
use crate::support::fake_provider::Provider;
use crate::support::gateway::Gateway;
use crate::support::mint::{self, ACCOUNT, APP_ID, SIGNING, USER};
use crate::support::peers;
use crate::support::raw::{self, Raw};
use crate::support::scene::{Scene, act, connect_all, got};
use crate::support::visitor::Visitor;

const KEY: &str = "canary-internal-key-6666666666666666666666";
const READER: &str = "canary-reader-key-77777777777777777777777777";
const OTHERS: &str = "canary-others-key-88888888888888888888888888";

fn scene() -> Scene {
    let mut scene = Scene::with(Monday::v21(), vec![(Provider::standard("github"), String::new())]);
    scene.tables = format!(
        "[internal]\nlisten = \"127.0.0.1:0\"\n\
         [internal.clients.backend]\nkey = [\"{KEY}\"]\napps = [\"planner\"]\ngrants = [\"monday\", \"github\"]\ncan = [\"read\", \"list\", \"revoke\", \"sign\"]\n\
         [internal.clients.reader]\nkey = [\"{READER}\"]\napps = [\"planner\"]\ngrants = [\"github\"]\n\
         [internal.clients.others]\nkey = [\"{OTHERS}\"]\napps = [\"other\"]\ngrants = [\"github\"]\ncan = [\"read\", \"list\", \"revoke\", \"sign\"]\n\
         [apps.other]\nclient_id = \"other\"\napp_id = 77\nclient_secret = \"{}\"\nsigning_secret = \"{}\"\n",
        mint::OTHER_CLIENT,
        mint::OTHER_SIGNING
    );
    scene
}

async fn ask(at: SocketAddr, key: &str, method: &str, path: &str) -> Answer {
    let mut connection = Raw::plain(at).await;
    let lines = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    let lines = format!("{lines}Connection: close\r\n");
    connection.send(&raw::request(method, path, &lines, "")).await;
    connection.answer().await
}

fn grant_of(app: &str, account: i64, user: i64, provider: &str) -> String {
    format!("/v1/apps/{app}/accounts/{account}/users/{user}/grants/{provider}")
}

#[tokio::test]
async fn a_backend_gets_fresh_tokens_and_takes_grants_back() {
    let scene = scene();
    let gateway = scene.start();
    let at = gateway.listener("internal");
    connect_all(&mut Visitor::new(&gateway)).await;
    let github = scene.provider("github").oauth.last_access();
    let answer = ask(at, KEY, "GET", &grant_of("planner", ACCOUNT, USER, "github")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&github), "{}", answer.text());
    assert!(answer.field("cache-control").is_some_and(|value| value.contains("no-store")));
    assert!(!answer.text().contains("refresh"), "{}", answer.text());
    // Unknown, foreign and absent are the same.
    let strangers = [
        (KEY, grant_of("planner", ACCOUNT, USER + 1, "github")),
        (KEY, grant_of("planner", ACCOUNT + 1, USER, "github")),
        (KEY, grant_of("planner", ACCOUNT, USER, "slack")),
        (KEY, grant_of("nobody", ACCOUNT, USER, "github")),
        (KEY, grant_of("other", ACCOUNT, USER, "github")),
        (READER, grant_of("planner", ACCOUNT, USER, "monday")),
        (OTHERS, grant_of("planner", ACCOUNT, USER, "github")),
        (OTHERS, grant_of("other", ACCOUNT, USER, "github")),
    ];
    let mut bodies: Vec<(u16, String)> = Vec::new();
    for (key, path) in &strangers {
        let answer = ask(at, key, "GET", path).await;
        bodies.push((answer.status, without_request_id(&answer.json()).to_string()));
    }
    assert!(bodies.iter().all(|body| *body == bodies[0] && body.0 == 404), "{bodies:#?}");
    for key in ["", "wrong", SIGNING, KEY.get(1..).unwrap(), &format!("{KEY}x")] {
        assert_eq!(ask(at, key, "GET", &grant_of("planner", ACCOUNT, USER, "github")).await.status, 401, "{key}");
    }
    let refused = ask(at, READER, "DELETE", &grant_of("planner", ACCOUNT, USER, "github")).await;
    assert!(matches!(refused.status, 403 | 404), "{}", refused.text());
    let gone = ask(at, KEY, "DELETE", &grant_of("planner", ACCOUNT, USER, "github")).await;
    assert!(matches!(gone.status, 200 | 204), "{}", gone.text());
    assert_eq!(got(&act(&gateway).await, "x-monday-grants").as_deref(), Some("monday=ok, github=revoked"));
    gateway.assert_printed_none(&[KEY, READER, OTHERS, &github]);
}

fn without_request_id(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !name.contains("request"));
    }
    body
}

#[tokio::test]
async fn a_signature_is_exactly_what_monday_wants() {
    let scene = scene();
    let gateway = scene.start();
    let at = gateway.listener("internal");
    let answer = ask(at, KEY, "POST", "/v1/apps/planner/tokens").await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    let token = answer.json()["token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    let claims = peers::verified(peers::npm_verifier(), &token, SIGNING).await;
    let claims = if claims["appId"].is_null() { mint::payload(&token) } else { claims };
    let mut names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["appId", "exp", "iat"], "{claims}");
    assert_eq!(claims["appId"], json!(APP_ID));
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 300);
    assert_eq!(ask(at, READER, "POST", "/v1/apps/planner/tokens").await.status, 403, "it may not sign");
    assert_eq!(ask(at, OTHERS, "POST", "/v1/apps/planner/tokens").await.status, 404);
}

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let scene = scene();
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    let at = gateway.listener("internal");
    let mut command = peers::schemathesis();
    command.args(["run", &format!("http://{at}/openapi.json"), "--header"]);
    command.arg(format!("Authorization: Bearer {KEY}"));
    command.args(["--max-examples", "60", "--checks", "all", "--no-color", "--seed", "1"]);
    command.current_dir(gateway.folder.path());
    let output = peers::output_within(Duration::from_secs(200), command).await;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Vec<&str> = words.lines().map(str::trim).filter(|line| is_count(line)).collect();
    assert!(told.iter().any(|line| line.contains(" generated")), "{words}");
    println!("cases: schemathesis: {}", told.join("; "));
    assert!(Gateway::metric(&gateway, "gateway_build_info", &[]).await >= 1.0);
}

/// A line of schemathesis's summary that says how much was tried.
fn is_count(line: &str) -> bool {
    let is_cases = line.starts_with(|first: char| first.is_ascii_digit()) && line.contains(" generated");
    is_cases || ["Selected:", "Tested:"].iter().any(|word| line.starts_with(word))
}

#[tokio::test]
async fn a_unix_socket_is_told_at_start_and_the_vault_is_shown_in_readyz() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("internal.sock");
    let mut scene = scene();
    scene.tables = scene.tables.replace("127.0.0.1:0", &format!("unix:{}", socket.display()));
    let gateway = scene.start();
    assert!(gateway.log().contains(&format!("unix:{}", socket.display())), "{}", gateway.log());
    let is_shown =
        async || gateway.ask_admin("/readyz").await.text().contains(r#""vault":{"reachable":true,"store":"sqlite"}"#);
    let deadline = std::time::Instant::now() + crate::support::SOON;
    while !is_shown().await {
        assert!(std::time::Instant::now() < deadline, "{}", gateway.ask_admin("/readyz").await.text());
    }
}
