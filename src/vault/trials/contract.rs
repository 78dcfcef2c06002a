//! What every store must do, tried on each of the three: the same cases, on servers that are started for them.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::limits::{VAULT_KEY_BYTES, VAULT_LIST, VAULT_RECORD_BYTES};
use crate::seal::{KeyRing, SealFault};
use crate::secret::Secret;
use crate::vault::trials::servers::{Kind, Place, block_on};
use crate::vault::{Change, Expected, Record, Table, Vault, VaultFault, Written};

/// A test for each store of each case below.
macro_rules! for_each_store {
    ($($case:ident),* $(,)?) => {
        for_each_store!(@ sqlite Sqlite $($case)*);
        for_each_store!(@ postgres Postgres $($case)*);
        for_each_store!(@ redis Redis $($case)*);
    };
    (@ $store:ident $kind:ident $($case:ident)*) => {
        mod $store {
            use super::*;
            $(
                #[test]
                fn $case() {
                    block_on(super::$case(Place::new(Kind::$kind)));
                }
            )*
        }
    };
}

for_each_store! {
    what_is_put_is_got_and_nothing_else,
    a_write_that_expects_something_else_is_a_conflict,
    versions_grow_also_after_a_removal,
    a_record_ends_by_the_clock_of_the_store,
    one_of_many_takes_a_record,
    one_of_many_wins_a_version,
    lists_are_in_order_and_in_pages,
    what_a_store_could_not_take_is_refused,
    changes_are_told_here_and_elsewhere,
    many_are_written_at_once,
    two_are_written_together_or_neither,
    what_cannot_be_opened_hides_nothing_else,
    keys_rotate_under_writes_and_the_old_one_can_go,
    a_row_in_another_rows_place_does_not_open,
    what_was_written_is_there_after_opening_again,
}

pub(crate) fn keys(bytes: &[u8]) -> KeyRing {
    KeyRing::new(&bytes.iter().map(|byte| Secret::new([*byte; 32])).collect::<Vec<_>>()).unwrap()
}

pub(crate) async fn put(vault: &Vault, key: &str, plain: &str) -> u64 {
    match vault.put((Table::Grants, key), plain.as_bytes(), None, Expected::Any).await.unwrap() {
        Written::Version(version) => version,
        Written::Conflict => panic!("a conflict with anything"),
    }
}

pub(crate) async fn text(vault: &Vault, table: Table, key: &str) -> Option<String> {
    vault.get(table, key).await.unwrap().as_ref().map(plain)
}

fn plain(record: &Record) -> String {
    String::from_utf8(record.plain.to_vec()).unwrap()
}

async fn what_is_put_is_got_and_nothing_else(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let version = put(&vault, "a/1/2/github", "one").await;
    let found = vault.get(Table::Grants, "a/1/2/github").await.unwrap().unwrap();
    assert_eq!((found.version, found.expires, &found.plain[..]), (version, None, b"one".as_slice()));
    for (table, key) in
        [(Table::States, "a/1/2/github"), (Table::Grants, "a/1/2/githu"), (Table::Grants, "A/1/2/github")]
    {
        assert_eq!(text(&vault, table, key).await, None, "{key}");
    }
    for odd in ["ö", "a b", "%", "_", "a\nb", "'; DROP TABLE records; --", "x/*", "\u{10ffff}", ":", "{x}"] {
        put(&vault, odd, odd).await;
        assert_eq!(text(&vault, Table::Grants, odd).await.as_deref(), Some(odd));
    }
    let large = vec![0xa5; VAULT_RECORD_BYTES];
    vault.put((Table::Events, "large"), &large, None, Expected::Any).await.unwrap();
    assert_eq!(vault.get(Table::Events, "large").await.unwrap().unwrap().plain[..], large);
    vault.put((Table::Events, "empty"), b"", None, Expected::Any).await.unwrap();
    assert_eq!(text(&vault, Table::Events, "empty").await.as_deref(), Some(""));
    assert!(vault.remove(Table::Grants, "ö", Expected::Any).await.unwrap());
    assert!(!vault.remove(Table::Grants, "ö", Expected::Any).await.unwrap());
    assert_eq!(text(&vault, Table::Grants, "ö").await, None);
}

