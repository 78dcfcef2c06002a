//! A vault that is large, and one whose key changes, at a gateway that serves meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::scene::{NEXT_VAULT_KEY, Scene, VAULT_KEY};
use crate::support::stock::{self, Asking};
use crate::support::stores::{Kind, Store};
use crate::support::{SOON, within};

/// How long sealing everything again may take on a busy machine.
const SEALED_WITHIN: Duration = Duration::from_mins(5);

fn random(limit: usize) -> usize {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    usize::try_from(u32::from_le_bytes(bytes)).unwrap() % limit
}

/// What requests for random users got.
#[derive(Default)]
struct Load {
    requests: usize,
    failed: Vec<String>,
}

/// Four connections to each gateway that ask for random users until `done`.
async fn load(gateways: &[&Gateway], users: usize, done: impl Fn() -> bool) -> Load {
    let one = async |gateway: &Gateway| {
        let (mut asking, mut seen) = (Asking::new(gateway), Load::default());
        while !done() {
            let fault = asking.fault(1 + random(users)).await;
            seen.requests += 1;
            seen.failed.extend(fault);
        }
        seen
    };
    let mut all = Load::default();
    let lanes =
        gateways.iter().map(async |gateway| tokio::join!(one(gateway), one(gateway), one(gateway), one(gateway)));
    for (a, b, c, d) in joined(lanes).await {
        for seen in [a, b, c, d] {
            all.requests += seen.requests;
            all.failed.extend(seen.failed);
        }
    }
    all
}

/// All of them at once: at most two.
async fn joined<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures = futures.map(Box::pin);
    match (futures.next(), futures.next()) {
        (Some(one), Some(other)) => {
            let (one, other) = tokio::join!(one, other);
            vec![one, other]
        }
        (Some(one), None) => vec![one.await],
        (None, _) => Vec::new(),
    }
}

/// How many records that gateway has sealed again, once it has.
fn resealed(gateway: &Gateway) -> Option<u64> {
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("sealed under its newest key"))?;
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["records"].as_u64().or_else(|| event["fields"]["records"].as_u64())
}

/// Waits until a gateway has its vault: on a machine that is busy it begins without, and opens it a second later.
async fn opened(gateway: &Gateway) {
    let (mut asking, begun) = (Asking::new(gateway), Instant::now());
    while let Some(fault) = asking.fault(1).await {
        assert!(begun.elapsed() < SOON, "{fault}");
    }
}

/// What a gateway logged as wrong.
fn complaints(gateway: &Gateway) -> Vec<String> {
    gateway.log().lines().filter(|line| line.contains("ERROR") || line.contains("WARN")).map(str::to_owned).collect()
}

/// How many records are under each key, newest first.
fn under_each_key(folder: &Path) -> Vec<u64> {
    let status = stock::vault(folder, "status");
    status["keys"].as_array().unwrap().iter().map(|key| key["records"].as_u64().unwrap()).collect()
}

/// The key is changed as the operator of one gateway, or of two on one store, would: at every moment each of them has both.
async fn a_rotated_key(kind: Option<Kind>, count: usize) {
    let store = kind.map(Store::start);
    let mut scene = stock::scene();
    if let Some(store) = &store {
        scene.store = store.url();
    }
    let folder = tempfile::tempdir().unwrap();
    stock::import(&scene, folder.path(), count);
    // The new key in second place everywhere, where there is more than one gateway: nobody writes under it yet.
    let other = store.is_some().then(|| {
        scene.vault_keys = vec![VAULT_KEY, NEXT_VAULT_KEY];
        scene.start()
    });
    scene.vault_keys = vec![NEXT_VAULT_KEY, VAULT_KEY];
    let begun = Instant::now();
    let gateway = stock::start(&scene, folder);
    let gateways: Vec<&Gateway> = std::iter::once(&gateway).chain(&other).collect();
    for gateway in &gateways {
        opened(gateway).await;
    }
    let during = load(&gateways, count, || resealed(&gateway).is_some() || begun.elapsed() > SEALED_WITHIN).await;
    let took = begun.elapsed();
    let records = within(Duration::from_secs(1), "all is sealed again", || resealed(&gateway)).await;
    let keys = under_each_key(gateway.folder.path());
    let complaints: Vec<String> = gateways.iter().flat_map(|gateway| complaints(gateway)).collect();
    drop(other);
    // The old key is removed.
    scene.vault_keys = vec![NEXT_VAULT_KEY];
    let gateway = scene.restart(gateway);
    let mut asking = Asking::new(&gateway);
    let (mut unreadable, step) = (Vec::new(), (count / 2000).max(1));
    for user in (1..=count).step_by(step) {
        unreadable.extend(asking.fault(user).await);
    }
    println!(
        "figure: the vault's key changed under load, {count} grants in {}: all sealed again, no failed request, readable without the old key | \
         {records} sealed in {took:.1?}, {} left under the old key, {} of {} requests failed, {} of {} unreadable afterwards",
        kind.map_or_else(|| "SQLite, one gateway".to_owned(), |kind| format!("{kind:?}, two gateways")),
        keys[1],
        during.failed.len(),
        during.requests,
        unreadable.len(),
        count.div_ceil(step)
    );
    assert!(during.failed.is_empty() && during.requests > 10, "{:?}\n{complaints:#?}", during.failed.first());
    assert!(keys[0] >= u64::try_from(count).unwrap() && keys[1] == 0, "{keys:?}");
    assert!(records >= u64::try_from(count).unwrap() && unreadable.is_empty(), "{:?}", unreadable.first());
}

