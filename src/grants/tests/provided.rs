//! A token endpoint in the test: how it behaves, and how often it was asked. Speaks just enough HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use crate::oauth::provider::{
    Client, ClientAuthentication, Connect, ConnectBy, Endpoints, Per, Provider, RequestFormat,
};
use crate::secret::Secret;

/// What the fake provider does with a refresh token that is not the newest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    Refused,
    Allowed,
}

/// A token endpoint: `r1` becomes `a2` and `r2`, and so on.
pub(super) struct Provided {
    url: Url,
    calls: Arc<AtomicUsize>,
    pub(super) revoked: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    pub(super) most_under_way: Arc<AtomicUsize>,
}

/// How the fake provider behaves.
#[derive(Clone, Copy)]
pub(super) struct Behaviour {
    pub(super) takes: Duration,
    pub(super) reuse: Reuse,
    pub(super) expires_in: i64,
    pub(super) status: u16,
}

pub(super) const QUICK: Behaviour =
    Behaviour { takes: Duration::from_millis(50), reuse: Reuse::Refused, expires_in: 3600, status: 200 };

impl Provided {
    pub(super) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/token", listener.local_addr().unwrap())).unwrap();
        let provided = Self {
            url,
            calls: Arc::default(),
            revoked: Arc::default(),
            under_way: Arc::default(),
            most_under_way: Arc::default(),
        };
        let (calls, revoked) = (Arc::clone(&provided.calls), Arc::clone(&provided.revoked));
        let (under_way, most) = (Arc::clone(&provided.under_way), Arc::clone(&provided.most_under_way));
        let newest = Arc::new(AtomicUsize::new(1));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (calls, revoked, newest) = (Arc::clone(&calls), Arc::clone(&revoked), Arc::clone(&newest));
                let (under_way, most) = (Arc::clone(&under_way), Arc::clone(&most));
                tokio::spawn(async move {
                    let request = read_request(&mut stream).await;
                    if request.starts_with("POST /revoke") {
                        revoked.fetch_add(1, Ordering::SeqCst);
                        write(&mut stream, 200, "{\"success\":true}").await;
                        return;
                    }
                    calls.fetch_add(1, Ordering::SeqCst);
                    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let number = request
                        .split("refresh_token=r")
                        .nth(1)
                        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok());
                    let number = number.unwrap_or(0);
                    let is_newest = newest.load(Ordering::SeqCst) == number;
                    let is_good = is_newest || behaviour.reuse == Reuse::Allowed;
                    if is_good && behaviour.status == 200 {
                        newest.store(number + 1, Ordering::SeqCst);
                    }
                    tokio::time::sleep(behaviour.takes).await;
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    if behaviour.status != 200 {
                        write(&mut stream, behaviour.status, "{}").await;
                    } else if is_good {
                        let next = number + 1;
                        let body = format!(
                            r#"{{"access_token":"a{next}","refresh_token":"r{next}","token_type":"Bearer","expires_in":{}}}"#,
                            behaviour.expires_in
                        );
                        write(&mut stream, 200, &body).await;
                    } else {
                        write(&mut stream, 400, r#"{"error":"invalid_grant"}"#).await;
                    }
                });
            }
        });
        provided
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn provider(&self, name: &str) -> Arc<Provider> {
        let mut revoke = self.url.clone();
        revoke.set_path("/revoke");
        Arc::new(Provider {
            name: name.to_owned(),
            display: name.to_owned(),
            connect: Connect::Oauth(Box::new(Client {
                endpoints: Endpoints::Fixed {
                    authorize: self.url.clone(),
                    token: self.url.clone(),
                    refresh: None,
                    revoke: Some(revoke),
                    issuer: None,
                },
                monday: None,
                id: "client".to_owned(),
                secrets: vec![Secret::new("0123456789abcdef0123456789abcdef")],
                scopes: vec!["read".to_owned()],
                scope_separator: " ".to_owned(),
                scope_parameter: "scope".to_owned(),
                authorize_parameters: Vec::new(),
                token_parameters: Vec::new(),
                pkce: true,
                authentication: ClientAuthentication::Body,
                format: RequestFormat::Form,
                token_at: String::new(),
                kept: Vec::new(),
                after: None,
                keepalive: Duration::from_hours(30 * 24),
                absolute_lifetime: Some(Duration::from_hours(180 * 24)),
            })),
            per: Per::User,
            connect_by: ConnectBy::Admin,
            header: http::HeaderName::from_static("x-github-access-token"),
            values: vec![("cloud".to_owned(), http::HeaderName::from_static("x-github-cloud"))],
            callback: None,
        })
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).await.unwrap_or(0);
        all.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&all).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .to_ascii_lowercase()
                .split("content-length:")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
            body.len() >= length.unwrap_or(0)
        });
        if whole || read == 0 {
            return text;
        }
    }
}

async fn write(stream: &mut tokio::net::TcpStream, status: u16, body: &str) {
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}
