//! The kind `jwt`: tokens of issuers that nobody here wrote, their keys while they change, and what unknown keys cannot do.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::gateway::Gateway;
use crate::support::mint;
use crate::support::peers::Peer;
use crate::support::raw::{self, Raw};
use crate::support::scene::got;
use crate::support::setup::Setup;
use crate::support::site::{Said, Site};

const AUDIENCE: &str = "https://api.example.com";

fn setup(backend: &Backend, issuer: &str, more: &str) -> Setup {
    Setup::bare(&backend.address)
        .route("path = \"/api/{*rest}\"\nkind = \"jwt\"\nissuer = \"own\"")
        .route("path = \"/planner/action/{*rest}\"\nkind = \"action\"")
        .table(&format!("[issuers.own]\nissuer = \"{issuer}\"\naudience = [\"{AUDIENCE}\"]\naccount = \"org_id\"\nuser = \"uid\"\n{more}\n"))
}

/// A token of npm's oidc-provider.
async fn token(issuer: &Peer, algorithm: &str) -> String {
    let mut connection = Raw::plain(issuer.address).await;
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        "oidc-client:canary-oidc-client-secret-0123456789abcdef",
    );
    let body = format!("grant_type=client_credentials&scope=calendar&resource=urn:{algorithm}");
    let head = format!(
        "POST /token HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        issuer.address,
        body.len()
    );
    connection.send(head.as_bytes()).await;
    let answer = connection.answer().await;
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

async fn post(issuer: &Peer, path: &str) {
    let mut connection = Raw::plain(issuer.address).await;
    connection.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
    connection.answer().await;
}

async fn key_fetches(issuer: &Peer) -> u64 {
    raw::get(issuer.address, "/__seen").await.json()["/jwks"].as_u64().unwrap_or(0)
}

async fn call(gateway: &Gateway, token: &str) -> Answer {
    gateway.request("GET", "/api/things", &format!("Authorization: Bearer {token}\r\n"), "").await
}

#[tokio::test]
async fn keys_of_npms_oidc_provider_verify() {
    let issuer = Peer::oidc(&json!({ "audience": AUDIENCE }));
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend, &issuer.url(), ""));
    for algorithm in ["rs256", "es256"] {
        let answer = call(&gateway, &token(&issuer, algorithm).await).await;
        assert_eq!(answer.status, 200, "{algorithm}: {}\n{}", answer.text(), gateway.log());
        assert_eq!(got(&answer, "x-monday-account-id").as_deref(), Some("77"), "{algorithm}");
        assert_eq!(got(&answer, "x-monday-user-id").as_deref(), Some("42"), "{algorithm}");
        assert_eq!(got(&answer, "x-monday-kind").as_deref(), Some("jwt"), "{algorithm}");
        assert_eq!(got(&answer, "x-monday-api-key"), None, "{algorithm}");
    }
    assert!(key_fetches(&issuer).await <= 2);
}

