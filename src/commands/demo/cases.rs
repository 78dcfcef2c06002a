//! What the demo sends: each kind as monday does, and a few requests that show one thing each. What must not pass is in
//! `attacks`. Every case has a path of its own, by which the backend's memory and the access log are joined to it.

use http::Method;
use serde_json::Value;

use crate::commands::demo::attacks;
use crate::commands::demo::expected::{Expected, FORGED};
use crate::commands::demo::scene::base;
use crate::commands::minting::query_place;
use crate::monday::kinds::{KINDS, Kind};
use crate::monday::mint::{self, LIFETIME, Mint};
use crate::monday::sample;
use crate::monday::verdict::Verdict;
use crate::secret::Secret;

/// Where a case stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// As monday sends it.
    Genuine,
    /// One cell of the table of what must not pass: its column.
    Attack(&'static str),
    /// Something to see.
    Special,
}

/// A request, and what should come of it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Where it stands.
    pub(super) group: Group,
    /// The kind of its route.
    pub(super) kind: Kind,
    /// What it shows.
    pub(super) name: String,
    /// Its method.
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    /// Fields, `Authorization` among them.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Its body.
    pub(super) body: Option<String>,
    /// What should come of it.
    pub(super) expected: Expected,
}

/// Makes tokens as monday does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Monday<'a> {
    /// The URL that the app is registered with.
    pub(super) origin: &'a str,
    /// The app's number.
    pub(super) app_id: i64,
    /// The app's `client_id`.
    pub(super) client_id: &'a str,
    /// Where a user wants to go after the Authorization URL.
    pub(super) back_to_url: &'a str,
    /// The app's signing secret.
    pub(super) signing: &'a Secret,
    /// The app's client secret.
    pub(super) client: &'a Secret,
    /// Unix seconds.
    pub(super) now: i64,
}

impl<'a> Monday<'a> {
    /// The claims of a token for this path.
    pub(super) fn claims(&self, kind: Kind, path: &str, lifetime: i64) -> Value {
        Mint {
            app_id: Some(self.app_id),
            client_id: Some(self.client_id),
            back_to_url: self.back_to_url,
            audience: &format!("{}{path}", self.origin),
            issued_at: self.now,
            expires: self.now + lifetime,
            ..Mint::default()
        }
        .claims(kind)
    }

    /// The secret that monday signs this kind with, and the other one.
    pub(super) fn secrets(&self, kind: Kind) -> (&'a Secret, &'a Secret) {
        if mint::signed_by_client(kind) { (self.client, self.signing) } else { (self.signing, self.client) }
    }

    /// A token for this path; none on `public`.
    pub(super) fn token(&self, kind: Kind, path: &str, lifetime: i64) -> Option<String> {
        (kind != Kind::Public).then(|| mint::token(&self.claims(kind, path, lifetime), self.secrets(kind).0))
    }
}

impl Case {
    /// A request of this kind to a path of its own, with this token where the kind has it.
    pub(super) fn new(group: Group, kind: Kind, path: &str, token: Option<String>) -> Self {
        let example = Mint::default();
        let body = sample::body(kind, example.account_id, example.user_id).map(|body| body.to_string());
        let mut case = Self {
            group,
            kind,
            name: String::new(),
            method: if body.is_some() { Method::POST } else { Method::GET },
            target: path.to_owned(),
            headers: Vec::new(),
            body,
            expected: Expected::forwarded(kind),
        };
        match (token, query_place(kind)) {
            (Some(token), Some(name)) => {
                case.expected.target = Some(path.to_owned());
                case.target = format!("{path}?{name}={token}");
            }
            (Some(token), None) => case.headers.push(("authorization", token)),
            (None, _) => {}
        }
        case
    }

    /// The path alone.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }
}

