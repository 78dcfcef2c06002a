//! What the gateway accepts, and from whom: every rule of verification as a table of cases.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::monday::app_keys::Audience;
use crate::monday::kinds::{KINDS, Kind};
use crate::monday::mint::{self, Mint};
use crate::secret::Secret;

mod oracle;
mod places;

const NOW: i64 = 1_800_000_000;
const SIGNING: &str = "the signing secret, which is long enough";
const CLIENT: &str = "the client secret, which is long enough too";

fn key(secret: &str) -> Key {
    Key::new(&Secret::new(secret))
}

fn app() -> AppKeys {
    AppKeys {
        name: "planner".to_owned(),
        client_id: Some("client".to_owned()),
        app_id: Some(10_012_345),
        signing: vec![key(SIGNING)],
        client: vec![key(CLIENT)],
        audience: Audience::Origin,
        leeway: 30,
    }
}

fn public_urls() -> Vec<PublicUrl> {
    vec![PublicUrl { scheme: "https".to_owned(), host: "gw.example.com".to_owned(), port: 443, path: String::new() }]
}

fn mint() -> Mint<'static> {
    Mint {
        app_id: Some(10_012_345),
        client_id: Some("client"),
        issued_at: NOW,
        expires: NOW + mint::LIFETIME,
        ..Mint::default()
    }
}

fn own_secret(kind: Kind) -> &'static str {
    if mint::signed_by_client(kind) { CLIENT } else { SIGNING }
}

/// A good token of the kind after a change of its claims.
fn token(kind: Kind, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = mint().claims(kind);
    change(&mut claims);
    mint::token(&claims, &Secret::new(own_secret(kind)))
}

fn good(kind: Kind) -> String {
    token(kind, |_| {})
}

/// Judges at a moment, by an app.
fn judge_by(kind: Kind, fields: &[&str], query: Option<&str>, app: &AppKeys, now: i64) -> Result<Caller, Unauthorized> {
    let urls = public_urls();
    let asked = Asked { row: kind.row(), app: Some(app), public_urls: &urls, path: "/", now };
    judge(fields.iter().map(|field| field.as_bytes()), query, &asked)
}

/// Judges a token in the place that its kind has for it.
fn judge_at(kind: Kind, token: &str, app: &AppKeys, now: i64) -> Result<Caller, Unauthorized> {
    if kind == Kind::Authorization {
        judge_by(kind, &[], Some(&format!("token={token}")), app, now)
    } else {
        judge_by(kind, &[token], None, app, now)
    }
}

fn judge_now(kind: Kind, token: &str) -> Result<Caller, Unauthorized> {
    judge_at(kind, token, &app(), NOW)
}

fn label(result: &Result<Caller, Unauthorized>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(refused) => refused.label(),
    }
}

fn with_token() -> impl Iterator<Item = Kind> {
    KINDS.iter().filter(|row| row.is_mondays()).map(|row| row.kind)
}

#[test]
fn a_good_token_of_every_kind_says_who_calls() {
    for kind in with_token() {
        let verified = judge_now(kind, &good(kind)).unwrap();
        let claims = verified.claims().unwrap();
        assert_eq!((claims.account_id, claims.user_id), (1_825_529, 4_012_689), "{kind:?}");
        assert_eq!(claims.back_to_url.is_some(), kind == Kind::Authorization, "{kind:?}");
    }
}

#[test]
fn public_asks_for_nobody_and_takes_nobodys_word() {
    let verified = judge_by(Kind::Public, &["a", "b"], Some("token=a&token=b"), &app(), NOW).unwrap();
    assert!(verified.claims().is_none() && verified.query_token().is_none());
}

#[test]
fn a_route_without_an_app_lets_nobody_in() {
    let token = good(Kind::Action);
    let asked = Asked { row: Kind::Action.row(), app: None, public_urls: &[], path: "/", now: NOW };
    let refused = judge([token.as_bytes()].into_iter(), None, &asked).unwrap_err();
    assert_eq!(refused, Unauthorized::Token(Flaw::Signature));
}

