//! Issuers' metadata, at each of its places, and wrong.

use super::*;
use crate::oauth::fakes::{self, Fake, answer};

fn metadata(origin: &str, more: &str) -> String {
    format!(r#"{{"issuer":"{origin}/t","authorization_endpoint":"{origin}/a","token_endpoint":"{origin}/t"{more}}}"#)
}

/// An issuer whose metadata is at `place` only.
async fn issuer_at(place: &'static str, more: &'static str) -> Fake {
    Fake::start(move |got| {
        let origin = format!("http://{}", got.field("host").unwrap());
        let is_there = got.line == format!("GET {place} HTTP/1.1");
        if is_there { answer(200, &metadata(&origin, more)) } else { answer(404, "") }
    })
    .await
}

#[tokio::test]
async fn metadata_is_found_at_every_place_and_asked_for_once() {
    for place in [
        "/t/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/t",
        "/t/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration/t",
    ] {
        let mut fake = issuer_at(place, r#","authorization_response_iss_parameter_supported":true"#).await;
        let discovery = fakes::discovery();
        let issuer = fake.url("/t");
        let (one, other) = tokio::join!(discovery.metadata(&issuer), discovery.metadata(&issuer));
        assert_eq!(one.unwrap(), other.unwrap());
        let asked = fake.got().iter().filter(|got| got.line.contains(place)).count();
        assert_eq!(asked, 1, "{place}");
        let mut provider = fakes::provider("https://x.example/");
        fakes::client(&mut provider).endpoints = Endpoints::Issuer(issuer.clone());
        let located = discovery.locate(&provider).await.unwrap();
        assert_eq!((located.requires_iss, located.issuer), (true, Some(issuer.to_string())));
    }
}

#[tokio::test]
async fn wrong_metadata_names_provider_field_and_fix() {
    for (body, field) in [
        (r#"{"issuer":"https://evil.example"}"#, "`issuer`"),
        (r#"{"issuer":"ORIGIN/","authorization_endpoint":"http://evil.example/a"}"#, "`authorization_endpoint`"),
        (r#"{"issuer":"ORIGIN/","authorization_endpoint":"https://u@evil.example/a"}"#, "`authorization_endpoint`"),
        (r#"{"issuer":"ORIGIN/","token_endpoint":"nonsense"}"#, "`token_endpoint`"),
        (r#"{"issuer":"ORIGIN/","token_endpoint":"https://a.example/"}"#, "`authorization_endpoint`"),
        (r#"{"issuer":"ORIGIN/","authorization_endpoint":"https://a.example/"}"#, "`token_endpoint`"),
        (
            r#"{"issuer":"ORIGIN/","authorization_endpoint":"https://a.example/","token_endpoint":"https://a.example/","code_challenge_methods_supported":["plain"]}"#,
            "`code_challenge_methods_supported`",
        ),
        ("<html>", "no metadata"),
    ] {
        let fake = Fake::start(move |got| {
            let origin = format!("http://{}", got.field("host").unwrap());
            answer(200, &body.replace("ORIGIN", &origin))
        })
        .await;
        let mut provider = fakes::provider("https://x.example/");
        fakes::client(&mut provider).endpoints = Endpoints::Issuer(fake.url("/"));
        let told = fakes::discovery().locate(&provider).await.unwrap_err().to_string();
        assert!(told.starts_with("Acme: ") && told.contains(field) && told.contains("[providers.acme]"), "{told}");
    }
}
