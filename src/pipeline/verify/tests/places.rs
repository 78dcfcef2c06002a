//! Where a token is looked for: one in its place is found, none and more than one are refused, and a query loses it.

use super::*;

#[test]
fn one_token_in_its_place_is_found() {
    let action = good(Kind::Action);
    for field in [
        action.clone(),
        format!("Bearer {action}"),
        format!("bearer {action}"),
        format!("BEARER   {action}"),
        format!("bEaReR\t{action}"),
        format!(" {action} "),
    ] {
        let verified = judge_by(Kind::Action, &[&field], Some("boardId=1&token=x"), &app(), NOW).unwrap();
        assert_eq!(verified.query_token(), None, "{field}");
    }
    let view = good(Kind::View);
    for (fields, query, from_query) in [
        (vec![view.as_str()], None, false),
        (vec![], Some(format!("a=b&sessionToken={view}")), true),
        (vec![""], Some(format!("session%54oken={view}&x")), true),
        (vec![], Some(format!("sessionToken={}", view.replace('.', "%2E"))), true),
        (vec![view.as_str()], Some("sessionToken=".to_owned()), false),
    ] {
        let verified = judge_by(Kind::View, &fields, query.as_deref(), &app(), NOW).unwrap();
        assert_eq!(verified.query_token(), from_query.then_some(view.as_str()));
    }
}

#[test]
fn no_token_in_its_place_is_missing() {
    let token = good(Kind::Action);
    for field in ["", " ", "Bearer", "bearer ", "Bearer \t "] {
        assert_eq!(label(&judge_by(Kind::Action, &[field], None, &app(), NOW)), "missing", "{field:?}");
    }
    for (kind, query) in [
        (Kind::Action, None),
        (Kind::Action, Some(String::new())),
        (Kind::Action, Some(format!("access_token={token}"))),
        (Kind::View, Some("sessionToken=".to_owned())),
        (Kind::View, Some(format!("sessiontoken={token}"))),
        (Kind::Authorization, None),
        (Kind::Authorization, Some("token".to_owned())),
        (Kind::Authorization, Some("x=1&token=&y".to_owned())),
    ] {
        assert_eq!(label(&judge_by(kind, &[], query.as_deref(), &app(), NOW)), "missing", "{kind:?} {query:?}");
    }
    let header_only = judge_by(Kind::Authorization, &[&good(Kind::Authorization)], None, &app(), NOW);
    assert_eq!(label(&header_only), "missing");
}

#[test]
fn more_than_one_token_is_refused_whatever_they_say() {
    let (a, v, z) = (good(Kind::Action), good(Kind::View), good(Kind::Authorization));
    let bearers = format!("Bearer {a}, Bearer {a}");
    let mut cases = 0;
    for (kind, fields, query) in [
        (Kind::Action, vec![a.as_str(), a.as_str()], String::new()),
        (Kind::Action, vec![a.as_str(), ""], String::new()),
        (Kind::Action, vec!["", a.as_str()], String::new()),
        (Kind::Action, vec![bearers.as_str()], String::new()),
        (Kind::Action, vec![a.as_str()], format!("token={a}")),
        (Kind::Action, vec![a.as_str()], format!("x=1&sessionToken={v}")),
        (Kind::Action, vec![a.as_str()], format!("%74oken={}", a.replace('.', "%2e"))),
        (Kind::View, vec![v.as_str()], format!("sessionToken={v}")),
        (Kind::View, vec![v.as_str()], format!("sess%69onToken={v}")),
        (Kind::View, vec![v.as_str()], format!("token={v}")),
        (Kind::View, vec![], format!("sessionToken={v}&token={v}")),
        (Kind::View, vec![], format!("sessionToken={v}&sessionToken={v}")),
        (Kind::View, vec![], format!("sessionToken={v}&sessionToken=")),
        (Kind::View, vec![], format!("sessionToken=&sessionToken={v}")),
        (Kind::Authorization, vec![z.as_str()], format!("token={z}")),
        (Kind::Authorization, vec!["Basic eDp5"], format!("token={z}")),
        (Kind::Authorization, vec![], format!("token={z}&token={z}")),
        (Kind::Authorization, vec![], format!("token={z}&%74%6f%6b%65%6e={z}")),
        (Kind::Authorization, vec![], format!("token={z}&sessionToken={v}")),
    ] {
        assert_eq!(label(&judge_by(kind, &fields, Some(&query), &app(), NOW)), "multiple", "{kind:?}, case {cases}");
        cases += 1;
    }
    assert_eq!(cases, 19);
}

#[test]
fn what_is_no_token_is_malformed_and_never_more() {
    let token = good(Kind::Action);
    for field in [
        "Basic dXNlcjpwYXNz".to_owned(),
        "Bearer Bearer x".to_owned(),
        format!("Bearer: {token}"),
        format!("\"{token}\""),
        format!("{token}="),
        format!("{token}\u{a0}"),
        format!("Bearer{token}"),
        r#"{"payload":"e30","protected":"e30","signature":"x"}"#.replace(',', ";"),
        ".".repeat(8 << 20),
        "A".repeat(1 << 20),
    ] {
        let result = judge_by(Kind::Action, &[&field], None, &app(), NOW);
        assert!(matches!(label(&result), "malformed" | "signature"), "{}", label(&result));
    }
    let urls = public_urls();
    let asked = Asked { row: Kind::Action.row(), app: Some(&app()), public_urls: &urls, path: "/", now: NOW };
    assert_eq!(label(&judge([&b"\xff.\xfe.\xfd"[..]].into_iter(), None, &asked)), "malformed");
}

#[test]
fn a_query_loses_the_parameters_and_keeps_every_other_byte() {
    for (query, rest) in [
        ("token=a", ""),
        ("token", ""),
        ("a=1&token=x&b=2", "a=1&b=2"),
        ("token=x&a=%2F+%zz&&b", "a=%2F+%zz&&b"),
        ("a=1&%74oken=x", "a=1"),
        ("a=token&tokens=1&Token=2", "a=token&tokens=1&Token=2"),
        ("", ""),
        ("&", "&"),
        ("&token=1&", "&"),
        ("a;token=1", "a;token=1"),
        ("sessionToken=1&token=2", "sessionToken=1"),
    ] {
        assert_eq!(query_without(query, &["token"]), rest, "{query}");
    }
    assert_eq!(query_without("sessionToken=1&x&token=2", &["token", "sessionToken"]), "x");
}
