//! Where an issuer's key set is, and what is there: `jwks_url`, or what the issuer's own metadata says, whose `issuer` must be the configured
//! one. OpenID Connect Discovery 1.0, section 4; RFC 8414, section 3.

use bytes::Bytes;
use http::StatusCode;
use url::Url;

use crate::config::resolved::grants::Issuer as Rules;
use crate::issuers::key_set::KeySetFlaw;
use crate::json::{self, Walk};
use crate::oauth::reach::Reach;
use crate::oauth::web::{Question, Web, host_of};

/// How deep metadata may nest.
const DEPTH: usize = 8;

/// What asks for a document, without following redirects, bounded in size and time.
pub(crate) trait Fetch: Send + Sync {
    /// The body of a 200.
    fn get(&self, url: &Url) -> impl Future<Output = Result<Bytes, String>> + Send;
}

impl Fetch for Web {
    async fn get(&self, url: &Url) -> Result<Bytes, String> {
        let answer =
            self.ask(Question::get(url.clone()), Reach::Configured).await.map_err(|fault| fault.to_string())?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        Err(format!("{}: it answered {}", host_of(url), answer.status))
    }
}

/// Why there is no key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchFault {
    /// It was not answered.
    #[error("{0}")]
    Web(String),
    /// It took too long.
    #[error("it took too long")]
    Late,
    /// The metadata is no JSON object with a usable `jwks_uri`.
    #[error("its metadata has no usable jwks_uri; jwks_url can say where the keys are")]
    Metadata,
    /// The metadata is another issuer's.
    #[error("its metadata names another issuer: `issuer` must be written as the issuer itself writes it")]
    OtherIssuer,
    /// The set cannot be used.
    #[error("its key set {0}")]
    Flaw(KeySetFlaw),
}

/// The text of an issuer's key set. `discovered` remembers where it is.
pub(crate) async fn fetch(web: &impl Fetch, rules: &Rules, discovered: &mut Option<Url>) -> Result<Bytes, FetchFault> {
    let url = match (&rules.jwks_url, discovered.as_ref()) {
        (Some(url), _) | (None, Some(url)) => url.clone(),
        (None, None) => {
            let url = discover(web, rules).await?;
            *discovered = Some(url.clone());
            url
        }
    };
    web.get(&url).await.map_err(FetchFault::Web)
}

/// Asks the issuer where its keys are.
async fn discover(web: &impl Fetch, rules: &Rules) -> Result<Url, FetchFault> {
    let below = |name: &str| format!("{}/.well-known/{name}", rules.issuer.trim_end_matches('/'));
    let openid = Url::parse(&below("openid-configuration")).map_err(|_invalid| FetchFault::Metadata)?;
    let metadata = match web.get(&openid).await {
        Ok(metadata) => metadata,
        Err(fault) => {
            let oauth = oauth_metadata(&rules.issuer).ok_or(FetchFault::Metadata)?;
            web.get(&oauth).await.map_err(|_also| FetchFault::Web(fault))?
        }
    };
    json::whole(&metadata, Walk { depth: DEPTH }).map_err(|_why| FetchFault::Metadata)?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).map_err(|_why| FetchFault::Metadata)?;
    let text = |name: &str| metadata.get(name).and_then(serde_json::Value::as_str);
    if text("issuer") != Some(rules.issuer.as_str()) {
        return Err(FetchFault::OtherIssuer);
    }
    text("jwks_uri").and_then(|uri| Url::parse(uri).ok()).ok_or(FetchFault::Metadata)
}

/// RFC 8414 puts the well-known part before the issuer's path.
fn oauth_metadata(issuer: &str) -> Option<Url> {
    let mut url = Url::parse(issuer).ok()?;
    let path = format!("/.well-known/oauth-authorization-server{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url)
}
