//! Token endpoints' answers in every dialect, right and wrong.

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::oauth::fakes;

fn answer(status: u16, body: &[u8]) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        fields: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
    }
}

fn judged(status: u16, body: &str) -> Result<Tokens, TokenFlaw> {
    let mut provider = fakes::provider("https://id.example/authorize");
    tokens(&answer(status, body.as_bytes()), fakes::client(&mut provider), Asked { at: 100, refresh: None, sent: &[] })
}

#[test]
fn lifetimes_come_as_numbers_text_or_not_at_all() {
    for (written, expires) in [
        ("3600", Some(3700)),
        ("\"28800\"", Some(28900)),
        ("3599.9", Some(3699)),
        ("0", None),
        ("null", None),
        ("\"\"", None),
    ] {
        let found = judged(200, &format!(r#"{{"access_token":"t","expires_in":{written}}}"#)).unwrap();
        assert_eq!(found.expires, expires, "{written}");
    }
    for written in ["-1", "\"soon\"", "true", "[]", "{}"] {
        let flaw = judged(200, &format!(r#"{{"access_token":"t","expires_in":{written}}}"#)).unwrap_err();
        assert!(matches!(flaw, TokenFlaw::Field { ref field, .. } if field == "/expires_in"), "{written}: {flaw:?}");
    }
}

#[test]
fn without_a_lifetime_a_jwt_says_its_own() {
    let jwt = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
    for (token, expires) in [
        (jwt(r#"{"exp":1800003600}"#), Some(1_800_003_600)),
        (jwt(r#"{"exp":"x"}"#), None),
        (jwt("{}"), None),
        ("opaque".to_owned(), None),
        ("a.b.c".to_owned(), None),
        ("a.b.c.d".to_owned(), None),
    ] {
        assert_eq!(judged(200, &format!(r#"{{"access_token":"{token}"}}"#)).unwrap().expires, expires, "{token}");
    }
}

#[test]
fn scopes_come_with_spaces_commas_or_as_a_list() {
    for written in
        [r#""scope":"a b""#, r#""scope":"a,b""#, r#""scope":"a, b""#, r#""scopes":["a","b"]"#, r#""scope":["a","b"]"#]
    {
        let found = judged(200, &format!(r#"{{"access_token":"t",{written}}}"#)).unwrap();
        assert_eq!(found.scopes.unwrap(), ["a", "b"], "{written}");
    }
    for written in [r#""scope":"""#, r#""scope":null"#, r#""x":1"#] {
        assert_eq!(judged(200, &format!(r#"{{"access_token":"t",{written}}}"#)).unwrap().scopes, None);
    }
}

#[test]
fn a_wrong_answer_names_its_field() {
    for (body, field) in [
        ("{}", "/access_token"),
        (r#"{"access_token":""}"#, "/access_token"),
        (r#"{"access_token":7}"#, "/access_token"),
        (r#"{"access_token":"a b"}"#, "/access_token"),
        (r#"{"access_token":"a\r\nX: y"}"#, "/access_token"),
        (r#"{"access_token":"t","refresh_token":[]}"#, "/refresh_token"),
        (r#"{"access_token":"t","token_type":"DPoP"}"#, "/token_type"),
        (r#"{"access_token":"t","token_type":"mac"}"#, "/token_type"),
    ] {
        let flaw = judged(200, body).unwrap_err();
        assert!(matches!(flaw, TokenFlaw::Field { field: ref found, .. } if found == field), "{body}: {flaw:?}");
    }
    for body in ["", "access_token=t", "[]", "null", "<html>"] {
        assert!(matches!(judged(200, body), Err(TokenFlaw::NotJson { .. })), "{body}");
    }
}

#[test]
fn busy_is_neither_final_nor_a_mistake() {
    for status in [429, 500, 502, 503] {
        for body in ["", "<html>", "{}", r#"{"error":"server_error"}"#] {
            assert!(matches!(judged(status, body), Err(TokenFlaw::Busy { .. })), "{status} {body}");
        }
    }
}

#[test]
fn an_error_code_that_quotes_what_was_sent_is_not_told() {
    let mut provider = fakes::provider("https://id.example/authorize");
    let asked = Asked { at: 0, refresh: None, sent: &["secret"] };
    let found = tokens(&answer(400, br#"{"error":"bad_secret_2"}"#), fakes::client(&mut provider), asked);
    assert!(!format!("{found:?}").contains("secret"), "{found:?}");
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_token_is_unfit_for_a_field(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut provider = fakes::provider("https://id.example/authorize");
        let asked = Asked { at: i64::MAX, refresh: Some("r"), sent: &["secret"] };
        if let Ok(found) = tokens(&answer(status, &body), fakes::client(&mut provider), asked) {
            prop_assert!(found.access.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn no_object_panics(token in ".{0,20}", expires in any::<f64>(), scope in ".{0,20}", error in ".{0,9}", is_ok in any::<bool>()) {
        let body = serde_json::json!({"ok": is_ok, "access_token": token, "expires_in": expires, "scope": scope, "error": error, "error_description": "my secret is out"});
        let mut provider = fakes::provider("https://id.example/authorize");
        let asked = Asked { at: 0, refresh: None, sent: &["secret"] };
        let found = tokens(&answer(200, body.to_string().as_bytes()), fakes::client(&mut provider), asked);
        let told = format!("{found:?}");
        prop_assert!(!told.contains("secret is"));
    }
}
