//! Processes that are killed while they write: the gateway's, and the server's. Whatever was acknowledged is there afterwards, and every
//! store opens. The writer that is killed is this test's own program, started again for that.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::vault::trials::servers::pause;
use crate::vault::trials::{Kind, Place, block_on, keys, times};
use crate::vault::{Expected, StoreAddress, Table, Vault, Written};

/// Tells the child which store it writes to.
const STORE: &str = "VAULT_CRASH_STORE";

fn url(address: &StoreAddress) -> String {
    match address {
        StoreAddress::Sqlite(path) => format!("sqlite:{}", path.display()),
        StoreAddress::Postgres(url) | StoreAddress::Redis(url) => String::from_utf8(url.expose().to_vec()).unwrap(),
    }
}

/// The child: writes for ever with several hands, and says on its output what was acknowledged.
#[test]
#[ignore = "the other half of the tests below, which start it"]
fn writes_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "how a test's two halves talk")]
    let Ok(store) = std::env::var(STORE) else { return };
    block_on(async move {
        let address = StoreAddress::parse(&store, std::path::Path::new("")).unwrap();
        let vault = Vault::open(&address, keys(&[1])).await.unwrap();
        let hands: Vec<_> = (0..8).map(|hand| tokio::spawn(write_on(vault.clone(), hand))).collect();
        for hand in hands {
            hand.await.unwrap();
        }
    });
}

async fn write_on(vault: Vault, hand: usize) {
    for turn in 0_u64.. {
        let key = format!("{hand}/{}", turn % 50);
        let plain = format!("{turn}").repeat(20);
        let written = vault.put((Table::Grants, &key), plain.as_bytes(), None, Expected::Any).await;
        let Ok(Written::Version(version)) = written else { continue };
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {key} {version} {turn}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts the child, kills it after `life` of writing, and returns what it was told is kept: version and turn of each key.
fn killed_while_writing(address: &StoreAddress, life: Duration) -> BTreeMap<String, (u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "vault::trials::crash::writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(STORE, url(address))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.by_ref().map_while(Result::ok).find(|line| line.contains("acknowledged")).unwrap();
    pause(life);
    child.kill().unwrap();
    let mut kept = BTreeMap::new();
    for line in std::iter::once(first).chain(lines.map_while(Result::ok)) {
        let Some((_, said)) = line.split_once("acknowledged ") else { continue };
        let parts: Vec<&str> = said.split(' ').collect();
        let [key, version, turn] = parts[..] else { continue }; // the last line may be half of one
        let (Ok(version), Ok(turn)) = (version.parse(), turn.parse()) else { continue };
        kept.insert(key.to_owned(), (version, turn));
    }
    child.wait().unwrap();
    kept
}

/// Each key has what was acknowledged last, or something later that was not acknowledged any more.
async fn all_is_kept(vault: &Vault, kept: &BTreeMap<String, (u64, u64)>) {
    for (key, (version, turn)) in kept {
        let found = vault.get(Table::Grants, key).await.unwrap().unwrap_or_else(|| panic!("{key} is lost"));
        assert!(found.version >= *version, "{key}: {} instead of {version}", found.version);
        if found.version == *version {
            assert_eq!(found.plain[..], *turn.to_string().repeat(20).as_bytes(), "{key}");
        }
    }
}

fn gateway_killed(kind: Kind) {
    block_on(async move {
        let place = Place::new(kind);
        let mut acknowledged = 0;
        let rounds = times("VAULT_KILLS", 5);
        for round in 0..rounds {
            let kept = killed_while_writing(&place.address(), Duration::from_millis(u64::from(round * 37 % 200)));
            let vault = place.open(keys(&[1])).await;
            all_is_kept(&vault, &kept).await;
            acknowledged += kept.len();
        }
        println!("cases: {rounds} kills, {acknowledged} acknowledged records");
    });
}

#[test]
fn what_sqlite_acknowledged_survives_a_killed_gateway() {
    gateway_killed(Kind::Sqlite);
}

#[test]
fn what_postgresql_acknowledged_survives_a_killed_gateway() {
    gateway_killed(Kind::Postgres);
}

#[test]
fn what_redis_acknowledged_survives_a_killed_gateway() {
    gateway_killed(Kind::Redis);
}

fn server_killed(kind: Kind) {
    block_on(async move {
        let mut place = Place::new(kind);
        let vault = place.open(keys(&[1])).await;
        let (mut acknowledged, rounds) = (0, times("VAULT_KILLS", 5));
        for round in 0..rounds {
            let hands: Vec<_> =
                (0..4).map(|hand| tokio::spawn(write_until_it_fails(vault.clone(), round, hand))).collect();
            tokio::time::sleep(Duration::from_millis(u64::from(50 + round * 37 % 200))).await;
            place.kill();
            let mut kept = BTreeMap::new();
            for hand in hands {
                kept.extend(hand.await.unwrap());
            }
            place.start();
            let again = place.open(keys(&[1])).await;
            all_is_kept(&again, &kept).await;
            acknowledged += kept.len();
        }
        assert!(acknowledged > 0);
        println!("cases: {rounds} kills, {acknowledged} acknowledged records");
    });
}

/// Waits for the server first, which was just started again.
async fn write_until_it_fails(vault: Vault, round: u32, hand: usize) -> BTreeMap<String, (u64, u64)> {
    let mut kept = BTreeMap::new();
    for turn in 0_u64.. {
        let key = format!("{round}/{hand}/{}", turn % 50);
        let plain = format!("{turn}").repeat(20);
        match vault.put((Table::Grants, &key), plain.as_bytes(), None, Expected::Any).await {
            Ok(Written::Version(version)) => drop(kept.insert(key, (version, turn))),
            Ok(Written::Conflict) => panic!("no conflict with anything"),
            Err(_) if kept.is_empty() && turn < 20 => {}
            Err(_) => break,
        }
    }
    kept
}

#[test]
fn what_postgresql_acknowledged_survives_its_own_death() {
    server_killed(Kind::Postgres);
}

#[test]
fn what_redis_acknowledged_survives_its_own_death() {
    server_killed(Kind::Redis);
}
