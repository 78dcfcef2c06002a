//! How a user comes into the flow: by the Authorization URL with monday's token, by a link that a view's front end asks for, or by a link in a
//! refused request's answer. Begins an attempt; whoever needs nothing is sent on at once.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::authorize::attempt::{Attempt, End};
use crate::authorize::back_to::{Destination, judge};
use crate::authorize::ending::{Ending, Trouble};
use crate::authorize::here::{Here, Outcome};
use crate::authorize::ticket::Ticket;
use crate::grants::Who;
use crate::grants::standing::Standing;
use crate::limits;

/// What a front end may ask for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// One provider, also if it is connected.
    provider: Option<String>,
}

/// The Authorization URL.
pub(crate) async fn authorize(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let destination = destination(here)?;
    let caller = here.visit.caller.as_ref().ok_or(Ending::Unknown)?;
    let who = Who { app: here.app.name.clone(), account: caller.account, user: caller.user };
    if has_everything(here, &who).await? {
        return Ok(Outcome::See(destination.as_str().to_owned(), Vec::new()));
    }
    let slug = caller.slug.clone().or_else(|| destination.slug().map(str::to_owned));
    here.begin(|browser| Attempt {
        app: who.app,
        account: who.account,
        user: who.user,
        slug,
        wanted: here.app.asked(),
        again: Vec::new(),
        done: Vec::new(),
        end: End::BackTo(destination.as_str().to_owned()),
        browser,
    })
    .await
}

/// Where the token's `backToUrl` leads.
pub(crate) fn destination(here: &Here<'_>) -> Result<Destination, Trouble> {
    let text = here.visit.caller.as_ref().and_then(|caller| caller.back_to.as_deref()).unwrap_or_default();
    judge(text, &here.app.authorization.back_to).map_err(|why| {
        tracing::warn!(app = here.app.name, request_id = here.visit.request_id, "refused: {why}");
        Ending::Astray.into()
    })
}

async fn has_everything(here: &Here<'_>, who: &Who) -> Result<bool, Trouble> {
    for name in here.app.asked() {
        let Some(provider) = here.app.provider(&name) else { continue };
        let standing = here.kept()?.grants.standing(who, provider).await.map_err(|why| down(here, why))?;
        if standing != Standing::Ok {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Nobody knows what is granted.
pub(crate) fn down(here: &Here<'_>, why: crate::grants::Down) -> Trouble {
    tracing::error!(app = here.app.name, request_id = here.visit.request_id, "a page cannot be served: {why}");
    Ending::Down.into()
}

/// A front end asks for a link to open in a new tab.
pub(crate) async fn connect(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let caller = here.visit.caller.as_ref().ok_or(Ending::Unknown)?;
    let body = &here.visit.body;
    let asked = if body.is_empty() { Some(Asked::default()) } else { serde_json::from_slice(body).ok() };
    let Some(Asked { provider }) = asked else {
        let words = "the body is nothing, or {\"provider\": \"NAME\"}";
        return Ok(Outcome::Json(StatusCode::BAD_REQUEST, json!({ "error": words })));
    };
    if provider.as_ref().is_some_and(|name| here.app.provider(name).is_none()) {
        let words = "this app has no such provider";
        return Ok(Outcome::Json(StatusCode::BAD_REQUEST, json!({ "error": words })));
    }
    let again: Vec<String> = provider.into_iter().collect();
    let ticket = Ticket {
        app: here.app.name.clone(),
        account: caller.account,
        user: caller.user,
        slug: caller.slug.clone(),
        wanted: if again.is_empty() { here.app.asked() } else { again.clone() },
        again,
    };
    match here.flow.link(here.app, &here.kept()?.rows, &ticket, limits::CONNECT_TICKET).await {
        Ok(url) => Ok(Outcome::Json(StatusCode::OK, json!({ "url": url }))),
        Err(fault) => {
            tracing::error!(%fault, app = here.app.name, request_id = here.visit.request_id, "no link");
            let words = "not available right now";
            Ok(Outcome::Json(StatusCode::SERVICE_UNAVAILABLE, json!({ "error": words })))
        }
    }
}

/// A link is opened.
pub(crate) async fn go(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let text = here.query.as_ref().map_or("", |query| query.value("ticket"));
    let ticket = Ticket::redeem(&here.kept()?.rows, text).await.map_err(|fault| here.down(&fault))?;
    let ticket = ticket.filter(|ticket| ticket.app == here.app.name).ok_or(Ending::Expired)?;
    here.begin(|browser| Attempt {
        app: ticket.app,
        account: ticket.account,
        user: ticket.user,
        slug: ticket.slug,
        wanted: ticket.wanted,
        again: ticket.again,
        done: Vec::new(),
        end: End::Done,
        browser,
    })
    .await
}
