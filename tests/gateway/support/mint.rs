//! Tokens as monday makes them, and as it never would. The signing is the tests' own, so that every part can be bent.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The app's signing secret. "canary" must never come out of the gateway.
pub(crate) const SIGNING: &str = "canary-signing-secret-0123456789abcdef0123456789";
/// The app's client secret.
pub(crate) const CLIENT: &str = "canary-client-secret-fedcba9876543210fedcba98765";
/// A secret that the gateway does not know.
pub(crate) const STRANGER: &str = "stranger-secret-0000000000000000000000000000000000";
/// The upstream's own secret, for `resign`.
pub(crate) const RESIGN: &str = "canary-resign-secret-1111111111111111111111111111";
/// The other app's secrets.
pub(crate) const OTHER_SIGNING: &str = "canary-other-signing-2222222222222222222222222222";
pub(crate) const OTHER_CLIENT: &str = "canary-other-client-33333333333333333333333333333";

pub(crate) const ACCOUNT: i64 = 1_825_529;
pub(crate) const USER: i64 = 4_012_689;
pub(crate) const APP_ID: i64 = 10_012_345;
pub(crate) const CLIENT_ID: &str = "5f0c5f0c5f0c";
pub(crate) const BACK_TO: &str = "https://myaccount.monday.com/boards/1111/app_automations/2222";
/// What monday issues in `shortLivedToken`; reaches the backend, and no log.
pub(crate) const API_KEY: &str = "eyJhbGciOiJIUzI1NiJ9.canary-api-key.c2ln";

/// Where a kind has its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    HeaderOrQuery(&'static str),
    Query(&'static str),
    Nowhere,
}

/// The tests' own copy of the table of kinds in the documentation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Secrets that may sign.
    pub(crate) secrets: &'static [&'static str],
    pub(crate) dat: bool,
    pub(crate) back_to_url: bool,
}

const fn server(name: &'static str) -> Kind {
    Kind { name, place: Place::Header, secrets: &[SIGNING], dat: false, back_to_url: false }
}

/// Every kind of this version.
pub(crate) const KINDS: [Kind; 12] = [
    server("action"),
    server("subscribe"),
    server("unsubscribe"),
    server("remote-options"),
    server("field-definitions"),
    server("credentials"),
    server("board-webhook"),
    Kind { secrets: &[CLIENT], dat: true, ..server("app-lifecycle") },
    Kind { dat: true, ..server("feature-lifecycle") },
    Kind { place: Place::HeaderOrQuery("sessionToken"), secrets: &[CLIENT], dat: true, ..server("view") },
    Kind { place: Place::Query("token"), secrets: &[SIGNING, CLIENT], back_to_url: true, ..server("authorization") },
    Kind { place: Place::Nowhere, secrets: &[], ..server("public") },
];

/// The kinds that verify somebody.
pub(crate) fn verified_kinds() -> impl Iterator<Item = Kind> {
    KINDS.into_iter().filter(|kind| kind.place != Place::Nowhere)
}

/// The kind of that name.
pub(crate) fn kind(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap()
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Kind {
    /// Its claims as monday sends them.
    pub(crate) fn claims(&self) -> Value {
        let (iat, exp) = (now(), now() + 300);
        if self.dat {
            let mut dat = json!({
                "client_id": CLIENT_ID, "app_id": APP_ID, "user_id": USER, "account_id": ACCOUNT, "slug": "instance-slug",
                "app_version_id": 123_456, "install_id": -2, "is_admin": true, "is_view_only": false, "is_guest": false,
                "user_kind": "admin",
            });
            if self.name == "feature-lifecycle" {
                dat["short_lived_token"] = json!(API_KEY);
            }
            return json!({ "dat": dat, "exp": exp, "iat": iat });
        }
        let mut claims = json!({
            "accountId": ACCOUNT, "userId": USER, "aud": format!("https://gw.test/planner/{}", self.name), "exp": exp,
            "iat": iat, "shortLivedToken": API_KEY,
        });
        if self.back_to_url {
            claims["backToUrl"] = json!(BACK_TO);
        }
        claims
    }

    /// A token that is right for it.
    pub(crate) fn token(&self) -> String {
        sign(&self.claims(), self.secrets.first().copied().unwrap_or(SIGNING))
    }

    /// Path and query, and the header lines, of a request with this token (in the first of its places).
    pub(crate) fn request_with(&self, token: &str) -> (String, String) {
        let path = self.path();
        match self.place {
            Place::Header | Place::HeaderOrQuery(_) => (path, format!("Authorization: {token}\r\n")),
            Place::Query(name) => (format!("{path}?{name}={token}"), String::new()),
            Place::Nowhere => (path, String::new()),
        }
    }

    /// Where its route is in `Setup::standard`.
    pub(crate) fn path(&self) -> String {
        format!("/planner/{}/run", self.name)
    }
}

/// An HS256 token with the usual header.
pub(crate) fn sign(claims: &Value, secret: &str) -> String {
    sign_parts(br#"{"alg":"HS256","typ":"JWT"}"#, claims.to_string().as_bytes(), secret.as_bytes())
}

/// A token of exactly these bytes, with their HMAC-SHA256.
pub(crate) fn sign_parts(header: &[u8], payload: &[u8], secret: &[u8]) -> String {
    let input = format!("{}.{}", encode(header), encode(payload));
    let tag = mac(hmac::HMAC_SHA256, secret, input.as_bytes());
    format!("{input}.{}", encode(&tag))
}

/// HMAC with any hash.
pub(crate) fn mac(algorithm: hmac::Algorithm, secret: &[u8], input: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, secret), input).as_ref().to_vec()
}

/// Base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The JSON of a token's payload, nothing verified.
pub(crate) fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Base64url without padding, decoded.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
