//! Fresh tokens: a token that is dead is renewed once, whoever asks and at how many gateways, and the new one is kept before
//! anyone has it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::fake_monday::Monday;
use crate::support::fake_provider::Provider;
use crate::support::gateway::Gateway;
use crate::support::mint::{self, SIGNING, kind};
use crate::support::oauth_server::Failure;
use crate::support::scene::{Scene, act, call, connect_all, got};
use crate::support::site::Asked;
use crate::support::stores::{Kind, Store};
use crate::support::visitor::Visitor;
use crate::support::{SOON, within};

/// monday, whose access tokens live that long from now on.
fn scene(life: i64) -> Scene {
    let mut scene = Scene::with(Monday::v21(), Vec::new());
    scene.grants = vec!["monday"];
    scene.monday.oauth.state().life = Some(life);
    scene
}

/// Waits until the machine's clock is past the token's end.
async fn let_it_die(connected: i64, life: i64) {
    within(Duration::from_secs(30), "the token dies", || (mint::now() > connected + life + 1).then_some(())).await;
}

/// So many requests at once, half at each gateway: status and token of each, and how long the slowest took.
async fn storm(gateways: &[&Gateway], count: usize) -> (Vec<(u16, Option<String>, Option<String>)>, Duration) {
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for n in 0..count {
        let gateway = gateways[n % gateways.len()];
        let mut connection = gateway.connect().await;
        connection.patience = SOON * 4;
        tasks.push(tokio::spawn(async move {
            let lines = format!("Authorization: {}\r\n", kind("action").token());
            connection.send(&crate::support::raw::request("POST", "/planner/action/run", &lines, "{}")).await;
            connection.answer().await
        }));
    }
    let mut results = Vec::new();
    for task in tasks {
        let answer = task.await.unwrap();
        let header = |name: &str| if answer.status == 200 { got(&answer, name) } else { None };
        results.push((answer.status, header("x-monday-access-token"), header("x-monday-grants")));
    }
    (results, begun.elapsed())
}

/// No two of them at the same time.
fn assert_never_overlap(calls: &[Asked]) {
    for pair in calls.windows(2) {
        let ended = pair[0].ended.expect("the first has ended");
        assert!(pair[1].begun >= ended, "two redemptions at once");
    }
}

async fn a_hundred_at_two_gateways(store: &Store) {
    let mut scene = scene(3);
    scene.store = store.url();
    let gateways = [scene.start(), scene.start()];
    let connected = mint::now();
    connect_all(&mut Visitor::new(&gateways[0])).await;
    let old = scene.monday.oauth.last_access();
    let_it_die(connected, 4).await;
    scene.monday.oauth.state().life = Some(3600);
    scene.monday.oauth.state().delay = Duration::from_secs(10);
    let before = scene.monday.oauth.refreshes().len();
    let (results, took) = storm(&[&gateways[0], &gateways[1]], 100).await;
    let calls = scene.monday.oauth.refreshes().len() - before;
    assert_never_overlap(&scene.monday.oauth.refreshes());
    let new = scene.monday.oauth.last_access();
    assert_ne!(old, new);
    let right = results.iter().filter(|(status, token, _)| *status == 200 && token.as_ref() == Some(&new)).count();
    assert_eq!((calls, right), (1, 100), "{results:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    println!(
        "cases: 100 requests at two gateways with one dead token, a token endpoint of 10 s: {calls} call, {took:?}"
    );
}

#[tokio::test]
async fn a_hundred_requests_at_two_gateways_over_postgresql_renew_once() {
    a_hundred_at_two_gateways(&Store::start(Kind::Postgres)).await;
}

#[tokio::test]
async fn a_hundred_requests_at_two_gateways_over_redis_renew_once() {
    a_hundred_at_two_gateways(&Store::start(Kind::Redis)).await;
}

#[tokio::test]
async fn a_hundred_requests_at_one_gateway_over_sqlite_renew_once() {
    let scene = scene(3);
    let gateway = scene.start();
    let connected = mint::now();
    connect_all(&mut Visitor::new(&gateway)).await;
    let_it_die(connected, 4).await;
    scene.monday.oauth.state().life = Some(3600);
    scene.monday.oauth.state().delay = Duration::from_secs(3);
    let (results, _) = storm(&[&gateway], 100).await;
    let new = scene.monday.oauth.last_access();
    assert!(results.iter().all(|(status, token, _)| *status == 200 && token.as_ref() == Some(&new)), "{results:?}");
    assert_eq!(scene.monday.oauth.refreshes().len(), 1);
}

