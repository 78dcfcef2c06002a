//! Places for the stores' tests: a folder for a file, or a server of the test's own, on a free port of loopback, that ends with the test. The
//! servers are Debian's PostgreSQL and Redis (tests/peers/install.sh); a missing one is a failure.

use std::fs;
use std::future::Future;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::vault::{StoreAddress, Vault, VaultFault};

/// Of the test's databases.
pub(crate) const PASSWORD: &str = "CANARY-of-the-store";
/// How long a server may take to come up on a busy machine.
const START: Duration = Duration::from_secs(30);

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Redis,
}

/// A store of a test's own.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    /// More arguments for the server.
    pub(crate) settings: Vec<String>,
    pub(crate) server: Option<Child>,
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    /// A store that is up.
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with(kind, &[])
    }

    /// One whose server has further settings.
    pub(crate) fn with(kind: Kind, settings: &[&str]) -> Self {
        Self::within(kind, settings, &std::env::temp_dir())
    }

    /// One whose files are below that folder.
    pub(crate) fn within(kind: Kind, settings: &[&str], parent: &Path) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let settings = settings.iter().map(|one| (*one).to_owned()).collect();
        let mut place = Self { kind, port: free_port(), settings, server: None, folder };
        if kind == Kind::Postgres {
            let copied = Command::new("cp").arg("-a").arg(template()).arg(place.folder.path().join("data")).status();
            assert!(copied.unwrap().success());
        }
        place.start();
        place
    }

    /// Starts the server, and waits until it takes connections.
    pub(crate) fn start(&mut self) {
        let folder = self.folder.path().to_owned();
        let mut command = match self.kind {
            Kind::Sqlite => return,
            Kind::Postgres => {
                let mut command = as_postgres(&postgres_binary("postgres"));
                command.arg("-D").arg(folder.join("data")).args([
                    "-p",
                    &self.port.to_string(),
                    "-c",
                    "listen_addresses=127.0.0.1",
                ]);
                command.args([
                    "-c",
                    "unix_socket_directories=",
                    "-c",
                    "shared_buffers=16MB",
                    "-c",
                    "dynamic_shared_memory_type=mmap",
                ]);
                command.args(self.settings.iter().flat_map(|one| ["-c", one]));
                command
            }
            Kind::Redis => {
                let mut command = Command::new("redis-server");
                command.args([
                    "--port",
                    &self.port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "yes",
                ]);
                command.args(["--appendfsync", "always", "--requirepass", PASSWORD, "--dir"]).arg(&folder);
                command.args(self.settings.iter().flat_map(|one| one.split_whitespace()));
                command
            }
        };
        let began = Instant::now();
        loop {
            let log = fs::File::create(folder.join("server.log")).unwrap();
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            self.server = Some(command.spawn().unwrap_or_else(|fault| panic!("{command:?}: {fault}")));
            if self.is_up_before_its_end(began) {
                return;
            }
            // What a killed PostgreSQL leaves behind is away in a moment.
            let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
            let is_passing = log.contains("still in use") || log.contains("lock file");
            assert!(is_passing && began.elapsed() < START, "{:?}: {log}", self.kind);
            pause(Duration::from_millis(50));
        }
    }

    /// Waits until it answers; false if it ended instead.
    fn is_up_before_its_end(&mut self, began: Instant) -> bool {
        while !self.answers() {
            if !matches!(self.server.as_mut().unwrap().try_wait(), Ok(None)) {
                return false;
            }
            assert!(began.elapsed() < START, "{:?} does not answer", self.kind);
            pause(Duration::from_millis(20));
        }
        true
    }

    /// Whether it takes connections: Redis accepts them at once, PostgreSQL only after its recovery.
    fn answers(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let (asked, expected): (Vec<u8>, &[u8]) = match self.kind {
            Kind::Sqlite => return true,
            Kind::Redis => (format!("AUTH {PASSWORD}\r\nPING\r\n").into_bytes(), b"+OK\r\n+PONG\r\n"),
            // A startup packet (version 3.0) of user postgres: 'R' asks for a password, 'E' says that it is still starting.
            Kind::Postgres => (b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0".to_vec(), b"R"),
        };
        let mut answer = vec![0; expected.len()];
        stream.write_all(&asked).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == expected
    }

    /// Its address, with the password.
    pub(crate) fn address(&self) -> StoreAddress {
        match self.kind {
            Kind::Sqlite => StoreAddress::Sqlite(self.folder.path().join("data/vault.db")),
            Kind::Postgres | Kind::Redis => self.address_with(PASSWORD, ""),
        }
    }

    /// Its address with another password and a query.
    pub(crate) fn address_with(&self, password: &str, query: &str) -> StoreAddress {
        let port = self.port;
        match self.kind {
            Kind::Sqlite => self.address(),
            Kind::Postgres => StoreAddress::Postgres(Secret::new(format!(
                "postgres://postgres:{password}@127.0.0.1:{port}/postgres{query}"
            ))),
            Kind::Redis => StoreAddress::Redis(Secret::new(format!("redis://:{password}@127.0.0.1:{port}/0{query}"))),
        }
    }

    pub(crate) async fn open(&self, keys: KeyRing) -> Vault {
        Vault::open(&self.address(), keys).await.unwrap_or_else(|fault: VaultFault| panic!("{fault}"))
    }

    /// Sends the server a signal, and whatever it has started.
    pub(crate) fn signal(&self, name: &str) {
        let Some(server) = &self.server else { return };
        let own = server.id().to_string();
        // PostgreSQL is a process for each connection.
        let others = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        // Any of them may have ended just now.
        drop(Command::new("kill").arg(format!("-{name}")).arg(own).args(others.split_whitespace()).output());
    }

    /// Ends the server in a moment, without a last word.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        if let Some(mut server) = self.server.take() {
            server.wait().unwrap();
        }
    }

    /// Whether the server is gone by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        pause(Duration::from_millis(500));
        self.server.as_mut().is_none_or(|server| !matches!(server.try_wait(), Ok(None)))
    }

    /// Kills the server and starts it again; a file has none.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Whether any file of the store has these bytes. The server's own settings do not count.
    pub(crate) fn files_contain(&self, bytes: &[u8]) -> bool {
        files(self.folder.path())
            .iter()
            .any(|file| fs::read(file).is_ok_and(|content| memchr::memmem::find(&content, bytes).is_some()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // PostgreSQL takes its shared memory with it when it is told.
        let told = Command::new("kill").arg("-QUIT").arg(server.id().to_string()).status();
        let began = Instant::now();
        while told.is_ok() && began.elapsed() < Duration::from_secs(5) && matches!(server.try_wait(), Ok(None)) {
            if self.kind == Kind::Redis {
                break;
            }
            pause(Duration::from_millis(10));
        }
        drop(server.kill());
        drop(server.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, with a deadline")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn postgres_binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is missing: tests/peers/install.sh");
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().expect("PostgreSQL's binaries are missing: tests/peers/install.sh")
}

/// PostgreSQL refuses to run as root.
fn as_postgres(binary: &Path) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(binary);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(binary);
    command
}

/// A fresh cluster, made once for this machine and copied for each test: `initdb` takes seconds.
fn template() -> PathBuf {
    let initdb = postgres_binary("initdb");
    let version = initdb.iter().rev().nth(2).unwrap().to_string_lossy().into_owned();
    let uid = fs::metadata("/proc/self").unwrap().uid();
    let ready = std::env::temp_dir().join(format!("monday-gateway-postgres-{version}-{uid}"));
    if ready.join("data").exists() {
        return ready.join("data");
    }
    let making = tempfile::tempdir().unwrap();
    fs::set_permissions(making.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(making.path().join("password"), PASSWORD).unwrap();
    let made = as_postgres(&initdb)
        .arg("-D")
        .arg(making.path().join("data"))
        .args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--wal-segsize=1", "--no-sync"])
        .arg(format!("--pwfile={}", making.path().join("password").display()))
        .stdout(Stdio::null())
        .status();
    assert!(made.unwrap().success(), "initdb failed");
    fs::set_permissions(making.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Whoever is first has it; the other's goes away with its folder.
    let making = making.keep();
    if fs::rename(&making, &ready).is_err() {
        fs::remove_dir_all(&making).unwrap();
    }
    ready.join("data")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| entry.map(|entry| entry.path()))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Runs a test on a runtime of its own.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    crate::tls::install_default_provider();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}