async fn a_write_that_expects_something_else_is_a_conflict(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let put = async |expected| vault.put((Table::Grants, "k"), b"x", None, expected).await.unwrap();
    assert_eq!(put(Expected::Version(1)).await, Written::Conflict);
    let Written::Version(first) = put(Expected::Absent).await else { panic!("it was absent") };
    assert_eq!(put(Expected::Absent).await, Written::Conflict);
    assert_eq!(put(Expected::Version(first + 1)).await, Written::Conflict);
    let Written::Version(second) = put(Expected::Version(first)).await else { panic!("it was this") };
    assert_eq!(put(Expected::Version(first)).await, Written::Conflict);
    assert!(!vault.remove(Table::Grants, "k", Expected::Version(first)).await.unwrap());
    assert!(!vault.remove(Table::Grants, "k", Expected::Absent).await.unwrap());
    assert!(vault.remove(Table::Grants, "k", Expected::Version(second)).await.unwrap());
    assert_eq!(put(Expected::Version(second)).await, Written::Conflict);
}

async fn versions_grow_also_after_a_removal(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let mut seen = Vec::new();
    for round in 0..4 {
        seen.push(put(&vault, "k", "x").await);
        seen.push(put(&vault, "k", "y").await);
        match round % 2 {
            0 => drop(vault.take(Table::Grants, "k").await.unwrap()),
            _ => drop(vault.remove(Table::Grants, "k", Expected::Any).await.unwrap()),
        }
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert!(vault.writes().await.unwrap() >= 8);
}

async fn a_record_ends_by_the_clock_of_the_store(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let lives = async |key: &str, millis, expected| {
        let lifetime = Some(Duration::from_millis(millis));
        vault.put((Table::Leases, key), b"x", lifetime, expected).await.unwrap()
    };
    let Written::Version(short) = lives("short", 300, Expected::Absent).await else { panic!() };
    lives("taken", 300, Expected::Absent).await;
    lives("long", 60_000, Expected::Absent).await;
    let found = vault.get(Table::Leases, "long").await.unwrap().unwrap();
    let now = crate::clock::Clock::system().unix_millis();
    assert!(found.expires.is_some_and(|expires| expires > now + 50_000 && expires <= now + 61_000), "{found:?}");
    assert_eq!(lives("short", 300, Expected::Absent).await, Written::Conflict);
    sleep(Duration::from_millis(400)).await;
    assert_eq!(text(&vault, Table::Leases, "short").await, None);
    assert!(vault.take(Table::Leases, "taken").await.unwrap().is_none());
    assert_eq!(vault.count(Table::Leases, "").await.unwrap(), 1);
    assert_eq!(vault.list(Table::Leases, "", None, 10).await.unwrap().len(), 1);
    assert_eq!(lives("short", 300, Expected::Version(short)).await, Written::Conflict);
    assert!(!vault.remove(Table::Leases, "short", Expected::Any).await.unwrap());
    let Written::Version(again) = lives("short", 60_000, Expected::Absent).await else { panic!("it has expired") };
    assert!(again > short);
    assert_eq!(vault.count(Table::Leases, "").await.unwrap(), 2);
    // A write without a lifetime takes the old one's away.
    vault.put((Table::Leases, "long"), b"x", None, Expected::Any).await.unwrap();
    assert_eq!(vault.get(Table::Leases, "long").await.unwrap().unwrap().expires, None);
}

async fn one_of_many_takes_a_record(place: Place) {
    let (one, other) = (place.open(keys(&[1])).await, place.open(keys(&[1])).await);
    for round in 0..10 {
        let key = format!("state-{round}");
        one.put((Table::States, &key), b"x", Some(Duration::from_mins(10)), Expected::Absent).await.unwrap();
        let takers: Vec<_> = (0..20)
            .map(|index| {
                let (vault, key) = (if index % 2 == 0 { one.clone() } else { other.clone() }, key.clone());
                tokio::spawn(async move { vault.take(Table::States, &key).await.unwrap().is_some() })
            })
            .collect();
        let mut taken = 0;
        for taker in takers {
            taken += usize::from(taker.await.unwrap());
        }
        assert_eq!(taken, 1);
    }
    println!("cases: 200");
}

async fn one_of_many_wins_a_version(place: Place) {
    let (one, other) = (place.open(keys(&[1])).await, place.open(keys(&[1])).await);
    let mut version = put(&one, "k", "0").await;
    for _ in 0..10 {
        let writers: Vec<_> = (0..12)
            .map(|index| {
                let vault = if index % 2 == 0 { one.clone() } else { other.clone() };
                tokio::spawn(async move {
                    vault.put((Table::Grants, "k"), b"x", None, Expected::Version(version)).await.unwrap()
                })
            })
            .collect();
        let mut won = Vec::new();
        for writer in writers {
            if let Written::Version(new) = writer.await.unwrap() {
                won.push(new);
            }
        }
        let [new] = won.as_slice() else { panic!("{won:?}") };
        assert!(*new > version);
        version = *new;
    }
    println!("cases: 120");
}

async fn lists_are_in_order_and_in_pages(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let keys = ["a/1/-/x", "a/1/10/x", "a/1/2/x", "a/10/1/x", "a/1é", "b", "a/1", "Z", "ä", "\u{10ffff}z", "a/1/2/y"];
    for key in keys {
        put(&vault, key, key).await;
    }
    vault.put((Table::Installs, "a/1/0"), b"", None, Expected::Any).await.unwrap();
    let mut cases = 0;
    for prefix in ["", "a", "a/1", "a/1/", "a/1/2", "b", "c", "ä", "\u{10ffff}", "Z"] {
        let expected: Vec<&str> = BTreeSet::from(keys).into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(vault.count(Table::Grants, prefix).await.unwrap(), expected.len() as u64, "{prefix}");
        for page in [1, 2, 3, 100] {
            let mut found: Vec<String> = Vec::new();
            loop {
                let records = vault.list(Table::Grants, prefix, found.last().map(String::as_str), page).await.unwrap();
                let is_last = records.len() < page;
                assert!(records.iter().all(|record| record.plain[..] == *record.key.as_bytes()));
                found.extend(records.into_iter().map(|record| record.key));
                if is_last {
                    break;
                }
            }
            assert_eq!(found, expected, "{prefix} by {page}");
            cases += 1;
        }
    }
    // An `after` that is not a key, and one before the prefix.
    let first = async |prefix, after| {
        vault.list(Table::Grants, prefix, Some(after), 1).await.unwrap().pop().map(|record| record.key)
    };
    assert_eq!(first("a/1/", "a/1/15").await.as_deref(), Some("a/1/2/x"));
    assert_eq!(first("a/1/", "Z").await.as_deref(), Some("a/1/-/x"));
    assert_eq!(first("a/1/", "b").await, None);
    assert!(vault.list(Table::Grants, "", None, 0).await.unwrap().is_empty());
    println!("cases: {}", cases + 4);
}

async fn what_a_store_could_not_take_is_refused(place: Place) {
    let vault = place.open(keys(&[1])).await;
    for key in ["", "a\0b", &"x".repeat(VAULT_KEY_BYTES + 1)] {
        let put = vault.put((Table::Grants, key), b"x", None, Expected::Any).await;
        assert!(matches!(put, Err(VaultFault::Refused(_))), "{put:?}");
        assert!(vault.get(Table::Grants, key).await.is_err());
    }
    let large = vec![0; VAULT_RECORD_BYTES + 1];
    assert!(vault.put((Table::Grants, "k"), &large, None, Expected::Any).await.is_err());
    let longest = "x".repeat(VAULT_KEY_BYTES);
    put(&vault, &longest, "x").await;
    assert_eq!(text(&vault, Table::Grants, &longest).await.as_deref(), Some("x"));
}

/// Waits for a change, but not for ever. Others may come before it.
async fn told(changes: &mut tokio::sync::broadcast::Receiver<Change>, expected: &[Change]) -> Vec<Change> {
    let mut seen = Vec::new();
    let waiting = async {
        while !expected.iter().any(|change| seen.contains(change)) {
            seen.push(changes.recv().await.unwrap());
        }
    };
    assert!(timeout(Duration::from_secs(5), waiting).await.is_ok(), "{expected:?} was not told, only {seen:?}");
    seen
}

async fn changes_are_told_here_and_elsewhere(place: Place) {
    let (one, other) = (place.open(keys(&[1])).await, place.open(keys(&[1])).await);
    let (mut here, mut there) = (one.changes(), other.changes());
    sleep(Duration::from_millis(200)).await;
    let row = |key: &str| [Change::Row(Table::Grants, key.to_owned()), Change::Anything];
    let own = |key: &str| [Change::Row(Table::Grants, key.to_owned())];
    put(&one, "a/1 ä", "x").await;
    told(&mut here, &own("a/1 ä")).await;
    told(&mut there, &row("a/1 ä")).await;
    one.remove(Table::Grants, "a/1 ä", Expected::Any).await.unwrap();
    told(&mut here, &own("a/1 ä")).await;
    told(&mut there, &row("a/1 ä")).await;
    // Short-lived ones are nobody's business.
    sleep(Duration::from_millis(700)).await;
    while here.try_recv().is_ok() {}
    one.put((Table::Leases, "k"), b"x", None, Expected::Any).await.unwrap();
    one.take(Table::Leases, "k").await.unwrap();
    put(&one, "last", "x").await;
    assert_eq!(told(&mut here, &own("last")).await, own("last"));
}

async fn many_are_written_at_once(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let conflicting = vault.sealed((Table::Grants, "many/0001"), b"no", None, Expected::Version(7)).unwrap();
    let mut puts: Vec<_> = (0..1200)
        .map(|index| vault.sealed((Table::Grants, &format!("many/{index:04}")), b"x", None, Expected::Absent).unwrap())
        .collect();
    puts.push(conflicting);
    let written = vault.put_all(puts).await.unwrap();
    assert_eq!(written.len(), 1201);
    assert!(written[..1200].iter().all(|one| *one != Written::Conflict));
    assert_eq!(written[1200], Written::Conflict);
    assert_eq!(vault.count(Table::Grants, "many/").await.unwrap(), 1200);
    let page = vault.list(Table::Grants, "many/", None, usize::MAX).await.unwrap();
    assert_eq!(page.len(), VAULT_LIST);
    let next = vault.get(Table::Grants, "many/0500").await.unwrap().unwrap();
    assert!(page.iter().all(|record| record.version != next.version));
}

async fn two_are_written_together_or_neither(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let hour = Some(Duration::from_hours(1));
    let pair = async |expected: Expected, event: &str| {
        let put = vault.sealed((Table::Grants, "a/1/2/github"), event.as_bytes(), None, expected).unwrap();
        let with = vault.sealed((Table::Events, event), event.as_bytes(), hour, Expected::Any).unwrap();
        vault.put_with(put, Some(with)).await.unwrap()
    };
    let mut changes = vault.changes();
    let Written::Version(first) = pair(Expected::Absent, "a/one").await else { panic!("it was absent") };
    told(&mut changes, &[Change::Row(Table::Grants, "a/1/2/github".to_owned())]).await;
    assert_eq!(pair(Expected::Absent, "a/two").await, Written::Conflict);
    assert_eq!(pair(Expected::Version(first + 100), "a/three").await, Written::Conflict);
    let Written::Version(second) = pair(Expected::Version(first), "a/four").await else { panic!("it was this") };
    assert!(second > first);
    assert_eq!(text(&vault, Table::Grants, "a/1/2/github").await.as_deref(), Some("a/four"));
    let events = vault.list(Table::Events, "a/", None, 10).await.unwrap();
    let found: Vec<(&str, String)> = events.iter().map(|record| (record.key.as_str(), plain(record))).collect();
    assert_eq!(found, [("a/four", "a/four".to_owned()), ("a/one", "a/one".to_owned())]);
    assert!(events.iter().all(|record| record.expires.is_some()));
    assert_eq!(vault.count(Table::Events, "").await.unwrap(), 2);
    let versions: BTreeSet<u64> = events.iter().map(|record| record.version).chain([first, second]).collect();
    assert_eq!(versions.len(), 4, "no version is given twice");
}

async fn what_cannot_be_opened_hides_nothing_else(place: Place) {
    let vault = place.open(keys(&[1])).await;
    let strange = place.open(keys(&[9])).await;
    for number in 0..20 {
        put(if number % 3 == 0 { &vault } else { &strange }, &format!("k{number:02}"), "x").await;
    }
    assert!(vault.list(Table::Grants, "", None, 100).await.is_err());
    for page in [1, 2, 3, 5, 100] {
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().cloned();
            let records = vault.list_readable(Table::Grants, "k", after.as_deref(), page).await.unwrap();
            found.extend(records.iter().map(|record| record.key.clone()));
            if records.len() < page {
                break;
            }
        }
        assert_eq!(found, ["k00", "k03", "k06", "k09", "k12", "k15", "k18"], "{page} at once");
    }
    assert!(vault.list_readable(Table::Grants, "", None, 0).await.unwrap().is_empty());
}

