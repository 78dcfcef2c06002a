//! For tests: providers, and a server in this process that answers as told.

use std::sync::Arc;

use http::HeaderName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

use crate::clock::Clock;
use crate::oauth::discovery::Discovery;
use crate::oauth::monday::MondayApp;
use crate::oauth::provider::*;
use crate::oauth::web::Web;
use crate::secret::Secret;

/// Unix seconds of every test.
pub(crate) const NOW: i64 = 1_800_000_000;

/// A plain provider: form, body authentication, PKCE, one secret; its token endpoint is `/token` of the same host.
pub(crate) fn provider(authorize: &str) -> Provider {
    let authorize = Url::parse(authorize).unwrap();
    let token = authorize.join("/token").unwrap();
    let revoke = authorize.join("/revoke").ok();
    Provider {
        name: "acme".to_owned(),
        display: "Acme".to_owned(),
        connect: Connect::Oauth(Box::new(Client {
            id: "client-1".to_owned(),
            secrets: vec![Secret::new("client-secret-canary")],
            keepalive: std::time::Duration::from_secs(1),
            ..Client::plain(Endpoints::Fixed { authorize, token, refresh: None, revoke, issuer: None })
        })),
        per: Per::User,
        connect_by: ConnectBy::Admin,
        header: HeaderName::from_static("x-acme-access-token"),
        values: Vec::new(),
        callback: None,
    }
}

/// Its client, to be changed.
pub(crate) fn client(provider: &mut Provider) -> &mut Client {
    match &mut provider.connect {
        Connect::Oauth(client) => client,
        Connect::ApiKey(_) => panic!("no client"),
    }
}

/// An app of monday's.
pub(crate) fn monday_app(auth: &str, generation: MondayGeneration) -> MondayApp<'static> {
    MondayApp {
        auth: Box::leak(Box::new(Url::parse(auth).unwrap())),
        generation,
        id: "monday-client".to_owned(),
        secrets: vec![Secret::new("client-secret-canary")],
        scopes: vec!["boards:read".to_owned()],
    }
}

/// A discovery whose clock stands.
pub(crate) fn discovery() -> Discovery {
    Discovery::new(Web::new(None).unwrap(), Clock::standing_at(NOW))
}

/// A request that a fake server got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Got {
    /// A parameter of a form body.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let found: Vec<_> = form_urlencoded::parse(self.body.as_bytes()).filter(|(known, _)| known == name).collect();
        assert!(found.len() <= 1, "{name} stands twice");
        found.first().map(|(_, value)| value.to_string())
    }

    /// A member of a JSON body.
    pub(crate) fn json(&self, name: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body.get(name).and_then(serde_json::Value::as_str).map(str::to_owned)
    }

    /// A field of its head; names in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v)
        })
    }
}

/// A server on loopback.
pub(crate) struct Fake {
    /// `http://127.0.0.1:port`.
    pub(crate) origin: String,
    requests: mpsc::Receiver<Got>,
}

impl Fake {
    /// Answers every request with what `answer` makes of it: a whole HTTP answer, as text.
    pub(crate) async fn start(answer: impl Fn(&Got) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel(64);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (sender, answer) = (sender.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(got) = read_request(&mut stream).await else { return };
                    let text = answer(&got);
                    drop(sender.send(got).await);
                    drop(stream.write_all(text.as_bytes()).await);
                });
            }
        });
        Self { origin, requests }
    }

    /// One that says the same to everybody.
    pub(crate) async fn saying(status: u16, body: &str) -> Self {
        let text = answer(status, body);
        Self::start(move |_| text.clone()).await
    }

    /// A URL there.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.origin)).unwrap()
    }

    /// The requests so far.
    pub(crate) fn got(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        while let Ok(got) = self.requests.try_recv() {
            all.push(got);
        }
        all
    }
}

/// A JSON answer.
pub(crate) fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let mut room = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let line = head.lines().next()?.to_owned();
                return Some(Got { line, head: head.to_owned(), body: body.to_owned() });
            }
        }
        let count = stream.read(&mut room).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&room[..count]);
    }
}
