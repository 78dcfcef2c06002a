//! What should come of a request, and whether it did: the demo's judge. Takes what was sent, answered, logged and received,
//! returns what is wrong in words.

use std::collections::BTreeMap;

use crate::commands::demo::backend::Received;
use crate::commands::demo::scene::APP_ID;
use crate::monday::kinds::Kind;
use crate::monday::mint::Mint;
use crate::monday::verdict::Verdict;

/// A value that nobody but an attacker sends: it must never be seen behind the gateway.
pub(super) const FORGED: &str = "forged-666";

/// What a header should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Exactly this.
    Is(String),
    /// Anything.
    Something,
}

/// What should come of a request.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The status.
    pub(super) status: u16,
    /// Why it is refused, as the access log says; nothing if it is not.
    pub(super) reason: Option<&'static str>,
    /// The severity code in the answer.
    pub(super) severity: Option<u64>,
    /// What monday does then.
    pub(super) verdict: Verdict,
    /// What the backend is told of the caller, by header; nothing if it must not be reached.
    pub(super) told: Option<BTreeMap<&'static str, Told>>,
    /// The path and query that the backend is asked for, where that is not what was sent.
    pub(super) target: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The status; nothing if there was no answer.
    pub(super) status: Option<u16>,
    /// Why there was none.
    pub(super) fault: Option<String>,
    /// The severity code.
    pub(super) severity: Option<u64>,
    /// What monday does then.
    pub(super) verdict: Verdict,
    /// What the backend saw.
    pub(super) received: Option<Received>,
    /// What the access log gives as the reason.
    pub(super) reason: Option<String>,
}

impl Expected {
    /// It is forwarded, and the backend knows the caller as this kind allows.
    pub(super) fn forwarded(kind: Kind) -> Self {
        let verdict = if is_read_by_people(kind) { Verdict::Shown } else { Verdict::Done };
        Self { status: 200, reason: None, severity: None, verdict, told: Some(identity(kind)), target: None }
    }

    /// It is refused with 401.
    pub(super) fn unauthorized(kind: Kind, reason: &'static str) -> Self {
        Self {
            status: 401,
            reason: Some(reason),
            // A person's browser gets a page instead.
            severity: (kind != Kind::Authorization).then_some(4000),
            verdict: if is_read_by_people(kind) { Verdict::Shown } else { Verdict::Final },
            told: None,
            target: None,
        }
    }

    /// What is wrong with what came of it; empty if nothing is.
    pub(super) fn judge(&self, outcome: &Outcome) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut compare = |what: &str, expected: String, seen: String| {
            if expected != seen {
                wrong.push(format!("{what}: {seen}, not {expected}"));
            }
        };
        compare(
            "status",
            self.status.to_string(),
            outcome.status.map_or_else(|| "none".to_owned(), |status| status.to_string()),
        );
        compare("reason in the log", said(self.reason), said(outcome.reason.as_deref()));
        compare("severity code", said(self.severity), said(outcome.severity));
        compare("monday", self.verdict.name().to_owned(), outcome.verdict.name().to_owned());
        match (&self.told, &outcome.received) {
            (Some(told), Some(received)) => {
                if let Some(target) = &self.target {
                    compare("target", target.clone(), received.target.clone());
                }
                wrong.extend(judge_headers(told, received));
            }
            (Some(_), None) => wrong.push("it did not reach the backend".to_owned()),
            (None, Some(_)) => wrong.push("it reached the backend".to_owned()),
            (None, None) => {}
        }
        wrong.extend(outcome.fault.iter().map(|fault| format!("no answer: {fault}")));
        wrong
    }
}

fn said(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// Every header that speaks of the caller must be there, as it should be, and none beside them.
fn judge_headers(told: &BTreeMap<&'static str, Told>, received: &Received) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, expected) in told {
        let seen: Vec<_> = received.headers.get_all(*name).iter().filter_map(|value| value.to_str().ok()).collect();
        match (expected, seen.as_slice()) {
            (Told::Something, [_]) => {}
            (Told::Is(text), [one]) if text == one => {}
            (_, []) => wrong.push(format!("{name} is missing")),
            (_, _) => wrong.push(format!("{name}: {}", seen.join(", "))),
        }
    }
    for (name, value) in &received.headers {
        if speaks_of_the_caller(name.as_str()) && !told.contains_key(name.as_str()) {
            wrong.push(format!("{name} is there"));
        }
        if String::from_utf8_lossy(value.as_bytes()).contains(FORGED) {
            wrong.push(format!("{name} is forged"));
        }
    }
    wrong
}

/// Whether the backend reads from this header who is calling, also if it takes `_` for `-`.
pub(super) fn speaks_of_the_caller(name: &str) -> bool {
    let name = name.replace('_', "-");
    name.starts_with("x-monday") || name == "x-tenant"
}

/// Whether a person, or the app's own front end, reads the answer.
pub(super) const fn is_read_by_people(kind: Kind) -> bool {
    matches!(kind, Kind::View | Kind::Authorization | Kind::Public)
}

/// What the backend is told of monday's own example.
pub(super) fn identity(kind: Kind) -> BTreeMap<&'static str, Told> {
    let example = Mint::default();
    let is = |text: &str| Told::Is(text.to_owned());
    let mut told = BTreeMap::from([("x-monday-kind", is(kind.name()))]);
    if kind == Kind::Public {
        return told;
    }
    told.extend([
        ("x-monday-app", is("planner")),
        ("x-monday-account-id", is(&example.account_id.to_string())),
        ("x-monday-user-id", is(&example.user_id.to_string())),
    ]);
    let is_session = matches!(kind, Kind::View | Kind::AppLifecycle);
    if is_session {
        told.extend([
            ("x-monday-is-admin", is("true")),
            ("x-monday-is-guest", is("false")),
            ("x-monday-is-view-only", is("false")),
            ("x-monday-user-kind", is("admin")),
            ("x-monday-account-slug", is("myaccount")),
            ("x-monday-install-id", is("-2")),
        ]);
    } else {
        told.insert("x-monday-api-key", Told::Something);
    }
    if kind != Kind::FeatureLifecycle {
        told.insert("x-monday-app-id", is(&APP_ID.to_string()));
    }
    match kind {
        Kind::Authorization => drop(told.insert("x-monday-back-to-url", is(example.back_to_url))),
        Kind::Action => drop(told.insert("x-tenant", is(&format!("account-{}", example.account_id)))),
        _ => {}
    }
    told
}
