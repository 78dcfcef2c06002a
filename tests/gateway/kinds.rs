//! Each kind of request from monday to a real backend and back, and what never gets there.

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2};
use crate::support::mint::{
    self, ACCOUNT, API_KEY, BACK_TO, CLIENT, KINDS, Kind, Place, RESIGN, SIGNING, STRANGER, USER, kind, verified_kinds,
};
use crate::support::peers::{self, Peer};
use crate::support::raw;
use crate::support::setup::Setup;
use crate::support::{SOON, sha256, within};

const BODY: &str = r#"{"payload":{"inputFields":{"boardId":1}},"runtimeMetadata":{"actionUuid":"3b0a"}}"#;

/// What the backend must have received for a kind, beside what the kind does not have.
fn assert_identity(kind: &Kind, answer: &Answer, what: &str) {
    let one = |name: &str| {
        let values = answer.echoed_values(name);
        assert!(values.len() <= 1, "{what}: {name} {values:?}");
        values.into_iter().next()
    };
    if kind.place == Place::Nowhere {
        assert_eq!(one("x-monday-account-id"), None, "{what}");
        assert_eq!(one("x-monday-user-id"), None, "{what}");
        return;
    }
    assert_eq!(one("x-monday-app").as_deref(), Some("planner"), "{what}");
    assert_eq!(one("x-monday-kind").as_deref(), Some(kind.name), "{what}");
    assert_eq!(one("x-monday-account-id"), Some(ACCOUNT.to_string()), "{what}");
    assert_eq!(one("x-monday-user-id"), Some(USER.to_string()), "{what}");
    let has_key = !kind.dat || kind.name == "feature-lifecycle";
    assert_eq!(one("x-monday-api-key").as_deref(), has_key.then_some(API_KEY), "{what}");
    assert_eq!(one("x-monday-back-to-url").as_deref(), kind.back_to_url.then_some(BACK_TO), "{what}");
    for (name, value) in [
        ("x-monday-is-admin", "true"),
        ("x-monday-is-guest", "false"),
        ("x-monday-is-view-only", "false"),
        ("x-monday-user-kind", "admin"),
        ("x-monday-account-slug", "instance-slug"),
        ("x-monday-app-id", "10012345"),
        ("x-monday-install-id", "-2"),
    ] {
        assert_eq!(one(name).as_deref(), kind.dat.then_some(value), "{what} {name}");
    }
    assert!(one("x-request-id").is_some(), "{what}");
    assert!(one("forwarded").is_some(), "{what}");
    assert_eq!(one("x-forwarded-for").as_deref(), Some("127.0.0.1"), "{what}");
    assert_eq!(one("x-forwarded-proto").as_deref(), Some("https"), "{what}");
}

/// Method and body as monday has them.
fn shape(kind: &Kind) -> (&'static str, &'static str) {
    if kind.back_to_url || kind.place == Place::Nowhere { ("GET", "") } else { ("POST", BODY) }
}

async fn ask_http2(client: &mut H2, kind: &Kind, token: Option<&str>) -> Answer {
    let (method, body) = shape(kind);
    let (target, line) = token.map_or_else(|| (kind.path(), String::new()), |token| kind.request_with(token));
    let value = line.strip_prefix("Authorization: ").map(|line| line.trim_end().to_owned());
    let mut fields = vec![("content-type", "application/json")];
    fields.extend(value.as_deref().map(|value| ("authorization", value)));
    client.ask(http2::request(method, &target, &fields), body.as_bytes()).await
}

async fn ask_http1(gateway: &Gateway, kind: &Kind, token: Option<&str>) -> Answer {
    let (method, body) = shape(kind);
    let (target, lines) = token.map_or_else(|| (kind.path(), String::new()), |token| kind.request_with(token));
    gateway.request(method, &target, &format!("{lines}Content-Type: application/json\r\n"), body).await
}

