//! Clients that other people wrote: curl, Node's fetch, Python's httpx, nghttp and h2load.

use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::gateway::{Gateway, NAMES};
use crate::support::mint::{USER, kind};
use crate::support::peers::{self, Peer};
use crate::support::setup::Setup;
use crate::support::sha256;

/// For the life of a certificate.
const HOUR: Duration = Duration::from_hours(1);

fn standard() -> (Peer, Gateway) {
    let peer = Peer::express();
    let gateway = Gateway::start(&Setup::standard(&peer.url()));
    (peer, gateway)
}

/// curl offers `http/1.0` by ALPN, which nobody speaks.
fn alpn(version: &str) -> &'static [&'static str] {
    if version == "--http1.0" { &["--no-alpn"] } else { &[] }
}

#[tokio::test]
async fn curl_over_http1_and_http2() {
    let (_peer, gateway) = standard();
    let file = gateway.folder.path().join("body");
    let body = vec![b'x'; 3_000_000];
    std::fs::write(&file, &body).unwrap();
    for version in ["--http1.1", "--http2", "--http1.0"] {
        for (data, wanted) in [
            (vec!["--data-binary".to_owned(), "{\"a\":1}".into()], b"{\"a\":1}".to_vec()),
            (vec!["-T".into(), file.display().to_string()], body.clone()),
        ] {
            let mut command = peers::curl(&gateway);
            command.args(alpn(version)).args([
                version,
                "-X",
                "POST",
                "-w",
                "\n%{http_version} %{http_code}",
                "-H",
                &format!("Authorization: {}", kind("action").token()),
            ]);
            command.args(data).arg(format!("https://gw.test:{}/planner/action/run", gateway.address.port()));
            let text = String::from_utf8(peers::output(command).await.stdout).unwrap();
            let (json, versions) = text.rsplit_once('\n').unwrap();
            assert!(versions.ends_with("200"), "{version}: {text}");
            assert_eq!(versions.starts_with('2'), version == "--http2", "{versions}");
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(json["sha256"], sha256(&wanted), "{version}");
        }
        let mut command = peers::curl(&gateway);
        command
            .args(alpn(version))
            .args([version, "-I", "-w", "%{http_code}"])
            .arg(format!("https://gw.test:{}/planner/public/x", gateway.address.port()));
        assert!(String::from_utf8(peers::output(command).await.stdout).unwrap().ends_with("200"), "HEAD {version}");
    }
}

#[tokio::test]
async fn nodes_fetch() {
    let (_peer, gateway) = standard();
    let token = kind("action").token();
    let wanted = json!([
        { "url": gateway.url("/planner/action/run"), "method": "POST", "headers": { "Authorization": token, "Content-Type": "application/json" }, "body": "{\"a\":\"\u{e9}\"}" },
        { "url": gateway.url("/planner/action/run"), "method": "POST", "body": "{}" },
        { "url": gateway.url("/planner/public/x?y=z") },
    ]);
    let mut command = peers::node("fetch.js");
    command.arg(wanted.to_string()).env("NODE_EXTRA_CA_CERTS", gateway.ca_file());
    let answers = peers::output_json(command).await;
    assert_eq!([&answers[0]["status"], &answers[1]["status"], &answers[2]["status"]], [200, 401, 200], "{answers}");
    assert!(answers[0]["body"].as_str().unwrap().contains(&USER.to_string()));
    assert!(answers[2]["body"].as_str().unwrap().contains("/planner/public/x?y=z"));
}

#[tokio::test]
async fn pythons_httpx_over_http2() {
    let (_peer, gateway) = standard();
    let token = kind("view").token();
    let mut wanted = vec![
        json!({ "url": gateway.url("/planner/view/run"), "method": "POST", "headers": { "Authorization": format!("Bearer {token}") }, "body": "x".repeat(90_000) }),
    ];
    for _ in 0..20 {
        wanted.push(json!({ "url": gateway.url("/planner/view/run") }));
    }
    let mut command = peers::python("httpx_client.py");
    command.arg(gateway.ca_file()).arg(json!(wanted).to_string());
    let answers = peers::output_json(command).await;
    assert_eq!(answers[0]["version"], "HTTP/2");
    assert_eq!(answers[0]["status"], 200, "{answers}");
    assert!(answers[0]["body"].as_str().unwrap().contains("\"bodyLength\":90000"));
    assert!(answers.as_array().unwrap().iter().skip(1).all(|answer| answer["status"] == 401));
}

#[tokio::test]
async fn nghttp_and_h2load_without_one_failure() {
    let nginx = Peer::nginx();
    let gateway = Gateway::start(&Setup::standard(&nginx.url()));
    let url = format!("https://127.0.0.1:{}/planner/public/x", gateway.address.port());
    let mut command = Command::new("nghttp");
    command.args(["-v", "-y", "-H", ":authority: gw.test", &url]);
    let text = String::from_utf8(peers::output(command).await.stdout).unwrap();
    assert!(text.contains(":status: 200"), "{text}");
    let mut command = Command::new("h2load");
    command.args(["-n", "100000", "-c", "20", "-m", "25", &url]);
    let text = String::from_utf8(peers::output_within(Duration::from_secs(200), command).await.stdout).unwrap();
    let failed = gateway.access_lines().into_iter().find(|line| line["status"].as_u64() >= Some(500));
    assert!(failed.is_none(), "{failed:?}");
    assert!(text.contains("100000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
    assert!(text.contains("status codes: 100000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{text}");
    let finished = text.lines().find(|line| line.starts_with("finished in")).unwrap_or_default();
    println!("cases: 100000 requests by h2load, 0 failed; {finished}");
}

/// R25: the ciphers, groups, versions and HSTS that Mozilla recommends, and a certificate that fits.
#[tokio::test]
async fn r25_sslyze_finds_what_mozilla_recommends() {
    let backend = Backend::echo();
    for (keys, profile) in [("", "intermediate"), ("\nmin_version = \"1.3\"", "modern")] {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let leaf = authority.leaf_with(&NAMES, &rcgen::KeyPair::generate().unwrap(), |params| {
            let now = SystemTime::now();
            params.not_before = (now - 24 * HOUR).into();
            params.not_after = (now + 24 * 80 * HOUR).into();
        });
        leaf.write(folder.path(), "short");
        let names = "certificate = \"short.pem\"\nprivate_key = \"short.key\"";
        let setup = Setup::standard(&backend.address).only_tls(&format!("{names}{keys}"));
        let gateway = Gateway::start_in(folder, authority, &setup);
        let mut command = peers::sslyze();
        command.args(["--mozilla_config", profile, "--certinfo_ca_file"]).arg(gateway.ca_file());
        command.arg(format!("localhost:{}", gateway.address.port()));
        let text = String::from_utf8(peers::output_within(Duration::from_mins(2), command).await.stdout).unwrap();
        assert!(text.contains("OK - Compliant"), "{profile}: {text}");
    }
    println!("cases: sslyze, intermediate and modern (R25): exit code 0");
}
