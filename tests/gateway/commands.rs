//! The commands as people type them: output, exit codes, help.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::gateway::{Gateway, NAMES, binary};
use crate::support::mint::{CLIENT, SIGNING};
use crate::support::peers;
use crate::support::setup::Setup;

const COMMANDS: [&str; 9] = ["run", "check", "demo", "token", "send", "explain", "schema", "cert", "health"];

fn run(arguments: &[&str], folder: &Path) -> Output {
    binary().args(arguments).current_dir(folder).output().unwrap()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder with gateway.toml and its certificate.
fn folder_with(setup: &Setup) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().leaf(&NAMES).write(folder.path(), "server");
    std::fs::write(folder.path().join("gateway.toml"), setup.toml()).unwrap();
    folder
}

#[test]
fn every_command_has_a_help_and_the_version_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let all = words(&run(&["--help"], folder.path()));
    for command in COMMANDS {
        assert!(all.contains(command), "{command}: {all}");
        let help = run(&[command, "--help"], folder.path());
        assert!(help.status.success() && words(&help).len() > 100, "{command}");
    }
    let version = run(&["--version"], folder.path());
    assert!(words(&version).contains(env!("CARGO_PKG_VERSION")));
    let unknown = run(&["nonsense"], folder.path());
    assert_eq!(unknown.status.code(), Some(2), "{}", words(&unknown));
}

#[test]
fn completions_are_written_for_each_shell() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell], folder.path());
        assert!(output.status.success() && words(&output).contains("monday-gateway"), "{shell}: {}", words(&output));
    }
}

#[test]
fn check_accepts_a_right_file_quickly_and_prints_no_secret() {
    let folder = folder_with(&Setup::standard("http://127.0.0.1:3000"));
    let began = Instant::now();
    let output = run(&["check"], folder.path());
    let took = began.elapsed();
    assert!(output.status.success(), "{}", words(&output));
    assert!(took < Duration::from_secs(1), "{took:?}");
    for arguments in [&["check", "--print"][..], &["check", "--json"], &["check", "--no-secrets"]] {
        let output = run(arguments, folder.path());
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        assert!(!words(&output).contains(SIGNING) && !words(&output).contains(CLIENT), "{}", words(&output));
    }
    let printed = words(&run(&["check", "--print"], folder.path()));
    assert!(printed.contains("https://gw.test/planner/action"), "the URLs to register: {printed}");
}

#[test]
fn check_names_every_mistake_at_once_with_its_place() {
    let text = Setup::standard("http://127.0.0.1:3000")
        .toml()
        .replacen("signing_secret", "sining_secret", 1)
        .replacen("kind = \"action\"", "kind = \"acton\"", 1)
        .replacen("upstream = \"backend\"", "upstream = \"bakend\"", 1);
    let folder = folder_with(&Setup::standard("http://127.0.0.1:3000"));
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let output = run(&["check"], folder.path());
    let all = words(&output);
    assert!(!output.status.success());
    for part in ["sining_secret", "signing_secret", "acton", "action", "bakend", "gateway.toml:"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!all.contains("canary"), "{all}");
    let json = run(&["check", "--json"], folder.path());
    let json: Value = serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&json)));
    assert!(json.to_string().contains("sining_secret"));
}

#[test]
fn r19_a_file_that_is_no_toml_is_refused_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "",
        "x",
        "[server",
        "[server]\nlisten = ",
        "\u{feff}",
        "a = 1\na = 2",
        "[server]\nlisten = 5",
        "[[server]]",
        "\0",
        "[routes]\n",
    ] {
        std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
        let output = run(&["check"], folder.path());
        assert_eq!(output.status.code(), Some(1), "{text:?}: {}", words(&output));
        assert!(!words(&output).contains("panicked"), "{text:?}: {}", words(&output));
    }
    let missing = run(&["check", "--config", "nowhere.toml"], folder.path());
    assert!(!missing.status.success() && words(&missing).contains("nowhere.toml"));
}

#[test]
fn the_committed_file_is_valid_and_names_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run(&["check", "--no-secrets", "--config", "gateway.toml"], root);
    assert!(output.status.success(), "{}", words(&output));
    let schema = run(&["schema"], root);
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["$schema"].is_string());
    assert!(schema["properties"]["routes"].is_object());
    assert!(std::fs::read_to_string(root.join("gateway.toml")).unwrap().contains("schema"));
}

#[test]
fn the_configuration_is_found_where_it_is_said() {
    let folder = folder_with(&Setup::standard("http://127.0.0.1:3000"));
    let file = folder.path().join("gateway.toml");
    let elsewhere = tempfile::tempdir().unwrap();
    let by_environment =
        binary().arg("check").env("MONDAY_GATEWAY_CONFIG", &file).current_dir(elsewhere.path()).output().unwrap();
    assert!(by_environment.status.success(), "{}", words(&by_environment));
    assert!(!run(&["check"], elsewhere.path()).status.success());
}

#[tokio::test]
async fn a_minted_token_is_accepted_and_explained() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let folder = gateway.folder.path();
    for kind in ["action", "view", "app-lifecycle", "feature-lifecycle", "board-webhook"] {
        let output = run(&["token", "--app", "planner", "--kind", kind], folder);
        assert!(output.status.success(), "{kind}: {}", words(&output));
        let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let answer = gateway
            .request("POST", &format!("/planner/{kind}/run"), &format!("Authorization: {token}\r\n"), "{}")
            .await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_development_certificate_is_one_that_curl_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["cert"], folder.path());
    assert!(output.status.success(), "{}", words(&output));
    let pems: Vec<_> =
        std::fs::read_dir(folder.path().join("certs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(pems.len() >= 2, "{pems:?}");
    for key in pems.iter().filter(|path| path.extension().is_some_and(|e| e == "key")) {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o077, 0, "{key:?}");
    }
    let backend = Backend::echo();
    let setup = Setup::standard(&backend.address)
        .only_tls("certificate = \"certs/server.pem\"\nprivate_key = \"certs/server.key\"");
    let gateway = Gateway::start_in(folder, Authority::new(), &setup);
    let trusted = gateway.folder.path().join("certs/ca.pem");
    let trusted = if trusted.exists() { trusted } else { gateway.folder.path().join("certs/server.pem") };
    let mut command = peers::curl(&gateway);
    command.arg("--cacert").arg(trusted).arg(gateway.url("/planner/public/x"));
    assert!(peers::output(command).await.status.success());
}

#[test]
fn the_demo_needs_nothing_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["demo", "--once"], folder.path());
    let all = words(&output);
    assert!(output.status.success(), "{all}");
    for part in [
        "action",
        "subscribe",
        "unsubscribe",
        "remote-options",
        "field-definitions",
        "board-webhook",
        "app-lifecycle",
        "view",
        "authorization",
        "forged",
        "expired",
        "401",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!all.contains("panicked"), "{all}");
}