/// Every kind, over both protocols, with tokens of three mints.
async fn every_kind_reaches(peer: Peer) {
    let gateway = Gateway::start(&Setup::standard(&peer.url()));
    let wanted: Vec<(Value, &str)> =
        KINDS.iter().map(|kind| (kind.claims(), kind.secrets.first().copied().unwrap_or(SIGNING))).collect();
    let own = KINDS.iter().map(Kind::token).collect();
    let mints = [own, peers::mint(peers::npm_minter(), &wanted), peers::mint(peers::python_minter(), &wanted)];
    let mut client = H2::connect(&gateway).await;
    let mut cases = 0;
    for tokens in &mints {
        for (kind, token) in KINDS.iter().zip(tokens) {
            let (method, body) = shape(kind);
            for protocol in ["HTTP/1.1", "HTTP/2"] {
                let what = format!("{} over {protocol}", kind.name);
                let answer = match protocol {
                    "HTTP/2" => ask_http2(&mut client, kind, Some(token)).await,
                    _ => ask_http1(&gateway, kind, Some(token)).await,
                };
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                assert_identity(kind, &answer, &what);
                let echo = answer.json();
                assert_eq!(echo["method"], method, "{what}");
                assert_eq!(echo["target"], kind.path(), "{what}");
                assert_eq!(echo["bodyLength"], body.len(), "{what}");
                assert_eq!(echo["sha256"], sha256(body.as_bytes()), "{what}");
                if kind.place != Place::Nowhere {
                    let sent = answer.echoed_values("authorization");
                    assert_eq!(sent.len(), 1, "{what}");
                    assert!(sent.iter().all(|value| value.ends_with(token.as_str())), "{what}: {sent:?}");
                }
                cases += 1;
            }
        }
    }
    assert_eq!(peer.seen().await.len(), cases);
    println!("cases: {cases} requests, each of 12 kinds over HTTP/1.1 and HTTP/2 with tokens of 3 mints");
}

#[tokio::test]
async fn every_kind_reaches_express_with_the_right_headers() {
    every_kind_reaches(Peer::express()).await;
}

#[tokio::test]
async fn every_kind_reaches_fastapi_with_the_right_headers() {
    every_kind_reaches(Peer::fastapi()).await;
}

/// Tokens that fail at `kind`, each with what is wrong with it.
fn failing_tokens(kind: &Kind) -> Vec<(&'static str, Option<String>)> {
    let secret = kind.secrets[0];
    let mut expired = kind.claims();
    expired["exp"] = json!(mint::now() - 120);
    expired["iat"] = json!(mint::now() - 420);
    let payload = kind.claims().to_string();
    let none = format!("{}.{}.", mint::encode(br#"{"alg":"none","typ":"JWT"}"#), mint::encode(payload.as_bytes()));
    let other_secret = if kind.secrets.len() > 1 {
        mint::OTHER_SIGNING
    } else if secret == SIGNING {
        CLIENT
    } else {
        SIGNING
    };
    let right = mint::sign(&kind.claims(), secret);
    let (body, signature) = right.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    let mut no_ids = kind.claims();
    for name in ["accountId", "userId", "dat"] {
        no_ids.as_object_mut().unwrap().remove(name);
    }
    let mut other_kind = kind.claims();
    if kind.back_to_url {
        other_kind.as_object_mut().unwrap().remove("backToUrl");
    } else {
        other_kind["backToUrl"] = json!(BACK_TO);
    }
    vec![
        ("no token", None),
        ("forged", Some(mint::sign(&kind.claims(), STRANGER))),
        ("expired", Some(mint::sign(&expired, secret))),
        ("alg none", Some(none.clone())),
        ("alg none with a signature", Some(format!("{none}{signature}"))),
        ("the other secret", Some(mint::sign(&kind.claims(), other_secret))),
        ("another kind's", Some(mint::sign(&other_kind, secret))),
        ("no ids", Some(mint::sign(&no_ids, secret))),
        ("no signature", Some(format!("{body}."))),
        ("another signature", Some(format!("{body}.{flipped}{}", signature.get(1..).unwrap()))),
        ("an empty key", Some(mint::sign(&kind.claims(), ""))),
        ("no token at all", Some("undefined".into())),
    ]
}

#[tokio::test]
async fn no_failing_token_reaches_the_backend_of_any_kind() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut client = H2::connect(&gateway).await;
    let mut cases = 0;
    for kind in verified_kinds() {
        for (what, token) in failing_tokens(&kind) {
            for answer in [
                ask_http1(&gateway, &kind, token.as_deref()).await,
                ask_http2(&mut client, &kind, token.as_deref()).await,
            ] {
                let what = format!("{what} at {}: {}", kind.name, answer.text());
                assert_eq!(answer.status, 401, "{what}");
                assert!(answer.field("www-authenticate").is_some_and(|v| v.starts_with("Bearer")), "{what}");
                if kind.back_to_url {
                    assert!(answer.field("content-type").unwrap().starts_with("text/html"), "{what}");
                } else {
                    assert_eq!(answer.json()["severityCode"], 4000, "{what}");
                    assert!(answer.json()["notificationErrorTitle"].is_string(), "{what}");
                }
                cases += 1;
            }
        }
    }
    assert_eq!(backend.count(), 0, "{:?}", backend.seen());
    assert_eq!(backend.connections(), 0);
    println!("cases: {cases} requests with failing tokens, 0 reached the backend");
}

/// J13: the table of kinds decides where a token is accepted, and nothing else.
#[tokio::test]
async fn a_kinds_token_is_accepted_exactly_where_the_table_says() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut cases = 0;
    for from in verified_kinds() {
        for secret in [SIGNING, CLIENT, STRANGER] {
            for at in verified_kinds() {
                let token = mint::sign(&from.claims(), secret);
                let fits = at.secrets.contains(&secret) && at.back_to_url == from.back_to_url && (at.dat || !from.dat);
                let answer = ask_http1(&gateway, &at, Some(&token)).await;
                let wanted = if fits { 200 } else { 401 };
                assert_eq!(answer.status, wanted, "{} token at {}, {secret}: {}", from.name, at.name, answer.text());
                cases += 1;
            }
        }
    }
    println!("cases: {cases} (J13)");
}

