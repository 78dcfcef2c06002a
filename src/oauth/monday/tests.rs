use super::*;
use crate::oauth::fakes::Fake;

async fn asked(status: u16, body: &str) -> Result<Me, MeFault> {
    let mut fake = Fake::saying(status, body).await;
    let found = me(&Web::new(None).unwrap(), &fake.url("/v2"), "token-canary").await;
    let got = fake.got();
    assert_eq!(got[0].field("authorization"), Some("token-canary"));
    assert!(got[0].json("query").unwrap().contains("account { id slug }"));
    found
}

#[tokio::test]
async fn ids_are_read_as_text_and_as_numbers() {
    let me = Me {
        user_id: 4_012_689,
        account_id: 1_825_529,
        is_admin: true,
        is_guest: false,
        slug: Some("acme".to_owned()),
    };
    let text =
        r#"{"data":{"me":{"id":"4012689","is_admin":true,"is_guest":false,"account":{"id":"1825529","slug":"acme"}}}}"#;
    assert_eq!(asked(200, text).await, Ok(me.clone()));
    assert_eq!(asked(200, &text.replace("\"4012689\"", "4012689").replace("\"1825529\"", "1825529")).await, Ok(me));
    let bare = asked(200, r#"{"data":{"me":{"id":1,"account":{"id":2}}}}"#).await.unwrap();
    assert_eq!((bare.is_admin, bare.is_guest), (false, true), "what is not said gives no right");
}

#[tokio::test]
async fn errors_come_with_status_200_and_quote_no_token() {
    let api = asked(200, r#"{"errors":[{"message":"no scope for token-canary"}],"data":null}"#).await.unwrap_err();
    assert_eq!(api, MeFault::Api("no scope for [...]".to_owned()));
    assert!(matches!(asked(200, r#"{"errors":["Not Authenticated"]}"#).await, Err(MeFault::Refused(401))));
    assert!(matches!(asked(401, "{}").await, Err(MeFault::Refused(401))));
    for (status, body) in [(429, "{}"), (500, ""), (200, "<html>"), (200, "{}"), (200, r#"{"data":{"me":{"id":"x"}}}"#)]
    {
        assert!(!matches!(asked(status, body).await, Err(MeFault::Refused(_)) | Ok(_)), "{body}");
    }
}
