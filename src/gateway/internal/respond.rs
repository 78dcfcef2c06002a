//! Answers one request of the internal API: who asks, what, whether they may, and then it. What is unknown, another's or absent is the same
//! 404. A token is handed out only after the audit log has it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, Method};
use serde_json::json;

use crate::config::resolved::grants::Ability;
use crate::gateway::internal::answers::{
    Answer, AppToken, GrantPage, GrantToken, ListedGrant, ListedState, Problem, done, found, other_methods,
};
use crate::gateway::internal::clients::Client;
use crate::gateway::internal::operations::{Ask, Asked, Named, find};
use crate::gateway::internal::paging::{Page, cursor};
use crate::gateway::internal::{Api, ApiApp, openapi};
use crate::grants::journal::By;
use crate::grants::record::{Grant, GrantKey, State};
use crate::grants::standing::Standing;
use crate::grants::{Grants, Unusable, Who};
use crate::jwt;
use crate::limits;
use crate::oauth::provider::Provider;

/// The path of the description.
pub(super) const DESCRIPTION: &str = "/openapi.json";

/// One client, asking about one app.
struct Asking<'a> {
    client: &'a Client,
    app: &'a ApiApp,
    named: Named<'a>,
}

impl Api {
    /// Answers a request, whose body has been read.
    pub(super) async fn respond(&self, request: &Parts, body: &Bytes) -> Answer {
        self.answer(request, body).await.unwrap_or_else(Problem::answer)
    }

    async fn answer(&self, request: &Parts, body: &Bytes) -> Result<Answer, Problem> {
        let path = request.uri.path();
        if path == DESCRIPTION {
            return Ok(if request.method == Method::GET { found(&openapi::document()) } else { other_methods("GET") });
        }
        let fields = request.headers.get_all(AUTHORIZATION);
        let client = self.0.clients.find(fields.iter().map(HeaderValue::as_bytes)).ok_or(Problem::NoClient)?;
        let (operation, named) = match find(&request.method, path) {
            Asked::Operation(operation, named) => (operation, named),
            Asked::OtherMethods(allow) => return Ok(other_methods(&allow)),
            Asked::Nothing => return Err(Problem::NotFound),
        };
        if !client.can(operation.ability) {
            return Err(Problem::NotAllowed);
        }
        if !body.is_empty() || (request.uri.query().is_some() && operation.ability != Ability::List) {
            return Err(Problem::BadRequest);
        }
        let _place = client.places.try_acquire().map_err(|_taken| Problem::TooMany)?;
        let app =
            self.0.apps.iter().enumerate().find(|(at, app)| app.name == named.get("app") && client.knows_app(*at));
        let (_, app) = app.ok_or(Problem::NotFound)?;
        let asking = Asking { client, app, named };
        if operation.ask == Ask::Sign {
            return self.sign(&asking);
        }
        let grants = self.grants()?;
        match operation.ask {
            Ask::Read => read(&asking, &grants).await,
            Ask::Revoke => revoke(&asking, &grants).await,
            Ask::List => list(&asking, &grants, request.uri.query()).await,
            Ask::Sign => Err(Problem::NotFound),
        }
    }

    /// Exactly `{appId, iat, exp}`: nothing of it comes from the request (monday's page "Authorization header").
    fn sign(&self, asking: &Asking<'_>) -> Result<Answer, Problem> {
        let (key, app_id) = asking.app.signing.as_ref().ok_or(Problem::CannotSign)?;
        let now = self.0.clock.unix_seconds();
        let expires_at = now.saturating_add(limits::APP_TOKEN_LIFETIME);
        let claims = json!({ "appId": app_id, "iat": now, "exp": expires_at }).to_string();
        let (app, client) = (&asking.app.name, &asking.client.name);
        tracing::info!(app, client, "signed a token for monday");
        Ok(found(&AppToken { token: jwt::sign(key, claims.as_bytes()), expires_at }))
    }
}

