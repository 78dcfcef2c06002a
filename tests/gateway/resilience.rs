//! The tests that take long: gateways and stores that are killed at random moments, and what is left of what they had said.
//! `make resilience` runs them one by one and prints a table of what each line `figure: GOAL | FIGURE` says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::fake_monday::{Generation, Monday};
use crate::support::gateway::Gateway;
use crate::support::mint::{self, ACCOUNT, BACK_TO, kind};
use crate::support::raw;
use crate::support::scene::{Scene, action_token_of, authorization_url_of, call, connect_all, got};
use crate::support::stores::{Kind, Store};
use crate::support::visitor::Visitor;
use crate::support::{SOON, within};

/// A number below `limit`.
fn random(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % limit
}

fn only_monday(grace: Duration) -> Scene {
    let mut scene = Scene::with(Monday::start(Generation::V21, |manner| manner.grace = grace), Vec::new());
    scene.grants = vec!["monday"];
    scene
}

/// What one run with a kill saw.
struct Killed {
    calls: usize,
    slowest: Duration,
    with_token: usize,
    reconnect: usize,
    /// 503: what is left of the fifteen seconds is too short for a second redemption of ten.
    later: usize,
    other: Vec<String>,
}

/// A hundred requests at two gateways with one dead token and a token endpoint of 10 s; one of the gateways is killed meanwhile.
async fn one_kill(store: Kind, grace: Duration) -> Killed {
    let store = tokio::task::spawn_blocking(move || Store::start(store)).await.unwrap();
    let mut scene = only_monday(grace);
    scene.store = store.url();
    scene.monday.oauth.state().life = Some(3);
    let (first, second) = (scene.start(), scene.start());
    let connected = mint::now();
    connect_all(&mut Visitor::new(&first)).await;
    within(SOON, "the token dies", || (mint::now() > connected + 4).then_some(())).await;
    scene.monday.oauth.state().life = Some(3600);
    scene.monday.oauth.state().delay = Duration::from_secs(10);
    let before = scene.monday.oauth.refreshes().len();
    let (victim, survivor) = if random(2) == 0 { (first, second) } else { (second, first) };
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..100 {
        let mut connection = if n % 2 == 0 { victim.connect().await } else { survivor.connect().await };
        connection.patience = Duration::from_mins(1);
        asking.spawn(async move {
            let begun = Instant::now();
            let lines = format!("Authorization: {}\r\n", kind("action").token());
            connection.send(&raw::request("POST", "/planner/needs/run", &lines, "{}")).await;
            let answer = connection.maybe_answer().await;
            (n % 2 == 1, answer, begun.elapsed())
        });
    }
    tokio::time::sleep(Duration::from_millis(random(11_000))).await;
    victim.signal("KILL");
    let died = Instant::now();
    let mut seen =
        Killed { calls: 0, slowest: Duration::ZERO, with_token: 0, reconnect: 0, later: 0, other: Vec::new() };
    while let Some(done) = asking.join_next().await {
        let (survived, answer, took) = done.unwrap();
        if !survived {
            continue;
        }
        seen.slowest = seen.slowest.max(took);
        let Some(answer) = answer else {
            seen.other.push("closed".into());
            continue;
        };
        match answer.status {
            200 if got(&answer, "x-monday-access-token") == Some(scene.monday.oauth.last_access()) => {
                seen.with_token += 1;
            }
            403 => seen.reconnect += 1,
            503 if !answer.text().contains("severityCode") => seen.later += 1,
            status => seen.other.push(format!("{status} {}", answer.text())),
        }
    }
    // Whoever asks again gets an answer that stays: the new token where the provider allows reuse, else the way to a new grant.
    let again = Instant::now();
    let last = loop {
        let answer = call(&survivor, "needs", &kind("action").token()).await;
        if answer.status != 503 || again.elapsed() > SOON * 2 {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let has_new = last.status == 200 && got(&last, "x-monday-access-token") == Some(scene.monday.oauth.last_access());
    if !(has_new || (last.status == 403 && grace.is_zero())) {
        seen.other.push(format!("afterwards {} {}", last.status, last.text()));
    }
    drop(victim);
    let calls: Vec<_> = scene.monday.oauth.refreshes().into_iter().skip(before).collect();
    for pair in calls.windows(2) {
        let over = pair[0].ended.unwrap_or(died).min(died.max(pair[0].begun));
        assert!(pair[1].begun >= over, "two redemptions at once");
    }
    seen.calls = calls.len();
    seen
}

async fn twenty_kills(store: Kind, grace: Duration) {
    let (mut most, mut slowest, mut with_token, mut reconnect, mut later, mut other) =
        (0, Duration::ZERO, 0, 0, 0, Vec::new());
    for _ in 0..5 {
        let (a, b, c, d) = tokio::join!(
            one_kill(store, grace),
            one_kill(store, grace),
            one_kill(store, grace),
            one_kill(store, grace)
        );
        for seen in [a, b, c, d] {
            most = most.max(seen.calls);
            slowest = slowest.max(seen.slowest);
            with_token += seen.with_token;
            reconnect += seen.reconnect;
            later += seen.later;
            other.extend(seen.other);
        }
    }
    println!(
        "figure: {store:?}, 20 kills, reuse for {grace:?}: at most 2 calls, none longer than 15 s | {most} calls, slowest {slowest:.1?}, \
         {with_token} with the new token, {reconnect} reconnect, {later} later (503), {} other {:?}",
        other.len(),
        other.first()
    );
    assert!(most <= 2 && slowest < Duration::from_secs(15) && other.is_empty(), "{other:?}");
    if !grace.is_zero() {
        assert_eq!(reconnect, 0);
    }
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn kills_while_a_token_is_renewed_over_postgresql() {
    Box::pin(twenty_kills(Kind::Postgres, Duration::from_mins(1))).await;
    Box::pin(twenty_kills(Kind::Postgres, Duration::ZERO)).await;
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn kills_while_a_token_is_renewed_over_redis() {
    Box::pin(twenty_kills(Kind::Redis, Duration::from_mins(1))).await;
    Box::pin(twenty_kills(Kind::Redis, Duration::ZERO)).await;
}

/// What the gateway has acknowledged: each user's last token.
type Acknowledged = BTreeMap<i64, Vec<String>>;

/// One user after the other consents until the gateway is gone; a consent counts once the browser is home again.
async fn consents(scene: &Scene, gateway: &Gateway, users: std::ops::Range<i64>, acknowledged: &mut Acknowledged) {
    for user in users {
        let mut claims = kind("authorization").claims();
        claims["userId"] = json!(user);
        let target = authorization_url_of(ACCOUNT, user, BACK_TO);
        let Some(tokens) = one_consent(scene, gateway, &target, user).await else { return };
        acknowledged.entry(user).or_default().push(tokens);
    }
}

/// The access token that was issued in it; none if the gateway went away.
async fn one_consent(scene: &Scene, gateway: &Gateway, target: &str, user: i64) -> Option<String> {
    let ask = async |target: &str, cookies: &str| {
        let tcp = tokio::net::TcpStream::connect(gateway.address).await.ok()?;
        drop(tcp);
        let name = "gw.test";
        let mut connection =
            raw::Raw::tls(gateway.address, name, gateway.authority.client(&["http/1.1"])).await.ok()?;
        let lines = format!("Cookie: {cookies}\r\nSec-Fetch-Site: none\r\nConnection: close\r\n");
        connection.try_send(&raw::request("GET", target, &lines, "")).await.ok()?;
        connection.maybe_answer().await
    };
    let first = ask(target, "").await?;
    let cookie = first.field("set-cookie")?.split(';').next()?.to_owned();
    let progress = ask(path_of(first.field("location")?), &cookie).await?;
    let (link, _) =
        crate::support::html::links(&progress.text()).into_iter().find(|(_, words)| words.contains("Continue to "))?;
    let at_monday = url::Url::parse("https://gw.test").unwrap().join(&link).unwrap();
    let at_monday = if at_monday.host_str() == Some("gw.test") {
        let answer = ask(path_of(at_monday.as_str()), &cookie).await?;
        url::Url::parse(answer.field("location")?).unwrap()
    } else {
        at_monday
    };
    let decide = format!("/oauth2/authorize/decide?{}", at_monday.query().unwrap());
    let mut connection = raw::Raw::plain(scene.monday.oauth.site.address).await;
    let body = format!("decision=allow&as={ACCOUNT}:{user}");
    connection.send(&raw::request("POST", &decide, "Content-Type: application/x-www-form-urlencoded\r\n", &body)).await;
    let back = connection.answer().await;
    let callback = ask(path_of(back.field("location")?), &cookie).await?;
    (callback.status == 303).then(|| scene.monday.oauth.access_of(user))?
}

fn path_of(address: &str) -> &str {
    address.strip_prefix("https://gw.test").unwrap_or(address)
}

async fn kills_during_writes(store: Option<Kind>, rounds: usize) {
    let store = store.map(Store::start);
    let mut scene = only_monday(Duration::ZERO);
    if let Some(store) = &store {
        scene.store = store.url();
    }
    let mut acknowledged = Acknowledged::new();
    let (mut lost, mut opened, mut next) = (Vec::new(), 0, 1_000_i64);
    let mut gateway = scene.start();
    for round in 0..rounds {
        let ranges: Vec<_> = (0..4).map(|lane| next + lane * 1000..next + lane * 1000 + 1000).collect();
        next += 4000;
        let mut fresh: Vec<Acknowledged> = vec![Acknowledged::new(); 4];
        {
            let (a, rest) = fresh.split_at_mut(1);
            let (b, rest) = rest.split_at_mut(1);
            let (c, d) = rest.split_at_mut(1);
            let killing = async {
                tokio::time::sleep(Duration::from_millis(100 + random(700))).await;
                gateway.signal("KILL");
            };
            let all = async {
                tokio::join!(
                    consents(&scene, &gateway, ranges[0].clone(), &mut a[0]),
                    consents(&scene, &gateway, ranges[1].clone(), &mut b[0]),
                    consents(&scene, &gateway, ranges[2].clone(), &mut c[0]),
                    consents(&scene, &gateway, ranges[3].clone(), &mut d[0]),
                )
            };
            tokio::join!(killing, async {
                tokio::time::timeout(Duration::from_secs(30), Box::pin(all)).await.unwrap()
            });
        }
        gateway = scene.restart(gateway);
        opened += 1;
        for (user, tokens) in fresh.into_iter().flatten() {
            let answer = call(&gateway, "action", &action_token_of(ACCOUNT, user)).await;
            if got(&answer, "x-monday-access-token").as_ref() != tokens.last() {
                lost.push((round, user, got(&answer, "x-monday-grants")));
            }
            acknowledged.insert(user, tokens);
        }
    }
    for (user, tokens) in acknowledged.iter().step_by(7) {
        let answer = call(&gateway, "action", &action_token_of(ACCOUNT, *user)).await;
        if got(&answer, "x-monday-access-token").as_ref() != tokens.last() {
            lost.push((rounds, *user, got(&answer, "x-monday-grants")));
        }
    }
    let name = store.as_ref().map_or_else(|| "SQLite".to_owned(), Store::url);
    println!(
        "figure: {} kills of the gateway during writes, {}: no acknowledged grant lost, every store opens | {} acknowledged, {} lost, {opened} opened",
        rounds,
        name.split(':').next().unwrap(),
        acknowledged.len(),
        lost.len()
    );
    assert!(lost.is_empty() && acknowledged.len() > rounds, "{lost:?}");
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn kills_during_writes_to_sqlite() {
    Box::pin(kills_during_writes(None, 200)).await;
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn kills_during_writes_to_postgresql() {
    Box::pin(kills_during_writes(Some(Kind::Postgres), 200)).await;
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn kills_during_writes_to_redis() {
    Box::pin(kills_during_writes(Some(Kind::Redis), 200)).await;
}

/// A short form of it, for every run.
#[tokio::test]
async fn five_kills_during_writes_lose_nothing() {
    Box::pin(kills_during_writes(None, 5)).await;
}

/// A store that is killed while grants are written, and comes back.
async fn kills_of_the_store(kind_of_store: Kind, rounds: usize) {
    let mut store = Store::start(kind_of_store);
    let mut scene = only_monday(Duration::ZERO);
    scene.store = store.url();
    let gateway = scene.start();
    let mut acknowledged = Acknowledged::new();
    let mut lost = 0;
    for round in 0..rounds {
        let from = i64::try_from(round).unwrap() * 1000 + 1_000;
        let mut fresh = Acknowledged::new();
        {
            let killing = async {
                tokio::time::sleep(Duration::from_millis(100 + random(500))).await;
                store.kill();
            };
            tokio::join!(killing, consents(&scene, &gateway, from..from + 1000, &mut fresh));
        }
        store.start_again();
        for (user, tokens) in fresh {
            let begun = Instant::now();
            let answer = loop {
                // A route that requires the grant says 503 until the store is back; one that does not would go on without.
                let answer = call(&gateway, "needs", &action_token_of(ACCOUNT, user)).await;
                if answer.status != 503 || begun.elapsed() > Duration::from_secs(5) {
                    break answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let kept = answer.status == 200 && got(&answer, "x-monday-access-token").as_ref() == tokens.last();
            if !kept {
                lost += 1;
            }
            acknowledged.insert(user, tokens);
        }
    }
    println!(
        "figure: {rounds} kills of {kind_of_store:?} itself during writes: no acknowledged grant lost | {} acknowledged, {lost} lost",
        acknowledged.len()
    );
    assert_eq!(lost, 0);
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn kills_of_postgresql_itself() {
    kills_of_the_store(Kind::Postgres, 30).await;
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn kills_of_redis_itself() {
    kills_of_the_store(Kind::Redis, 30).await;
}
