//! Tokens as monday makes them, for tests, the demo, `token` and `send`: the same claims, of the same types.
//! Signs with the app's own secrets; nothing here is used for a request that is served.
//! monday's pages: "Authorization header", "Authorization URL", "App lifecycle webhooks", "Session tokens".

use serde_json::{Map, Value, json};

use crate::jwt::{self, Key};
use crate::monday::kinds::{Kind, SignedBy};
use crate::secret::Secret;

/// Seconds for which monday's tokens are good.
pub(crate) const LIFETIME: i64 = 300;

/// Whom and what a token names.
#[derive(Clone, Debug)]
pub(crate) struct Mint<'a> {
    /// The account.
    pub(crate) account_id: i64,
    /// The user.
    pub(crate) user_id: i64,
    /// The app, if known.
    pub(crate) app_id: Option<i64>,
    /// The app, if known.
    pub(crate) client_id: Option<&'a str>,
    /// The URL that monday calls: `aud`. Without https there is no short-lived token.
    pub(crate) audience: &'a str,
    /// Where the Authorization URL leads in the end.
    pub(crate) back_to_url: &'a str,
    /// `iat`, in Unix seconds.
    pub(crate) issued_at: i64,
    /// `exp`, in Unix seconds.
    pub(crate) expires: i64,
}

impl Default for Mint<'_> {
    /// The account and user of monday's own examples, at the beginning of time.
    fn default() -> Self {
        Self {
            account_id: 1_825_529,
            user_id: 4_012_689,
            app_id: None,
            client_id: None,
            audience: "https://gw.example.com/",
            back_to_url: "https://myaccount.monday.com/boards/1111/app_automations/2222",
            issued_at: 0,
            expires: LIFETIME,
        }
    }
}

impl Mint<'_> {
    /// The claims that monday gives a token of this kind; null for `jwt`, which are not monday's, and `public`, which has none.
    pub(crate) fn claims(&self, kind: Kind) -> Value {
        match kind {
            Kind::Action
            | Kind::Subscribe
            | Kind::Unsubscribe
            | Kind::RemoteOptions
            | Kind::FieldDefinitions
            | Kind::Credentials
            | Kind::BoardWebhook => self.flat(Map::new()),
            Kind::Authorization => self.flat(object(json!({ "backToUrl": self.back_to_url }))),
            Kind::FeatureLifecycle => json!({
                "dat": {
                    "account_id": self.account_id,
                    "user_id": self.user_id,
                    "short_lived_token": self.short_lived(),
                },
                "exp": self.expires,
                "iat": self.issued_at,
            }),
            Kind::AppLifecycle | Kind::View => self.session(),
            Kind::Jwt | Kind::Public => Value::Null,
        }
    }

    fn flat(&self, more: Map<String, Value>) -> Value {
        let mut claims = object(json!({ "accountId": self.account_id, "userId": self.user_id }));
        claims.extend(more);
        if let Some(app_id) = self.app_id {
            claims.insert("platformAppId".to_owned(), app_id.into());
        }
        claims.extend(object(json!({ "aud": self.audience, "exp": self.expires })));
        if self.audience.starts_with("https://") {
            claims.insert("shortLivedToken".to_owned(), self.short_lived().into());
        }
        claims.insert("iat".to_owned(), self.issued_at.into());
        Value::Object(claims)
    }

    fn session(&self) -> Value {
        let mut dat = Map::new();
        if let Some(client_id) = self.client_id {
            dat.insert("client_id".to_owned(), client_id.into());
        }
        dat.extend(object(json!({
            "user_id": self.user_id,
            "account_id": self.account_id,
            "slug": "myaccount",
        })));
        if let Some(app_id) = self.app_id {
            dat.insert("app_id".to_owned(), app_id.into());
        }
        dat.extend(object(json!({
            "app_version_id": 123_456,
            "install_id": -2,
            "is_admin": true,
            "is_view_only": false,
            "is_guest": false,
            "user_kind": "admin",
        })));
        json!({ "dat": dat, "exp": self.expires })
    }

    /// What monday would take as an API key. Only monday can make a real one.
    fn short_lived(&self) -> String {
        let claims = json!({
            "shortLived": true,
            "uid": self.user_id,
            "exp": self.expires,
            "iat": self.issued_at,
        });
        token(&claims, &Secret::new("only monday knows the key of a real one"))
    }
}

/// Signs claims.
pub(crate) fn token(claims: &Value, secret: &Secret) -> String {
    jwt::sign(&Key::new(secret), claims.to_string().as_bytes())
}

/// Whether monday signs this kind's tokens with the client secret, rather than the signing secret.
pub(crate) fn signed_by_client(kind: Kind) -> bool {
    match kind.row().signed_by {
        SignedBy::Client => true,
        SignedBy::Signing | SignedBy::SigningThenClient | SignedBy::Issuer | SignedBy::Nobody => false,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
