//! The commands as people type them: output, exit codes, help.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::backend::{Backend, Step};
use crate::support::certificates::Authority;
use crate::support::gateway::{Gateway, NAMES, binary};
use crate::support::mint::{API_KEY, CLIENT, KINDS, Place, SIGNING};
use crate::support::peers;
use crate::support::setup::Setup;

const COMMANDS: [&str; 10] = ["run", "check", "demo", "token", "send", "explain", "schema", "cert", "vault", "health"];

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
fn check_counts_mistakes_in_other_files_too() {
    let folder = folder_with(&Setup::standard("http://127.0.0.1:3000"));
    let file = folder.path().join("gateway.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::create_dir(folder.path().join("words")).unwrap();
    std::fs::write(folder.path().join("words/de.toml"), "nonsense = \"x\"\n").unwrap();
    let total = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = run(&["check"], folder.path());
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        words(&output)
    };
    let bad = format!("{right}\n[pages]\nwords = \"words\"\n");
    let all = total(&bad);
    assert!(all.ends_with("1 mistake in all\n"), "{all}");
    let all = total(&format!(
        "{bad}[upstreams.unset]\nservers = [\"http://127.0.0.1:1\"]\nsigning_secret = {{ env = \"UNSET_HERE\" }}\n"
    ));
    assert!(all.ends_with("2 mistakes in all\n"), "{all}");
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

/// `run`, while a gateway in this test's runtime goes on.
async fn run_beside(arguments: Vec<String>, folder: &Path) -> Output {
    let folder = folder.to_owned();
    let command = move || binary().args(arguments).current_dir(folder).output().unwrap();
    tokio::task::spawn_blocking(command).await.unwrap()
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn send_says_what_monday_would_do_with_each_answer() {
    let backend = Backend::scripted(|seen| {
        let answer = match seen.target.rsplit('/').next().unwrap() {
            "fails" => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "refuses" => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "hangs" => return vec![Step::ReadBody, Step::Hold],
            _ => return vec![Step::ReadBody, Step::Echo],
        };
        vec![Step::ReadBody, Step::Send(answer)]
    });
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let folder = gateway.folder.path();
    for (more, path, status, verdict) in [
        (&[][..], "/planner/action/run", Some(200), "done"),
        (&["--no-token"], "/planner/action/run", Some(401), "final"),
        (&["--expired"], "/planner/action/run", Some(401), "final"),
        (&["--token", "a.b.c"], "/planner/action/run", Some(401), "final"),
        (&[], "/planner/action/refuses", Some(400), "final"),
        (&[], "/planner/action/fails", Some(500), "retried"),
        (&["--timeout", "1"], "/planner/action/hangs", None, "retried"),
        (&["--kind", "view"], "/planner/view/run", Some(200), "shown"),
        (&["--kind", "view"], "/planner/action/run", Some(401), "shown"),
        (&["--kind", "authorization"], "/planner/authorization/run", Some(200), "shown"),
        (&["--kind", "app-lifecycle"], "/planner/app-lifecycle/run", Some(200), "done"),
        (
            &["--kind", "board-webhook", "--no-token", "--body", "{\"challenge\":\"abc\"}"],
            "/planner/board-webhook/run",
            Some(200),
            "done",
        ),
    ] {
        let mut arguments = owned(&["send", "--json", "--ca", "ca.pem", &gateway.url(path)]);
        arguments.extend(owned(more));
        let output = run_beside(arguments, folder).await;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&output)));
        assert_eq!(said["status"].as_u64(), status, "{more:?} {path}: {said}");
        assert_eq!(said["verdict"], verdict, "{more:?} {path}: {said}");
        assert_eq!(output.status.success(), status == Some(200), "{more:?} {path}: {said}");
        assert!(!words(&output).contains(SIGNING) && !words(&output).contains(CLIENT));
    }
    let strict = run_beside(owned(&["send", &gateway.url("/planner/action/run")]), folder).await;
    assert!(!strict.status.success(), "an unknown authority is not believed: {}", words(&strict));
    let text = run_beside(owned(&["send", "--ca", "ca.pem", &gateway.url("/planner/action/run")]), folder).await;
    assert!(words(&text).contains("done") && words(&text).contains("200"), "{}", words(&text));
}

#[tokio::test]
async fn explain_says_what_the_gateway_does() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let folder = gateway.folder.path();
    let mut cases = 0;
    // Each token at each kind: the same verdict from both.
    for from in KINDS.iter().filter(|kind| kind.place != Place::Nowhere) {
        let token = from.token();
        let output = run_beside(owned(&["explain", "token", "--json", &token]), folder).await;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&output)));
        for at in said["kinds"].as_array().unwrap() {
            let Some(kind) = KINDS.iter().find(|kind| at["kind"] == kind.name && kind.place != Place::Nowhere) else {
                continue;
            };
            let (target, lines) = kind.request_with(&token);
            let status = gateway.request("POST", &target, &lines, "{}").await.status;
            assert_eq!(at["accepted"], status == 200, "a token of {} at {}: {status} {at}", from.name, kind.name);
            cases += 1;
        }
        assert!(!words(&output).contains(token.rsplit('.').next().unwrap()), "the signature is shown");
        assert!(!words(&output).contains(API_KEY), "the short-lived token is shown");
    }
    assert!(cases >= 11 * 11, "{cases}");
    // Each URL: the same route, or the same refusal.
    for (path, status) in [
        ("/planner/public/x", 200),
        ("/planner/public", 200),
        ("/planner/publicx", 404),
        ("/planner/public/%2e%2e/x", 400),
        ("/planner//public", 400),
        ("/nowhere", 404),
    ] {
        let output = run_beside(owned(&["explain", "url", "GET", path, "--json"]), folder).await;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&output)));
        assert_eq!(gateway.request("GET", path, "", "").await.status, status, "{path}");
        assert_eq!(output.status.success(), status == 200, "{path}: {said}");
        if status == 200 {
            assert_eq!(said["route"], "/planner/public/{*rest}", "{said}");
        } else {
            assert_eq!(said["refused"][0]["status"], status, "{path}: {said}");
        }
        cases += 1;
    }
    println!("cases: {cases} explanations that are what happened");
}

