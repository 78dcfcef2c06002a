//! Chromium walks the flow (`tests/peers/node/browser.js` has the steps): every page is photographed and looked at by axe-core.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::fake_monday::Monday;
use crate::support::fake_provider::{GOOD_KEY, Provider, key_service};
use crate::support::gateway::Gateway;
use crate::support::mint::{self, BACK_TO, kind};
use crate::support::peers::{self, Peer};
use crate::support::scene::{AUTHORIZE, Scene, authorization_url};
use crate::support::setup::Setup;

/// Walks these scenarios; their pictures are below `target/screenshots/NAME`.
async fn walk(scene: &Scene, gateway: &Gateway, name: &str, scenarios: &[&str]) -> Value {
    let at = |target: String| format!("https://gw.test{target}");
    let mut expired = kind("authorization").claims();
    expired["exp"] = json!(mint::now() - 3600);
    expired["iat"] = json!(mint::now() - 3900);
    let mut links = json!({
        "usual": at(authorization_url(BACK_TO)),
        "elsewhere": at(authorization_url("https://evil.example/")),
        "stranger": at(format!("{AUTHORIZE}?token={}", mint::sign(&kind("authorization").claims(), mint::STRANGER))),
        "expired": at(format!("{AUTHORIZE}?token={}", mint::sign(&expired, mint::SIGNING))),
    });
    for n in 0..5 {
        links[format!("tab{n}")] = json!(at(authorization_url(&format!("https://myaccount.monday.com/boards/{n}"))));
    }
    let provider = scene.providers.first().map_or_else(String::new, |(provider, _)| provider.oauth.site.url(""));
    let servers = json!({ "monday": scene.monday.oauth.site.url(""), "provider": provider });
    walk_by(&links, &servers, gateway, name, scenarios).await
}

/// As `walk`, with these links and fake servers.
async fn walk_by(links: &Value, servers: &Value, gateway: &Gateway, name: &str, scenarios: &[&str]) -> Value {
    let options = json!({
        "gateway": gateway.address.port(), "certificate": gateway.folder.path().join("server.pem"),
        "monday": servers["monday"], "provider": servers["provider"], "links": links, "session": kind("view").token(),
        "screenshots": PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots").join(name),
        "scenarios": scenarios, "key": GOOD_KEY,
    });
    let file = gateway.folder.path().join("walk.json");
    std::fs::write(&file, options.to_string()).unwrap();
    let mut command = peers::node("browser.js");
    command.arg(&file);
    let output = peers::output_within(Duration::from_secs(170), command).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["serious"], json!([]), "{report:#}");
    assert_eq!(report["walked"].as_array().unwrap().len(), scenarios.len());
    println!(
        "cases: {name}: {} scenarios in Chromium, {} pages, {} pictures, {} looks of axe-core, {} minor findings",
        scenarios.len(),
        report["pages"],
        report["screenshots"],
        report["looked"],
        report["minor"]
    );
    report
}

#[tokio::test]
async fn chromium_and_axe_find_nothing_at_a_link_that_is_refused() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut expired = kind("authorization").claims();
    expired["exp"] = json!(mint::now() - 3600);
    let at = |token: String| format!("https://gw.test{}?token={token}", kind("authorization").path());
    let links = json!({
        "stranger": at(mint::sign(&kind("authorization").claims(), mint::STRANGER)),
        "expired": at(mint::sign(&expired, mint::SIGNING)),
    });
    walk_by(&links, &json!({}), &gateway, "refused", &["a link that is refused"]).await;
}

#[tokio::test]
async fn chromium_walks_the_flow_with_mondays_oauth_2_1() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let all = [
        "first time through two providers, second time straight back",
        "the connections page",
        "denial",
        "a provider's error",
        "a state that was used, and another browser's",
        "back button",
        "five tabs",
        "connect from a view",
        "another monday user",
        "an app that is not installed",
        "links that lead nowhere",
    ];
    walk(&scene, &gateway, "monday-2.1", &all).await;
}

#[tokio::test]
async fn chromium_walks_the_flow_with_mondays_legacy_oauth() {
    let scene = Scene::with(Monday::legacy(), vec![(Provider::standard("github"), String::new())]);
    let gateway = scene.start();
    let some = ["first time through two providers, second time straight back", "the connections page", "denial"];
    walk(&scene, &gateway, "monday-legacy", &some).await;
}

#[tokio::test]
async fn chromium_walks_through_npms_oidc_provider() {
    let provider = Peer::oidc(&json!({}));
    let mut scene = Scene::with(Monday::v21(), Vec::new());
    scene.grants = vec!["monday", "oidc"];
    scene.tables = format!(
        "[providers.oidc]\nissuer = \"{}\"\nclient_id = \"oidc-client\"\nclient_secret = \"canary-oidc-client-secret-0123456789abcdef\"\n\
         authentication = \"basic\"\nscopes = [\"openid\", \"offline_access\"]\nauthorize_params = {{ prompt = \"consent\" }}\n",
        provider.url()
    );
    let gateway = scene.start();
    walk(&scene, &gateway, "oidc", &["npm's oidc-provider"]).await;
}

#[tokio::test]
async fn chromium_confirms_who_it_is_and_types_a_key() {
    let service = key_service();
    let mut scene = Scene::with(Monday::v21(), Vec::new());
    scene.grants = vec!["desk"];
    scene.authorization = "identity = \"confirm\"\n".into();
    scene.tables = format!(
        "[providers.desk]\ntype = \"api_key\"\nname = \"Desk\"\nfields = [{{ name = \"key\", label = \"API key\" }}]\n\
         test = {{ url = \"{}\", headers = {{ Authorization = \"Bearer {{key}}\" }} }}\n",
        service.url("/me")
    );
    let gateway = scene.start();
    walk(&scene, &gateway, "key", &["a key form"]).await;
    let mut scene = Scene::usual();
    scene.grants = vec!["github"];
    scene.authorization = "identity = \"confirm\"\n".into();
    let gateway = scene.start();
    walk(&scene, &gateway, "confirm", &["confirmation"]).await;
}

#[tokio::test]
async fn chromium_is_told_that_an_admin_has_to_connect() {
    let scene = Scene::with(Monday::v21(), vec![(Provider::standard("github"), "per = \"account\"\n".into())]);
    let gateway = scene.start();
    walk(&scene, &gateway, "account", &["only an admin connects"]).await;
}