#[tokio::test]
async fn a_token_is_accepted_raw_and_after_bearer_in_any_case() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let token = kind("action").token();
    for prefix in ["", "Bearer ", "bearer ", "BEARER ", "bEaReR "] {
        let line = format!("Authorization: {prefix}{token}\r\n");
        let answer = gateway.request("POST", "/planner/action/run", &line, BODY).await;
        assert_eq!(answer.status, 200, "{prefix:?}: {}", answer.text());
    }
    for prefix in ["Basic ", "Token ", "Bearer\u{a0}", "Bearer,", "JWT "] {
        let line = format!("Authorization: {prefix}{token}\r\n");
        let answer = gateway.request("POST", "/planner/action/run", &line, BODY).await;
        assert_eq!(answer.status, 401, "{prefix:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_view_takes_its_token_from_the_query_and_the_url_loses_it() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let token = kind("view").token();
    for (target, left) in [
        (format!("/planner/view/run?sessionToken={token}"), "/planner/view/run"),
        (format!("/planner/view/run?a=1&sessionToken={token}&b=%20x"), "/planner/view/run?a=1&b=%20x"),
        (format!("/planner/view/run?sessionToken={token}&b=+"), "/planner/view/run?b=+"),
    ] {
        let answer = gateway.request("GET", &target, "", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["target"], left);
        assert!(answer.echoed_values("authorization").iter().all(|v| v.ends_with(&token)));
        assert!(!answer.text().contains(&format!("sessionToken={token}")));
    }
}

#[tokio::test]
async fn the_challenge_is_answered_by_the_gateway_and_only_the_challenge() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let path = "/planner/board-webhook/run";
    let ask = async |method: &str, path: &str, lines: &str, body: &str| {
        let lines = format!("Content-Type: application/json\r\n{lines}");
        gateway.request(method, path, &lines, body).await
    };
    for body in [
        r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#,
        " {\n \"challenge\" : \"a\\u0062c\" } ",
    ] {
        let answer = ask("POST", path, "", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), serde_json::from_str::<Value>(body).unwrap());
    }
    let long = format!(r#"{{"challenge":"{}"}}"#, "x".repeat(5000));
    let refused = [
        r#"{"challenge":"a","event":{}}"#,
        r#"{"challenge":1}"#,
        r#"{"challenge":null}"#,
        r#"{"challenge":{"a":"b"}}"#,
        r#"["challenge"]"#,
        r#"{"Challenge":"a"}"#,
        r#"{"challenge":"a","challenge":"b"}"#,
        r#"{"challenge":"a"} x"#,
        r#"{"event":{"challenge":"a"}}"#,
        "{}",
        "",
        &long,
    ];
    for body in refused {
        let answer = ask("POST", path, "", body).await;
        assert_eq!(answer.status, 401, "{body:.60}: {}", answer.text());
    }
    let challenge = r#"{"challenge":"a"}"#;
    let forged = format!("Authorization: {}\r\n", mint::sign(&kind("board-webhook").claims(), STRANGER));
    assert_eq!(ask("POST", path, &forged, challenge).await.status, 401);
    for other in verified_kinds().filter(|kind| kind.name != "board-webhook") {
        assert_eq!(ask("POST", &other.path(), "", challenge).await.status, 401, "{}", other.name);
    }
    assert_eq!(backend.count(), 0);
    let token = format!("Authorization: {}\r\n", kind("board-webhook").token());
    assert_eq!(ask("POST", path, &token, challenge).await.status, 200);
    assert_eq!(backend.count(), 1, "with a token it is a request like any other");
    println!("cases: {} bodies that are no challenge", refused.len());
}

