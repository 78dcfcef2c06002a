//! Each preset against a fake that answers as that service's documentation says.

use super::*;
use crate::oauth::fakes::{self, Fake, Got, NOW, answer};
use crate::oauth::provider::{Connect, Provider};
use crate::oauth::token::{Exchange, TokenFault, Tokens, exchange, refresh};
use crate::secret::Secret;

/// A preset whose hosts are a fake's; paths stay.
fn at(name: &str, fake: &Fake) -> Provider {
    let (display, mut client) = preset(name).unwrap();
    let there = |url: &Url| fake.url(url.path());
    if let Endpoints::Fixed { authorize, token, revoke, .. } = &mut client.endpoints {
        (*authorize, *token) = (there(authorize), there(token));
        *revoke = revoke.as_ref().map(there);
    }
    if let Some(after) = &mut client.after {
        after.url = there(&after.url);
    }
    client.id = "id".to_owned();
    client.secrets = vec![Secret::new("client-secret-canary")];
    let connect = Connect::Oauth(Box::new(client));
    Provider { name: name.to_owned(), display: display.to_owned(), connect, ..fakes::provider("https://x.example/") }
}

async fn exchanged(name: &str, fake: &Fake) -> Result<Tokens, TokenFault> {
    let code = Exchange { code: "code-canary", redirect_uri: "https://gw.example/cb", verifier: Some("v") };
    exchange(&fakes::discovery(), &at(name, fake), code).await
}

fn documented(name: &str, got: &Got) -> String {
    let body = match name {
        "github" => r#"{"access_token":"gho_t","scope":"repo,gist","token_type":"bearer"}"#,
        "google" => {
            r#"{"access_token":"ya29.t","expires_in":3920,"token_type":"Bearer","scope":"https://www.googleapis.com/auth/drive","refresh_token":"1//r"}"#
        }
        "microsoft" => {
            r#"{"access_token":"eyJ0","token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"scope":"https://graph.microsoft.com/mail.read","refresh_token":"AwAB"}"#
        }
        "slack" => {
            r#"{"ok":true,"app_id":"A0","authed_user":{"id":"U1234","scope":"chat:write,files:read","access_token":"xoxp-1234","token_type":"user"},"team":{"id":"T9","name":"x"},"enterprise":null,"is_enterprise_install":false}"#
        }
        "jira" if got.line.starts_with("GET /oauth/token/accessible-resources") => {
            assert_eq!(got.field("authorization"), Some("Bearer eyJt"));
            r#"[{"id":"1324a887-45db","name":"Site","url":"https://s.atlassian.net","scopes":["write:jira-work"],"avatarUrl":"x"}]"#
        }
        "jira" => {
            r#"{"access_token":"eyJt","refresh_token":"eyJr","expires_in":3600,"scope":"offline_access read:jira-work"}"#
        }
        "hubspot" => {
            r#"{"token_type":"bearer","refresh_token":"na1-r","access_token":"CJS","hub_id":62515,"scopes":["oauth"],"expires_in":1800,"user_id":1,"token_use":"access_token"}"#
        }
        _ => {
            r#"{"access_token":"00D!t","refresh_token":"5Aep","signature":"x","scope":"api refresh_token","instance_url":"https://acme.my.salesforce.com","id":"https://login.salesforce.com/id/0","token_type":"Bearer","issued_at":"1278448384422"}"#
        }
    };
    answer(200, body)
}

#[tokio::test]
async fn each_preset_reads_what_its_documentation_says() {
    for name in NAMES {
        let mut fake = Fake::start(move |got| documented(name, got)).await;
        let tokens = exchanged(name, &fake).await.unwrap_or_else(|fault| panic!("{fault}"));
        let value = |key: &str| tokens.values.get(key).map(String::as_str);
        let token = match name {
            "github" => "gho_t",
            "google" => "ya29.t",
            "microsoft" => "eyJ0",
            "slack" => "xoxp-1234",
            "jira" => "eyJt",
            "hubspot" => "CJS",
            _ => "00D!t",
        };
        assert_eq!(tokens.access, token, "{name}");
        let lifetime = match name {
            "google" => Some(3920),
            "microsoft" => Some(3599),
            "jira" => Some(3600),
            "hubspot" => Some(1800),
            _ => None,
        };
        assert_eq!(tokens.expires, lifetime.map(|seconds| NOW + seconds), "{name}");
        assert_eq!(tokens.refresh.is_some(), !matches!(name, "github" | "slack"), "{name}");
        match name {
            "slack" => assert_eq!((value("team_id"), value("user_id")), (Some("T9"), Some("U1234"))),
            "jira" => assert_eq!(
                (value("cloud_id"), value("site_url")),
                (Some("1324a887-45db"), Some("https://s.atlassian.net"))
            ),
            "hubspot" => assert_eq!(value("hub_id"), Some("62515")),
            "salesforce" => assert_eq!(value("instance_url"), Some("https://acme.my.salesforce.com")),
            _ => assert!(tokens.values.is_empty()),
        }
        let got = fake.got();
        assert_eq!(got.len(), if name == "jira" { 2 } else { 1 }, "{name}");
        match name {
            "jira" => assert_eq!(got[0].json("code").as_deref(), Some("code-canary")),
            "slack" => assert!(got[0].field("authorization").unwrap().starts_with("Basic ")),
            _ => assert_eq!(got[0].form("client_secret").as_deref(), Some("client-secret-canary")),
        }
    }
}

