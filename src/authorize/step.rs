//! The next step of an attempt: what is missing, in order; before anything but monday.com is asked, who is in this browser; and at the end the
//! way out. Shows the step as a page with a link to the provider, or ends the attempt. A page that is loaded again shows what is missing by
//! then, so that tabs, reloads and the back button need no care.

use std::sync::Arc;

use http::StatusCode;

use crate::authorize::attempt::{Attempt, End};
use crate::authorize::cookies::{Identity, Rank};
use crate::authorize::ending::{Ending, Trouble};
use crate::authorize::enter::down;
use crate::authorize::here::{AfterForm, Here, Outcome, who};
use crate::authorize::opaque::Opaque;
use crate::authorize::rows::Sort;
use crate::authorize::state::{Pending, State};
use crate::config::resolved::grants::Identity as IdentityBy;
use crate::grants::MONDAY;
use crate::grants::standing::Standing;
use crate::limits;
use crate::oauth::authorize::{Request, begin};
use crate::oauth::provider::{Connect, ConnectBy, Per, Provider};
use crate::pages::screen::{Form, Link, Screen, Step};
use crate::pages::words::Say;
use crate::snapshot::served::callback_path;

/// How monday.com is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// For the account that the user came from.
    Account,
    /// For whichever account the user chooses: they were signed in to another one.
    None,
}

/// What has to happen next.
enum Next {
    /// Nothing more.
    End,
    /// The user says who they are.
    Confirm,
    /// This provider is asked; behind it the others that are still missing.
    Ask(Vec<Arc<Provider>>),
}

/// Shows an attempt's next step, or ends it.
pub(crate) async fn next(here: &Here<'_>, pin: Pin) -> Result<Outcome, Trouble> {
    let query = here.query.as_ref().ok_or(Ending::Expired)?;
    let (id, attempt) = here.attempt(query.value("flow")).await?;
    match judge(here, &id, &attempt).await? {
        Next::End => {
            let after_form = if query.value("shown") == "1" { AfterForm::Yes } else { AfterForm::No };
            Ok(end(here, &id, &attempt, after_form))
        }
        Next::Confirm => Ok(Outcome::Page(Box::new(confirmation(here, &id, &attempt)), StatusCode::OK)),
        Next::Ask(missing) => ask(here, (&id, &attempt), &missing, pin).await,
    }
}

async fn judge(here: &Here<'_>, id: &Opaque, attempt: &Attempt) -> Result<Next, Trouble> {
    let mut missing = missing(here, attempt).await?;
    let identity = here.identity().filter(|identity| identity.is(attempt.account, attempt.user));
    let needs_identity = missing.iter().any(|provider| provider.name != MONDAY) || attempt.end == End::Connections;
    if identity.is_none() && needs_identity {
        return Ok(match &here.app.monday {
            Some(monday) if here.app.authorization.identity == IdentityBy::Monday => {
                missing.retain(|provider| provider.name != MONDAY);
                missing.insert(0, Arc::clone(monday));
                Next::Ask(missing)
            }
            _ => Next::Confirm,
        });
    }
    // What this user may not connect comes last, so that it does not keep them from the rest.
    missing.sort_by_key(|provider| !may_connect(provider, identity.as_ref()));
    match missing.first() {
        None => Ok(Next::End),
        Some(first) if may_connect(first, identity.as_ref()) => Ok(Next::Ask(missing)),
        Some(first) => Err(Ending::NeedsAdmin { provider: first.display.clone() }.of(id, attempt)),
    }
}

async fn missing(here: &Here<'_>, attempt: &Attempt) -> Result<Vec<Arc<Provider>>, Trouble> {
    let whose = who(attempt);
    let mut missing = Vec::new();
    for name in &attempt.wanted {
        // One that the configuration does not have any more is not missed.
        let Some(provider) = here.app.provider(name) else { continue };
        let standing = here.kept()?.grants.standing(&whose, provider).await.map_err(|why| down(here, why))?;
        if standing != Standing::Ok || attempt.asks_again(name) {
            missing.push(Arc::clone(provider));
        }
    }
    Ok(missing)
}