/// All of them.
pub(super) fn all(monday: &Monday<'_>) -> Vec<Case> {
    let genuine = KINDS.iter().filter(|row| row.kind != Kind::Jwt).map(|row| {
        let path = format!("{}/as-monday-does", base(row.kind));
        let token = monday.token(row.kind, &path, LIFETIME);
        Case::new(Group::Genuine, row.kind, &path, token).named("as monday sends it")
    });
    genuine.chain(attacks::all(monday)).chain(specials(monday)).collect()
}

fn specials(monday: &Monday<'_>) -> Vec<Case> {
    let case = |kind: Kind, path: &str| Case::new(Group::Special, kind, path, monday.token(kind, path, LIFETIME));
    vec![
        challenge(),
        bearer(case(Kind::Action, "/planner/action/bearer")),
        in_the_query(monday),
        spoofed(case(Kind::Action, "/planner/action/forged-headers"))
            .named("a caller who brings the gateway's headers"),
        spoofed(case(Kind::Public, "/public/forged-headers")).named("the same, where nobody is identified"),
        two_tokens(case(Kind::Action, "/planner/action/two-tokens")),
        not_an_admin(monday),
        refused(case(Kind::Action, "/planner/action/%2e%2e/secret"), 400, "malformed_path")
            .named("a path with hidden dots"),
        refused(case(Kind::Action, "/nowhere"), 404, "no_route").named("a path without a route"),
        down(case(Kind::Action, "/planner/down")),
    ]
}

/// How a board webhook is registered.
fn challenge() -> Case {
    let mut case = Case::new(Group::Special, Kind::BoardWebhook, "/planner/board-webhook/challenge", None);
    case.body = Some(r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#.to_owned());
    case.expected.told = None;
    case.named("the challenge, without a token: the gateway answers")
}

fn bearer(mut case: Case) -> Case {
    case.headers.iter_mut().for_each(|(_, token)| *token = format!("Bearer {token}"));
    case.named("a token with `Bearer` before it")
}

fn in_the_query(monday: &Monday<'_>) -> Case {
    let path = "/planner/view/query";
    let token = monday.token(Kind::View, path, LIFETIME).unwrap_or_default();
    let mut case = Case::new(Group::Special, Kind::View, path, None);
    case.target = format!("{path}?page=1&sessionToken={token}&sort=up");
    case.expected.target = Some(format!("{path}?page=1&sort=up"));
    case.named("the token in the query: taken out of it")
}

fn spoofed(mut case: Case) -> Case {
    for name in [
        "x-monday-account-id",
        "x-monday-access-token",
        "x_monday_user_id",
        "x.monday.user.id",
        "x-tenant",
        "x-original-url",
    ] {
        case.headers.push((name, FORGED.to_owned()));
    }
    case
}

fn two_tokens(mut case: Case) -> Case {
    let token = case.headers.first().map_or("", |(_, token)| token.as_str());
    case.target = format!("{}?token={token}", case.target);
    case.expected = Expected::unauthorized(case.kind, "token_multiple");
    case.named("a second token in the query")
}

fn not_an_admin(monday: &Monday<'_>) -> Case {
    let path = "/planner/admins/page";
    let mut claims = monday.claims(Kind::View, path, LIFETIME);
    if let Some(is_admin) = claims.pointer_mut("/dat/is_admin") {
        *is_admin = Value::Bool(false);
    }
    let token = mint::token(&claims, monday.client);
    let mut case = Case::new(Group::Special, Kind::View, path, Some(token));
    case.expected = Expected { status: 403, ..Expected::unauthorized(Kind::View, "forbidden_not_admin") };
    case.named("no admin, where only admins may")
}

fn refused(mut case: Case, status: u16, reason: &'static str) -> Case {
    case.expected = Expected { status, severity: None, ..Expected::unauthorized(case.kind, reason) };
    case
}

fn down(case: Case) -> Case {
    let mut case = refused(case, 502, "upstream_connect").named("a backend that is down");
    case.expected.verdict = Verdict::Retried;
    case
}
