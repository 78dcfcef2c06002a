//! A monday.com in the test: its consent page, token endpoint and API, in both generations of its OAuth.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::mint::{CLIENT, CLIENT_ID};
use super::oauth_server::{Manner, OauthServer, Person, Pkce, State};
use super::site::{Asked, Said};

/// Which OAuth it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    V21,
    Legacy,
}

/// What its API answers instead of the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiFailure {
    /// 200, and a list of errors.
    Errors,
    /// 500.
    Status,
    /// 200, and no JSON.
    Garbage,
}

/// A running one.
pub(crate) struct Monday {
    pub(crate) oauth: OauthServer,
    api: Arc<Mutex<Option<ApiFailure>>>,
    generation: Generation,
}

impl Monday {
    /// OAuth 2.1, tokens of an hour.
    pub(crate) fn v21() -> Self {
        Self::start(Generation::V21, |_| ())
    }

    /// Legacy OAuth.
    pub(crate) fn legacy() -> Self {
        Self::start(Generation::Legacy, |_| ())
    }

    /// Of that generation, with more said of it.
    pub(crate) fn start(generation: Generation, adjust: impl FnOnce(&mut Manner)) -> Self {
        let mut manner = Manner {
            name: "monday.com".into(),
            client_id: CLIENT_ID.into(),
            client_secret: CLIENT.into(),
            redirect_uris: vec!["https://gw.test/planner/authorize/callback/monday".into()],
            authorize_path: "/oauth2/authorize".into(),
            revoke_path: "/oauth_ms/oauth/revoke".into(),
            basic: Some(false),
            wants: vec![("force_install_if_needed".into(), "true".into())],
            ..Manner::standard("monday")
        };
        let path = match generation {
            Generation::V21 => "/oauth_ms/oauth/token",
            Generation::Legacy => "/oauth2/token",
        };
        (manner.token_path, manner.refresh_path) = (path.into(), path.into());
        if generation == Generation::V21 {
            manner = Manner { jwt: true, says_lifetime: false, ..manner };
        } else {
            manner = Manner { pkce: Pkce::Refused, lifetime: None, refreshes: false, ..manner };
        }
        adjust(&mut manner);
        let api = Arc::<Mutex<Option<ApiFailure>>>::default();
        let failing = Arc::clone(&api);
        let oauth = OauthServer::start(manner, move |asked, state| match asked.path.as_str() {
            "/v2" => Some(graphql(asked, state, failing.lock().unwrap().as_ref())),
            path if path.contains(".well-known/oauth-authorization-server") => Some(metadata(asked)),
            _ => None,
        });
        Self { oauth, api, generation }
    }

    /// The table `[monday]`.
    pub(crate) fn table(&self) -> String {
        format!("[monday]\nauth_url = \"{}\"\napi_url = \"{}\"\n", self.oauth.site.url(""), self.oauth.site.url("/v2"))
    }

    /// The app's key that says which generation.
    pub(crate) fn app_key(&self) -> &'static str {
        match self.generation {
            Generation::V21 => "oauth = \"2.1\"",
            Generation::Legacy => "oauth = \"legacy\"",
        }
    }

    /// Another person is signed in in the browser.
    pub(crate) fn sign_in(&self, change: impl FnOnce(&mut Person)) {
        let mut person = Person::usual();
        change(&mut person);
        self.oauth.state().person = person;
    }

    /// From now on the API fails so.
    pub(crate) fn fail_api(&self, failure: Option<ApiFailure>) {
        *self.api.lock().unwrap() = failure;
    }

    /// Questions to the API so far.
    pub(crate) fn api_calls(&self) -> usize {
        self.oauth.site.asked_at("/v2").len()
    }
}

fn graphql(asked: &Asked, state: &Mutex<State>, failure: Option<&ApiFailure>) -> Said {
    match failure {
        Some(ApiFailure::Errors) => {
            return Said::json(200, &json!({ "errors": [{ "message": "ComplexityException <b>" }], "data": null }));
        }
        Some(ApiFailure::Status) => return Said::html(500, "<h1>Sorry</h1>"),
        Some(ApiFailure::Garbage) => return Said::html(200, "<h1>Welcome</h1>"),
        None => (),
    }
    let token = asked.field("authorization").unwrap_or_default();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let Some(person) = state.lock().unwrap().live.get(token).cloned() else {
        return Said::json(401, &json!({ "errors": [{ "message": "Not Authenticated" }] }));
    };
    let query: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    if asked.method != "POST" || !query["query"].as_str().unwrap_or_default().contains("me") {
        return Said::json(200, &json!({ "errors": [{ "message": "Parse error" }] }));
    }
    Said::json(
        200,
        &json!({ "data": { "me": {
            "id": person.user.to_string(), "is_admin": person.admin, "is_guest": person.guest, "name": person.name,
            "account": { "id": person.account.to_string(), "slug": person.slug },
        } }, "account_id": person.account }),
    )
}

fn metadata(asked: &Asked) -> Said {
    let base = format!("http://{}", asked.field("host").unwrap_or_default());
    Said::json(
        200,
        &json!({
            "issuer": base, "authorization_endpoint": format!("{base}/oauth2/authorize"),
            "token_endpoint": format!("{base}/oauth_ms/oauth/token"),
            "revocation_endpoint": format!("{base}/oauth_ms/oauth/revoke"),
            "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }),
    )
}
