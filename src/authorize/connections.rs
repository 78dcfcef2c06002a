//! The page of a user's connections: what each is worth, with Connect, Reconnect and Disconnect. For whoever the identity cookie says is in this
//! browser, and nobody else.

use http::StatusCode;

use crate::authorize::attempt::{Attempt, End};
use crate::authorize::cookies::Identity;
use crate::authorize::ending::{Ending, Trouble};
use crate::authorize::enter::down;
use crate::authorize::here::{AfterForm, Here, Outcome};
use crate::authorize::step::may_connect;
use crate::grants::Who;
use crate::grants::journal::By;
use crate::grants::standing::Standing;
use crate::oauth::provider::{Per, Provider};
use crate::pages::screen::{Form, Row};
use crate::pages::words::Say;

/// Shows the connections, or begins one anew.
pub(crate) async fn connections(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let Some(identity) = here.identity() else { return introduce(here).await };
    if here.visit.is_post { again(here, &identity).await } else { show(here, &identity).await }
}

/// Somebody who comes from an attempt of theirs says who they are first.
async fn introduce(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let flow = here.query.as_ref().and_then(|query| query.given("flow")).filter(|_| !here.visit.is_post);
    let (id, mut attempt) = here.attempt(flow.ok_or(Ending::Unknown)?).await?;
    attempt.end = End::Connections;
    here.keep_attempt(&id, &attempt).await?;
    Ok(Outcome::See(here.next_path(&id, AfterForm::No), Vec::new()))
}

async fn show(here: &Here<'_>, identity: &Identity) -> Result<Outcome, Trouble> {
    let whose = Some((identity.account, identity.user));
    let mut screen = here.screen(here.say(Say::ConnectionsTitle, whose, &[]), whose);
    screen.paragraphs.push(here.say(Say::ConnectionsText, whose, &[]));
    if here.query.as_ref().is_some_and(|query| query.value("done") == "disconnected") {
        screen.notice = Some(here.say(Say::Disconnected, whose, &[]));
    }
    let user = user(here, identity);
    for provider in &here.app.providers {
        let standing = here.kept()?.grants.standing(&user, provider).await.map_err(|why| down(here, why))?;
        screen.rows.push(row(here, identity, provider, standing));
    }
    Ok(Outcome::Page(Box::new(screen), StatusCode::OK))
}

fn row(here: &Here<'_>, identity: &Identity, provider: &Provider, standing: Standing) -> Row {
    let whose = (identity.account, identity.user);
    let may = may_connect(provider, Some(identity));
    let note = match (provider.per, may) {
        (Per::User, _) => None,
        (Per::Account, true) => Some(Say::ConnectionShared),
        (Per::Account, false) => Some(Say::ConnectionAdmins),
    };
    let (state, connect) = match standing {
        Standing::Ok => (Say::ConnectionOk, Say::Reconnect),
        Standing::Missing => (Say::ConnectionMissing, Say::Connect),
        Standing::Revoked => (Say::ConnectionRevoked, Say::Connect),
        Standing::Expired => (Say::ConnectionExpired, Say::Reconnect),
        Standing::Insufficient => (Say::ConnectionInsufficient, Say::Reconnect),
    };
    let form = |page: &'static str, say: Say, is_second: bool| Form {
        action: here.path(page),
        hidden: vec![("provider", provider.name.clone()), ("form", here.form_value(page, whose))],
        fields: Vec::new(),
        button: here.say(say, Some(whose), &[("provider", provider.display.as_str())]),
        is_second,
    };
    let mut forms = Vec::new();
    if may {
        forms.push(form("connections", connect, standing == Standing::Ok));
    }
    if may && !matches!(standing, Standing::Missing | Standing::Revoked) {
        forms.push(form("disconnect", Say::Disconnect, true));
    }
    Row {
        name: provider.display.clone(),
        state: here.language.say(state, &[]),
        note: note.map(|say| here.say(say, Some(whose), &[])),
        forms,
    }
}

/// Connect, or Reconnect.
async fn again(here: &Here<'_>, identity: &Identity) -> Result<Outcome, Trouble> {
    let fields = here.fields()?;
    if !here.is_own_form("connections", (identity.account, identity.user), &fields) {
        return Err(Ending::Form.into());
    }
    let name = fields.value("provider").to_owned();
    let provider = here.app.provider(&name).ok_or(Ending::Form)?;
    if !may_connect(provider, Some(identity)) {
        return Err(Ending::NeedsAdmin { provider: provider.display.clone() }.into());
    }
    here.begin(|browser| Attempt {
        app: here.app.name.clone(),
        account: identity.account,
        user: identity.user,
        slug: None,
        wanted: vec![name.clone()],
        again: vec![name],
        done: Vec::new(),
        end: End::Connections,
        browser,
    })
    .await
}

/// Disconnect.
pub(crate) async fn disconnect(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let identity = here.identity().ok_or(Ending::Unknown)?;
    let fields = here.fields()?;
    if !here.is_own_form("disconnect", (identity.account, identity.user), &fields) {
        return Err(Ending::Form.into());
    }
    let provider = here.app.provider(fields.value("provider")).ok_or(Ending::Form)?;
    if !may_connect(provider, Some(&identity)) {
        return Err(Ending::NeedsAdmin { provider: provider.display.clone() }.into());
    }
    let user = user(here, &identity);
    let (grants, by) = (&here.kept()?.grants, By::User(identity.user));
    let own = grants.take_back(&user.own(&provider.name), by).await.map_err(|fault| here.down(&fault.into()))?;
    // A user's own comes first, also here.
    if !own && provider.per == Per::Account {
        grants.take_back(&user.shared(&provider.name), by).await.map_err(|fault| here.down(&fault.into()))?;
    }
    Ok(Outcome::See(format!("{}?done=disconnected", here.path("connections")), Vec::new()))
}

fn user(here: &Here<'_>, identity: &Identity) -> Who {
    Who { app: here.app.name.clone(), account: identity.account, user: identity.user }
}
