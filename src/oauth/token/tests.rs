//! What token endpoints are sent, and what becomes of their answers.

use super::*;
use crate::oauth::fakes::{self, Fake, NOW, answer};
use crate::oauth::monday;
use crate::oauth::provider::MondayGeneration;

const CODE: Exchange<'_> =
    Exchange { code: "code-canary", redirect_uri: "https://gw.example/cb", verifier: Some("verifier-canary") };

async fn exchanged(fake: &Fake, change: impl FnOnce(&mut Client)) -> Result<Tokens, TokenFault> {
    let mut provider = fakes::provider(&format!("{}/authorize", fake.origin));
    change(fakes::client(&mut provider));
    exchange(&fakes::discovery(), &provider, CODE).await
}

#[tokio::test]
async fn a_code_is_exchanged_as_a_form_as_json_and_with_basic() {
    let mut fake =
        Fake::saying(200, r#"{"access_token":"t","refresh_token":"r","expires_in":60,"token_type":"bearer"}"#).await;
    let tokens = exchanged(&fake, |_| ()).await.unwrap();
    assert_eq!((tokens.access.as_str(), tokens.refresh.as_deref(), tokens.expires), ("t", Some("r"), Some(NOW + 60)));
    assert_eq!(format!("{tokens:?}"), format!("Tokens {{ expires: Some({}), .. }}", NOW + 60));
    let got = &fake.got()[0];
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "code-canary"),
        ("redirect_uri", "https://gw.example/cb"),
        ("code_verifier", "verifier-canary"),
        ("client_id", "client-1"),
        ("client_secret", "client-secret-canary"),
    ] {
        assert_eq!(got.form(name).as_deref(), Some(value), "{name}");
    }
    exchanged(&fake, |client| client.format = RequestFormat::Json).await.unwrap();
    let got = &fake.got()[0];
    assert_eq!(got.json("code").as_deref(), Some("code-canary"));
    assert_eq!(got.field("content-type"), Some("application/json"));
    exchanged(&fake, |client| {
        client.authentication = ClientAuthentication::Basic;
        client.id = "a:b c".to_owned();
        client.secrets = vec![Secret::new("s+/%")];
        client.token_parameters =
            vec![("audience".to_owned(), "x".to_owned()), ("code".to_owned(), "other".to_owned())];
    })
    .await
    .unwrap();
    let got = &fake.got()[0];
    assert_eq!(got.field("authorization"), Some(format!("Basic {}", STANDARD.encode("a%3Ab+c:s%2B%2F%25")).as_str()));
    assert_eq!(
        (got.form("client_secret"), got.form("client_id"), got.form("audience").as_deref()),
        (None, None, Some("x"))
    );
    assert_eq!(got.form("code").as_deref(), Some("code-canary"));
    exchanged(&fake, |client| client.secrets.clear()).await.unwrap();
    assert_eq!(fake.got()[0].form("client_secret"), None);
}

