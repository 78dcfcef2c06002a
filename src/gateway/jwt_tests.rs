//! The kind `jwt` over real sockets: a token of an issuer whose keys are found by discovery, and what the backend is told of it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::Clock;
use crate::config::{self, Secrets};
use crate::gateway::assemble::{Gateway, metrics};
use crate::issuers::minter::{Pair, set};

const NOW: i64 = 1_800_000_000;

/// Answers every request with what `answer` says to its head.
async fn serve(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
            let (status, body) = match answer(&String::from_utf8_lossy(&head)) {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", String::new()),
            };
            let length = body.len();
            let whole = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(whole.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}")
}

/// An issuer with these keys, found by discovery.
async fn issuer(pairs: &[&Pair]) -> String {
    let keys = set(pairs).to_string();
    serve(move |head| {
        let host = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned))?;
        let metadata = json!({ "issuer": format!("http://{host}"), "jwks_uri": format!("http://{host}/keys") });
        match head.split(' ').nth(1)? {
            "/.well-known/openid-configuration" => Some(metadata.to_string()),
            "/keys" => Some(keys.clone()),
            _ => None,
        }
    })
    .await
}

async fn ask(gateway: &Gateway, authorization: Option<&str>) -> String {
    let mut stream = TcpStream::connect(gateway.addresses[0]).await.unwrap();
    let field = authorization.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let request =
        format!("GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Monday-User-Id: 666\r\n{field}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.to_ascii_lowercase()
}

async fn gateway(issuer: &str, backend: &str) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
public_url = "https://localhost"
workers = 1
trusted_proxies = ["10.0.0.0/8"]
[log]
access = "off"
[apps.planner]
client_id = "id"
[issuers.own]
issuer = "{issuer}"
audience = ["https://api.example.com"]
account = "org_id"
user = "uid"
[upstreams.backend]
servers = ["{backend}"]
[[routes]]
path = "/api/{{*rest}}"
app = "planner"
kind = "jwt"
issuer = "own"
upstream = "backend"
inject.claims = true
"#
    );
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let loaded = config::load(&file, Secrets::Read).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let clock = Clock::standing_at(NOW);
    let metrics = metrics(&loaded.config, &clock).unwrap();
    Gateway::start(&loaded.config, metrics, clock).await.unwrap()
}

fn claims(issuer: &str) -> Value {
    json!({ "iss": issuer, "aud": "https://api.example.com", "exp": NOW + 60, "org_id": 5, "uid": "auth0|77" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_is_told_who_an_issuer_says_is_calling_and_nobody_else() {
    let pair = Pair::new("k", jsonwebtoken::Algorithm::ES256);
    let issuer = issuer(&[&pair]).await;
    let backend = serve(|head| Some(head.to_owned())).await;
    let gateway = gateway(&issuer, &backend).await;
    let told = ask(&gateway, Some(&pair.sign(&claims(&issuer)))).await;
    assert!(told.starts_with("http/1.1 200"), "{told}");
    for field in ["x-monday-kind: jwt", "x-monday-account-id: 5", "x-monday-user-id: auth0|77", "x-monday-claims: ey"] {
        assert_eq!(told.matches(field).count(), 1, "{field} in {told}");
    }
    assert!(!told.contains("666"), "the caller's own copy is gone: {told}");
    let strange = Pair::new("other", jsonwebtoken::Algorithm::ES256);
    for (token, challenge) in [
        (None, "www-authenticate: bearer\r\n"),
        (Some(strange.sign(&claims(&issuer))), "www-authenticate: bearer error=\"invalid_token\"\r\n"),
        (Some(pair.sign(&claims("https://evil.example"))), "www-authenticate: bearer error=\"invalid_token\"\r\n"),
    ] {
        let refused = ask(&gateway, token.as_deref()).await;
        assert!(refused.starts_with("http/1.1 401") && refused.contains(challenge), "{refused}");
    }
    let page = gateway.metrics.encode().unwrap();
    assert!(page.contains(r#"token_verifications_total{app="planner",kind="jwt",result="ok"} 1"#), "{page}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_an_issuer_was_never_reached_its_routes_answer_503() {
    let pair = Pair::new("k", jsonwebtoken::Algorithm::ES256);
    let gateway = gateway("http://127.0.0.1:1", "http://127.0.0.1:1").await;
    let refused = ask(&gateway, Some(&pair.sign(&claims("http://127.0.0.1:1")))).await;
    assert!(refused.starts_with("http/1.1 503") && !refused.contains("severitycode"), "{refused}");
    gateway.stop().await;
}
