//! WebSocket over HTTP/1.1: after the token was verified, and only when the backend says 101.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::backend::{Backend, Step};
use crate::support::gateway::Gateway;
use crate::support::mint::{CLIENT, STRANGER, kind, sign};
use crate::support::peers::{self, Peer};
use crate::support::setup::Setup;
use crate::support::{SOON, within};

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

async fn ws_client(gateway: &Gateway, path: &str, headers: Value) -> Value {
    let wanted = json!({ "url": gateway.url(path).replace("http", "ws"), "headers": headers, "messages": ["one", "two", "x".repeat(100_000)] });
    let mut command = peers::node("ws.js");
    command.arg(wanted.to_string()).env("NODE_EXTRA_CA_CERTS", gateway.ca_file());
    peers::output_json(command).await
}

#[tokio::test]
async fn a_verified_websocket_of_npm_ws_is_opened_and_echoes() {
    let peer = Peer::node_http();
    let gateway = Gateway::start(&Setup::standard(&peer.url()));
    let token = kind("view").token();
    for (path, headers) in [
        ("/planner/view/ws".to_owned(), json!({ "Authorization": token, "X-Monday-User-Id": "666" })),
        (format!("/planner/view/ws?sessionToken={token}"), json!({})),
    ] {
        let outcome = ws_client(&gateway, &path, headers).await;
        assert_eq!(outcome["status"], 101, "{outcome}");
        assert_eq!(outcome["code"], 1000, "{outcome}");
        let first: Value = serde_json::from_str(outcome["received"][0].as_str().unwrap()).unwrap();
        assert_eq!(first["url"], "/planner/view/ws");
        let names: Vec<String> = serde_json::from_value(first["headers"].clone()).unwrap();
        let user = names.iter().position(|name| name.eq_ignore_ascii_case("x-monday-user-id")).unwrap();
        assert_eq!(names[user + 1], crate::support::mint::USER.to_string());
        assert!(!names.contains(&"666".to_owned()));
        assert_eq!(outcome["received"][1], "one");
        assert_eq!(outcome["received"][3].as_str().unwrap().len(), 100_000);
    }
}