/// Which kinds' tokens a kind accepts, written out from the table of kinds.
fn accepts(at: Kind, from: Kind) -> &'static str {
    let group = |kind| match kind {
        Kind::Authorization => "back",
        Kind::AppLifecycle | Kind::View => "client",
        Kind::FeatureLifecycle => "feature",
        _ => "flat",
    };
    match (group(at), group(from)) {
        ("flat", "flat") | ("feature", "flat" | "feature") | ("client", "client") | ("back", "back") => "ok",
        ("flat" | "feature", "client") | ("client", "flat" | "feature" | "back") => "other_secret",
        _ => "wrong_kind",
    }
}

#[test]
fn every_kinds_token_is_accepted_at_every_kind_exactly_where_the_table_says() {
    let mut cases = 0;
    for from in with_token() {
        let token = good(from);
        for at in with_token() {
            assert_eq!(label(&judge_now(at, &token)), accepts(at, from), "a token of {from:?} at {at:?}");
            cases += 1;
        }
    }
    assert_eq!(cases, 121);
}

#[test]
fn the_other_secret_is_named_in_either_direction_and_authorization_takes_both() {
    let claims = |kind: Kind| mint().claims(kind);
    for kind in with_token() {
        let other = if own_secret(kind) == CLIENT { SIGNING } else { CLIENT };
        let result = judge_now(kind, &mint::token(&claims(kind), &Secret::new(other)));
        if kind == Kind::Authorization {
            assert!(result.is_ok());
        } else {
            assert_eq!(result.unwrap_err(), Unauthorized::OtherSecret { needs_client: own_secret(kind) == CLIENT });
        }
        let nobodys = mint::token(&claims(kind), &Secret::new("a third secret, which is nobody's at all"));
        assert_eq!(judge_now(kind, &nobodys).unwrap_err(), Unauthorized::Token(Flaw::Signature));
    }
}

#[test]
fn a_token_signed_with_the_empty_key_is_refused_also_by_an_app_without_keys() {
    let none = AppKeys { signing: Vec::new(), client: Vec::new(), ..app() };
    for kind in with_token() {
        let token = mint::token(&mint().claims(kind), &Secret::new(""));
        assert_eq!(label(&judge_now(kind, &token)), "signature", "{kind:?}");
        assert_eq!(label(&judge_at(kind, &token, &none, NOW)), "signature", "{kind:?}");
        assert_eq!(label(&judge_at(kind, &good(kind), &none, NOW)), "signature", "{kind:?}");
    }
}

#[test]
fn the_signature_is_judged_before_any_claim() {
    let token = good(Kind::Action);
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let forged = format!("{header}.!!!.{}", "A".repeat(43));
    assert_eq!(label(&judge_now(Kind::Action, &forged)), "signature");
    let forged = format!("{signed}.{}", "A".repeat(43));
    assert_eq!(label(&judge_at(Kind::Action, &forged, &app(), NOW + 9999)), "signature");
}

#[test]
fn times_hold_to_the_second_with_the_leeway() {
    let at = |change: fn(&mut Value), now| label(&judge_at(Kind::Action, &token(Kind::Action, change), &app(), now));
    let exp: fn(&mut Value) = |claims| claims["exp"] = json!(NOW);
    assert_eq!((at(exp, NOW + 29), at(exp, NOW + 30), at(exp, NOW + 31)), ("ok", "expired", "expired"));
    let iat: fn(&mut Value) = |claims| claims["iat"] = json!(NOW);
    assert_eq!((at(iat, NOW - 31), at(iat, NOW - 30), at(iat, NOW)), ("not_yet_valid", "ok", "ok"));
    let nbf: fn(&mut Value) = |claims| {
        claims["nbf"] = json!(NOW);
        claims["iat"] = json!(0);
    };
    assert_eq!((at(nbf, NOW - 31), at(nbf, NOW - 30), at(nbf, NOW)), ("not_yet_valid", "ok", "ok"));
}

#[test]
fn the_refusal_says_by_how_many_seconds() {
    let expired = token(Kind::Action, |claims| claims["exp"] = json!(NOW - 100));
    assert_eq!(judge_now(Kind::Action, &expired).unwrap_err(), Unauthorized::Expired { seconds: 100 });
    let early = token(Kind::Action, |claims| claims["iat"] = json!(NOW + 100));
    assert_eq!(judge_now(Kind::Action, &early).unwrap_err(), Unauthorized::NotYetValid { seconds: 100 });
}

