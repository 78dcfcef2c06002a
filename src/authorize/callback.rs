//! A provider sends the browser back. Nothing is asked of the provider before the state has proved to be one of ours, unused, of this browser,
//! for this provider and callback; nothing is stored before monday.com has said that it is the right user.
//! RFC 6749, section 4.1.2; RFC 9207; RFC 9700, sections 2.1 and 4.4.

use std::sync::Arc;

use crate::authorize::attempt::Attempt;
use crate::authorize::cookies::Rank;
use crate::authorize::ending::{Ending, Trouble};
use crate::authorize::flow::AppFlow;
use crate::authorize::here::{AfterForm, Here, Outcome, who};
use crate::authorize::opaque::Opaque;
use crate::authorize::rows::Sort;
use crate::authorize::state::{Pending, State};
use crate::grants::MONDAY;
use crate::grants::record::Grant;
use crate::oauth::callback::{AskedIssuer, Callback, CallbackFlaw, Outcome as Said, parse};
use crate::oauth::monday::{self, Me};
use crate::oauth::provider::{Per, Provider};
use crate::oauth::token::{Exchange, Tokens, exchange};

/// What monday.com says where the app is not on the account.
const NOT_INSTALLED: [&str; 2] = ["unauthorized_client", "app_not_installed"];

/// Receives a browser from a provider.
pub(crate) async fn callback(here: &Here<'_>) -> Result<Outcome, Trouble> {
    let came = match parse(&here.visit.query) {
        Ok(came) => came,
        Err(flaw) => return Err(malformed(here, flaw).await),
    };
    let state = State::parse(&came.state).ok_or(Ending::Expired)?;
    // Without the browser's own cookie nobody can be the browser that began.
    let browser = here.browser.as_ref().ok_or(Ending::OtherBrowser)?.hash();
    let pending: Option<Pending> =
        here.kept()?.rows.take(Sort::Pending, &state.step).await.map_err(|fault| here.down(&fault))?;
    let Some(pending) = pending else { return Err(over(here, &state.attempt).await) };
    if !pending.browser.is(&browser) || !pending.attempt.is(&state.attempt.hash()) {
        tracing::warn!(app = here.app.name, request_id = here.visit.request_id, "a state of another browser");
        return Err(Ending::OtherBrowser.into());
    }
    // Several apps may share a callback that was registered before: the state says whose it is.
    let app = here.flow.app(&pending.app).ok_or(Ending::Expired)?;
    let here = &Here::new(here.flow, here.visit, app);
    let (id, attempt) = here.attempt(state.attempt.as_str()).await?;
    let provider = app.connectable(&pending.provider).map(Arc::clone).ok_or(Ending::Expired)?;
    if pending.callback != here.visit.path {
        tracing::warn!(app = app.name, request_id = here.visit.request_id, "a state at another provider's callback");
        return Err(Ending::Expired.of(&id, &attempt));
    }
    let step = Stage { here, app, provider: &provider, pending: &pending };
    let granted = step.grant(&came).await;
    let (tokens, me) = granted.map_err(|ending| ending.of(&id, &attempt))?;
    step.keep(&id, attempt, tokens, me).await
}

/// A state that is not there: used already, older than ten minutes, or never ours.
async fn over(here: &Here<'_>, attempt: &Opaque) -> Trouble {
    match here.attempt(attempt.as_str()).await {
        Ok((id, attempt)) => Ending::Expired.of(&id, &attempt),
        Err(_unknown) => Ending::Expired.into(),
    }
}

/// A callback that no provider sends; if its state is of an attempt of this browser, that can be gone on with.
async fn malformed(here: &Here<'_>, flaw: CallbackFlaw) -> Trouble {
    tracing::warn!(app = here.app.name, request_id = here.visit.request_id, "a callback is refused: {flaw}");
    let state = here.query.as_ref().and_then(|query| State::parse(query.value("state")));
    match state {
        Some(state) => over(here, &state.attempt).await,
        None => Ending::Expired.into(),
    }
}

/// A callback whose state was ours.
struct Stage<'a> {
    here: &'a Here<'a>,
    app: &'a AppFlow,
    provider: &'a Arc<Provider>,
    pending: &'a Pending,
}