#[tokio::test]
async fn what_the_backend_finds_in_authorization_follows_the_route() {
    let backend = Backend::echo();
    let setup = Setup::bare(&backend.address)
        .upstream(&format!("signing_secret = \"{RESIGN}\""))
        .route("path = \"/keep\"\nkind = \"action\"\nauthorization = \"keep\"")
        .route("path = \"/strip\"\nkind = \"action\"\nauthorization = \"strip\"")
        .route("path = \"/resign\"\nkind = \"action\"\nauthorization = \"resign\"")
        .route("path = \"/view\"\nkind = \"view\"\nauthorization = \"resign\"")
        .route("path = \"/view-strip\"\nkind = \"view\"\nauthorization = \"strip\"")
        .route("path = \"/query\"\nkind = \"authorization\"\nquery_token = \"keep\"")
        .route("path = \"/public\"\nkind = \"public\"");
    let gateway = Gateway::start(&setup);
    let token = kind("action").token();
    let line = format!("Authorization: Bearer {token}\r\n");

    let kept = gateway.request("GET", "/keep", &line, "").await;
    assert_eq!(kept.echoed_values("authorization"), [format!("Bearer {token}")]);
    assert!(gateway.request("GET", "/strip", &line, "").await.echoed_values("authorization").is_empty());

    let before = mint::now();
    let resigned = gateway.request("GET", "/resign", &line, "").await.echoed_values("authorization");
    let new = resigned[0].trim_start_matches("Bearer ").to_owned();
    let resigned_token = new.clone();
    let (signed, signature) = new.rsplit_once('.').unwrap();
    let tag = mint::mac(aws_lc_rs::hmac::HMAC_SHA256, RESIGN.as_bytes(), signed.as_bytes());
    assert_eq!(signature, mint::encode(&tag));
    let (old, new) = (mint::payload(&token), mint::payload(&new));
    for claim in ["accountId", "userId", "aud", "shortLivedToken"] {
        assert_eq!(old[claim], new[claim], "{claim}");
    }
    for verifier in [peers::npm_verifier, peers::python_verifier] {
        assert_eq!(peers::verified(verifier(), &resigned_token, RESIGN).await, new, "another library's verdict");
        assert!(peers::verified(verifier(), &resigned_token, SIGNING).await["refused"].is_string());
    }
    assert!(new["iat"].as_i64().unwrap() >= before - 1);
    assert_eq!(new["exp"].as_i64().unwrap() - new["iat"].as_i64().unwrap(), 300);

    let view = kind("view").token();
    let from_query = gateway.request("GET", &format!("/view?sessionToken={view}&a=b"), "", "").await;
    assert_eq!(from_query.json()["target"], "/view?a=b");
    assert_eq!(from_query.echoed_values("authorization").len(), 1);
    let stripped = gateway.request("GET", &format!("/view-strip?sessionToken={view}"), "", "").await;
    assert_eq!(stripped.json()["target"], "/view-strip");
    assert!(stripped.echoed_values("authorization").is_empty());

    let query = kind("authorization").token();
    let kept = gateway.request("GET", &format!("/query?token={query}&a=b"), "", "").await;
    assert_eq!(kept.json()["target"], format!("/query?token={query}&a=b"));
}

