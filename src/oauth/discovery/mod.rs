//! Where a provider's endpoints are: as configured, or by its issuer's metadata (RFC 8414; OpenID Connect Discovery 1.0), which must name that
//! very issuer and https endpoints. Metadata is kept for an hour, used for a day while the issuer is down, and asked for once however many wait.
//! Also the one value that everything else here takes: how to ask, and what time it is.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::limits;
use crate::oauth::fault::{TokenFault, TokenFlaw};
use crate::oauth::provider::{Client, Endpoints, Provider};
use crate::oauth::reach::askable;
use crate::oauth::web::{Question, Reach, Web, host_of};

/// Finds endpoints. Cheap to clone; clones share what was found.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    web: Web,
    clock: Clock,
    known: Arc<Known>,
}

/// A provider's endpoints, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Authorization endpoint.
    pub(crate) authorize: Url,
    /// Token endpoint.
    pub(crate) token: Url,
    /// Where refreshes go: mostly the same.
    pub(crate) refresh: Url,
    /// Revocation endpoint.
    pub(crate) revoke: Option<Url>,
    /// What `iss` of a callback must be.
    pub(crate) issuer: Option<String>,
    /// Whether a callback without `iss` is refused.
    pub(crate) requires_iss: bool,
}

/// What an issuer says of itself, as far as anybody here needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Exactly as it wrote it.
    pub(crate) issuer: String,
    /// Authorization endpoint.
    pub(crate) authorize: Option<Url>,
    /// Token endpoint.
    pub(crate) token: Option<Url>,
    /// Revocation endpoint.
    pub(crate) revoke: Option<Url>,
    /// Its key set.
    pub(crate) jwks: Option<Url>,
    /// Whether its callbacks always have `iss` (RFC 9207, section 3).
    pub(crate) requires_iss: bool,
    /// Whether it says that it takes PKCE with S256; none if it says nothing.
    pub(crate) takes_s256: Option<bool>,
}

/// Why an issuer's metadata cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", .field.map(|field| format!("`{field}` ")).unwrap_or_default())]
pub(crate) struct MetadataFlaw {
    /// The member that is wrong; none if there is no metadata.
    pub(crate) field: Option<&'static str>,
    /// What is wrong.
    pub(crate) problem: String,
}

/// One slot an issuer.
#[expect(clippy::disallowed_types, reason = "control plane: taken for flows, refreshes and key sets, never for a request")]
#[derive(Debug, Default)]
struct Known(std::sync::Mutex<HashMap<Url, Shared>>);

/// Held while an issuer is asked, so that the others wait for that answer.
#[expect(clippy::disallowed_types, reason = "as above")]
type Shared = Arc<tokio::sync::Mutex<Slot>>;

#[derive(Debug, Default)]
struct Slot {
    found: Option<(Instant, Arc<Metadata>)>,
    failed: Option<(Instant, MetadataFlaw)>,
}

#[derive(Deserialize)]
struct Written {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl Discovery {
    /// Nothing is known yet.
    pub(crate) fn new(web: Web, clock: Clock) -> Self {
        Self { web, clock, known: Arc::default() }
    }

    /// How to ask.
    pub(crate) fn web(&self) -> &Web {
        &self.web
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.clock.unix_seconds()
    }

    /// The endpoints of an OAuth provider.
    pub(crate) async fn locate(&self, provider: &Provider) -> Result<Located, TokenFault> {
        let fault = |flaw| TokenFault::new(provider, flaw);
        let client = provider.client().ok_or_else(|| fault(TokenFlaw::NoOauth))?;
        match &client.endpoints {
            Endpoints::Fixed { authorize, token, refresh, revoke, issuer } => Ok(Located {
                authorize: authorize.clone(),
                token: token.clone(),
                refresh: refresh.clone().unwrap_or_else(|| token.clone()),
                revoke: revoke.clone(),
                issuer: issuer.clone(),
                requires_iss: false,
            }),
            Endpoints::Issuer(issuer) => {
                let found = self.metadata(issuer).await.and_then(|metadata| located(&metadata, client));
                found.map_err(|MetadataFlaw { field, problem }| {
                    let issuer = format!("{}{}", host_of(issuer), issuer.path().trim_end_matches('/'));
                    fault(TokenFlaw::Metadata { issuer: issuer.into(), field, problem: problem.into() })
                })
            }
        }
    }