impl Asking<'_> {
    fn account(&self) -> Result<i64, Problem> {
        integer(self.named.get("account"))
    }

    /// The provider that is asked for, if the client may know of it.
    fn provider(&self) -> Result<&Arc<Provider>, Problem> {
        let name = self.named.get("provider");
        let own = self.app.providers.iter().find(|one| one.name == name);
        own.filter(|_| self.client.knows_grant(name)).ok_or(Problem::NotFound)
    }
}

async fn read(asking: &Asking<'_>, grants: &Grants) -> Result<Answer, Problem> {
    let (account, user) = (asking.account()?, integer(asking.named.get("user"))?);
    let provider = asking.provider()?;
    let who = Who { app: asking.app.name.clone(), account, user };
    let fresh = grants.fresh(&who, provider).await.map_err(|why| match why {
        Unusable::Missing => Problem::NotFound,
        Unusable::Expired => Problem::GrantExpired,
        Unusable::Revoked => Problem::GrantRevoked,
        Unusable::Down(_) => Problem::Unavailable,
    })?;
    grants.note_read(&fresh.held.key, &asking.client.name).await.map_err(|fault| {
        tracing::error!(%fault, "a token was not handed out: nobody could have said to whom");
        Problem::Unavailable
    })?;
    Ok(found(&GrantToken {
        access_token: fresh.access().to_owned(),
        expires_at: fresh.expires(),
        scopes: fresh.held.grant.scopes.clone(),
        values: fresh.values().clone(),
        sufficient: fresh.standing == Standing::Ok,
    }))
}

async fn revoke(asking: &Asking<'_>, grants: &Grants) -> Result<Answer, Problem> {
    let account = asking.account()?;
    let user = match asking.named.get("user") {
        "-" => None,
        user => Some(integer(user)?),
    };
    let provider = asking.provider()?;
    let key = GrantKey { app: asking.app.name.clone(), account, user, provider: provider.name.clone() };
    match grants.take_back(&key, By::Client(&asking.client.name)).await {
        Ok(true) => Ok(done()),
        Ok(false) => Err(Problem::NotFound),
        Err(fault) => {
            tracing::error!(%fault, "a grant was not taken back");
            Err(Problem::Unavailable)
        }
    }
}

async fn list(asking: &Asking<'_>, grants: &Grants, query: Option<&str>) -> Result<Answer, Problem> {
    let account = asking.account()?;
    let Page { after, limit } = Page::read(query)?;
    let app = asking.app.name.as_str();
    let mut after = after.map(|after| format!("{app}/{account}/{after}"));
    let mut known: Vec<(GrantKey, Grant)> = Vec::new();
    // One more than the page, to know whether there is another. What this client may not know of is in no page and no cursor.
    while known.len() <= limit {
        let listed = grants.list(app, Some(account), after.as_deref(), limit + 1).await.map_err(|fault| {
            tracing::error!(%fault, "grants were not listed");
            Problem::Unavailable
        })?;
        let Some((last, _)) = listed.last() else { break };
        after = Some(last.row());
        known.extend(listed.into_iter().filter(|(key, _)| asking.client.knows_grant(&key.provider)));
    }
    let is_last = known.len() <= limit;
    known.truncate(limit);
    let next = known.last().filter(|_| !is_last).map(|(key, _)| cursor(&key.row()));
    Ok(found(&GrantPage { grants: known.into_iter().map(listed_grant).collect(), next }))
}

fn listed_grant((key, grant): (GrantKey, Grant)) -> ListedGrant {
    let state = match grant.state {
        State::Ok => ListedState::Ok,
        State::Expired => ListedState::Expired,
        State::Revoked => ListedState::Revoked,
    };
    let Grant { scopes, granted_at, renewed_at, .. } = grant;
    ListedGrant { user_id: key.user, provider: key.provider, state, scopes, granted_at, renewed_at }
}

/// An id of monday's: decimal digits, as they are written everywhere.
fn integer(text: &str) -> Result<i64, Problem> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Problem::BadRequest)
}