impl Stage<'_> {
    /// What the provider gives for what the callback says; and, from monday.com, who it was.
    async fn grant(&self, came: &Callback) -> Result<(Tokens, Option<Me>), Ending> {
        self.check_issuer(came)?;
        let code = match &came.outcome {
            Said::Code(code) => code,
            Said::Denied => return Err(Ending::Denied { provider: self.provider.display.clone() }),
            // monday.com's, of an app that the account does not have.
            Said::ProviderError { code, .. }
                if self.provider.name == MONDAY && NOT_INSTALLED.contains(&code.as_str()) =>
            {
                return Err(Ending::NotInstalled);
            }
            Said::ProviderError { code, .. } => {
                return Err(self.fault(format!("{} answered with the error `{code}`", self.provider.display)));
            }
        };
        let flow = self.here.flow;
        let redirect_uri = flow.outside(&self.pending.callback);
        let asked = Exchange { code, verifier: self.pending.verifier.as_deref(), redirect_uri: &redirect_uri };
        let tokens = exchange(&flow.discovery, self.provider, asked).await;
        let tokens = tokens.map_err(|fault| self.fault(fault.to_string()))?;
        if self.provider.name != MONDAY {
            return Ok((tokens, None));
        }
        let me = monday::me(&flow.web, &flow.monday_api, &tokens.access).await;
        let me = me.map_err(|fault| self.fault(fault.to_string()))?;
        if me.user_id != self.pending.user || me.account_id != self.pending.account {
            return Err(Ending::SomebodyElse { user: me.user_id, account: me.account_id });
        }
        Ok((tokens, Some(me)))
    }

    /// RFC 9207: who answers is who was asked.
    fn check_issuer(&self, came: &Callback) -> Result<(), Ending> {
        let asked = AskedIssuer { name: self.pending.issuer.as_deref(), is_always_named: self.pending.issuer_required };
        came.judge_issuer(asked).map_err(|flaw| self.fault(flaw.to_string()))
    }

    fn fault(&self, detail: String) -> Ending {
        let (app, request_id) = (&self.app.name, &self.here.visit.request_id);
        tracing::warn!(app, request_id, provider = self.provider.name, "not connected: {detail}");
        Ending::Fault { provider: self.provider.display.clone(), detail }
    }

    /// Writes down what was granted, and goes on.
    async fn keep(
        &self,
        id: &Opaque,
        mut attempt: Attempt,
        tokens: Tokens,
        me: Option<Me>,
    ) -> Result<Outcome, Trouble> {
        let here = self.here;
        // monday.com may have been asked only who it is.
        if here.app.provider(&self.provider.name).is_some() {
            store(here, &attempt, self.provider, grant(here, self.provider, &attempt, tokens)).await?;
        }
        attempt.did(&self.provider.name);
        here.keep_attempt(id, &attempt).await?;
        let kept = here.kept()?;
        let cookie = me.and_then(|me| {
            let whose = (attempt.account, attempt.user, rank(&me));
            kept.cookies.identify((&self.app.name, &attempt.browser), whose, here.now)
        });
        Ok(Outcome::See(here.next_path(id, AfterForm::No), cookie.into_iter().collect()))
    }
}

/// What a user may do for the whole account, as monday.com says.
fn rank(me: &Me) -> Rank {
    match (me.is_guest, me.is_admin) {
        (true, _) => Rank::Guest,
        (false, true) => Rank::Admin,
        (false, false) => Rank::Member,
    }
}

/// The grant of a code exchange.
fn grant(here: &Here<'_>, provider: &Provider, attempt: &Attempt, tokens: Tokens) -> Grant {
    let asked = provider.client().map(|client| client.scopes.clone()).unwrap_or_default();
    Grant {
        state: crate::grants::record::State::Ok,
        access: tokens.access,
        refresh: tokens.refresh,
        expires: tokens.expires,
        scopes: tokens.scopes.unwrap_or_else(|| asked.clone()),
        asked,
        values: tokens.values,
        granted_at: here.now,
        renewed_at: here.now,
        granted_by: (provider.per == Per::Account).then_some(attempt.user),
    }
}

/// Makes a grant durable, for the user or for the account.
pub(crate) async fn store(
    here: &Here<'_>,
    attempt: &Attempt,
    provider: &Provider,
    grant: Grant,
) -> Result<(), Trouble> {
    let whose = who(attempt);
    let key = match provider.per {
        Per::User => whose.own(&provider.name),
        Per::Account => whose.shared(&provider.name),
    };
    here.kept()?.grants.keep(key, grant).await.map_err(|fault| here.down(&fault.into()))
}