/// Whether somebody may make or remove a grant of this provider: everybody their own, an account's only those whom monday calls so.
pub(crate) fn may_connect(provider: &Provider, identity: Option<&Identity>) -> bool {
    match (provider.per, provider.connect_by, identity.map_or(Rank::Guest, |identity| identity.standing)) {
        (Per::User, _, _) | (Per::Account, _, Rank::Admin) | (Per::Account, ConnectBy::Member, Rank::Member) => true,
        (Per::Account, ConnectBy::Admin, Rank::Member) | (Per::Account, _, Rank::Guest) => false,
    }
}

fn end(here: &Here<'_>, id: &Opaque, attempt: &Attempt, after_form: AfterForm) -> Outcome {
    let onwards = match &attempt.end {
        End::BackTo(url) if after_form == AfterForm::Yes => {
            Some(Link { text: here.language.say(Say::GoOn, &[]), href: url.clone(), is_main: true })
        }
        End::BackTo(url) => return Outcome::See(url.clone(), Vec::new()),
        End::Connections => return Outcome::See(here.path("connections"), Vec::new()),
        End::Done => None,
    };
    let whose = Some((attempt.account, attempt.user));
    let mut screen = here.screen(here.say(Say::DoneTitle, whose, &[]), whose);
    screen.paragraphs.push(here.say(Say::DoneText, whose, &[]));
    if onwards.is_none() {
        screen.paragraphs.push(here.say(Say::DoneClose, whose, &[]));
    }
    screen.links.extend(onwards);
    let href = format!("{}?flow={}", here.path("connections"), id.as_str());
    screen.links.push(Link { text: here.language.say(Say::SeeConnections, &[]), href, is_main: false });
    Outcome::Page(Box::new(screen), StatusCode::OK)
}

fn confirmation(here: &Here<'_>, id: &Opaque, attempt: &Attempt) -> Screen {
    let whose = (attempt.account, attempt.user);
    let mut screen = here.screen(here.say(Say::ConfirmTitle, Some(whose), &[]), Some(whose));
    screen.paragraphs.push(here.say(Say::ConfirmText, Some(whose), &[]));
    screen.form = Some(Form {
        action: here.path("confirm"),
        hidden: vec![("flow", id.as_str().to_owned()), ("form", here.form_value("confirm", whose))],
        fields: Vec::new(),
        button: here.language.say(Say::ConfirmYes, &[]),
        is_second: false,
    });
    screen.links.extend(here.way_back(attempt));
    screen
}

async fn ask(
    here: &Here<'_>,
    (id, attempt): (&Opaque, &Attempt),
    missing: &[Arc<Provider>],
    pin: Pin,
) -> Result<Outcome, Trouble> {
    let Some(first) = missing.first() else { return Err(Ending::Expired.of(id, attempt)) };
    let href = match first.connect {
        Connect::Oauth(_) => authorization_url(here, (id, attempt), first, pin).await?,
        Connect::ApiKey(_) => format!("{}/{}?flow={}", here.path("keys"), first.name, id.as_str()),
    };
    // Once more, so that an attempt lives an hour from its last step.
    here.keep_attempt(id, attempt).await?;
    let whose = Some((attempt.account, attempt.user));
    let provider = [("provider", first.display.as_str())];
    let mut screen = here.screen(here.say(Say::ProgressTitle, whose, &[]), whose);
    if attempt.done.contains(&first.name) && attempt.wanted.contains(&first.name) && first.name != MONDAY {
        screen.alert = Some(here.say(Say::ProgressPartly, whose, &provider));
    }
    screen.paragraphs.push(here.say(Say::ProgressText, whose, &[]));
    let shared = missing.iter().filter(|provider| provider.per == Per::Account);
    screen.paragraphs.extend(
        shared.map(|provider| here.say(Say::ProgressShared, whose, &[("provider", provider.display.as_str())])),
    );
    if first.name == MONDAY && !attempt.wanted.iter().any(|name| name == MONDAY) {
        screen.paragraphs.push(here.say(Say::ProgressIdentity, whose, &provider));
    }
    screen.steps = steps(here, attempt, missing);
    screen.links.push(Link { text: here.say(Say::Continue, whose, &provider), href, is_main: true });
    screen.links.extend(here.way_back(attempt));
    Ok(Outcome::Page(Box::new(screen), StatusCode::OK))
}

