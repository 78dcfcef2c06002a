//! What keeps a gateway from starting is said at once, in words that name the place.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::gateway::{Gateway, NAMES, binary};
use crate::support::raw;
use crate::support::setup::Setup;

/// Runs a gateway that cannot start, and returns what it said. It must end by itself.
fn fails(text: &str, folder: &Path) -> String {
    std::fs::write(folder.join("gateway.toml"), text).unwrap();
    let mut child = binary()
        .args(["run", "--config", "gateway.toml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it runs:\n{text}");
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let output: Output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let words = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(!words.contains("panicked"), "{words}");
    assert!(!words.contains("canary"), "a secret is shown: {words}");
    words
}

#[test]
fn a_port_that_is_taken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().leaf(&NAMES).write(folder.path(), "server");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = Setup::standard("http://127.0.0.1:9").toml();
    let public = fails(&text.replacen("127.0.0.1:0", &address, 1), folder.path());
    assert!(public.contains(&address) && public.to_lowercase().contains("in use"), "{public}");
    let admin = text.replacen("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{address}\""), 1);
    let admin = fails(&admin, folder.path());
    assert!(admin.contains(&address) && admin.contains("admin"), "{admin}");
}

#[test]
fn a_missing_file_or_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().leaf(&NAMES).write(folder.path(), "server");
    let setup = Setup::standard("https://backend.test:9");
    let authority = fails(&setup.clone().upstream("ca = \"nowhere.pem\"").toml(), folder.path());
    assert!(authority.contains("nowhere.pem"), "{authority}");
    std::fs::write(folder.path().join("empty.pem"), "no certificate").unwrap();
    let empty = fails(&setup.upstream("ca = \"empty.pem\"").toml(), folder.path());
    assert!(empty.contains("empty.pem"), "{empty}");
    let app = "client_id = \"x\"\nclient_secret = { env = \"NO_SUCH_VARIABLE\" }\nsigning_secret = { file = \"no-such-file\" }";
    let secrets = fails(&Setup::standard("http://127.0.0.1:9").only_app(app).toml(), folder.path());
    assert!(secrets.contains("NO_SUCH_VARIABLE") && secrets.contains("cannot be read"), "both at once: {secrets}");
    let missing = binary().args(["run", "--config", "nowhere.toml"]).current_dir(folder.path()).output().unwrap();
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.toml"));
}

/// Each worker has connections of its own to the backend, and the one with the fewest clients gets the next.
#[tokio::test]
async fn connections_are_spread_over_the_workers_by_count() {
    for workers in [1_usize, 2, 3] {
        let backend = Backend::echo();
        let gateway = Gateway::start(&Setup::standard(&backend.address).server(&format!("workers = {workers}")));
        let mut clients = Vec::new();
        let mut served = vec![0_usize; workers];
        for _ in 0..4 * workers {
            let mut connection = gateway.connect().await;
            connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
            let by = connection.answer().await.json()["connection"].as_u64().unwrap();
            served[usize::try_from(by).unwrap()] += 1;
            clients.push(connection);
        }
        assert_eq!(backend.connections(), workers, "one connection to the backend for each worker");
        assert_eq!(served, vec![4; workers], "of {workers} workers");
        let names = gateway.threads();
        assert_eq!(names.iter().filter(|name| name.starts_with("worker-")).count(), workers, "{names:?}");
    }
}
