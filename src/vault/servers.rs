//! Places for the stores' tests: a folder for a file, or a server of the test's own on a free port, killed with the test.

use std::future::Future;
use std::path::{Path, PathBuf};

use crate::seal::KeyRing;
use crate::vault::{StoreAddress, Vault, VaultFault};

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
}

/// A store of a test's own.
pub(crate) struct Place {
    kind: Kind,
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn address(&self) -> StoreAddress {
        match self.kind {
            Kind::Sqlite => StoreAddress::Sqlite(self.folder.path().join("data/vault.db")),
        }
    }

    pub(crate) async fn open(&self, keys: KeyRing) -> Vault {
        Vault::open(&self.address(), keys).await.unwrap_or_else(|fault: VaultFault| panic!("{fault}"))
    }

    /// Stops the server and starts it again; a file has none.
    pub(crate) async fn restart(&mut self) {
        match self.kind {
            Kind::Sqlite => {}
        }
    }

    /// Whether any file of the store has these bytes.
    pub(crate) fn files_contain(&self, bytes: &[u8]) -> bool {
        files(self.folder.path())
            .iter()
            .any(|file| std::fs::read(file).is_ok_and(|content| memchr::memmem::find(&content, bytes).is_some()))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Runs a test on a runtime of its own.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    crate::tls::install_default_provider();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}
