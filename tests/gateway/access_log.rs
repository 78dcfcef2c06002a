//! The access log: one line a request, with the documented fields, and nothing that is nobody's business.

use crate::support::backend::{Backend, Step};
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2};
use crate::support::mint::{ACCOUNT, USER, kind};
use crate::support::setup::Setup;
use crate::support::{SOON, within};

#[tokio::test]
async fn each_request_is_one_line_with_who_what_and_how() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let line = format!("Authorization: {}\r\n", kind("action").token());
    let answer = gateway.request("POST", "/planner/action/run?secret=canary", &line, "body").await;
    let id = answer.echoed_values("x-request-id").remove(0);
    gateway.request("GET", "/planner/view/run", "", "").await;
    gateway.request("GET", "/nowhere", "", "").await;
    let mut client = H2::connect(&gateway).await;
    client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await;
    let lines = gateway.access_lines_when(4).await;
    assert_eq!(lines.len(), 4);
    let first = lines.iter().find(|line| line["status"] == 200 && line["kind"] == "action").unwrap();
    for (name, wanted) in [
        ("method", "POST"),
        ("path", "/planner/action/run"),
        ("host", "gw.test"),
        ("app", "planner"),
        ("kind", "action"),
        ("upstream", "backend"),
        ("client", "127.0.0.1"),
        ("request_id", &id),
    ] {
        assert_eq!(first[name], wanted, "{first}");
    }
    assert_eq!(first["account"], ACCOUNT);
    assert_eq!(first["user"], USER);
    assert!(first["duration_ms"].is_number() && first["bytes_out"].as_u64().unwrap() > 0, "{first}");
    assert!(first["time"].as_str().unwrap().ends_with('Z'), "{first}");
    assert!(first["tls"].as_str().unwrap().contains("1.3"), "{first}");
    let refused = lines.iter().find(|line| line["status"] == 401).unwrap();
    assert!(refused["reason"].as_str().unwrap().contains("missing"), "{refused}");
    assert!(
        lines.iter().any(|line| line["status"] == 404 && (line["route"].is_null() || line["route"] == "none")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line["protocol"].as_str().unwrap().contains('2')), "{lines:?}");
    gateway.assert_printed_none(&["canary"]);
}

#[tokio::test]
async fn no_value_of_a_caller_breaks_a_line_or_moves_a_cursor() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let targets = [
        "/\u{1b}[2J",
        "/\"},{\"status\":200",
        "/%0a%0dX",
        "/\u{202e}x",
        "/a\tb",
        "/\u{85}",
        "/\\\"",
        "/planner/public/\"quoted\"",
    ];
    for target in targets {
        gateway.request("GET", target, "User-Agent: \u{1b}[31m\"\\\r\n", "").await;
    }
    let lines = gateway.access_lines_when(targets.len()).await;
    assert_eq!(lines.len(), targets.len(), "each is one line of JSON");
    assert!(gateway.access_text().bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)));
    assert!(!gateway.log().contains('\u{1b}'));
}

#[tokio::test]
async fn requests_that_never_became_one_are_logged_too() {
    let backend = Backend::scripted(|_| vec![Step::ReadBody, Step::Hold]);
    let gateway = Gateway::start(&Setup::bare(&backend.address).kind_route("public", "timeout = \"300ms\""));
    gateway.ask("GET /planner/public/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    gateway.request("GET", "/planner/public/x", "", "").await;
    let mut connection = gateway.connect().await;
    connection.send(&crate::support::raw::request("GET", "/planner/public/gone", "", "")).await;
    backend.when_seen(2).await;
    drop(connection);
    let statuses: Vec<u64> =
        gateway.access_lines_when(3).await.iter().filter_map(|line| line["status"].as_u64()).collect();
    assert!(statuses.contains(&400) && statuses.contains(&504), "{statuses:?}");
}

#[tokio::test]
async fn the_access_log_goes_where_the_file_says() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let to_file = Gateway::start(
        &Setup::standard(&backend.address)
            .log(&format!("format = \"json\"\naccess = {{ file = \"{}\" }}", file.display())),
    );
    to_file.request("GET", "/planner/public/x", "", "").await;
    let text =
        within(SOON, "the file has a line", || std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n')))
            .await;
    assert_eq!(text.lines().count(), 1);
    assert!(to_file.access_text().is_empty());
    let off = Gateway::start(&Setup::standard(&backend.address).log("format = \"json\"\naccess = \"off\""));
    off.request("GET", "/planner/public/x", "", "").await;
    off.request("GET", "/planner/public/x", "", "").await;
    assert!(off.access_text().is_empty());
}

/// Nobody reads standard output: requests go on, and what was lost is counted.
#[tokio::test]
async fn a_log_that_nobody_takes_blocks_no_request() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Open for both, so that the gateway's own opening does not wait; nobody ever reads.
    let _holder = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let gateway = Gateway::start(
        &Setup::standard(&backend.address)
            .log(&format!("format = \"json\"\naccess = {{ file = \"{}\" }}", pipe.display())),
    );
    let mut connection = gateway.connect().await;
    let long = format!("/planner/public/{}", "x".repeat(900));
    for _ in 0..6000 {
        connection.send(&crate::support::raw::request("GET", &long, "", "")).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    let dropped = gateway.metric("gateway_access_log_lines_dropped_total", &[]).await;
    assert!(dropped > 0.0, "{dropped}");
}