#[tokio::test]
async fn a_public_route_hands_the_callers_own_authorization_on() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let answer = gateway.request("GET", "/planner/public/x", "Authorization: Basic dTpw\r\n", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.echoed_values("authorization"), ["Basic dTpw"]);
    assert!(answer.echoed_values("x-monday-account-id").is_empty());
}

#[tokio::test]
async fn injected_headers_are_made_of_claims_or_left_out_whole() {
    let backend = Backend::echo();
    let keys = r#"path = "/x/{*rest}"
kind = "view"
inject.claims = true
inject.headers = { "X-Tenant" = "{account_id}", "X-Both" = "u{user_id}-{claims.dat.user_kind}", "X-Slug" = "{claims.dat.slug}", "X-Missing" = "a{claims.dat.nothing}b", "X-Fixed" = "fixed", "X-Key" = "canary-shared-key-4444444444444444" }"#;
    let gateway = Gateway::start(&Setup::bare(&backend.address).route(keys));
    let mut claims = kind("view").claims();
    let ask = async |claims: &Value| {
        let line = format!(
            "Authorization: {}\r\nX-Tenant: 666\r\nX-Missing: evil\r\nX-Slug: evil\r\n",
            mint::sign(claims, CLIENT)
        );
        gateway.request("GET", "/x/y", &line, "").await
    };
    let answer = ask(&claims).await;
    assert_eq!(answer.echoed_values("x-tenant"), [ACCOUNT.to_string()]);
    assert_eq!(answer.echoed_values("x-both"), [format!("u{USER}-admin")]);
    assert_eq!(answer.echoed_values("x-slug"), ["instance-slug"]);
    assert_eq!(answer.echoed_values("x-fixed"), ["fixed"]);
    assert!(answer.echoed_values("x-missing").is_empty());
    let all = answer.echoed_values("x-monday-claims");
    let all: Value = serde_json::from_slice(&mint::decode(&all[0])).unwrap();
    assert_eq!(all, claims);

    for odd in ["Zo\u{eb}", "a\nb", "tab\there", "\u{7f}", "line\r\nX-Evil: 1", "", " lead"] {
        claims["dat"]["slug"] = json!(odd);
        let answer = ask(&claims).await;
        let values = answer.echoed_values("x-slug");
        let whole = values.is_empty() || values == [odd];
        assert!(whole, "{odd:?} became {values:?}");
        assert!(answer.echoed_values("x-evil").is_empty());
        if odd.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
            assert!(values.is_empty(), "{odd:?} became {values:?}");
            assert!(answer.echoed_values("x-monday-account-slug").is_empty(), "{odd:?}");
        }
    }
    let omitted = gateway.metric("gateway_headers_omitted_total", &[]).await;
    assert!(omitted >= 4.0, "{omitted}");
}