#[tokio::test]
async fn a_token_that_is_bent_is_refused() {
    let issuer = Peer::oidc(&json!({ "audience": AUDIENCE }));
    let stranger = Peer::oidc(&json!({ "audience": AUDIENCE }));
    let elsewhere = Peer::oidc(&json!({ "audience": "https://other.example.com" }));
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend, &issuer.url(), ""));
    let good = token(&issuer, "rs256").await;
    assert_eq!(call(&gateway, &good).await.status, 200);
    let parts: Vec<&str> = good.split('.').collect();
    let kid = serde_json::from_slice::<Value>(&mint::decode(parts[0])).unwrap()["kid"].clone();
    let with_header =
        |header: Value, tag: &str| format!("{}.{}.{tag}", mint::encode(header.to_string().as_bytes()), parts[1]);
    let mut claims = mint::payload(&good);
    claims["uid"] = json!(43);
    let forged = format!("{}.{}.{}", parts[0], mint::encode(claims.to_string().as_bytes()), parts[2]);
    let public = raw::get(issuer.address, "/jwks").await.text();
    let mac = mint::sign_parts(
        json!({ "alg": "HS256", "kid": kid }).to_string().as_bytes(),
        &mint::decode(parts[1]),
        public.as_bytes(),
    );
    let bent = [
        ("another payload", forged),
        ("none", with_header(json!({ "alg": "none" }), "")),
        ("none with a signature", with_header(json!({ "alg": "none", "kid": kid }), parts[2])),
        ("HS256 with the public keys", mac),
        ("another algorithm of the same family", with_header(json!({ "alg": "RS512", "kid": kid }), parts[2])),
        ("PS256 for an RS256 key", with_header(json!({ "alg": "PS256", "kid": kid }), parts[2])),
        ("ES256 for an RSA key", with_header(json!({ "alg": "ES256", "kid": kid }), parts[2])),
        ("an embedded key", with_header(json!({ "alg": "RS256", "jwk": {} }), parts[2])),
        ("crit", with_header(json!({ "alg": "RS256", "kid": kid, "crit": ["x"], "x": 1 }), parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("another issuer", token(&stranger, "rs256").await),
        ("another issuer and audience", token(&elsewhere, "es256").await),
        ("monday's", mint::kind("action").token()),
        ("nothing", String::new()),
    ];
    for (what, token) in &bent {
        let answer = call(&gateway, token).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    }
    let seen = backend.count();
    assert_eq!(seen, 1);
    let action = gateway.request("POST", "/planner/action/run", &format!("Authorization: {good}\r\n"), "{}").await;
    assert_eq!(action.status, 401, "an issuer's token is no monday token");
    println!("cases: {} bent tokens of an issuer", bent.len() + 1);
}

#[tokio::test]
async fn another_audience_is_refused_and_required_claims_are() {
    let issuer = Peer::oidc(&json!({ "audience": "https://other.example.com" }));
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend, &issuer.url(), ""));
    assert_eq!(call(&gateway, &token(&issuer, "rs256").await).await.status, 401);
    let issuer = Peer::oidc(&json!({ "audience": AUDIENCE, "claims": { "org_id": 77, "uid": 42, "tier": "gold" } }));
    for (more, status) in [
        ("require = { tier = \"gold\" }", 200),
        ("require = { tier = true }", 200),
        ("require = { tier = \"silver\" }", 401),
        ("require = { absent = true }", 401),
    ] {
        let gateway = Gateway::start(&setup(&backend, &issuer.url(), more));
        let answer = call(&gateway, &token(&issuer, "es256").await).await;
        assert!(answer.status == status || (status == 401 && answer.status == 403), "{more}: {}", answer.text());
    }
}

#[tokio::test]
async fn keys_that_are_rotated_under_load_fail_no_request() {
    let issuer = Peer::oidc(&json!({ "audience": AUDIENCE }));
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend, &issuer.url(), ""));
    let mut requests = 0;
    for round in 0..2 {
        if round > 0 {
            post(&issuer, "/__rotate").await;
        }
        let until = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < until {
            let mut asking = tokio::task::JoinSet::new();
            for n in 0..8 {
                let token = token(&issuer, if n % 2 == 0 { "rs256" } else { "es256" }).await;
                let mut connection = gateway.connect().await;
                asking.spawn(async move {
                    let lines = format!("Authorization: Bearer {token}\r\n");
                    connection.send(&raw::request("GET", "/api/x", &lines, "")).await;
                    connection.answer().await
                });
            }
            while let Some(answer) = asking.join_next().await {
                let answer = answer.unwrap();
                assert_eq!(answer.status, 200, "round {round}, after {requests}: {}\n{}", answer.text(), gateway.log());
                requests += 1;
            }
        }
    }
    let fetches = key_fetches(&issuer).await;
    assert!(fetches <= 8, "{fetches}");
    println!("cases: {requests} requests through a rotation, {fetches} fetches of the keys");
}

