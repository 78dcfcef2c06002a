//! Real servers that are stopped, killed, read-only or will not have us. Faults come within a second, nothing that was not written is
//! acknowledged, and all is well two seconds after the server is. R13 of the catalogue of failures.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::vault::trials::{Kind, Place, block_on, keys, put, text, times};
use crate::vault::{Change, Expected, Table, Vault, VaultFault, Written};

/// A second, and what this machine does besides.
const BOUND: Duration = Duration::from_millis(1600);

/// Every operation fails, and in time.
async fn everything_fails(vault: &Vault) -> usize {
    let began = Instant::now();
    let place = (Table::Grants, "during");
    let failed = tokio::join!(
        async { vault.get(Table::Grants, "k").await.is_err() },
        async { vault.put(place, b"y", None, Expected::Any).await.is_err() },
        async { vault.take(Table::Grants, "none").await.is_err() },
        async { vault.remove(Table::Grants, "none", Expected::Any).await.is_err() },
    );
    assert_eq!(failed, (true, true, true, true));
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    4
}

/// How long until a record is written and read.
async fn back(vault: &Vault, within: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let place = (Table::Grants, "after");
        if vault.put(place, b"z", None, Expected::Any).await.is_ok() && vault.get(Table::Grants, "k").await.is_ok() {
            return began.elapsed();
        }
        assert!(began.elapsed() < within, "not back after {:?}", began.elapsed());
    }
}

async fn stopped(place: Place) {
    let vault = place.open(keys(&[1])).await;
    put(&vault, "k", "x").await;
    place.signal("STOP");
    let seconds = u64::from(times("VAULT_STOPPED_SECONDS", 3));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut cases = 0;
    while Instant::now() < until {
        cases += everything_fails(&vault).await;
    }
    place.signal("CONT");
    let took = back(&vault, Duration::from_secs(3)).await;
    assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("x"));
    println!("cases: {cases}, back after {took:?}");
}

async fn killed(mut place: Place) {
    let vault = place.open(keys(&[1])).await;
    let mut changes = vault.changes();
    let (mut cases, mut longest) = (0, Duration::ZERO);
    for round in 0..times("VAULT_KILLED", 3) {
        put(&vault, "k", &round.to_string()).await;
        place.kill();
        cases += everything_fails(&vault).await;
        cases += everything_fails(&vault).await;
        while changes.try_recv().is_ok() {}
        place.start();
        longest = longest.max(back(&vault, Duration::from_secs(3)).await);
        assert_eq!(text(&vault, Table::Grants, "k").await, Some(round.to_string()));
        let told = async { while changes.recv().await.unwrap() != Change::Anything {} };
        assert!(tokio::time::timeout(Duration::from_secs(5), told).await.is_ok(), "that anything may have changed");
    }
    println!("cases: {cases}, back after {longest:?}");
}

async fn no_entry(place: Place) {
    let began = Instant::now();
    let fault = Vault::open(&place.address_with("CANARY-wrong", ""), keys(&[1])).await.unwrap_err();
    assert!(matches!(fault, VaultFault::Refused(_)), "{fault}");
    assert!(!fault.to_string().contains("CANARY") && began.elapsed() < BOUND, "{fault}");
}

#[test]
fn a_stopped_postgresql_is_a_fault_within_a_second() {
    block_on(stopped(Place::new(Kind::Postgres)));
}

#[test]
fn a_stopped_redis_is_a_fault_within_a_second() {
    block_on(stopped(Place::new(Kind::Redis)));
}

#[test]
fn a_killed_postgresql_is_a_fault_and_heals() {
    block_on(killed(Place::new(Kind::Postgres)));
}

#[test]
fn a_killed_redis_is_a_fault_and_heals() {
    block_on(killed(Place::new(Kind::Redis)));
}

#[test]
fn a_wrong_password_is_refused_and_not_told() {
    block_on(no_entry(Place::new(Kind::Postgres)));
    block_on(no_entry(Place::new(Kind::Redis)));
}

/// Says something to the server that no gateway would.
async fn told_to_postgres(place: &Place, sql: &str) {
    let url = format!("postgres://postgres:{}@127.0.0.1:{}/postgres", super::servers::PASSWORD, place.port);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let carried = tokio::spawn(connection);
    for one in sql.split(';') {
        client.simple_query(one).await.unwrap();
    }
    carried.abort();
}

async fn told_to_redis(place: &Place, words: &[&str]) {
    let url = format!("redis://:{}@127.0.0.1:{}/0", super::servers::PASSWORD, place.port);
    let mut connection = ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = ::redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query_async::<::redis::Value>(&mut connection).await.unwrap();
}

