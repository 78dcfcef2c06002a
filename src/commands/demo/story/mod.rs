//! The second half of the demo: a user connects what an app needs, and what becomes of that. Each chapter does something as a person or
//! monday.com would, tells what came of it, and says what is wrong with that.

mod browser;
mod chapters;
mod html;
pub(super) mod kept;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::commands::demo::backend::{Received, Seen};
use crate::commands::demo::fakes::Fake;
use crate::commands::demo::scene::Scene;
use crate::commands::send::http::{Trust, send};
use crate::monday::kinds::Kind;
use crate::monday::mint::{LIFETIME, Mint};
use crate::monday::sample;
use crate::vault::Vault;

pub(super) use self::chapters::tell;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where monday runs the app's action.
const ACTION: &str = "/tracker/actions/run";
/// Where it tells of uninstalls.
const LIFECYCLE: &str = "/tracker/lifecycle";
/// The Authorization URL.
const AUTHORIZE: &str = "/tracker/authorize";

/// Everybody who plays.
#[derive(Debug)]
pub(super) struct Cast {
    /// Certificate, secrets, addresses.
    pub(super) scene: Scene,
    /// What the backend has seen.
    pub(super) seen: Seen,
    /// Who plays monday.com.
    pub(super) monday: Fake,
    /// Who plays the provider.
    pub(super) provider: Fake,
    /// What the gateway keeps, to look into.
    pub(super) vault: Vault,
    /// The time.
    pub(super) clock: Clock,
}

/// One thing that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Chapter {
    /// What it shows.
    pub(super) title: &'static str,
    /// What came of it, line by line.
    pub(super) told: Vec<String>,
    /// What is wrong with that; empty if nothing.
    pub(super) wrong: Vec<String>,
}

/// What came of a request of monday's.
#[derive(Debug)]
pub(super) struct Came {
    /// The status.
    pub(super) status: u16,
    /// The body.
    pub(super) body: String,
    /// What the backend got, if it got it.
    pub(super) received: Option<Received>,
}

impl Chapter {
    fn new(title: &'static str) -> Self {
        Self { title, ..Self::default() }
    }

    /// Whether all was as it should be.
    pub(super) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    fn tell(&mut self, line: impl Into<String>) {
        self.told.push(line.into());
    }

    /// What is wrong if this does not hold.
    fn expect(&mut self, holds: Held, what: impl Into<String>) {
        if holds == Held::No {
            self.wrong.push(what.into());
        }
    }
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Yes,
    No,
}

impl From<bool> for Held {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Came {
    /// The link with which the user connects again, out of the words of a refusal.
    pub(super) fn reconnect_link(&self) -> Option<String> {
        let start = self.body.find("https://127.0.0.1:")?;
        let link = self.body.get(start..)?;
        let end = link.find(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\\' | '<'));
        Some(link.get(..end.unwrap_or(link.len()))?.trim_end_matches('.').to_owned())
    }
}

impl Cast {
    /// The link that monday opens for a user who adds the app's automation; its token is good for this many seconds.
    pub(super) fn authorization_url(&self, lifetime: i64) -> String {
        let monday = self.scene.tracker(self.clock.unix_seconds());
        let token = monday.token(Kind::Authorization, AUTHORIZE, lifetime).unwrap_or_default();
        format!("{}{AUTHORIZE}?token={token}", self.scene.origin)
    }

    /// monday runs the automation: the app's action is called.
    pub(super) async fn run_action(&self) -> Result<Came, String> {
        let example = Mint::default();
        let body = sample::body(Kind::Action, example.account_id, example.user_id).unwrap_or_default();
        self.send(Kind::Action, ACTION, &body).await
    }

    /// An admin uninstalls the app: monday forgets its tokens, and says so.
    pub(super) async fn uninstall(&self) -> Result<Came, String> {
        self.monday.forget();
        let example = Mint::default();
        let mut body = sample::body(Kind::AppLifecycle, example.account_id, example.user_id).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.insert("type".to_owned(), json!("uninstall"));
        }
        self.send(Kind::AppLifecycle, LIFECYCLE, &body).await
    }

    /// As monday sends it.
    async fn send(&self, kind: Kind, path: &str, body: &Value) -> Result<Came, String> {
        let monday = self.scene.tracker(self.clock.unix_seconds());
        let request = Request::post(format!("{}{path}", self.scene.origin))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, monday.token(kind, path, LIFETIME).unwrap_or_default())
            .body(Full::new(Bytes::from(body.to_string())));
        let authority = self.scene.file("ca.pem");
        drop(self.seen.take(path));
        let request = request.map_err(|fault| fault.to_string())?;
        let answer = send(request, &Trust::File(&authority), PATIENCE).await.map_err(|fault| fault.to_string())?;
        Ok(Came {
            status: answer.status.as_u16(),
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            received: self.seen.take(path),
        })
    }
}
