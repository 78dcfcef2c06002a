//! What is SQLite's alone: files and their permissions, older and newer schemas, two processes.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::vault::trials::{Kind, Place, block_on};
use crate::vault::trials::{keys, put, text};
use crate::vault::{StoreAddress, Vault};

fn path(place: &Place) -> PathBuf {
    let StoreAddress::Sqlite(path) = place.address() else { panic!("not a file") };
    path
}

#[test]
fn the_file_and_its_companions_are_their_owners_alone() {
    block_on(async {
        let place = Place::new(Kind::Sqlite);
        let vault = place.open(keys(&[1])).await;
        put(&vault, "k", "x").await;
        vault.serve().unwrap();
        let mut cases = 0;
        for entry in std::fs::read_dir(path(&place).parent().unwrap()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
            cases += 1;
        }
        assert_eq!(cases, 4, "the file, its log, its index, its lock");
        drop(vault);
        std::fs::set_permissions(path(&place), PermissionsExt::from_mode(0o644)).unwrap();
        drop(place.open(keys(&[1])).await);
        assert_eq!(std::fs::metadata(path(&place)).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn a_second_gateway_on_a_file_is_refused_and_a_command_is_not() {
    block_on(async {
        let place = Place::new(Kind::Sqlite);
        let gateway = place.open(keys(&[1])).await;
        gateway.serve().unwrap();
        gateway.serve().unwrap();
        let command = place.open(keys(&[1])).await;
        put(&command, "k", "x").await;
        let refused = command.serve().unwrap_err();
        assert!(refused.to_string().contains("another gateway"), "{refused}");
        drop(gateway);
        let served = async {
            while command.serve().is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await; // its last look around may be under way
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(5), served).await.is_ok());
    });
}

#[test]
fn a_newer_file_or_another_database_is_refused_and_left_alone() {
    block_on(async {
        let place = Place::new(Kind::Sqlite);
        drop(place.open(keys(&[1])).await);
        let raw = rusqlite::Connection::open(path(&place)).unwrap();
        raw.execute_batch("PRAGMA user_version = 99").unwrap();
        let newer = Vault::open(&place.address(), keys(&[1])).await.unwrap_err();
        assert!(matches!(newer, VaultFault::Newer { found: 99, known: 1 }), "{newer}");
        let other = Place::new(Kind::Sqlite);
        std::fs::create_dir_all(path(&other).parent().unwrap()).unwrap();
        rusqlite::Connection::open(path(&other)).unwrap().execute_batch("CREATE TABLE songs (name TEXT)").unwrap();
        let foreign = Vault::open(&other.address(), keys(&[1])).await.unwrap_err();
        assert!(foreign.to_string().contains("something else"), "{foreign}");
        std::fs::write(path(&other), b"not a database, but long enough to be taken for the head of one".repeat(20))
            .unwrap();
        assert!(matches!(Vault::open(&other.address(), keys(&[1])).await, Err(VaultFault::Refused(_))));
    });
}

#[test]
fn an_older_file_becomes_a_newer_one_with_what_it_had() {
    block_on(async {
        let place = Place::new(Kind::Sqlite);
        let vault = place.open(keys(&[1])).await;
        put(&vault, "k", "x").await;
        drop(vault);
        let next = [schema::MIGRATIONS[0], "CREATE TABLE later (name TEXT) STRICT"];
        drop(schema::connect_writer(&path(&place), &next).unwrap());
        let raw = rusqlite::Connection::open(path(&place)).unwrap();
        assert_eq!(raw.query_row("SELECT count(*) FROM later", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        assert_eq!(raw.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        let bad = [schema::MIGRATIONS[0], next[1], "CREATE TABLE later (name TEXT); CREATE TABLE half (name TEXT)"];
        assert!(schema::connect_writer(&path(&place), &bad).is_err());
        assert_eq!(raw.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    });
}

#[test]
fn a_long_transaction_of_another_process_delays_writes_and_no_reads() {
    block_on(async {
        let place = Place::new(Kind::Sqlite);
        let vault = place.open(keys(&[1])).await;
        put(&vault, "k", "x").await;
        let other = rusqlite::Connection::open(path(&place)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let writing = tokio::spawn({
            let vault = vault.clone();
            async move { put(&vault, "k", "y").await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("x"));
        assert!(!writing.is_finished());
        other.execute_batch("ROLLBACK").unwrap();
        writing.await.unwrap();
        assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("y"));
    });
}

#[test]
fn what_has_expired_is_removed_from_the_file() {
    block_on(async {
        let place = Place::new(Kind::Sqlite);
        let vault = place.open(keys(&[1])).await;
        for index in 0..50 {
            let place = (Table::States, &*format!("s{index}"));
            vault.put(place, b"x", Some(Duration::from_millis(1)), Expected::Any).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
        put(&vault, "k", "x").await;
        put(&vault, "k", "x").await;
        let raw = rusqlite::Connection::open(path(&place)).unwrap();
        assert_eq!(raw.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    });
}