#[tokio::test]
async fn ten_thousand_unknown_keys_cause_two_fetches_at_most() {
    let issuer = Peer::oidc(&json!({ "audience": AUDIENCE }));
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend, &issuer.url(), ""));
    let good = token(&issuer, "rs256").await;
    assert_eq!(call(&gateway, &good).await.status, 200);
    let before = key_fetches(&issuer).await;
    let parts: Vec<&str> = good.split('.').collect();
    let mut connection = gateway.connect().await;
    for n in 0..10_000 {
        let header =
            mint::encode(json!({ "alg": "RS256", "typ": "at+jwt", "kid": format!("k{n}") }).to_string().as_bytes());
        let lines = format!("Authorization: Bearer {header}.{}.{}\r\n", parts[1], parts[2]);
        connection.send(&raw::request("GET", "/api/x", &lines, "")).await;
        let answer = connection.maybe_answer().await;
        let closed = answer.as_ref().is_none_or(|answer| answer.field("connection") == Some("close"));
        if let Some(answer) = answer {
            assert_eq!(answer.status, 401, "{}", answer.text());
        }
        if closed {
            connection = gateway.connect().await;
        }
    }
    let fetches = key_fetches(&issuer).await - before;
    assert!(fetches <= 2, "{fetches}");
    assert_eq!(call(&gateway, &good).await.status, 200);
    println!("cases: 10000 unknown kids, {fetches} fetches");
}

#[tokio::test]
async fn an_issuer_that_is_down_is_a_503_without_keys_and_none_with_them() {
    let backend = Backend::echo();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&setup(&backend, &format!("http://{nowhere}"), ""));
    let own = Peer::oidc(&json!({ "audience": AUDIENCE }));
    let mut claims = mint::payload(&token(&own, "rs256").await);
    claims["iss"] = json!(format!("http://{nowhere}"));
    let made = format!(
        "{}.{}.{}",
        mint::encode(json!({ "alg": "RS256", "kid": "a" }).to_string().as_bytes()),
        mint::encode(claims.to_string().as_bytes()),
        mint::encode(&[7; 256])
    );
    let begun = Instant::now();
    let answer = call(&gateway, &made).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(
        gateway
            .request(
                "POST",
                "/planner/action/run",
                &format!("Authorization: {}\r\n", mint::kind("action").token()),
                "{}"
            )
            .await
            .status,
        200
    );

    let gateway = Gateway::start(&setup(&backend, &own.url(), ""));
    let good = token(&own, "rs256").await;
    assert_eq!(call(&gateway, &good).await.status, 200);
    drop(own);
    for _ in 0..20 {
        assert_eq!(call(&gateway, &good).await.status, 200, "a stale set is used");
    }
}

#[tokio::test]
async fn an_issuer_that_lies_about_itself_or_its_keys_is_not_believed() {
    let backend = Backend::echo();
    for what in ["another issuer", "keys elsewhere", "no keys", "no JSON", "huge"] {
        let decoy = Site::start(async |_| Said::json(200, &json!({ "keys": [] })));
        let to = decoy.url("/jwks").replace("127.0.0.1", "192.0.2.1");
        let site = Site::start(move |asked| {
            let (what, to) = (what, to.clone());
            async move {
                let base = format!("http://{}", asked.field("host").unwrap_or_default());
                if asked.path == "/jwks" {
                    return match what {
                        "no JSON" => Said::html(200, "<h1>"),
                        "huge" => Said::text(
                            200,
                            "application/json",
                            &format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(9_000_000)),
                        ),
                        _ => Said::json(200, &json!({ "keys": [] })),
                    };
                }
                let issuer = if what == "another issuer" { "https://evil.example".to_owned() } else { base.clone() };
                let keys = if what == "keys elsewhere" { to } else { format!("{base}/jwks") };
                Said::json(
                    200,
                    &json!({ "issuer": issuer, "jwks_uri": keys, "authorization_endpoint": base, "token_endpoint": base }),
                )
            }
        });
        let gateway = Gateway::start(&setup(&backend, &site.url(""), ""));
        let claims = json!({ "iss": site.url(""), "aud": AUDIENCE, "exp": mint::now() + 300, "iat": mint::now(), "org_id": 1, "uid": 2 });
        let made = format!(
            "{}.{}.{}",
            mint::encode(json!({ "alg": "RS256", "kid": "a" }).to_string().as_bytes()),
            mint::encode(claims.to_string().as_bytes()),
            mint::encode(&[7; 256])
        );
        let answer = call(&gateway, &made).await;
        assert!(matches!(answer.status, 401 | 503), "{what}: {} {}", answer.status, answer.text());
    }
    assert_eq!(backend.count(), 0);
}
