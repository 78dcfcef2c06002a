//! Who the gateway talks to in the demo instead of monday.com and a provider: an authorization server with a consent page, a token
//! endpoint with refresh tokens that rotate (and, of monday, its question `me`). PKCE is required, and the client's secret. A stand-in that
//! says so on each of its pages.
//! RFC 6749, 7636, 7009; monday's page "OAuth and permissions".

mod consent;
mod tokens;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::json;

use crate::clock::Clock;
use crate::commands::demo::site::{self, Asked, Said};
use crate::secret::Secret;

/// Seconds that an access token of the provider lives: few, so that one can watch it being replaced.
pub(super) const SHORT_LIFE: i64 = 3;
/// Seconds that one of monday's lives.
const LONG_LIFE: i64 = 3600;

/// Who is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// monday.com: tokens are JWTs whose `exp` alone says when they end, and there is an API.
    Monday,
    /// Any other provider.
    Provider,
}

/// As what the gateway is registered there.
#[derive(Debug)]
pub(super) struct Registered {
    /// What its pages call the app.
    pub(super) app: &'static str,
    /// `client_id`.
    pub(super) id: &'static str,
    /// `client_secret`.
    pub(super) secret: Secret,
    /// The one `redirect_uri`.
    pub(super) redirect_uri: String,
}

/// A running one. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Fake(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    role: Role,
    client: Registered,
    clock: Clock,
    state: RefCell<State>,
}

/// What it knows.
#[derive(Debug, Default)]
struct State {
    serial: u64,
    /// What a code is good for.
    codes: HashMap<String, Code>,
    /// Refresh tokens that work, and for what.
    chains: HashMap<String, String>,
    /// Access tokens that work.
    live: HashSet<String>,
    refreshes: usize,
}

/// What a user has allowed a moment ago.
#[derive(Debug)]
struct Code {
    challenge: String,
    scope: String,
}

impl Fake {
    /// One at which the gateway is registered so.
    pub(super) fn new(role: Role, client: Registered, clock: Clock) -> Self {
        Self(Rc::new(Inner { role, client, clock, state: RefCell::default() }))
    }

    /// What its pages call it.
    pub(super) fn name(&self) -> &'static str {
        match self.0.role {
            Role::Monday => "Demo monday.com",
            Role::Provider => "Demo Code Host",
        }
    }

    /// Answers.
    pub(super) fn answer(&self, asked: &Asked) -> Said {
        match asked.path.as_str() {
            "/oauth2/authorize" => self.consent_page(asked),
            "/oauth2/authorize/decide" => self.decide(asked),
            "/oauth_ms/oauth/token" => self.token(asked),
            "/oauth_ms/oauth/revoke" => self.revoke(asked),
            "/v2" if self.0.role == Role::Monday => self.me(asked),
            _ => site::json(StatusCode::NOT_FOUND, &json!({ "error": "not_found" })),
        }
    }

    /// Whether an access token works.
    pub(super) fn knows(&self, access: &str) -> bool {
        self.0.state.borrow().live.contains(access)
    }

    /// Every token that works: access and refresh.
    pub(super) fn all(&self) -> Vec<String> {
        let state = self.0.state.borrow();
        state.live.iter().chain(state.chains.keys()).cloned().collect()
    }

    /// Refresh tokens that were redeemed.
    pub(super) fn refreshes(&self) -> usize {
        self.0.state.borrow().refreshes
    }

    /// The user, or the account, has removed the app there: no token works any more.
    pub(super) fn forget(&self) {
        let mut state = self.0.state.borrow_mut();
        state.chains.clear();
        state.live.clear();
        state.codes.clear();
    }

    /// Something that nobody can guess.
    fn secret(&self, what: &str) -> String {
        let mut state = self.0.state.borrow_mut();
        state.serial += 1;
        let mut random = [0; 18];
        // Where the system has none, the gateway has not started either.
        let _unspecified = aws_lc_rs::rand::fill(&mut random);
        format!("demo-{what}-{}-{}", state.serial, URL_SAFE_NO_PAD.encode(random))
    }
}
