//! The tests' own equipment: that the real backends say what they received, and that the mints agree.

use crate::support::fake_monday::Monday;
use crate::support::mint::{self, SIGNING, kind};
use crate::support::peers::{self, Peer};
use crate::support::raw::{self, Raw};
use crate::support::scene::Scene;
use crate::support::sha256;
use crate::support::stores;

#[tokio::test]
async fn each_backend_reports_what_it_received() {
    for (name, peer) in [
        ("express", Peer::express()),
        ("fastapi", Peer::fastapi()),
        ("fastapi h11", Peer::fastapi_h11()),
        ("node", Peer::node_http()),
        ("gunicorn", Peer::gunicorn()),
        ("hyper", Peer::hyper()),
    ] {
        let mut connection = Raw::plain(peer.address).await;
        connection.send(&raw::request("POST", "/a%20b?c=d", "X-Own: 1\r\n", "body")).await;
        let answer = connection.answer().await;
        assert_eq!(answer.json()["target"], "/a%20b?c=d", "{name}");
        assert_eq!(answer.json()["sha256"], sha256(b"body"), "{name}");
        assert_eq!(answer.echoed_values("x-own"), ["1"], "{name}");
        let seen = peer.seen().await;
        assert_eq!((seen.len(), &seen[0]["bodyLength"]), (1, &4.into()), "{name}");
    }
}

#[tokio::test]
async fn nginx_reports_what_it_received() {
    let peer = Peer::nginx();
    let mut connection = Raw::plain(peer.address).await;
    connection.send(&raw::request("GET", "/a%20b?c=d", "X-Monday-App: x\r\n", "")).await;
    assert_eq!(connection.answer().await.json()["app"], "x");
    assert_eq!(peer.seen_when(1).await[0]["target"], "/a%20b?c=d");
}

#[test]
fn the_mints_agree_on_the_claims_and_the_signature() {
    let claims = kind("view").claims();
    let wanted = [(claims.clone(), SIGNING)];
    for minter in [peers::npm_minter(), peers::python_minter()] {
        let token = peers::mint(minter, &wanted).remove(0);
        assert_eq!(mint::payload(&token), claims);
        let (input, tag) = token.rsplit_once('.').unwrap();
        assert_eq!(tag, mint::encode(&mint::mac(aws_lc_rs::hmac::HMAC_SHA256, SIGNING.as_bytes(), input.as_bytes())));
    }
}

/// The fake monday and providers by themselves: a code with its verifier becomes tokens, a refresh token turns once.
#[tokio::test]
async fn the_fake_authorization_servers_are_strict() {
    let monday = Monday::v21();
    let site = &monday.oauth.site;
    let callback = "https%3A%2F%2Fgw.test%2Fplanner%2Fauthorize%2Fcallback%2Fmonday";
    let verifier = "v".repeat(43);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let good = format!(
        "client_id={}&redirect_uri={callback}&state={}&response_type=code&force_install_if_needed=true&scope=me%3Aread&code_challenge={}&code_challenge_method=S256",
        mint::CLIENT_ID,
        "s".repeat(22),
        mint::encode(digest.as_ref())
    );
    for bad in
        ["client_id=", "redirect_uri=", "state=", "response_type=", "code_challenge=", "force_install_if_needed="]
    {
        let query = good.replace(bad, &format!("x{bad}"));
        assert_eq!(raw::get(site.address, &format!("/oauth2/authorize?{query}")).await.status, 400, "{bad}");
    }
    let page = raw::get(site.address, &format!("/oauth2/authorize?{good}")).await;
    assert!(page.text().contains("Allow"), "{}", page.text());
    let post = async |path: &str, kind: &str, body: String| {
        let mut connection = Raw::plain(site.address).await;
        connection.send(&raw::request("POST", path, &format!("Content-Type: {kind}\r\n"), &body)).await;
        connection.answer().await
    };
    let form = "application/x-www-form-urlencoded";
    let back = post(&format!("/oauth2/authorize/decide?{good}"), form, "decision=allow".into()).await;
    let to = url::Url::parse(back.field("location").unwrap()).unwrap();
    let code = to.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let redeem = |code: &str, verifier: &str| {
        serde_json::json!({
            "grant_type": "authorization_code", "client_id": mint::CLIENT_ID, "client_secret": mint::CLIENT, "code": code,
            "code_verifier": verifier, "redirect_uri": "https://gw.test/planner/authorize/callback/monday",
        })
        .to_string()
    };
    let token = "/oauth_ms/oauth/token";
    assert_eq!(post(token, "application/json", redeem("other", &verifier)).await.status, 400);
    let tokens = post(token, "application/json", redeem(&code, &verifier)).await.json();
    assert!(
        tokens["expires_in"].is_null() && tokens["access_token"].as_str().unwrap().split('.').count() == 3,
        "{tokens}"
    );
    assert_eq!(post(token, "application/json", redeem(&code, &verifier)).await.status, 400, "a code is used once");
    let refresh = |token: &str| {
        format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={token}",
            mint::CLIENT_ID,
            mint::CLIENT
        )
    };
    let old = tokens["refresh_token"].as_str().unwrap();
    let next = post(token, form, refresh(old)).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(post(token, form, refresh(old)).await.status, 400, "a refresh token is used once");
    assert_eq!(post(token, form, refresh(next.json()["refresh_token"].as_str().unwrap())).await.status, 200);
    let lines = format!(
        "Authorization: {}\r\nContent-Type: application/json\r\n",
        next.json()["access_token"].as_str().unwrap()
    );
    let mut connection = Raw::plain(site.address).await;
    connection.send(&raw::request("POST", "/v2", &lines, "{\"query\":\"{ me { id } }\"}")).await;
    assert_eq!(connection.answer().await.json()["data"]["me"]["id"], mint::USER.to_string());
}

#[test]
fn the_file_of_a_scene_has_no_mistake() {
    for scene in [Scene::usual(), Scene::with(Monday::legacy(), Vec::new())] {
        let folder = tempfile::tempdir().unwrap();
        let authority = crate::support::certificates::Authority::new();
        authority.leaf(&crate::support::gateway::NAMES).write(folder.path(), "server");
        let file = folder.path().join("gateway.toml");
        let mut scene = scene;
        if scene.providers.is_empty() {
            scene.grants = vec!["monday"];
        }
        std::fs::write(&file, scene.setup().toml()).unwrap();
        let output = crate::support::gateway::binary().args(["check", "--config"]).arg(&file).output().unwrap();
        let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words}\n{}", scene.setup().toml());
    }
}

#[test]
fn postgresql_and_redis_start() {
    for kind in [stores::Kind::Postgres, stores::Kind::Redis] {
        let mut store = stores::Store::start(kind);
        store.freeze();
        store.thaw();
        store.kill();
        store.start_again();
        assert!(store.url().contains("127.0.0.1"), "{kind:?}");
    }
}