#[tokio::test]
async fn allow_refuses_with_403_and_an_absent_claim_refuses() {
    let backend = Backend::echo();
    let setup = Setup::bare(&backend.address)
        .route("path = \"/guests\"\nkind = \"view\"\nallow = { guests = false }")
        .route("path = \"/viewers\"\nkind = \"view\"\nallow = { view_only = false }")
        .route("path = \"/admins\"\nkind = \"view\"\nallow = { admin_only = true }")
        .route("path = \"/accounts\"\nkind = \"action\"\nallow = { accounts = [1825529, 7] }");
    let gateway = Gateway::start(&setup);
    let ask =
        async |path: &str, token: &str| gateway.request("GET", path, &format!("Authorization: {token}\r\n"), "").await;
    let mut cases = 0;
    for (path, claim, good, bad) in [
        ("/guests", "is_guest", false, true),
        ("/viewers", "is_view_only", false, true),
        ("/admins", "is_admin", true, false),
    ] {
        for (value, status) in [(json!(good), 200), (json!(bad), 403), (Value::Null, 403), (json!("false"), 403)] {
            let mut claims = kind("view").claims();
            claims["dat"][claim] = value.clone();
            let answer = ask(path, &mint::sign(&claims, CLIENT)).await;
            // A claim of another type is no token of monday's: 401 is as good as 403.
            assert!(
                answer.status == status || (value.is_string() && answer.status == 401),
                "{path} {value}: {}",
                answer.text()
            );
            if answer.status == 403 {
                assert_eq!(answer.json()["severityCode"], 4000);
            }
            cases += 1;
        }
        let mut claims = kind("view").claims();
        claims["dat"].as_object_mut().unwrap().remove(claim);
        assert_eq!(ask(path, &mint::sign(&claims, CLIENT)).await.status, 403, "{path} without the claim");
        let flat = mint::sign(&kind("action").claims(), CLIENT);
        assert_eq!(ask(path, &flat).await.status, 403, "{path} with flat claims");
    }
    for (account, status) in [(ACCOUNT, 200), (7, 200), (8, 403)] {
        let mut claims = kind("action").claims();
        claims["accountId"] = json!(account);
        assert_eq!(ask("/accounts", &mint::sign(&claims, SIGNING)).await.status, status, "{account}");
    }
    println!("cases: {cases}");
}

#[tokio::test]
async fn while_secrets_rotate_the_old_and_the_new_are_accepted() {
    let backend = Backend::echo();
    let app = format!("client_secret = \"{CLIENT}\"\nsigning_secret = [\"{RESIGN}\", \"{SIGNING}\"]");
    let setup = Setup::bare(&backend.address).only_app(&app).kind_route("action", "");
    let gateway = Gateway::start(&setup);
    for (secret, status) in [(RESIGN, 200), (SIGNING, 200), (STRANGER, 401), (CLIENT, 401)] {
        let line = format!("Authorization: {}\r\n", mint::sign(&kind("action").claims(), secret));
        assert_eq!(gateway.request("POST", "/planner/action/run", &line, "{}").await.status, status);
    }
}

#[tokio::test]
async fn the_audience_is_compared_as_the_app_says() {
    let backend = Backend::echo();
    for (mode, right, wrong) in [
        (
            "origin",
            vec![
                "https://gw.test/planner/action/run",
                "https://gw.test/other",
                "https://gw.test:443/x",
                "https://gw.test",
            ],
            vec![
                "https://evil.test/planner/action/run",
                "http://gw.test/x",
                "https://gw.test:8443/x",
                "https://gw.test.evil/x",
                "https://gw.test@evil/x",
                "gw.test",
                "",
            ],
        ),
        (
            "exact",
            vec![
                "https://gw.test/planner/action/run",
                "https://gw.test/planner/action/run/",
                "https://gw.test/planner/action/run?x=1",
            ],
            vec!["https://gw.test/planner/action/other", "https://gw.test/"],
        ),
        ("off", vec!["https://evil.test/x", "anything"], vec![]),
    ] {
        let setup = Setup::bare(&backend.address).app(&format!("audience = \"{mode}\"")).kind_route("action", "");
        let gateway = Gateway::start(&setup);
        let ask = async |aud: Value| {
            let mut claims = kind("action").claims();
            if aud.is_null() {
                claims.as_object_mut().unwrap().remove("aud");
            } else {
                claims["aud"] = aud;
            }
            let line = format!("Authorization: {}\r\n", mint::sign(&claims, SIGNING));
            gateway.request("POST", "/planner/action/run", &line, "{}").await.status
        };
        for aud in right {
            assert_eq!(ask(json!(aud)).await, 200, "{mode} {aud}");
        }
        for aud in wrong {
            assert_eq!(ask(json!(aud)).await, 401, "{mode} {aud}");
        }
        assert_eq!(ask(Value::Null).await, 200, "{mode} without aud");
    }
}

