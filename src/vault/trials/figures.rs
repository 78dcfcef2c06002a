//! How long it takes and how large it is. Not run with the tests but by `make resilience`, or as
//! `cargo test --release --lib -- --ignored --nocapture vault::trials::figures`, with `VAULT_GRANTS` for how many.

use std::time::{Duration, Instant};

use crate::vault::trials::{Kind, Place, block_on, keys, times};
use crate::vault::{Expected, Table, Vault};

/// As large as a grant with a JWT and a refresh token is.
const PLAIN: &[u8] = &[b'x'; 700];

fn key(index: u32) -> String {
    format!("planner/{}/{}/github", 1_000_000 + index % 997, index)
}

fn quantiles(mut all: Vec<Duration>) -> String {
    all.sort();
    let at = |share: usize| all.get(all.len() * share / 1000).copied().unwrap_or_default();
    format!("p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}", at(500), at(990), at(999))
}

fn size(place: &Place) -> u64 {
    let used = std::process::Command::new("du").args(["-s", "-B1"]).arg(place.folder.path()).output().unwrap();
    String::from_utf8_lossy(&used.stdout).split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn fill(vault: &Vault, count: u32) {
    for first in (0..count).step_by(4000) {
        let hands: Vec<_> = (first..count.min(first + 4000))
            .step_by(500)
            .map(|begin| {
                let vault = vault.clone();
                tokio::spawn(async move {
                    let puts = (begin..count.min(begin + 500))
                        .map(|index| vault.sealed((Table::Grants, &key(index)), PLAIN, None, Expected::Any).unwrap());
                    let puts = puts.collect();
                    vault.put_all(puts).await.unwrap();
                })
            })
            .collect();
        for hand in hands {
            hand.await.unwrap();
        }
    }
}

fn figures(kind: Kind) {
    block_on(async move {
        let place = Place::new(kind);
        let before = size(&place);
        let vault = place.open(keys(&[1])).await;
        let count = times("VAULT_GRANTS", 20_000);
        let began = Instant::now();
        fill(&vault, count).await;
        let filled = began.elapsed();
        let each = (size(&place) - before) / u64::from(count);
        let began = Instant::now();
        drop(place.open(keys(&[1])).await);
        let opened = began.elapsed();
        let mut looked = Vec::new();
        for turn in 0..5000_u32 {
            let key = key(turn.wrapping_mul(2_654_435_761) % count);
            let began = Instant::now();
            assert!(vault.get(Table::Grants, &key).await.unwrap().is_some());
            looked.push(began.elapsed());
        }
        let mut put = Vec::new();
        for turn in 0..500_u32 {
            let began = Instant::now();
            vault.put((Table::Grants, &key(turn)), PLAIN, None, Expected::Any).await.unwrap();
            put.push(began.elapsed());
        }
        let rate = puts_at_once(&vault).await;
        let began = Instant::now();
        let counted = vault.count(Table::Grants, "").await.unwrap();
        assert_eq!(counted, u64::from(count));
        let goal = format!("figure: {count} grants in {kind:?}");
        println!(
            "{goal}: size | {each} bytes each on disk, written in {filled:.1?}, counted in {:.1?}",
            began.elapsed()
        );
        println!("{goal}: the store is opened | {opened:.1?}");
        println!("{goal}: lookup | {}", quantiles(looked));
        println!("{goal}: put, one after the other | {}", quantiles(put));
        println!("{goal}: 64 puts at once | {rate:.0} a second");
    });
}

/// How many are acknowledged in a second.
async fn puts_at_once(vault: &Vault) -> f64 {
    let began = Instant::now();
    let hands: Vec<_> = (0..64_u32)
        .map(|hand| {
            let vault = vault.clone();
            tokio::spawn(async move {
                for turn in 0..50 {
                    vault.put((Table::Grants, &key(hand * 50 + turn)), PLAIN, None, Expected::Any).await.unwrap();
                }
            })
        })
        .collect();
    for hand in hands {
        hand.await.unwrap();
    }
    3200.0 / began.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn of_sqlite() {
    figures(Kind::Sqlite);
}

#[test]
#[ignore = "a measurement"]
fn of_postgresql() {
    figures(Kind::Postgres);
}

#[test]
#[ignore = "a measurement"]
fn of_redis() {
    figures(Kind::Redis);
}