#[tokio::test]
async fn a_rotated_key_seals_everything_again_under_load() {
    a_rotated_key(None, 2_000).await;
}

#[tokio::test]
#[ignore = "takes a minute: make resilience"]
async fn a_rotated_key_seals_twenty_thousand_grants_again_under_load() {
    a_rotated_key(None, 20_000).await;
    a_rotated_key(Some(Kind::Postgres), 20_000).await;
    a_rotated_key(Some(Kind::Redis), 20_000).await;
}

/// Bytes of the files below.
fn size_of(folder: &Path) -> u64 {
    let used = std::process::Command::new("du").args(["-s", "-B1"]).arg(folder).output().unwrap();
    String::from_utf8_lossy(&used.stdout).split_whitespace().next().unwrap().parse().unwrap()
}

fn quantile(times: &mut [Duration], share: usize) -> Duration {
    times.sort();
    times[times.len() * share / 100]
}

/// How a gateway is with so many grants behind it: its start, its memory, and requests for people it has not seen before.
async fn a_large_vault(kind: Option<Kind>, count: usize) {
    let store = kind.map(Store::start);
    let mut scene: Scene = stock::scene();
    if let Some(store) = &store {
        scene.store = store.url();
    }
    let folder = tempfile::tempdir().unwrap();
    let place = store.as_ref().map_or_else(|| folder.path(), Store::folder).to_owned();
    let before = size_of(&place);
    let imported = stock::import(&scene, folder.path(), count);
    let on_disk = size_of(&place).saturating_sub(before);
    let begun = Instant::now();
    let gateway = stock::start(&scene, folder);
    let mut asking = Asking::new(&gateway);
    assert_eq!(asking.fault(1).await, None);
    let started = begun.elapsed();
    let idle = gateway.memory();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for times in [&mut first, &mut again] {
        for turn in 0..3000 {
            let user = 1 + turn * 7919 % count;
            let begun = Instant::now();
            let fault = asking.fault(user).await;
            times.push(begun.elapsed());
            assert_eq!(fault, None);
        }
    }
    println!(
        "figure: {count} grants in {}, a gateway over it | imported in {imported:.0?}, {} bytes each on disk, ready and a first request \
         after {started:.2?}, {} MiB then and {} MiB after 3000 users, a request p50 {:.2?} p99 {:.2?} (from memory p50 {:.2?} p99 {:.2?})",
        kind.map_or_else(|| "SQLite".to_owned(), |kind| format!("{kind:?}")),
        on_disk / u64::try_from(count).unwrap(),
        idle >> 10,
        gateway.peak_memory() >> 10,
        quantile(&mut first, 50),
        quantile(&mut first, 99),
        quantile(&mut again, 50),
        quantile(&mut again, 99),
    );
    assert!(started < Duration::from_secs(5), "{started:?}");
    assert!(gateway.peak_memory() < 256 * 1024, "{} KiB", gateway.peak_memory());
}

#[tokio::test]
async fn a_vault_of_a_few_thousand_grants_is_served() {
    a_large_vault(None, 4_000).await;
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn a_million_grants_in_sqlite() {
    a_large_vault(None, 1_000_000).await;
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn a_million_grants_in_postgresql() {
    a_large_vault(Some(Kind::Postgres), 1_000_000).await;
}

#[tokio::test]
#[ignore = "takes minutes: make resilience"]
async fn two_hundred_thousand_grants_in_redis() {
    a_large_vault(Some(Kind::Redis), 200_000).await;
}