#[tokio::test]
async fn a_token_that_still_works_is_used_while_the_next_is_fetched() {
    let mut scene = scene(200);
    scene.movable_clock = true;
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    // A token of a moment ago is not renewed, short as it may be.
    gateway.move_clock(70);
    let old = scene.monday.oauth.last_access();
    scene.monday.oauth.state().life = Some(3600);
    scene.monday.oauth.state().delay = Duration::from_secs(5);
    let begun = Instant::now();
    let answer = act(&gateway).await;
    assert_eq!(got(&answer, "x-monday-access-token"), Some(old.clone()));
    assert!(begun.elapsed() < Duration::from_secs(4), "it waited");
    within(SOON, "it is renewed in the background", || (scene.monday.oauth.refreshes().len() == 1).then_some(())).await;
    for _ in 0..1500 {
        let token = got(&act(&gateway).await, "x-monday-access-token").unwrap();
        if token != old {
            assert_eq!(token, scene.monday.oauth.last_access());
            assert_eq!(scene.monday.oauth.refreshes().len(), 1, "one renewal");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the new token never came");
}

#[tokio::test]
async fn a_chain_that_the_provider_refuses_is_expired_and_says_so() {
    let scene = scene(3);
    let gateway = scene.start();
    let connected = mint::now();
    connect_all(&mut Visitor::new(&gateway)).await;
    let_it_die(connected, 4).await;
    scene.monday.oauth.forget_chains();
    let answer = act(&gateway).await;
    assert_eq!(got(&answer, "x-monday-grants").as_deref(), Some("monday=expired"));
    assert_eq!(got(&answer, "x-monday-access-token"), None);
    let refused = call(&gateway, "needs", &kind("action").token()).await;
    assert_eq!((refused.status, &refused.json()["severityCode"]), (403, &json!(4000)), "{}", refused.text());
    let calls = scene.monday.oauth.refreshes().len();
    for _ in 0..20 {
        act(&gateway).await;
    }
    assert_eq!(scene.monday.oauth.refreshes().len(), calls, "a dead chain is not tried again");
    scene.monday.oauth.state().life = Some(3600);
    connect_all(&mut Visitor::new(&gateway)).await;
    assert_eq!(got(&act(&gateway).await, "x-monday-grants").as_deref(), Some("monday=ok"));
}

#[tokio::test]
async fn a_provider_that_is_down_for_a_while_kills_no_chain() {
    let scene = scene(3);
    let gateway = scene.start();
    let connected = mint::now();
    connect_all(&mut Visitor::new(&gateway)).await;
    let_it_die(connected, 4).await;
    for failure in [Failure::Status(500), Failure::Status(429), Failure::Garbage] {
        scene.monday.oauth.state().failure = Some(failure.clone());
        let answer = call(&gateway, "needs", &kind("action").token()).await;
        assert!(matches!(answer.status, 502..=504), "{failure:?}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("severityCode"), "monday retries: {}", answer.text());
    }
    scene.monday.oauth.state().failure = None;
    scene.monday.oauth.state().life = Some(3600);
    let deadline = Instant::now() + Duration::from_secs(70);
    loop {
        let answer = call(&gateway, "needs", &kind("action").token()).await;
        if answer.status == 200 {
            assert_eq!(got(&answer, "x-monday-access-token"), Some(scene.monday.oauth.last_access()));
            return;
        }
        assert!(Instant::now() < deadline, "{} {}", answer.status, answer.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn an_idle_chain_is_used_once_in_its_keepalive() {
    let provider = Provider::standard("github");
    let mut scene = Scene::with(Monday::legacy(), vec![(provider, "keepalive = \"30d\"\n".into())]);
    scene.movable_clock = true;
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    assert_eq!(scene.provider("github").oauth.refreshes().len(), 0);
    gateway.move_clock(31 * 24 * 3600);
    let gateway = scene.restart(gateway);
    let github = &scene.provider("github").oauth;
    within(Duration::from_secs(100), "the chain is used", || (!github.refreshes().is_empty()).then_some(())).await;
    let mut claims = kind("action").claims();
    for time in ["iat", "exp"] {
        claims[time] = json!(claims[time].as_i64().unwrap() + 31 * 24 * 3600);
    }
    let answer = call(&gateway, "action", &mint::sign(&claims, SIGNING)).await;
    assert_eq!(got(&answer, "x-monday-grants").as_deref(), Some("monday=ok, github=ok"));
    assert_eq!(github.refreshes().len(), 1);
}
