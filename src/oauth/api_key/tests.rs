//! Keys that are typed in: good, bad, and trying to leave their part of the request.

use http::header::HeaderName;

use super::*;
use crate::oauth::fakes::{self, Fake};
use crate::oauth::provider::KeyField;
use crate::oauth::reach::ReachFlaw;
use crate::oauth::web::WebFlaw;

fn form(url: &str) -> Provider {
    let field = |name: &str| KeyField { name: name.to_owned(), label: String::new(), is_secret: true };
    let test = KeyTest {
        url: url.to_owned(),
        headers: vec![(HeaderName::from_static("x-key"), "Token {key}".to_owned())],
        basic: Some(("{sub}/token".to_owned(), "{key}".to_owned())),
    };
    let fields = vec![field("key"), field("sub")];
    let form = KeyForm { fields, help_url: None, test: Some(test) };
    Provider { connect: Connect::ApiKey(Box::new(form)), ..fakes::provider("https://x.example/") }
}

async fn tried(url: &str, key: &str, sub: &str) -> Result<(), KeyFault> {
    let typed = Typed::from([("key".to_owned(), key.to_owned()), ("sub".to_owned(), sub.to_owned())]);
    test(&Web::new(None).unwrap(), &form(url), &typed).await
}

#[tokio::test]
async fn good_keys_bad_keys_and_anything_else_are_told_apart() {
    for (status, flaw) in [
        (200, None),
        (204, None),
        (401, Some(KeyFlaw::BadKeys(401))),
        (403, Some(KeyFlaw::BadKeys(403))),
        (404, Some(KeyFlaw::Unexpected(404))),
        (500, Some(KeyFlaw::Unexpected(500))),
    ] {
        let mut fake = Fake::saying(status, "").await;
        let template = format!("{}/a/{{sub}}/me?k={{key}}", fake.origin);
        let found = tried(&template, "k&y=/1", "ac/me").await;
        assert_eq!(found.err().map(|fault| fault.flaw), flaw);
        let got = &fake.got()[0];
        assert_eq!(got.line, "GET /a/ac%2Fme/me?k=k%26y%3D%2F1 HTTP/1.1");
        assert_eq!(got.field("x-key"), Some("Token k&y=/1"));
        assert_eq!(
            got.field("authorization"),
            Some(format!("Basic {}", STANDARD.encode("ac/me/token:k&y=/1")).as_str())
        );
    }
}

#[tokio::test]
async fn what_is_typed_stays_within_its_part_and_a_typed_host_is_public() {
    for sub in ["evil.example/", "a.b", "a@evil.example", "a:1", "a#", "a?", "a\\", "-a", "127", "", "a b", "é"] {
        let fault = tried("https://{sub}.example.com/me", "key", sub).await.unwrap_err();
        assert!(
            matches!(fault.flaw, KeyFlaw::Field { ref field, .. } if field == "sub") && fault.is_users(),
            "{sub}: {fault}"
        );
    }
    for host in ["127.0.0.1", "localhost:1", "[::1]", "0x7f.1", "a..b"] {
        assert!(tried("https://{sub}/me", "key", host).await.is_err(), "{host}");
    }
    let inside = tried("https://{sub}/me", "key", "localhost").await.unwrap_err();
    assert!(
        matches!(inside.flaw, KeyFlaw::Web(WebFault { flaw: WebFlaw::Reach(ReachFlaw::NotPublic(_)), .. })),
        "{inside}"
    );
    for sub in [".", ".."] {
        assert!(matches!(
            tried("https://a.example/{sub}/me", "key", sub).await.unwrap_err().flaw,
            KeyFlaw::Field { .. }
        ));
    }
    for template in [
        "{sub}://a.example/",
        "https://u@{sub}.example/",
        "https://a.example/#{sub}",
        "https://a.example/{other}",
        "nonsense",
    ] {
        assert_eq!(tried(template, "key", "sub").await.unwrap_err().flaw, KeyFlaw::Template("url"), "{template}");
    }
}