#[tokio::test]
async fn an_older_secret_is_tried_only_after_the_newer_one_is_refused() {
    let mut fake = Fake::start(|got| match got.form("client_secret").as_deref() {
        Some("old") => answer(200, r#"{"access_token":"t"}"#),
        _ => answer(401, r#"{"error":"invalid_client"}"#),
    })
    .await;
    let both = |client: &mut Client| client.secrets = vec![Secret::new("new"), Secret::new("old")];
    assert_eq!(exchanged(&fake, both).await.unwrap().access, "t");
    assert_eq!(fake.got().len(), 2);
    let fault = exchanged(&fake, |client| client.secrets = vec![Secret::new("a"), Secret::new("b")]).await.unwrap_err();
    assert!(!fault.is_final() && fault.to_string().contains("`client_secret` of [providers.acme]"), "{fault}");
    let mut dead = Fake::saying(400, r#"{"error":"invalid_grant"}"#).await;
    assert!(exchanged(&dead, both).await.unwrap_err().is_final());
    assert_eq!(dead.got().len(), 1, "a grant that is refused is not tried again");
}

#[tokio::test]
async fn a_refresh_keeps_the_old_token_where_no_new_one_comes_and_takes_a_rotated_one() {
    for (body, kept) in [(r#"{"access_token":"t"}"#, "old"), (r#"{"access_token":"t","refresh_token":"new"}"#, "new")] {
        let mut fake = Fake::saying(200, body).await;
        let provider = fakes::provider(&format!("{}/authorize", fake.origin));
        let tokens = refresh(&fakes::discovery(), &provider, "old").await.unwrap();
        assert_eq!(tokens.refresh.as_deref(), Some(kept));
        let got = &fake.got()[0];
        assert_eq!(
            (got.form("grant_type").as_deref(), got.form("refresh_token").as_deref()),
            (Some("refresh_token"), Some("old"))
        );
    }
}

#[tokio::test]
async fn no_message_quotes_what_was_sent() {
    let fake = Fake::start(|got| {
        answer(
            400,
            &format!(r#"{{"error":"odd","error_description":"bad code-canary, verifier-canary: {}"}}"#, got.line.len()),
        )
    })
    .await;
    let told = exchanged(&fake, |_| ()).await.unwrap_err();
    assert!(!told.to_string().contains("canary") && !format!("{told:?}").contains("canary"), "{told}");
}

#[tokio::test]
async fn monday_of_both_generations_is_asked_as_it_documents() {
    let jwt = "e30.eyJleHAiOjE4MDAwMDM2MDB9.c2ln"; // {"exp":1800003600}
    for (generation, path) in
        [(MondayGeneration::V21, "/oauth_ms/oauth/token"), (MondayGeneration::Legacy, "/oauth2/token")]
    {
        let mut fake = Fake::saying(
            200,
            &format!(
                r#"{{"access_token":"{jwt}","refresh_token":"r2","token_type":"Bearer","scope":"me:read boards:read"}}"#
            ),
        )
        .await;
        let provider = monday::provider(fakes::monday_app(&fake.origin, generation));
        let tokens = exchange(&fakes::discovery(), &provider, CODE).await.unwrap();
        assert_eq!(tokens.expires, Some(1_800_003_600));
        assert_eq!(tokens.scopes.unwrap(), ["me:read", "boards:read"]);
        let got = &fake.got()[0];
        assert_eq!(got.line, format!("POST {path} HTTP/1.1"));
        assert_eq!(got.json("client_id").as_deref(), Some("monday-client"));
        let revoked = revoke(&fakes::discovery(), &provider, Given::Refresh("r")).await;
        assert_eq!(revoked.is_ok(), generation == MondayGeneration::V21);
        assert!(revoked.map_or_else(|fault| fault.is_unheard(), |()| true));
    }
    for (status, body) in [(400, ""), (401, "{}"), (400, r#"{"error":"invalid_grant"}"#), (401, "<html>")] {
        let fake = Fake::saying(status, body).await;
        let provider = monday::provider(fakes::monday_app(&fake.origin, MondayGeneration::V21));
        assert!(refresh(&fakes::discovery(), &provider, "r").await.unwrap_err().is_final(), "{status} {body}");
    }
    for (status, body) in [(401, r#"{"error":"invalid_client"}"#), (429, "{}"), (500, ""), (403, "{}")] {
        let fake = Fake::saying(status, body).await;
        let provider = monday::provider(fakes::monday_app(&fake.origin, MondayGeneration::V21));
        assert!(!refresh(&fakes::discovery(), &provider, "r").await.unwrap_err().is_final(), "{status} {body}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_the_users_fault() {
    let provider = fakes::provider("http://127.0.0.1:1/authorize");
    let fault = refresh(&fakes::discovery(), &provider, "r").await.unwrap_err();
    assert!(!fault.is_final() && fault.to_string().starts_with("Acme: 127.0.0.1:1: no connection"), "{fault}");
}