#[tokio::test]
async fn a_token_that_names_another_app_is_refused() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address).other_app());
    let mut cases = Vec::new();
    for (claim, value) in [("client_id", json!("someone-else")), ("app_id", json!(1))] {
        let mut claims = kind("view").claims();
        claims["dat"][claim] = value;
        cases.push((kind("view"), claims, CLIENT));
    }
    let mut claims = kind("action").claims();
    claims["platformAppId"] = json!(1);
    cases.push((kind("action"), claims, SIGNING));
    for (kind, claims, secret) in &cases {
        let answer = ask_http1(&gateway, kind, Some(&mint::sign(claims, secret))).await;
        assert_eq!(answer.status, 401, "{claims}");
    }
    let mut right = kind("action").claims();
    right["platformAppId"] = json!(mint::APP_ID);
    assert_eq!(ask_http1(&gateway, &kind("action"), Some(&mint::sign(&right, SIGNING))).await.status, 200);
    assert_eq!(backend.count(), 1);
}

#[tokio::test]
async fn the_other_secret_is_named_in_the_log_and_counted() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for (name, secret) in [("action", CLIENT), ("view", SIGNING)] {
        let kind = kind(name);
        let answer = ask_http1(&gateway, &kind, Some(&mint::sign(&kind.claims(), secret))).await;
        assert_eq!(answer.status, 401);
        let label = format!("kind=\"{name}\"");
        let labels = [label.as_str(), "result=\"other_secret\""];
        assert!((gateway.metric("gateway_token_verifications_total", &labels).await - 1.0).abs() < 0.1);
    }
    within(SOON, "the log says that the other secret fits", || {
        let printed = format!("{}{}", gateway.log(), gateway.access_text());
        (printed.matches("other_secret").count() + printed.matches("other secret").count() >= 2).then_some(())
    })
    .await;
    gateway.assert_printed_none(&[CLIENT, SIGNING]);
}

#[tokio::test]
async fn prefixes_methods_and_hosts_of_a_route_are_kept() {
    let backend = Backend::echo();
    let setup = Setup::bare(&backend.address)
        .route("path = \"/api/v1/{*rest}\"\nkind = \"public\"\nstrip_prefix = \"/api\"\nmethods = [\"GET\", \"POST\"]")
        .route("path = \"/only/{*rest}\"\nkind = \"public\"\nhost = \"localhost\"")
        .route("path = \"/tenant/{*rest}\"\nkind = \"public\"\nhost = \"gw.test\"\nname = \"tenant-a\"")
        .more_upstream("own", &backend.address)
        .upstream("host = \"upstream\"")
        .route("path = \"/own\"\nkind = \"public\"\nupstream = \"own\"");
    let gateway = Gateway::start(&setup);
    let stripped = gateway.request("GET", "/api/v1/a%20b?c=d", "", "").await;
    assert_eq!(stripped.json()["target"], "/v1/a%20b?c=d");
    assert_eq!(stripped.echoed_values("host"), ["gw.test"]);
    let refused = gateway.request("DELETE", "/api/v1/a", "", "").await;
    assert_eq!(refused.status, 405);
    let allow = refused.field("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    assert_eq!(gateway.request("GET", "/only/x", "", "").await.status, 404);
    let local = gateway.ask("GET /only/x HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(local.status, 200, "{}", local.text());
    assert_eq!(gateway.request("GET", "/tenant/x", "", "").await.status, 200);
    assert_eq!(gateway.ask("GET /tenant/x HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 404);
    let own = gateway.request("GET", "/own", "", "").await;
    assert_eq!(own.echoed_values("host"), [backend.socket().to_string()]);
    for path in ["/api/v1", "/api/v1/"] {
        assert_eq!(gateway.request("GET", path, "", "").await.status, 200, "{path}");
    }
    for path in ["/api/v11", "/api", "/apiv1/x"] {
        assert_eq!(gateway.request("GET", path, "", "").await.status, 404, "{path}");
    }
    let request = raw::request("GET", "/api/v1/x", "", "");
    assert_eq!(gateway.ask(request).await.status, 200);
}
