//! The token endpoint, the revocation endpoint, and monday's question `me`. A refresh token works once; the answer has the next one.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::commands::demo::fakes::{Fake, LONG_LIFE, Role, SHORT_LIFE};
use crate::commands::demo::site::{self, Asked, Said};
use crate::monday::mint::{self, Mint};
use crate::secret::Secret;

impl Fake {
    /// A code, or a refresh token, becomes tokens.
    pub(super) fn token(&self, asked: &Asked) -> Said {
        if asked.method != Method::POST {
            return refused("invalid_request");
        }
        if !self.is_client(asked) {
            return site::json(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
        }
        let mut state = self.0.state.borrow_mut();
        let scope = match asked.field("grant_type").as_str() {
            "authorization_code" => {
                let verifier = asked.field("code_verifier");
                let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
                let code = state.codes.remove(&asked.field("code"));
                let is_same = asked.field("redirect_uri") == self.0.client.redirect_uri;
                code.filter(|code| is_same && code.challenge == challenge).map(|code| code.scope)
            }
            "refresh_token" => {
                let scope = state.chains.remove(&asked.field("refresh_token"));
                state.refreshes += usize::from(scope.is_some());
                scope
            }
            _ => return refused("unsupported_grant_type"),
        };
        drop(state);
        scope.map_or_else(|| refused("invalid_grant"), |scope| site::json(StatusCode::OK, &self.issued(scope)))
    }

    fn issued(&self, scope: String) -> Value {
        let (access, refresh) = (self.access(), self.secret("refresh"));
        let mut answer = json!({
            "access_token": access, "refresh_token": refresh, "token_type": "Bearer", "scope": scope,
        });
        if let (Role::Provider, Some(members)) = (self.0.role, answer.as_object_mut()) {
            members.insert("expires_in".to_owned(), SHORT_LIFE.into());
        }
        let mut state = self.0.state.borrow_mut();
        // There is one user: whoever gets a new token has no use for the old one.
        state.live.clear();
        state.live.insert(access);
        state.chains.insert(refresh, scope);
        answer
    }

    fn access(&self) -> String {
        let secret = self.secret("access");
        match self.0.role {
            Role::Provider => secret,
            Role::Monday => {
                let (now, example) = (self.0.clock.unix_seconds(), Mint::default());
                let claims = json!({
                    "uid": example.user_id, "actid": example.account_id, "jti": secret, "iat": now, "exp": now + LONG_LIFE,
                });
                mint::token(&claims, &Secret::new("only monday knows the key of a real one"))
            }
        }
    }

    /// RFC 6749, section 2.3.1: in the body, or as Basic.
    fn is_client(&self, asked: &Asked) -> bool {
        let client = &self.0.client;
        let basic = [client.id.as_bytes(), b":", client.secret.expose()].concat();
        let in_body =
            asked.field("client_id") == client.id && asked.field("client_secret").as_bytes() == client.secret.expose();
        in_body || asked.header("authorization") == format!("Basic {}", STANDARD.encode(basic))
    }

    /// A token is not wanted any more.
    pub(super) fn revoke(&self, asked: &Asked) -> Said {
        if !self.is_client(asked) {
            return site::json(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
        }
        let token = asked.field("token");
        let mut state = self.0.state.borrow_mut();
        state.live.remove(&token);
        if state.chains.remove(&token).is_some() {
            // With it go its access tokens: RFC 7009, section 2.
            state.live.clear();
        }
        site::json(StatusCode::OK, &json!({ "success": true }))
    }

    /// monday's API, as far as the gateway asks it.
    pub(super) fn me(&self, asked: &Asked) -> Said {
        let token = asked.header("authorization");
        if !self.knows(token.strip_prefix("Bearer ").unwrap_or(token)) {
            let errors = json!({ "errors": [{ "message": "Not Authenticated" }] });
            return site::json(StatusCode::UNAUTHORIZED, &errors);
        }
        let example = Mint::default();
        let me = json!({
            "id": example.user_id.to_string(), "is_admin": true, "is_guest": false,
            "account": { "id": example.account_id.to_string(), "slug": "myaccount" },
        });
        site::json(StatusCode::OK, &json!({ "data": { "me": me } }))
    }
}

fn refused(error: &str) -> Said {
    site::json(StatusCode::BAD_REQUEST, &json!({ "error": error }))
}
