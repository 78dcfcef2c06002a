//! A gateway as its own process, and everything it prints.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::answer::Answer;
use super::certificates::Authority;
use super::raw::{self, Raw};
use super::setup::Setup;
use super::{SOON, within_blocking};

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monday-gateway"));
    command.env_remove("MONDAY_GATEWAY_CONFIG").env_remove("RUST_LOG");
    command
}

/// Moves a process's clock; `install.sh` sees that it is there.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// Names of the certificate that every gateway gets.
pub(crate) const NAMES: [&str; 3] = ["gw.test", "localhost", "127.0.0.1"];

/// What a process printed so far.
#[derive(Clone, Default)]
pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    /// Gathers everything from `source` until it ends.
    pub(crate) fn gather(mut source: impl Read + Send + 'static) -> Self {
        let printed = Self::default();
        let into = printed.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(n @ 1..) = source.read(&mut piece) {
                into.0.lock().unwrap().extend_from_slice(&piece[..n]);
            }
        });
        printed
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) authority: Authority,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) plain: bool,
    stdout: Printed,
    stderr: Printed,
}

impl Gateway {
    /// Starts one and waits until it listens.
    pub(crate) fn start(setup: &Setup) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Authority::new(), setup)
    }

    /// Starts one in a folder that has files already.
    pub(crate) fn start_in(folder: TempDir, authority: Authority, setup: &Setup) -> Self {
        authority.leaf(&NAMES).write(folder.path(), "server");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, setup.toml()).unwrap();
        let mut command = binary();
        if setup.movable_clock {
            let clock = folder.path().join("clock");
            if !clock.exists() {
                std::fs::write(&clock, "+0").unwrap();
            }
            command
                .env("LD_PRELOAD", FAKETIME)
                .env("FAKETIME_TIMESTAMP_FILE", clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let mut child = command
            .args(["run", "--config"])
            .arg(&file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Printed::gather(child.stdout.take().unwrap());
        let stderr = Printed::gather(child.stderr.take().unwrap());
        let [address, admin] = ["public", "admin"].map(|listener| {
            within_blocking(SOON, "the gateway listens", || {
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("the gateway ended with {status}:\n{}\n{}", stderr.text(), setup.toml());
                }
                listening(&stderr.text(), listener)
            })
        });
        Self { child, folder, authority, address, admin, plain: setup.plain, stdout, stderr }
    }

    /// The file that clients are told to trust.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// `https://localhost:PORT` with `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    /// Everything on standard error: the log.
    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }

    /// Everything on standard output: the access log.
    pub(crate) fn access_text(&self) -> String {
        self.stdout.text()
    }

    /// The access log's lines so far, whole ones only.
    pub(crate) fn access_lines(&self) -> Vec<Value> {
        let text = self.stdout.text();
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap());
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// The access log once it has that many lines.
    pub(crate) async fn access_lines_when(&self, count: usize) -> Vec<Value> {
        super::within(SOON, "the access log has its lines", || {
            let lines = self.access_lines();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    /// GET on the admin listener.
    pub(crate) async fn ask_admin(&self, path: &str) -> Answer {
        raw::get(self.admin, path).await
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        self.ask_admin("/metrics").await.text()
    }

    /// The sum of all series of `name` whose labels contain all of `labels` (`route="x"`).
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum_of(&self.metrics().await, name, labels)
    }

    /// A connection for HTTP/1.1.
    pub(crate) async fn connect(&self) -> Raw {
        if self.plain { Raw::plain(self.address).await } else { self.connect_tls("gw.test", &["http/1.1"]).await }
    }

    /// A TLS connection with this SNI and ALPN.
    pub(crate) async fn connect_tls(&self, name: &str, alpn: &[&str]) -> Raw {
        Raw::tls(self.address, name, self.authority.client(alpn)).await.unwrap()
    }

    /// One request over a connection of its own.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut connection = self.connect().await;
        connection.send(request.as_ref()).await;
        connection.answer().await
    }

    /// GET (or another method) of `target` with more header lines (each with CR LF).
    pub(crate) async fn request(&self, method: &str, target: &str, lines: &str, body: &str) -> Answer {
        self.ask(raw::request(method, target, lines, body)).await
    }

    /// Sends a signal: `TERM`, `KILL`, `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// How it ended, if it did within `limit`.
    pub(crate) async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        super::within(limit, "the gateway ends", || child.try_wait().unwrap()).await
    }

    /// From now on its clock is ahead by so many seconds (`Setup::movable_clock`).
    pub(crate) fn move_clock(&self, seconds: i64) {
        let clock = self.folder.path().join("clock");
        let next = self.folder.path().join("clock.next");
        std::fs::write(&next, format!("{seconds:+}")).unwrap();
        std::fs::rename(next, clock).unwrap();
    }

    /// Kills it; what is left is its folder.
    pub(crate) fn into_folder(mut self) -> TempDir {
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Where one more listener is, as its log says.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        within_blocking(SOON, "the listener listens", || listening(&self.stderr.text(), name))
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        memory_of(self.child.id())
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = Path::new("/proc").join(self.child.id().to_string()).join("task");
        let names =
            std::fs::read_dir(tasks).unwrap().map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        names.map(|name| name.unwrap_or_default().trim().to_owned()).collect()
    }

    /// The most resident memory that it ever had, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        kib_of(self.child.id(), "VmHWM:")
    }

    /// Panics if any of `needles` is anywhere in what the gateway printed.
    pub(crate) fn assert_printed_none(&self, needles: &[&str]) {
        let printed = format!("{}\n{}", self.stdout.text(), self.stderr.text());
        for needle in needles {
            assert!(!printed.contains(needle), "`{needle}` was printed: {}", line_with(&printed, needle));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprint_tail(&self.stderr.text());
        }
    }
}

fn eprint_tail(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let lines: Vec<&str> =
        lines.into_iter().filter(|line| !line.contains("\"key\":") && !line.contains("listen")).collect();
    let tail = lines.iter().skip(lines.len().saturating_sub(20));
    for line in tail {
        eprintln!("gateway: {line}");
    }
}

fn line_with<'a>(text: &'a str, needle: &str) -> &'a str {
    text.lines().find(|line| line.contains(needle)).unwrap_or_default()
}

/// Resident memory of a process, in KiB.
pub(crate) fn memory_of(id: u32) -> u64 {
    kib_of(id, "VmRSS:")
}

fn kib_of(id: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends a signal to a process that a test started.
pub(crate) fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().unwrap().success());
}

/// Where the gateway says that it listens.
fn listening(log: &str, listener: &str) -> Option<SocketAddr> {
    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|event| {
        let fields = if event["fields"].is_object() { &event["fields"] } else { &event };
        if fields["message"] == "listening" && fields["listener"] == listener {
            fields["address"].as_str()?.parse().ok()
        } else {
            None
        }
    })
}

/// The sum of all series of `name` whose labels contain all of `labels`, in the text of a scrape.
pub(crate) fn sum_of(scrape: &str, name: &str, labels: &[&str]) -> f64 {
    scrape
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}
