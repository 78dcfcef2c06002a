//! The other way to know who is authorized: the backend keeps its own flow and is asked, with a token that it can verify. "Yes" is believed as
//! long as the backend says, an hour at most; "no" for five seconds; anything else is unknown, and the user goes on to the backend's page.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use moka::sync::Cache;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::authorize::ending::{Ending, Trouble};
use crate::authorize::enter::destination;
use crate::authorize::here::{Here, Outcome};
use crate::clock::Clock;
use crate::config::resolved::grants::Mode;
use crate::jwt;
use crate::limits;
use crate::oauth::web::{Question, Reach};

/// What backends have said.
#[derive(Clone, Debug)]
pub(crate) struct Statuses(Cache<(String, i64, i64), Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    authorized: bool,
    until: i64,
}

/// What a backend says.
#[derive(Deserialize)]
struct Said {
    authorized: bool,
    #[serde(default)]
    max_age: u64,
}

impl Statuses {
    /// Nothing was said yet.
    pub(crate) fn new() -> Self {
        let cache = Cache::builder().max_capacity(limits::STATUS_ENTRIES).time_to_live(limits::STATUS_TRUE);
        Self(cache.build())
    }

    fn known(&self, whose: &(String, i64, i64), clock: &Clock) -> Option<bool> {
        let known = self.0.get(whose)?;
        (clock.unix_seconds() < known.until).then_some(known.authorized)
    }

    fn learn(&self, whose: (String, i64, i64), said: &Said, clock: &Clock) {
        let lifetime = if said.authorized {
            Duration::from_secs(said.max_age).min(limits::STATUS_TRUE)
        } else {
            limits::STATUS_FALSE
        };
        let until = clock.unix_seconds().saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(0));
        self.0.insert(whose, Known { authorized: said.authorized, until });
    }
}

/// The Authorization URL of an app whose backend is asked.
pub(crate) async fn status(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let destination = destination(here)?;
    let caller = here.visit.caller.as_ref().ok_or(Ending::Unknown)?;
    let whose = (here.app.name.clone(), caller.account, caller.user);
    let clock = &here.flow.clock;
    let known = here.flow.statuses.known(&whose, clock);
    let authorized = match known {
        Some(known) => known,
        None => match ask(here).await {
            Some(said) => {
                here.flow.statuses.learn(whose, &said, clock);
                said.authorized
            }
            None => false,
        },
    };
    Ok(if authorized { Outcome::See(destination.as_str().to_owned(), Vec::new()) } else { Outcome::Onwards })
}

async fn ask(here: &Here<'_>) -> Option<Said> {
    let Mode::Status { url, .. } = &here.app.authorization.mode else { return None };
    let (Some(caller), Some(key)) = (&here.visit.caller, &here.app.status_key) else { return None };
    let token = signed(&caller.claims, key, here.now)?;
    let body = json!({ "app": here.app.name, "account_id": caller.account, "user_id": caller.user });
    let mut value = HeaderValue::try_from(token).ok()?;
    value.set_sensitive(true);
    let question = question(url, &body).with(AUTHORIZATION, value);
    match here.flow.web.ask(question, Reach::Configured).await {
        Ok(answer) if answer.status == StatusCode::OK => serde_json::from_slice(&answer.body).ok(),
        Ok(answer) => {
            tracing::warn!(
                app = here.app.name,
                status = answer.status.as_u16(),
                "status_url did not say who is authorized"
            );
            None
        }
        Err(fault) => {
            tracing::warn!(app = here.app.name, %fault, "status_url did not answer");
            None
        }
    }
}

fn question(url: &Url, body: &Value) -> Question {
    Question::post(url.clone(), "application/json", body.to_string())
}

/// The caller's own claims under the backend's key, for five minutes from now: what `authorization = "resign"` makes.
fn signed(claims: &[u8], key: &jwt::Key, now: i64) -> Option<String> {
    let mut members: Map<String, Value> = serde_json::from_slice(claims).ok()?;
    let lifetime = i64::try_from(limits::RESIGNED_LIFETIME.as_secs()).ok()?;
    members.remove("nbf");
    members.insert("iat".to_owned(), now.into());
    members.insert("exp".to_owned(), (now + lifetime).into());
    Some(jwt::sign(key, &serde_json::to_vec(&members).ok()?))
}