#[tokio::test]
async fn a_websocket_without_a_valid_token_never_reaches_the_backend() {
    let backend = Backend::scripted(|_| vec![Step::Send(ACCEPTED.to_vec()), Step::Tunnel]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for lines in [String::new(), format!("Authorization: {}\r\n", sign(&kind("view").claims(), STRANGER))] {
        let mut connection = gateway.connect().await;
        connection
            .send(
                format!("GET /planner/view/ws HTTP/1.1\r\nHost: gw.test\r\n{lines}{HANDSHAKE}\r\n\x01smuggled")
                    .as_bytes(),
            )
            .await;
        assert_eq!(connection.head().await.status, 401);
    }
    let peer = Peer::node_http();
    let gateway = Gateway::start(&Setup::standard(&peer.url()));
    let outcome = ws_client(&gateway, "/planner/view/ws", json!({})).await;
    assert_eq!(outcome["status"], 401, "{outcome}");
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn only_a_101_opens_the_tunnel_and_then_bytes_pass_as_they_are() {
    let backend = Backend::scripted(|_| vec![Step::Send(ACCEPTED.to_vec()), Step::Tunnel]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let line = format!("Authorization: {}\r\n", sign(&kind("view").claims(), CLIENT));
    let mut connection = gateway.connect().await;
    connection
        .send(format!("GET /planner/view/ws HTTP/1.1\r\nHost: gw.test\r\n{line}{HANDSHAKE}\r\n").as_bytes())
        .await;
    let head = connection.head().await;
    assert_eq!(head.status, 101, "{head:?}");
    assert_eq!(head.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for piece in bytes.chunks(30_000) {
        connection.send(piece).await;
        assert_eq!(connection.exactly(piece.len()).await, piece);
    }
    drop(connection);
    within(SOON, "the backend sees the end of the tunnel", || (backend.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_tunnel_ends_for_the_client_when_the_backend_ends_it() {
    let backend =
        Backend::scripted(|_| vec![Step::Send(ACCEPTED.to_vec()), Step::Send(b"last words".to_vec()), Step::Close]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(format!("GET /planner/public/ws HTTP/1.1\r\nHost: gw.test\r\n{HANDSHAKE}\r\n").as_bytes()).await;
    assert_eq!(connection.head().await.status, 101);
    assert_eq!(connection.rest(SOON).await, b"last words");
}

#[tokio::test]
async fn a_backend_that_declines_the_upgrade_answers_as_usual() {
    let backend = Backend::answering("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 4\r\n\r\nnope");
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(format!("GET /planner/public/ws HTTP/1.1\r\nHost: gw.test\r\n{HANDSHAKE}\r\n").as_bytes()).await;
    let answer = connection.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (426, "nope"));
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused_or_no_upgrade() {
    let backend = Backend::scripted(|_| vec![Step::Send(ACCEPTED.to_vec()), Step::Tunnel]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    for (method, lines) in [
        ("POST", HANDSHAKE.to_owned()),
        ("GET", HANDSHAKE.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")),
        ("GET", HANDSHAKE.replace("13", "8")),
        ("GET", HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short")),
        ("GET", HANDSHAKE.replace("Upgrade: websocket", "Upgrade: foo")),
        ("GET", format!("{HANDSHAKE}Content-Length: 5\r\n")),
        ("GET", format!("{HANDSHAKE}Transfer-Encoding: chunked\r\n")),
    ] {
        let mut connection = gateway.connect().await;
        connection
            .send(format!("{method} /planner/public/ws HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\nhello").as_bytes())
            .await;
        let status = connection.head().await.status;
        assert!(matches!(status, 400 | 426 | 502), "{method} {lines}: {status}");
    }
}

#[tokio::test]
async fn a_route_with_cors_opens_for_listed_origins_only() {
    let backend = Backend::scripted(|_| vec![Step::Send(ACCEPTED.to_vec()), Step::Tunnel]);
    let gateway = Gateway::start(
        &Setup::bare(&backend.address).kind_route("public", "cors = { origins = [\"https://app.example.com\"] }"),
    );
    for (origin, status) in [
        ("Origin: https://app.example.com\r\n", 101),
        ("Origin: https://evil.example.com\r\n", 403),
        ("Origin: null\r\n", 403),
        ("", 403),
    ] {
        let mut connection = gateway.connect().await;
        connection
            .send(format!("GET /planner/public/ws HTTP/1.1\r\nHost: gw.test\r\n{origin}{HANDSHAKE}\r\n").as_bytes())
            .await;
        assert_eq!(connection.head().await.status, status, "{origin}");
    }
    assert_eq!(backend.count(), 1);
}

#[tokio::test]
async fn a_tunnel_counts_among_max_connections_until_it_ends() {
    let backend = Backend::scripted(|seen| match seen.target.as_str() {
        "/planner/public/ws" => vec![Step::Send(ACCEPTED.to_vec()), Step::Tunnel],
        _ => vec![Step::ReadBody, Step::Echo],
    });
    let setup = Setup::standard(&backend.address).upstream("max_connections = 1\nconnect_timeout = \"300ms\"");
    let gateway = Gateway::start(&setup);
    let mut connection = gateway.connect().await;
    connection.send(format!("GET /planner/public/ws HTTP/1.1\r\nHost: gw.test\r\n{HANDSHAKE}\r\n").as_bytes()).await;
    assert_eq!(connection.head().await.status, 101);
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 503);
    drop(connection);
    within(SOON, "the tunnel ends", || (backend.open() == 0).then_some(())).await;
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 200);
}

/// Neither side may keep the other's half for ever.
#[tokio::test]
async fn a_tunnel_ends_soon_after_the_end_of_either_side() {
    let backend = Backend::scripted(|_| vec![Step::Send(ACCEPTED.to_vec()), Step::Pressure]);
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut connection = gateway.connect().await;
    connection.send(format!("GET /planner/public/ws HTTP/1.1\r\nHost: gw.test\r\n{HANDSHAKE}\r\n").as_bytes()).await;
    assert_eq!(connection.head().await.status, 101);
    connection.finish_sending().await;
    assert!(connection.ends_within(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_101_to_another_protocol_is_502() {
    for upgrade in ["", "Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"] {
        let accepted = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{upgrade}\r\n");
        let backend = Backend::scripted(move |_| vec![Step::Send(accepted.clone().into_bytes()), Step::Tunnel]);
        let gateway = Gateway::start(&Setup::standard(&backend.address));
        let answer = gateway.request("GET", "/planner/public/ws", HANDSHAKE, "").await;
        assert_eq!(answer.status, 502, "{upgrade:?}");
    }
}