#[test]
fn a_read_only_postgresql_answers_and_takes_nothing() {
    block_on(async {
        let place = Place::new(Kind::Postgres);
        let vault = place.open(keys(&[1])).await;
        put(&vault, "k", "x").await;
        let only = "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()";
        told_to_postgres(&place, only).await;
        sleep(Duration::from_millis(300)).await;
        for _ in 0..5 {
            let written = vault.put((Table::Grants, "k"), b"y", None, Expected::Any).await;
            assert!(matches!(&written, Err(VaultFault::Refused(why)) if why.contains("25006")), "{written:?}");
            assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("x"));
        }
        let again = place.open(keys(&[1])).await;
        assert_eq!(text(&again, Table::Grants, "k").await.as_deref(), Some("x"));
        let not = "SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()";
        told_to_postgres(&place, not).await;
        back(&vault, Duration::from_secs(2)).await;
    });
}

#[test]
fn a_redis_that_became_a_replica_takes_nothing() {
    block_on(async {
        let place = Place::new(Kind::Redis);
        let vault = place.open(keys(&[1])).await;
        put(&vault, "k", "x").await;
        told_to_redis(&place, &["REPLICAOF", "127.0.0.1", "1"]).await;
        for _ in 0..3 {
            let written = vault.put((Table::Grants, "k"), b"y", None, Expected::Any).await;
            assert!(matches!(&written, Err(VaultFault::Refused(_))), "{written:?}");
        }
        let opened = Vault::open(&place.address(), keys(&[1])).await.unwrap_err();
        assert!(opened.to_string().contains("replica"), "{opened}");
        told_to_redis(&place, &["REPLICAOF", "NO", "ONE"]).await;
        back(&vault, Duration::from_secs(2)).await;
        assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("x"));
    });
}

#[test]
fn a_connection_that_was_closed_while_it_rested_costs_nobody_anything() {
    block_on(async {
        for kind in [Kind::Postgres, Kind::Redis] {
            let place = Place::new(kind);
            let vault = place.open(keys(&[1])).await;
            put(&vault, "k", "x").await;
            assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("x"));
            if kind == Kind::Redis {
                told_to_redis(&place, &["CLIENT", "KILL", "TYPE", "normal"]).await;
            } else {
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
                    AND application_name = 'monday-gateway'";
                told_to_postgres(&place, others).await;
            }
            sleep(Duration::from_millis(1100)).await;
            assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("x"));
            put(&vault, "k", "y").await;
        }
    });
}

#[test]
fn a_server_that_cannot_keep_what_it_acknowledges_is_refused() {
    block_on(async {
        let mut cases = 0;
        for (kind, setting, words) in [
            (Kind::Redis, "--appendonly no", "append-only file"),
            (Kind::Redis, "--appendfsync everysec", "appendfsync always"),
            (Kind::Redis, "--maxmemory-policy allkeys-lru", "evicts"),
            (Kind::Redis, "--maxmemory-policy volatile-ttl", "evicts"),
            (Kind::Redis, "--cluster-enabled yes", "cluster"),
            (Kind::Postgres, "fsync=off", "fsync"),
        ] {
            let place = Place::with(kind, &[setting]);
            let fault = Vault::open(&place.address(), keys(&[1])).await.unwrap_err();
            assert!(matches!(&fault, VaultFault::Refused(why) if why.contains(words)), "{setting}: {fault}");
            cases += 1;
        }
        println!("cases: {cases}");
    });
}

#[test]
fn a_full_redis_takes_nothing_and_answers() {
    block_on(async {
        let place = Place::with(Kind::Redis, &["--maxmemory 4mb"]);
        let vault = place.open(keys(&[1])).await;
        let mut kept = 0;
        let fault = loop {
            let written =
                vault.put((Table::Grants, &format!("k{kept:04}")), &[7; 32 * 1024], None, Expected::Any).await;
            match written {
                Ok(Written::Version(_)) => kept += 1,
                Ok(Written::Conflict) => panic!("no conflict"),
                Err(fault) => break fault,
            }
        };
        assert!(matches!(&fault, VaultFault::Refused(why) if why.contains("OOM")), "{fault}");
        assert_eq!(vault.count(Table::Grants, "").await.unwrap(), kept);
        assert!(vault.remove(Table::Grants, "k0000", Expected::Any).await.is_ok_and(|gone| gone));
    });
}

#[test]
fn a_newer_schema_is_refused_by_every_server() {
    block_on(async {
        let postgres = Place::new(Kind::Postgres);
        drop(postgres.open(keys(&[1])).await);
        told_to_postgres(&postgres, "UPDATE monday_gateway.schema_version SET version = 9").await;
        let redis = Place::new(Kind::Redis);
        drop(redis.open(keys(&[1])).await);
        told_to_redis(&redis, &["SET", "mgw:schema", "9"]).await;
        for place in [&postgres, &redis] {
            let fault = Vault::open(&place.address(), keys(&[1])).await.unwrap_err();
            assert!(matches!(fault, VaultFault::Newer { found: 9, known: 1 }), "{fault}");
        }
    });
}
