//! The demo as a test: its rows come out right, and a row that is not right is seen.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::commands::demo::attacks::ATTACKS;
use crate::commands::demo::backend::Received;
use crate::commands::demo::cases::{Case, Group};
use crate::commands::demo::expected::{Expected, FORGED, Outcome};
use crate::monday::kinds::{KINDS, Kind};
use crate::monday::verdict::Verdict;

async fn played() -> (Vec<Row>, String) {
    let clock = Clock::system();
    let seen = Seen::default();
    let backend = backend::start(&seen).await.unwrap();
    let scene = Scene::set(0, backend, &clock).unwrap();
    let gateway = Gateway::start(&scene.config, metrics(&scene.config, &clock).unwrap(), clock.clone()).await.unwrap();
    let cases = cases::all(&scene.monday(clock.unix_seconds()));
    let rows = play::play(&scene, cases, &seen).await;
    gateway.stop().await;
    let folder = scene.file("");
    let to_try = table::to_try(&scene, 0);
    drop(scene);
    assert!(!folder.exists(), "{}", folder.display());
    (rows, to_try)
}

#[test]
fn every_request_of_the_demo_comes_out_as_it_should() {
    crate::tls::install_default_provider();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let (rows, to_try) = runtime.block_on(played());
    let text = table::to_text(&rows, Paint::Plain);
    assert!(rows.iter().all(Row::is_right), "{text}");
    assert_eq!(rows.iter().filter(|row| row.case.group == Group::Genuine).count(), KINDS.len() - 1);
    assert_eq!(
        rows.iter().filter(|row| matches!(row.case.group, Group::Attack(_))).count(),
        ATTACKS.len() * KINDS.iter().filter(|row| row.is_mondays()).count()
    );
    assert!(!text.contains('\x1b') && table::to_text(&rows, Paint::Colours).contains("\x1b[32m"));
    assert!(text.contains("all was as it should be"), "{text}");
    let json = table::to_json(&rows, Some("toml"));
    assert_eq!((&json["ok"], &json["gateway.toml"]), (&true.into(), &"toml".into()));
    assert_eq!(json["rows"][0]["told"]["x-monday-account-id"], "1825529");
    assert!(to_try.contains("curl --cacert") && to_try.contains("eyJ"), "{to_try}");
}

fn received(fields: &[(&'static str, &'static str)]) -> Received {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    Received { method: Method::GET, target: "/public/x".to_owned(), headers, body: 0 }
}

fn outcome(received: Option<Received>) -> Outcome {
    Outcome { status: Some(200), fault: None, severity: None, verdict: Verdict::Shown, received, reason: None }
}

#[test]
fn a_backend_that_is_told_too_much_too_little_or_something_else_is_seen() {
    let expected = Expected::forwarded(Kind::Public);
    let judged = |fields: &[(&'static str, &'static str)]| expected.judge(&outcome(Some(received(fields))));
    assert_eq!(judged(&[("x-monday-kind", "public"), ("accept", "*/*")]), Vec::<String>::new());
    assert_eq!(judged(&[]), ["x-monday-kind is missing"]);
    assert_eq!(judged(&[("x-monday-kind", "view")]), ["x-monday-kind: view"]);
    assert_eq!(judged(&[("x-monday-kind", "public"), ("x-monday-kind", "public")]).len(), 1);
    assert_eq!(judged(&[("x-monday-kind", "public"), ("x_monday_user_id", "1")]), ["x_monday_user_id is there"]);
    assert_eq!(judged(&[("x-monday-kind", "public"), ("x-original-url", FORGED)]), ["x-original-url is forged"]);
}

#[test]
fn what_gets_through_is_seen_and_so_is_what_does_not() {
    let refused = Expected::unauthorized(Kind::Action, "token_missing");
    let wrong = refused.judge(&outcome(Some(received(&[]))));
    for words in [
        "status: 200, not 401",
        "it reached the backend",
        "severity code: none, not 4000",
        "monday: shown, not final",
        "reason",
    ] {
        assert!(wrong.iter().any(|one| one.contains(words)), "{words}: {wrong:?}");
    }
    assert_eq!(Expected::forwarded(Kind::Public).judge(&outcome(None)), ["it did not reach the backend"]);
}

#[test]
fn a_row_that_is_wrong_is_listed_with_its_reason_and_colours_nothing_else() {
    let case = Case::new(Group::Special, Kind::Public, "/public/x", None);
    let row = Row { case, outcome: outcome(None), wrong: vec!["it did not reach the backend".to_owned()] };
    let text = table::to_text(&[row], Paint::Plain);
    assert!(
        text.contains("WRONG") && text.contains("1 of 1 requests") && text.contains("public /public/x: it did not"),
        "{text}"
    );
}

#[test]
fn every_case_has_a_path_of_its_own() {
    let secret = crate::secret::Secret::new("0123456789abcdef0123456789abcdef");
    let monday = cases::Monday { origin: "https://127.0.0.1:1", signing: &secret, client: &secret, now: 1_000_000 };
    let all = cases::all(&monday);
    let paths: BTreeSet<&str> = all.iter().map(Case::path).collect();
    assert_eq!(paths.len(), all.len());
}
