//! Programs of other people: Express, FastAPI, nginx and gunicorn as backends, npm's jsonwebtoken and PyJWT as minters, and
//! clients. `tests/peers/install.sh` puts them into `target/peers`; one that is missing is a failure.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gateway::{Gateway, Printed};
use super::raw;
use super::{SOON, within_blocking};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where `install.sh` put the packages.
fn installed() -> PathBuf {
    let folder = root().join("target/peers");
    assert!(folder.join("npm.stamp").exists(), "run tests/peers/install.sh first (`make test` does)");
    folder
}

/// A script of `tests/peers/node`.
pub(crate) fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(root().join("tests/peers/node").join(script)).env("NODE_PATH", installed().join("node_modules"));
    command
}

/// A script of `tests/peers/python`.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new(installed().join("python/bin/python"));
    command.arg(root().join("tests/peers/python").join(script)).env("PYTHONUNBUFFERED", "1");
    command
}

/// Runs a client to its end, while the test's runtime goes on; panics with its words if it fails.
pub(crate) async fn output(command: Command) -> Output {
    output_within(SOON * 4, command).await
}

/// As `output`, for a client that has much to do.
pub(crate) async fn output_within(limit: Duration, mut command: Command) -> Output {
    let named = format!("{command:?}");
    let run = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap());
    let output =
        tokio::time::timeout(limit, run).await.unwrap_or_else(|_| panic!("not within {limit:?}: {named}")).unwrap();
    assert!(
        output.status.success(),
        "{named}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// As `output`, its standard output as JSON.
pub(crate) async fn output_json(command: Command) -> Value {
    let printed = output(command).await.stdout;
    serde_json::from_slice(&printed).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&printed)))
}

/// Tokens by another implementation: one for each pair of claims and secret.
pub(crate) fn mint(mut minter: Command, wanted: &[(Value, &str)]) -> Vec<String> {
    let mut child = minter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for (payload, secret) in wanted {
        writeln!(input, "{}", json!({ "payload": payload, "secret": secret })).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let tokens: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(tokens.len(), wanted.len());
    tokens
}

/// The claims of a token, as another implementation verifies it with this secret; what it says if it does not.
pub(crate) async fn verified(mut verifier: Command, token: &str, secret: &str) -> Value {
    verifier.arg(json!({ "token": token, "secret": secret }).to_string());
    output_json(verifier).await
}

/// npm's jsonwebtoken.
pub(crate) fn npm_minter() -> Command {
    node("mint.js")
}

/// PyJWT.
pub(crate) fn python_minter() -> Command {
    python("mint.py")
}

/// npm's jsonwebtoken, as a backend uses it.
pub(crate) fn npm_verifier() -> Command {
    node("verify.js")
}

/// PyJWT, as a backend uses it.
pub(crate) fn python_verifier() -> Command {
    python("verify.py")
}

/// schemathesis.
pub(crate) fn schemathesis() -> Command {
    Command::new(installed().join("python/bin/schemathesis"))
}

/// sslyze.
pub(crate) fn sslyze() -> Command {
    let mut command = Command::new(installed().join("python/bin/python"));
    command.args(["-m", "sslyze"]);
    command
}

/// curl that trusts the gateway's authority and finds gw.test on this machine.
pub(crate) fn curl(gateway: &Gateway) -> Command {
    let mut command = Command::new("curl");
    let resolve = format!("gw.test:{}:127.0.0.1", gateway.address.port());
    command
        .args(["-sS", "--noproxy", "*", "--max-time", "20", "--resolve", &resolve, "--cacert"])
        .arg(gateway.ca_file());
    command
}

/// A real backend as its own process; killed when dropped.
pub(crate) struct Peer {
    child: Option<Child>,
    _stop: Option<tokio::sync::oneshot::Sender<()>>,
    pub(crate) address: SocketAddr,
    folder: Option<TempDir>,
    words: Printed,
}

impl Peer {
    /// Express 5.
    pub(crate) fn express() -> Self {
        Self::printing_its_port(node("express.js"))
    }

    /// Node's own http server, and `ws`.
    pub(crate) fn node_http() -> Self {
        Self::printing_its_port(node("http.js"))
    }

    /// FastAPI on uvicorn with httptools.
    pub(crate) fn fastapi() -> Self {
        Self::printing_its_port(python("fastapi_app.py"))
    }

    /// FastAPI on uvicorn with h11, the strict parser.
    pub(crate) fn fastapi_h11() -> Self {
        let mut command = python("fastapi_app.py");
        command.arg("h11");
        Self::printing_its_port(command)
    }

    /// npm's oidc-provider: `tests/peers/node/oidc.js` says what it can be told.
    pub(crate) fn oidc(options: &Value) -> Self {
        let mut command = node("oidc.js");
        command.arg(options.to_string());
        Self::printing_its_port(command)
    }

    /// WSGI on gunicorn, which folds `_` and case.
    pub(crate) fn gunicorn() -> Self {
        Self::printing_its_port(python("wsgi_app.py"))
    }

    /// hyper, in a thread of the test.
    pub(crate) fn hyper() -> Self {
        let (address, stop) = super::hyper::start();
        Self { child: None, _stop: Some(stop), address, folder: None, words: Printed::default() }
    }

    fn printing_its_port(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let words = Printed::gather(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("no port: {line:?} {}", words.text()));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { child: Some(child), _stop: None, address, folder: None, words }
    }

    /// nginx, on a port that was free a moment ago; again on another if somebody was quicker.
    pub(crate) fn nginx() -> Self {
        for _ in 0..10 {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            if let Some(peer) = Self::nginx_at(free) {
                return peer;
            }
        }
        panic!("nginx does not start");
    }

    #[expect(clippy::unwrap_in_result, reason = "none is a port that is taken; all else fails the test")]
    fn nginx_at(address: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(root().join("tests/peers/nginx/nginx.conf")).unwrap();
        let config = config
            .replace("@FOLDER@", &folder.path().display().to_string())
            .replace("@PORT@", &address.port().to_string());
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new("nginx")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let words = Printed::gather(child.stderr.take().unwrap());
        let up = within_blocking(SOON, "nginx starts or ends", || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            // Written once the port is its own; that somebody answers there would say nothing.
            std::fs::metadata(folder.path().join("nginx.pid")).is_ok_and(|file| file.len() > 0).then_some(true)
        });
        up.then(|| Self { child: Some(child), _stop: None, address, folder: Some(folder), words })
    }

    /// For `servers`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Method and target of each request that it understood, in order.
    pub(crate) async fn seen(&self) -> Vec<Value> {
        if let Some(folder) = &self.folder {
            let text = std::fs::read_to_string(folder.path().join("seen.log")).unwrap_or_default();
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        let answer = raw::get(self.address, "/__seen").await.json();
        serde_json::from_value(answer["seen"].clone()).unwrap()
    }

    /// Waits until it has seen at least that many requests.
    pub(crate) async fn seen_when(&self, count: usize) -> Vec<Value> {
        for _ in 0..200 {
            let seen = self.seen().await;
            if seen.len() >= count {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{count} requests were expected: {:?} {}", self.seen().await, self.words.text())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