#[tokio::test]
async fn token_makes_what_is_asked_for() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let folder = gateway.folder.path();
    for (arguments, status) in [
        (&["--kind", "view"][..], 200),
        (&["--kind", "view", "--expired"], 401),
        (&["--kind", "view", "--claims", "{\"exp\":null}"], 401),
        (&["--kind", "view", "--claims", "{\"dat\":{\"user_id\":\"7\"}}"], 401),
        (&["--kind", "action"], 401),
    ] {
        let output = run(&[&["token"], arguments].concat(), folder);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        let token = String::from_utf8(output.stdout).unwrap();
        let line = format!("Authorization: {}\r\n", token.trim());
        assert_eq!(gateway.request("GET", "/planner/view/x", &line, "").await.status, status, "{arguments:?}");
    }
    let output = run(&["token", "--kind", "view", "--account", "77", "--user", "88", "--json"], folder);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line = format!("Authorization: Bearer {}\r\n", said["token"].as_str().unwrap());
    let answer = gateway.request("GET", "/planner/view/x", &line, "").await;
    assert_eq!(answer.echoed_values("x-monday-account-id"), ["77"]);
    assert_eq!(answer.echoed_values("x-monday-user-id"), ["88"]);
}

/// R19: every mutant ends with 1 and a place, and soon. That each names its own line is shown by the unit tests.
#[test]
fn r19_check_refuses_mutants_soon_and_with_a_place() {
    let folder = folder_with(&Setup::standard("http://127.0.0.1:3000"));
    let whole = Setup::standard("http://127.0.0.1:3000").toml();
    let mut times = Vec::new();
    for (from, to) in [
        ("public_url = \"https://gw.test\"", "public_url = \"ftp://gw.test\""),
        ("public_url = \"https://gw.test\"", "public_url = 5"),
        ("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1\""),
        ("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:99999\""),
        ("[server]", "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]"),
        ("[server]", "[server]\ntrusted_proxies = [\"0.0.0.0/0\"]"),
        ("[server]", "[sever]"),
        ("certificate = \"server.pem\"", "certificate = \"nowhere.pem\""),
        ("private_key = \"server.key\"", "private_key = \"server.pem\""),
        ("deadline = \"10s\"", "deadline = \"10 parsecs\""),
        ("deadline = \"10s\"", "deadline = 10"),
        ("level = \"info\"", "level = \"loud\""),
        ("access = \"stdout\"", "access = \"stdin\""),
        ("client_secret = ", "client_secrets = "),
        ("signing_secret = \"", "signing_secret = \"\" # \""),
        ("signing_secret = \"canary-signing", "signing_secret = \"short\" # \"canary-signing"),
        ("app_id = 10012345", "app_id = \"10012345\""),
        ("servers = [\"http://127.0.0.1:3000\"]", "servers = []"),
        ("servers = [\"http://127.0.0.1:3000\"]", "servers = [\"gopher://127.0.0.1:3000\"]"),
        ("kind = \"action\"", "kind = \"acton\""),
        ("path = \"/planner/action/{*rest}\"", "path = \"planner/action\""),
        ("path = \"/planner/action/{*rest}\"", "path = \"/planner/view/{*rest}\""),
        ("app = \"planner\"", "app = \"plan\""),
        ("upstream = \"backend\"", "upstream = \"frontend\""),
        ("[[routes]]", "[[route]]"),
        ("[admin]", "[admin]\nlisten = \"127.0.0.1:1\""),
    ] {
        assert!(whole.contains(from), "{from}");
        std::fs::write(folder.path().join("gateway.toml"), whole.replacen(from, to, 1)).unwrap();
        let began = Instant::now();
        let output = run(&["check"], folder.path());
        times.push(began.elapsed());
        let all = words(&output);
        assert_eq!(output.status.code(), Some(1), "{to}: {all}");
        let has_a_place = all.contains("gateway.toml:") || all.contains("named in [");
        assert!(has_a_place && !all.contains("panicked"), "{to}: {all}");
        assert!(!all.contains("canary"), "{to}: {all}");
    }
    times.sort();
    let median = times[times.len() / 2];
    assert!(median < Duration::from_millis(200), "{median:?}");
    println!("cases: {} mutants by the command (R19), each in {median:?}", times.len());
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
        "Connect your accounts",
        "x-monday-access-token",
        "x-monday-grants: monday=ok, codehost=ok",
        "Refresh tokens redeemed in between: 1",
        "grants left in the vault: 0",
        "6 chapters, and all was as it should be",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!all.contains("panicked"), "{all}");
}
