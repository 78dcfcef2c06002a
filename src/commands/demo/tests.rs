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

struct Played {
    rows: Vec<Row>,
    chapters: Vec<Chapter>,
    to_try: String,
}

async fn played() -> Played {
    let clock = Clock::system();
    let stage = Stage::set(0, &clock).await.unwrap();
    let cast = &stage.cast;
    let rows = play::play(&cast.scene, cases::all(&cast.scene.monday(clock.unix_seconds())), &cast.seen).await;
    let chapters = story::tell(cast).await;
    let folder = cast.scene.file("");
    let to_try = format!("{}{}", telling::to_click(&cast.scene), table::to_try(&cast.scene, 0));
    stage.clear().await;
    assert!(!folder.exists(), "{}", folder.display());
    Played { rows, chapters, to_try }
}

#[test]
fn every_request_and_every_chapter_of_the_demo_comes_out_as_it_should() {
    crate::tls::install_default_provider();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let Played { rows, chapters, to_try } = runtime.block_on(played());
    let story = telling::to_text(&chapters, Paint::Plain);
    assert!(chapters.iter().all(Chapter::is_right) && chapters.len() == 6, "{story}");
    assert!(story.contains("6 chapters, and all was as it should be"), "{story}");
    let text = table::to_text(&rows, Paint::Plain);
    assert!(rows.iter().all(Row::is_right), "{text}");
    assert_eq!(rows.iter().filter(|row| row.case.group == Group::Genuine).count(), KINDS.len() - 1);
    assert_eq!(
        rows.iter().filter(|row| matches!(row.case.group, Group::Attack(_))).count(),
        ATTACKS.len() * KINDS.iter().filter(|row| row.is_mondays()).count()
    );
    assert!(!text.contains('\x1b') && table::to_text(&rows, Paint::Colours).contains("\x1b[32m"));
    assert!(text.contains("all was as it should be"), "{text}");
    let json = table::to_json(&rows, &chapters, Some("toml"));
    assert_eq!((&json["ok"], &json["gateway.toml"]), (&true.into(), &"toml".into()));
    assert_eq!(json["rows"][0]["told"]["x-monday-account-id"], "1825529");
    assert_eq!(json["story"][0]["ok"], true);
    assert!(to_try.contains("/board") && to_try.contains("curl --cacert") && to_try.contains("eyJ"), "{to_try}");
    let wrong = Chapter { title: "", told: Vec::new(), wrong: vec!["why".to_owned()] };
    assert_eq!(table::to_json(&rows, &[wrong], None)["ok"], false);
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
    let monday = cases::Monday {
        origin: "https://127.0.0.1:1",
        app_id: 1,
        client_id: "x",
        back_to_url: "https://myaccount.monday.com/",
        signing: &secret,
        client: &secret,
        now: 1_000_000,
    };
    let all = cases::all(&monday);
    let paths: BTreeSet<&str> = all.iter().map(Case::path).collect();
    assert_eq!(paths.len(), all.len());
}
