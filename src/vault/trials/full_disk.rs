//! A disk that is full: what does not fit is not acknowledged, reads go on, and writing resumes when there is room. R14 of the catalogue of
//! failures. On a small memory file system, which only root may mount: left out, with a word, for anybody else.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::vault::trials::{Kind, Place, block_on, keys};
use crate::vault::{Expected, Table, Vault, VaultFault, Written};

/// A file system of so many MiB, for as long as it lives.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    fn new(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m,mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self { folder });
        }
        println!("left out: only root may mount a small file system");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        let mut piece = 1 << 20;
        while piece > 0 {
            if file.write_all(&vec![0; piece]).is_err() {
                piece /= 4;
            }
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.folder.path()).status());
    }
}

/// Writes while there is room.
async fn write_some(vault: &Vault, kept: &mut BTreeMap<String, u64>) {
    for turn in 0..20 {
        let key = format!("before/{turn}");
        let written = vault.put((Table::Grants, &key), &[1; 20_000], None, Expected::Any).await.unwrap();
        let Written::Version(version) = written else { panic!("no conflict with anything") };
        kept.insert(key, version);
    }
}

/// Writes until something is refused; returns why.
async fn write_until_full(vault: &Vault, kept: &mut BTreeMap<String, u64>) -> VaultFault {
    for turn in 0_u32..20_000 {
        let key = format!("full/{turn}");
        match vault.put((Table::Grants, &key), &[turn.to_le_bytes()[0]; 20_000], None, Expected::Any).await {
            Ok(Written::Version(version)) => drop(kept.insert(key, version)),
            Ok(Written::Conflict) => panic!("no conflict with anything"),
            Err(fault) => return fault,
        }
    }
    panic!("never full");
}

async fn all_is_kept(vault: &Vault, kept: &BTreeMap<String, u64>) {
    for (key, version) in kept {
        let found = vault.get(Table::Grants, key).await.unwrap().unwrap_or_else(|| panic!("{key} is lost"));
        assert_eq!((found.version, found.plain.len()), (*version, 20_000));
    }
}

#[test]
fn a_full_disk_under_sqlite_loses_nothing_and_resumes() {
    let Some(disk) = Small::new(8) else { return };
    block_on(async {
        let address = crate::vault::StoreAddress::Sqlite(disk.path().join("vault.db"));
        let vault = Vault::open(&address, keys(&[1])).await.unwrap();
        let mut kept = BTreeMap::new();
        write_some(&vault, &mut kept).await;
        let ballast = disk.fill();
        let fault = write_until_full(&vault, &mut kept).await;
        assert!(matches!(&fault, VaultFault::Refused(_)), "{fault}");
        for _ in 0..20 {
            assert!(vault.put((Table::Grants, "no"), &[1; 20_000], None, Expected::Any).await.is_err());
        }
        all_is_kept(&vault, &kept).await;
        fs::remove_file(ballast).unwrap();
        let began = Instant::now();
        while vault.put((Table::Grants, "again"), &[1; 20_000], None, Expected::Any).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(1));
        }
        all_is_kept(&vault, &kept).await;
        drop(vault);
        let vault = Vault::open(&address, keys(&[1])).await.unwrap();
        all_is_kept(&vault, &kept).await;
        assert!(vault.get(Table::Grants, "no").await.unwrap().is_none());
        println!("cases: {} records kept, 21 refused", kept.len());
    });
}

fn full_server(kind: Kind, mebibytes: u32) {
    let Some(disk) = Small::new(mebibytes) else { return };
    block_on(async move {
        let mut place = Place::within(kind, &[], disk.path());
        let vault = place.open(keys(&[1])).await;
        let mut kept = BTreeMap::new();
        write_some(&vault, &mut kept).await;
        let ballast = disk.fill();
        let fault = write_until_full(&vault, &mut kept).await;
        fs::remove_file(ballast).unwrap();
        if place.has_ended() {
            place.restart(); // both give up rather than lose something
        }
        let began = Instant::now();
        while vault.put((Table::Grants, "again"), &[1; 20_000], None, Expected::Any).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(5), "after {fault}");
        }
        all_is_kept(&vault, &kept).await;
        println!("cases: {} records kept, then: {fault}", kept.len());
    });
}

#[test]
fn a_full_disk_under_postgresql_loses_nothing() {
    full_server(Kind::Postgres, 80);
}

#[test]
fn a_full_disk_under_redis_loses_nothing() {
    full_server(Kind::Redis, 12);
}