    /// An issuer's metadata; asked for at most once at a time, and at most every ten seconds if there is none.
    pub(crate) async fn metadata(&self, issuer: &Url) -> Result<Arc<Metadata>, MetadataFlaw> {
        let slot = self.known.slot(issuer);
        let mut slot = slot.lock().await;
        let age = |at: Instant| at.elapsed();
        if let Some((_, metadata)) = slot.found.as_ref().filter(|(at, _)| age(*at) < limits::METADATA_FRESH) {
            return Ok(Arc::clone(metadata));
        }
        if let Some((_, flaw)) = slot.failed.clone().filter(|(at, _)| age(*at) < limits::METADATA_RETRY) {
            return slot.stale().ok_or(flaw);
        }
        match self.ask(issuer).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *slot = Slot { found: Some((Instant::now(), Arc::clone(&metadata))), failed: None };
                Ok(metadata)
            }
            Err(flaw) => {
                slot.failed = Some((Instant::now(), flaw.clone()));
                slot.stale().ok_or(flaw)
            }
        }
    }

    /// Asks at each place where metadata may be. A place with none is passed over; of several wrong answers the first one is told.
    async fn ask(&self, issuer: &Url) -> Result<Metadata, MetadataFlaw> {
        let mut first = None;
        for place in places(issuer) {
            let asked = self.web.ask(Question::get(place), Reach::Configured).await;
            let answer = asked.map_err(|fault| MetadataFlaw { field: None, problem: fault.to_string() })?;
            let judged = match answer.status.as_u16() {
                200 => read(&answer.body, issuer),
                404 | 405 | 410 => continue,
                status => Err(MetadataFlaw { field: None, problem: format!("it answered {status}") }),
            };
            match judged {
                Ok(metadata) => return Ok(metadata),
                Err(flaw) => _ = first.get_or_insert(flaw),
            }
        }
        let none = || MetadataFlaw { field: None, problem: "nothing at any of its well-known places".to_owned() };
        Err(first.unwrap_or_else(none))
    }
}

impl Known {
    fn slot(&self, issuer: &Url) -> Shared {
        let mut slots = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if slots.len() >= limits::ISSUERS && !slots.contains_key(issuer) {
            slots.clear(); // after reloads with ever other issuers: they are asked again
        }
        Arc::clone(slots.entry(issuer.clone()).or_default())
    }
}

impl Slot {
    fn stale(&self) -> Option<Arc<Metadata>> {
        let still = |(at, _): &&(Instant, Arc<Metadata>)| at.elapsed() < limits::METADATA_STALE;
        self.found.as_ref().filter(still).map(|(_, metadata)| Arc::clone(metadata))
    }
}

/// Where an issuer's metadata may be: OpenID Connect's place, RFC 8414's, and what others do (monday appends RFC 8414's).
fn places(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let inserted = |name: &str| format!("/.well-known/{name}{path}");
    let appended = |name: &str| format!("{path}/.well-known/{name}");
    let mut paths = vec![
        appended("openid-configuration"),
        inserted("oauth-authorization-server"),
        appended("oauth-authorization-server"),
        inserted("openid-configuration"),
    ];
    if path.is_empty() {
        paths.truncate(2); // appended and inserted are the same
    }
    let at = |path: String| {
        let mut place = issuer.clone();
        place.set_query(None);
        place.set_fragment(None);
        place.set_path(&path);
        place
    };
    paths.into_iter().map(at).collect()
}

fn read(body: &[u8], issuer: &Url) -> Result<Metadata, MetadataFlaw> {
    let written: Written = serde_json::from_slice(body).map_err(|_detail| MetadataFlaw {
        field: None,
        problem: "its answer is no metadata (a JSON object with `issuer`)".to_owned(),
    })?;
    // Compared as URLs: "https://a.example" and "https://a.example/" are one, anything else differs.
    if Url::parse(&written.issuer).ok().as_ref() != Some(issuer) {
        let problem = "is another one than was asked, and must be equal (RFC 8414, section 3.3)".to_owned();
        return Err(MetadataFlaw { field: Some("issuer"), problem });
    }
    Ok(Metadata {
        authorize: endpoint("authorization_endpoint", written.authorization_endpoint)?,
        token: endpoint("token_endpoint", written.token_endpoint)?,
        revoke: endpoint("revocation_endpoint", written.revocation_endpoint)?,
        jwks: endpoint("jwks_uri", written.jwks_uri)?,
        requires_iss: written.authorization_response_iss_parameter_supported,
        takes_s256: written.code_challenge_methods_supported.map(|all| all.iter().any(|method| method == "S256")),
        issuer: written.issuer,
    })
}

fn endpoint(field: &'static str, text: Option<String>) -> Result<Option<Url>, MetadataFlaw> {
    let Some(text) = text else { return Ok(None) };
    let flaw = |problem: String| MetadataFlaw { field: Some(field), problem };
    let url = Url::parse(&text).map_err(|_invalid| flaw("is no URL".to_owned()))?;
    askable(&url).map_err(|reach| flaw(reach.to_string()))?;
    Ok(Some(url))
}

fn located(metadata: &Metadata, client: &Client) -> Result<Located, MetadataFlaw> {
    let missing = |field| MetadataFlaw { field: Some(field), problem: "is missing".to_owned() };
    if client.pkce && metadata.takes_s256 == Some(false) {
        let problem = "does not list S256: set `pkce = false` if this provider really has no PKCE".to_owned();
        return Err(MetadataFlaw { field: Some("code_challenge_methods_supported"), problem });
    }
    let token = metadata.token.clone().ok_or_else(|| missing("token_endpoint"))?;
    Ok(Located {
        authorize: metadata.authorize.clone().ok_or_else(|| missing("authorization_endpoint"))?,
        refresh: token.clone(),
        token,
        revoke: metadata.revoke.clone(),
        issuer: Some(metadata.issuer.clone()),
        requires_iss: metadata.requires_iss,
    })
}

#[cfg(test)]
mod tests;