#[tokio::test]
async fn slack_refreshes_in_the_plain_form_too() {
    let fake = Fake::saying(200, r#"{"ok":true,"access_token":"xoxe.xoxp-2","expires_in":43200,"refresh_token":"xoxe-1-new","token_type":"user","team":{"id":"T9"}}"#).await;
    let tokens = refresh(&fakes::discovery(), &at("slack", &fake), "xoxe-1-old").await.unwrap();
    assert_eq!((tokens.access.as_str(), tokens.refresh.as_deref()), ("xoxe.xoxp-2", Some("xoxe-1-new")));
}

/// Preset, status, body, whether the grant is over, and what the message must name.
const ERRORS: &[(&str, u16, &str, bool, &str)] = &[
    (
        "github",
        200,
        r#"{"error":"bad_verification_code","error_description":"The code passed is incorrect or expired.","error_uri":"x"}"#,
        true,
        "connect again",
    ),
    (
        "github",
        200,
        r#"{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}"#,
        true,
        "connect again",
    ),
    (
        "github",
        200,
        r#"{"error":"incorrect_client_credentials","error_description":"The client_id and/or client_secret passed are incorrect."}"#,
        false,
        "`client_secret` of [providers.github]",
    ),
    (
        "github",
        200,
        r#"{"error":"redirect_uri_mismatch","error_description":"The redirect_uri MUST match"}"#,
        false,
        "callback URL",
    ),
    (
        "google",
        400,
        r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
        true,
        "connect again",
    ),
    (
        "google",
        401,
        r#"{"error":"invalid_client","error_description":"The OAuth client was not found."}"#,
        false,
        "`client_id`",
    ),
    (
        "microsoft",
        400,
        r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired.\r\nTrace ID: 0000aaaa-11bb-cccc-dd22-eeeeee333333","error_codes":[700082]}"#,
        true,
        "AADSTS700082",
    ),
    (
        "microsoft",
        400,
        r#"{"error":"interaction_required","error_description":"AADSTS50076: MFA"}"#,
        true,
        "connect again",
    ),
    (
        "microsoft",
        400,
        r#"{"error":"invalid_scope","error_description":"AADSTS70011: The provided value for the input parameter 'scope' isn't valid."}"#,
        false,
        "`scopes` of [providers.microsoft]",
    ),
    (
        "microsoft",
        401,
        r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}"#,
        false,
        "`client_secret`",
    ),
    ("slack", 200, r#"{"ok":false,"error":"invalid_code"}"#, true, "connect again"),
    ("slack", 200, r#"{"ok":false,"error":"invalid_refresh_token"}"#, true, "connect again"),
    ("slack", 200, r#"{"ok":false,"error":"bad_client_secret"}"#, false, "`client_secret` of [providers.slack]"),
    ("slack", 200, r#"{"ok":false,"error":"bad_redirect_uri"}"#, false, "callback URL"),
    ("slack", 200, r#"{"ok":false,"error":"internal_error"}"#, false, "later"),
    ("slack", 200, r#"{"ok":false}"#, false, "[providers.slack]"),
    ("slack", 200, r#"{"ok":true,"access_token":"xoxb-bot"}"#, false, "`token_at`"),
    (
        "jira",
        403,
        r#"{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}"#,
        true,
        "connect again",
    ),
    (
        "jira",
        403,
        r#"{"error":"unauthorized_client","error_description":"refresh_token is invalid"}"#,
        true,
        "connect again",
    ),
    ("jira", 401, r#"{"error":"access_denied","error_description":"Unauthorized"}"#, true, "connect again"),
    (
        "hubspot",
        400,
        r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token","correlationId":"aeb5f871"}"#,
        true,
        "connect again",
    ),
    ("hubspot", 400, r#"{"status":"BAD_AUTH_CODE","message":"missing or unknown auth code"}"#, true, "connect again"),
    (
        "hubspot",
        400,
        r#"{"message":"Invalid refresh token","category":"VALIDATION_ERROR","correlationId":"aeb5f871"}"#,
        true,
        "connect again",
    ),
    ("hubspot", 400, r#"{"status":"BAD_CLIENT_ID","message":"missing or unknown client id"}"#, false, "`client_id`"),
    (
        "salesforce",
        400,
        r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#,
        true,
        "connect again",
    ),
    (
        "salesforce",
        400,
        r#"{"error":"invalid_client_id","error_description":"client identifier invalid"}"#,
        false,
        "`client_id`",
    ),
    ("salesforce", 400, r#"{"error":"inactive_user","error_description":"user is inactive"}"#, true, "connect again"),
    ("salesforce", 404, "<html>", false, "`token_url`"),
];

#[tokio::test]
async fn each_documented_error_is_judged_and_says_what_to_mend() {
    for (name, status, body, is_final, named) in ERRORS {
        let fake = Fake::saying(*status, body).await;
        let fault = exchanged(name, &fake).await.unwrap_err();
        let told = fault.to_string();
        assert_eq!(fault.is_final(), *is_final, "{told}");
        assert!(told.contains(named) && told.starts_with(preset(name).unwrap().0), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}

#[tokio::test]
async fn an_app_without_a_site_is_told_of_it() {
    let fake =
        Fake::start(|got| if got.line.starts_with("GET") { answer(200, "[]") } else { documented("jira", got) }).await;
    let told = exchanged("jira", &fake).await.unwrap_err().to_string();
    assert!(told.contains("accessible-resources"), "{told}");
}

#[test]
fn an_unknown_name_is_no_preset() {
    assert!(preset("gitub").is_none() && NAMES.iter().all(|name| preset(name).is_some()));
}