async fn keys_rotate_under_writes_and_the_old_one_can_go(place: Place) {
    let old = place.open(keys(&[1])).await;
    for index in 0..700 {
        let put = old.sealed((Table::Grants, &format!("g/{index:03}")), b"x", None, Expected::Any).unwrap();
        old.put_all(vec![put]).await.unwrap();
    }
    old.put((Table::States, "s"), b"x", Some(Duration::from_mins(10)), Expected::Any).await.unwrap();
    let rotated = place.open(keys(&[2, 1])).await;
    let before = rotated.get(Table::Grants, "g/350").await.unwrap().unwrap();
    let writing = {
        let vault = rotated.clone();
        tokio::spawn(async move {
            for index in (0..700).step_by(3) {
                put(&vault, &format!("g/{index:03}"), "y").await;
            }
        })
    };
    let mut batches = 0;
    let resealed = rotated.reseal(|_| batches += 1).await.unwrap();
    writing.await.unwrap();
    assert!(batches >= 3 && resealed.seen == 701 && resealed.unreadable == 0, "{resealed:?} in {batches}");
    assert!(resealed.sealed > 400 && resealed.sealed + resealed.overtaken <= 701, "{resealed:?}");
    let after = rotated.get(Table::Grants, "g/350").await.unwrap().unwrap();
    assert_eq!(before.version, after.version, "sealing again is no write");
    // Interrupted and begun again, there is nothing left to do.
    assert_eq!(rotated.reseal(|_| ()).await.unwrap().sealed, 0);
    let new = place.open(keys(&[2])).await;
    let mut after = None;
    let mut read = 0;
    loop {
        let page = new.list(Table::Grants, "", after.as_deref(), 500).await.unwrap();
        read += page.len();
        for record in &page {
            let index: usize = record.key.trim_start_matches("g/").parse().unwrap();
            assert_eq!(&record.plain[..], if index.is_multiple_of(3) { b"y" } else { b"x" });
        }
        after = page.last().map(|record| record.key.clone());
        if page.len() < 500 {
            break;
        }
    }
    assert_eq!(read, 700);
    assert!(new.get(Table::States, "s").await.unwrap().unwrap().expires.is_some());
    println!("cases: {read}");
}

