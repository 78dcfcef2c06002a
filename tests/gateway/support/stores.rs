//! PostgreSQL and Redis as processes of the test: started empty, stopped, killed and started again with what they had.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::gateway::{Printed, signal};
use super::{SOON, within_blocking};

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Redis,
}

/// A running one; killed when dropped.
pub(crate) struct Store {
    kind: Kind,
    /// More arguments of the server.
    arguments: Vec<String>,
    child: Option<Child>,
    folder: TempDir,
    address: SocketAddr,
    words: Printed,
}

/// Who PostgreSQL is, which refuses to be root.
fn owner() -> Option<(u32, u32)> {
    let id = |option: &str| {
        let output = Command::new("id").args([option, "postgres"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().ok()
    };
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if root { Some((id("-u")?, id("-g")?)) } else { None }
}

fn as_owner(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/lib/postgresql/15/bin")).stdin(Stdio::null());
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command
}

impl Store {
    /// A new one, empty.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// A new one whose server has more arguments, whenever it starts.
    pub(crate) fn start_with(kind: Kind, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if kind == Kind::Postgres {
            if let Some((user, group)) = owner() {
                std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
            }
            let data = folder.path().join("data");
            let output = as_owner("initdb")
                .current_dir(folder.path())
                .args(["-U", "gateway", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
                .arg(&data)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        let mut store = Self { kind, arguments, child: None, folder, address: free_port(), words: Printed::default() };
        store.start_again();
        store
    }

    /// What `[vault]` calls it.
    pub(crate) fn url(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://gateway@{}/postgres", self.address),
            Kind::Redis => format!("redis://{}", self.address),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it with what it had, at the same address.
    pub(crate) fn start_again(&mut self) {
        let port = self.address.port().to_string();
        let folder = self.folder.path();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = as_owner("postgres");
                command.args(["-h", "127.0.0.1", "-p", &port, "-c", "max_connections=60", "-k"]).arg(folder);
                command.arg("-D").arg(folder.join("data"));
                command
            }
            Kind::Redis => {
                let mut command = Command::new("redis-server");
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes"]);
                command.args(["--appendfsync", "always", "--maxmemory-policy", "noeviction", "--dir"]).arg(folder);
                command
            }
        };
        let mut child = command
            .args(&self.arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Printed::gather(child.stdout.take().unwrap());
        self.words = Printed::gather(child.stderr.take().unwrap());
        within_blocking(SOON * 2, "the store is ready", || {
            assert!(child.try_wait().unwrap().is_none(), "{}\n{}", said.text(), self.words.text());
            let words = format!("{}{}", said.text(), self.words.text());
            words.to_lowercase().contains("ready to accept connections").then_some(())
        });
        self.child = Some(child);
    }

    /// Kills it with everything that belongs to it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // PostgreSQL's children end when their parent does, at once if it is asked to stop so.
            signal(child.id(), if self.kind == Kind::Postgres { "QUIT" } else { "KILL" });
            child.wait().ok();
        }
    }

    /// Kills it and everything that belongs to it with signal 9.
    pub(crate) fn die(&mut self) {
        self.send("KILL");
        if let Some(mut child) = self.child.take() {
            child.wait().ok();
        }
    }

    /// Where PostgreSQL's and Redis's files are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// It does not answer any more, and keeps its connections.
    pub(crate) fn freeze(&self) {
        self.send("STOP");
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.send("CONT");
    }

    fn send(&self, name: &str) {
        let parent = self.child.as_ref().unwrap().id();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        for id in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            Command::new("kill").arg(format!("-{name}")).arg(u32::to_string(&id)).status().ok();
        }
        signal(parent, name);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.thaw();
        }
        self.kill();
    }
}