#[test]
fn extreme_times_neither_overflow_nor_pass() {
    for (exp, iat, now, expected) in [
        (i64::MIN, 0, NOW, "malformed"),
        (-1, 0, NOW, "malformed"),
        (0, 0, NOW, "expired"),
        (i64::MAX, 0, NOW, "ok"),
        (i64::MAX, i64::MIN, NOW, "malformed"),
        (i64::MAX, i64::MAX, NOW, "not_yet_valid"),
        (i64::MIN, 0, i64::MAX, "malformed"),
        (NOW, 0, 0, "ok"),
        (i64::MAX, 0, i64::MAX, "expired"),
    ] {
        let token = token(Kind::Action, |claims| {
            claims["exp"] = json!(exp);
            claims["iat"] = json!(iat);
        });
        assert_eq!(label(&judge_at(Kind::Action, &token, &app(), now)), expected, "{exp} {iat} {now}");
    }
}

/// A token of the kind `action` whose payload is this text.
fn raw(payload: &str) -> String {
    crate::jwt::sign(&key(SIGNING), payload.as_bytes())
}

#[test]
fn a_time_of_any_other_type_is_malformed() {
    let mut cases = 0;
    for value in [
        "\"9999999999\"",
        "\"x\"",
        "9999999999.0",
        "9999999999.5",
        "1e10",
        "1e400",
        "1e999999999",
        "null",
        "[9999999999]",
        "[]",
        "{}",
        "true",
        "false",
        "9223372036854775808",
        "99999999999999999999999999",
        "-9223372036854775809",
        "-0",
        "-1.5",
    ] {
        for name in ["exp", "nbf", "iat"] {
            let rest = if name == "exp" { String::new() } else { format!(",\"exp\":{}", NOW + 300) };
            let token = raw(&format!("{{\"accountId\":1,\"userId\":2,\"{name}\":{value}{rest}}}"));
            assert_eq!(label(&judge_now(Kind::Action, &token)), "malformed", "{name} {value}");
            cases += 1;
        }
    }
    assert_eq!(cases, 54);
    let without = raw(r#"{"accountId":1,"userId":2}"#);
    assert_eq!(judge_now(Kind::Action, &without).unwrap_err(), Unauthorized::Token(Flaw::NoExpiry));
    let negative = raw(r#"{"accountId":1,"userId":2,"exp":-9999999999}"#);
    assert_eq!(label(&judge_now(Kind::Action, &negative)), "malformed");
}

#[test]
fn a_hostile_payload_costs_at_most_a_millisecond() {
    let members: Vec<_> = (0..900).map(|i| format!("\"{i}\":1")).collect();
    let same_start: Vec<_> = (0..250).map(|i| format!("\"aaaaaaaaaaaaaaa{i}\":1")).collect();
    for (what, payload) in [
        ("a huge exponent", r#"{"accountId":1,"userId":2,"exp":1e999999999}"#.to_owned()),
        ("a huge exponent of nobody's", r#"{"accountId":1,"userId":2,"exp":9999999999,"x":1e999999999}"#.to_owned()),
        ("a million digits", format!("{{\"accountId\":1,\"userId\":2,\"exp\":{}}}", "9".repeat(1_000_000))),
        ("six thousand digits", format!("{{\"accountId\":1,\"userId\":2,\"exp\":{}}}", "9".repeat(6000))),
        ("a long fraction", format!("{{\"accountId\":1,\"userId\":2,\"exp\":1.{}e9}}", "9".repeat(6000))),
        ("depth", format!("{{\"x\":{}", "[".repeat(6000))),
        ("members", format!("{{{}}}", members.join(","))),
        ("members that begin alike", format!("{{{}}}", same_start.join(","))),
    ] {
        let token = raw(&payload);
        let mut best = Duration::MAX;
        for _ in 0..20 {
            let start = Instant::now();
            assert_eq!(label(&judge_now(Kind::Action, &token)), "malformed", "{what}");
            best = best.min(start.elapsed());
        }
        assert!(best <= Duration::from_millis(1), "{what}: {best:?}");
    }
}

#[test]
fn an_app_that_a_token_names_must_be_this_one() {
    let named = |kind: Kind, change: fn(&mut Value)| judge_now(kind, &token(kind, change)).err();
    let wrong = |claim| Some(Unauthorized::WrongApp { claim });
    assert_eq!(named(Kind::View, |claims| claims["dat"]["client_id"] = json!("other")), wrong("client_id"));
    assert_eq!(named(Kind::View, |claims| claims["dat"]["app_id"] = json!(1)), wrong("app_id"));
    assert_eq!(named(Kind::Action, |claims| claims["platformAppId"] = json!(1)), wrong("platformAppId"));
    assert_eq!(named(Kind::Action, |claims| claims["client_id"] = json!("")), wrong("client_id"));
    assert_eq!(named(Kind::Action, |claims| claims["appId"] = json!(1)), wrong("app_id"));
    let unknown = AppKeys { app_id: None, client_id: None, ..app() };
    assert!(judge_at(Kind::View, &good(Kind::View), &unknown, NOW).is_ok());
    assert!(judge_at(Kind::Action, &good(Kind::Action), &unknown, NOW).is_ok());
}

#[test]
fn an_audience_that_a_token_names_must_be_this_gateway() {
    let with = |rule, aud: Value| {
        let app = AppKeys { audience: rule, ..app() };
        label(&judge_at(Kind::Action, &token(Kind::Action, |claims| claims["aud"] = aud), &app, NOW))
    };
    assert_eq!(with(Audience::Origin, json!("https://gw.example.com/anything")), "ok");
    assert_eq!(with(Audience::Exact, json!("https://gw.example.com/anything")), "audience");
    assert_eq!(with(Audience::Exact, json!("https://gw.example.com/")), "ok");
    assert_eq!(with(Audience::Origin, json!("https://other.example.com/")), "audience");
    assert_eq!(with(Audience::Origin, json!(["https://other.example.com/", "https://gw.example.com/"])), "ok");
    assert_eq!(with(Audience::Origin, Value::Null), "ok");
    assert_eq!(with(Audience::Off, json!("https://other.example.com/")), "ok");
    let long = token(Kind::Action, |claims| claims["aud"] = json!("ä".repeat(1000)));
    let Unauthorized::Audience { came } = judge_now(Kind::Action, &long).unwrap_err() else {
        panic!("another refusal")
    };
    assert_eq!(came.chars().count(), AUDIENCE_SHOWN);
}

#[test]
fn nothing_is_remembered_from_one_request_to_the_next() {
    let (token, mut app) = (good(Kind::Action), app());
    let end = NOW + mint::LIFETIME + app.leeway;
    assert_eq!(label(&judge_at(Kind::Action, &token, &app, end - 1)), "ok");
    assert_eq!(label(&judge_at(Kind::Action, &token, &app, end)), "expired");
    assert_eq!(label(&judge_at(Kind::Action, &token, &app, end - 1)), "ok");
    app.signing = vec![key("the next signing secret, long enough too"), key(SIGNING)];
    assert_eq!(label(&judge_at(Kind::Action, &token, &app, NOW)), "ok");
    app.signing.pop();
    assert_eq!(label(&judge_at(Kind::Action, &token, &app, NOW)), "signature");
}

#[test]
fn a_million_tokens_mix_up_no_claims() {
    let (app, urls, signing) = (app(), public_urls(), key(SIGNING));
    let asked = Asked { row: Kind::Action.row(), app: Some(&app), public_urls: &urls, path: "/", now: NOW };
    for id in 0..1_000_000_i64 {
        let payload = format!(r#"{{"accountId":{id},"userId":{},"exp":{},"shortLivedToken":"t{id}"}}"#, -id, NOW + 1);
        let token = crate::jwt::sign(&signing, payload.as_bytes());
        let verified = judge([token.as_bytes()].into_iter(), None, &asked).unwrap();
        let claims = verified.claims().unwrap();
        assert_eq!((claims.account_id, claims.user_id), (id, -id));
        assert_eq!(claims.api_key.as_ref().unwrap().as_str(), format!("t{id}"));
    }
}

#[test]
fn what_a_log_could_print_holds_no_token_and_no_claim() {
    let token = token(Kind::Authorization, |claims| claims["canary"] = json!("canary"));
    let verified = judge_now(Kind::Authorization, &token).unwrap();
    let shown = format!("{:?} {:?}", verified, app());
    assert!(
        !shown.contains("eyJ") && !shown.contains("canary") && !shown.contains("myaccount") && !shown.contains(SIGNING)
    );
}