async fn a_row_in_another_rows_place_does_not_open(place: Place) {
    let vault = place.open(keys(&[1])).await;
    put(&vault, "mine", "CANARY-mine").await;
    put(&vault, "yours", "CANARY-yours").await;
    let rows = crate::vault::Rows::new(Table::Grants, "yours", None, 1).unwrap();
    let yours = vault.rows(rows).await.unwrap().pop().unwrap();
    for (table, key) in [(Table::Grants, "mine"), (Table::Installs, "yours")] {
        let moved = crate::vault::row::Put {
            table,
            key: key.to_owned(),
            sealed: yours.sealed.clone(),
            lifetime: None,
            expected: Expected::Any,
        };
        vault.put_all(vec![moved]).await.unwrap();
        let found = vault.get(table, key).await;
        assert!(matches!(found, Err(VaultFault::Sealed(SealFault::Altered))), "{found:?}");
    }
    let other = place.open(keys(&[9])).await;
    assert!(matches!(other.get(Table::Grants, "yours").await, Err(VaultFault::Sealed(SealFault::UnknownKey))));
    let resealed = other.reseal(|_| ()).await.unwrap();
    assert_eq!((resealed.unreadable, resealed.sealed), (3, 0), "what cannot be read stays as it is");
    assert_eq!(text(&vault, Table::Grants, "yours").await.as_deref(), Some("CANARY-yours"));
}

async fn what_was_written_is_there_after_opening_again(mut place: Place) {
    let vault = place.open(keys(&[1])).await;
    let version = put(&vault, "k", "CANARY-kept").await;
    drop(vault);
    place.restart();
    let vault = place.open(keys(&[1])).await;
    let found = vault.get(Table::Grants, "k").await.unwrap().unwrap();
    assert_eq!((found.version, &found.plain[..]), (version, b"CANARY-kept".as_slice()));
    assert!(put(&vault, "k", "x").await > version, "no version is given twice");
    assert!(!place.files_contain(b"CANARY"), "what is kept is sealed");
}