/// "1 of 2: monday.com": what was done on the way, what is next, and what comes then.
fn steps(here: &Here<'_>, attempt: &Attempt, missing: &[Arc<Provider>]) -> Vec<Step> {
    let is_missing = |name: &String| missing.iter().any(|provider| provider.name == *name);
    let done = attempt.done.iter().filter(|name| !is_missing(name));
    let done = done.filter_map(|name| here.app.connectable(name)).map(|provider| (provider.display.as_str(), true));
    let all: Vec<(&str, bool)> = done.chain(missing.iter().map(|one| (one.display.as_str(), false))).collect();
    let current = all.iter().position(|(_, is_done)| !is_done);
    let count = all.len().to_string();
    let step = |(at, (display, is_done)): (usize, &(&str, bool))| Step {
        text: here.language.say(
            Say::Step,
            &[("number", (at + 1).to_string().as_str()), ("count", count.as_str()), ("provider", display)],
        ),
        state: is_done.then(|| here.language.say(Say::StepDone, &[])),
        is_current: current == Some(at),
    };
    all.iter().enumerate().map(step).collect()
}

/// Where the provider asks the user, with a new state whose row waits for the callback.
async fn authorization_url(
    here: &Here<'_>,
    (id, attempt): (&Opaque, &Attempt),
    provider: &Arc<Provider>,
    pin: Pin,
) -> Result<String, Trouble> {
    let state = State::fresh(id).map_err(|fault| here.down(&fault.into()))?;
    let callback = callback_path(&here.app.authorization, provider);
    let redirect = here.flow.outside(&callback);
    let pinned = attempt.slug.as_deref().filter(|_| pin == Pin::Account);
    let request = Request { state: &state.text(), redirect_uri: &redirect, subdomain: pinned };
    let begun = begin(&here.flow.discovery, provider, request).await.map_err(|fault| {
        tracing::warn!(app = here.app.name, request_id = here.visit.request_id, "{fault}");
        Ending::Fault { provider: provider.display.clone(), detail: fault.to_string() }.of(id, attempt)
    })?;
    let pending = Pending {
        app: attempt.app.clone(),
        account: attempt.account,
        user: attempt.user,
        provider: provider.name.clone(),
        callback,
        verifier: begun.verifier,
        issuer: begun.issuer,
        issuer_required: begun.issuer_required,
        attempt: id.hash(),
        browser: attempt.browser.clone(),
    };
    let kept = here.kept()?.rows.keep((Sort::Pending, &state.step), &pending, limits::STATE_LIFETIME).await;
    kept.map_err(|fault| here.down(&fault))?;
    Ok(begun.url)
}

/// "This is me": the user has read for whom it is, and says so from the page.
pub(crate) async fn confirm(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let fields = here.fields()?;
    let (id, attempt) = here.attempt(fields.value("flow")).await?;
    let whose = (attempt.account, attempt.user);
    let is_asked = here.app.authorization.identity == IdentityBy::Confirm || here.app.monday.is_none();
    if !is_asked || !here.is_own_form("confirm", whose, &fields) {
        return Err(Ending::Form.of(&id, &attempt));
    }
    let field =
        here.kept()?.cookies.identify((&here.app.name, &attempt.browser), (whose.0, whose.1, Rank::Guest), here.now);
    Ok(Outcome::See(here.next_path(&id, AfterForm::Yes), field.into_iter().collect()))
}
