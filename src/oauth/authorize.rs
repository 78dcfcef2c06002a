//! The authorization request: where a browser is sent for a user's consent. Takes the provider and what this attempt remembers, returns a URL in
//! which every parameter stands once. RFC 6749, section 4.1.1; RFC 7636 with S256 and nothing else.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;
use zeroize::Zeroizing;

use crate::oauth::discovery::{Discovery, Located};
use crate::oauth::fault::{TokenFault, TokenFlaw};
use crate::oauth::provider::{Client, Provider};

/// Random bytes of a verifier: 43 characters (RFC 7636, section 4.1).
const VERIFIER_BYTES: usize = 32;

/// A code verifier, of one attempt. Never printed.
#[derive(Clone, PartialEq, Eq)]
struct Pkce(Zeroizing<String>);

impl Pkce {
    /// A new one. None if the system has no randomness.
    fn new() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; VERIFIER_BYTES]);
        SystemRandom::new().fill(bytes.as_mut_slice()).ok()?;
        Some(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    #[cfg(test)]
    fn kept(verifier: String) -> Self {
        Self(Zeroizing::new(verifier))
    }

    /// For the state, and later for the exchange.
    fn verifier(&self) -> &str {
        &self.0
    }

    /// For the authorization request.
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes()))
    }
}

impl fmt::Debug for Pkce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pkce(..)")
    }
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Opaque, one-time.
    pub(crate) state: &'a str,
    /// The callback's URL, as registered.
    pub(crate) redirect_uri: &'a str,
    /// monday only: the account's slug, so that the user consents there and nowhere else.
    pub(crate) subdomain: Option<&'a str>,
}

/// What the attempt's state has to remember, and where the browser goes.
#[derive(Clone)]
pub(crate) struct Begun {
    /// There.
    pub(crate) url: String,
    /// For the exchange; none where the provider has no PKCE.
    pub(crate) verifier: Option<String>,
    /// What `iss` of the callback must be (RFC 9207), where it is known.
    pub(crate) issuer: Option<String>,
    /// Whether a callback without `iss` is refused.
    pub(crate) issuer_required: bool,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Begins an attempt, with a verifier of its own.
pub(crate) async fn begin(
    discovery: &Discovery,
    provider: &Provider,
    request: Request<'_>,
) -> Result<Begun, TokenFault> {
    let fault = |flaw| TokenFault::new(provider, flaw);
    let client = provider.client().ok_or_else(|| fault(TokenFlaw::NoOauth))?;
    let endpoints = discovery.locate(provider).await?;
    let pkce = if client.pkce { Some(Pkce::new().ok_or_else(|| fault(TokenFlaw::NoRandomness))?) } else { None };
    Ok(Begun {
        url: url(&endpoints, client, request, pkce.as_ref()).into(),
        verifier: pkce.map(|pkce| pkce.verifier().to_owned()),
        issuer: endpoints.issuer,
        issuer_required: endpoints.requires_iss,
    })
}

/// What the protocol says comes first and is never overruled; then the provider's own parameters; then what the endpoint's URL had.
fn url(endpoints: &Located, client: &Client, request: Request<'_>, pkce: Option<&Pkce>) -> Url {
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: &str| {
        if !parameters.iter().any(|(known, _)| known == name) {
            parameters.push((name.to_owned(), value.to_owned()));
        }
    };
    put("response_type", "code");
    put("client_id", &client.id);
    put("redirect_uri", request.redirect_uri);
    put("state", request.state);
    if let Some(pkce) = pkce {
        put("code_challenge", &pkce.challenge());
        put("code_challenge_method", "S256");
    }
    if !client.scopes.is_empty() {
        put(&client.scope_parameter, &client.scopes.join(&client.scope_separator));
    }
    if client.monday.is_some() {
        put("force_install_if_needed", "true");
        if let Some(slug) = request.subdomain.filter(|slug| is_slug(slug)) {
            put("subdomain", slug);
        }
    }
    for (name, value) in &client.authorize_parameters {
        put(name, value);
    }
    let mut url = endpoints.authorize.clone();
    for (name, value) in endpoints.authorize.query_pairs() {
        put(&name, &value);
    }
    url.set_query(None);
    url.set_fragment(None);
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

/// A label of a host name, as accounts have them.
fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::oauth::fakes;
    use crate::oauth::monday;
    use crate::oauth::provider::{Endpoints, MondayGeneration};

    async fn asked(provider: &Provider) -> (Begun, Vec<(String, String)>) {
        let request = Request { redirect_uri: "https://gw.example/cb?x=1&y", state: "s+t/a=", subdomain: Some("acme") };
        let begun = begin(&fakes::discovery(), provider, request).await.unwrap();
        let url = Url::parse(&begun.url).unwrap();
        (begun, url.query_pairs().into_owned().collect())
    }

    fn once(parameters: &[(String, String)]) -> HashMap<&str, &str> {
        let map: HashMap<_, _> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(map.len(), parameters.len(), "a parameter stands twice: {parameters:?}");
        map
    }

    #[test]
    fn a_challenge_is_that_of_the_rfc_and_a_verifier_is_new_each_time() {
        // RFC 7636, appendix B
        let pkce = Pkce::kept("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let (one, other) = (Pkce::new().unwrap(), Pkce::new().unwrap());
        assert_ne!(one.verifier(), other.verifier());
        assert_eq!(one.verifier().len(), 43);
        assert!(one.verifier().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        assert_eq!(format!("{one:?}"), "Pkce(..)");
    }

    #[tokio::test]
    async fn every_parameter_stands_once_and_the_protocols_cannot_be_overruled() {
        let mut provider = fakes::provider("https://id.example/authorize?tenant=a&state=fixed&prompt=none");
        let client = fakes::client(&mut provider);
        client.scopes = vec!["a".to_owned(), "b:c".to_owned()];
        client.scope_separator = ",".to_owned();
        client.scope_parameter = "user_scope".to_owned();
        client.authorize_parameters =
            [("prompt", "consent"), ("state", "other"), ("response_type", "token"), ("code_challenge_method", "plain")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        let (begun, found) = asked(&provider).await;
        let found = once(&found);
        assert_eq!(found["response_type"], "code");
        assert_eq!(found["state"], "s+t/a=");
        assert_eq!(found["redirect_uri"], "https://gw.example/cb?x=1&y");
        assert_eq!(found["code_challenge_method"], "S256");
        assert_eq!(found["code_challenge"], Pkce::kept(begun.verifier.unwrap()).challenge());
        assert_eq!(found["user_scope"], "a,b:c");
        assert_eq!(found["prompt"], "consent");
        assert_eq!(found["tenant"], "a");
        assert!(!found.contains_key("scope") && !found.contains_key("subdomain"));
    }

    #[tokio::test]
    async fn a_provider_without_pkce_is_sent_no_challenge() {
        let mut provider = fakes::provider("https://id.example/authorize");
        fakes::client(&mut provider).pkce = false;
        let (begun, found) = asked(&provider).await;
        assert_eq!(begun.verifier, None);
        assert!(!once(&found).contains_key("code_challenge"));
    }

    #[tokio::test]
    async fn monday_is_told_the_account_and_always_asked_for_me() {
        for generation in [MondayGeneration::V21, MondayGeneration::Legacy] {
            let provider = monday::provider(fakes::monday_app("https://auth.monday.com", generation));
            let (_, found) = asked(&provider).await;
            let found = once(&found);
            assert_eq!(found["subdomain"], "acme");
            assert_eq!(found["force_install_if_needed"], "true");
            assert_eq!(found["scope"], "boards:read me:read");
            assert_eq!(found.contains_key("code_challenge"), generation == MondayGeneration::V21);
            let Endpoints::Fixed { authorize, .. } = &provider.client().unwrap().endpoints else { panic!() };
            assert_eq!(authorize.as_str(), "https://auth.monday.com/oauth2/authorize");
        }
    }

    #[test]
    fn a_subdomain_is_one_label() {
        assert!(is_slug("acme-2") && !is_slug("") && !is_slug("a.b") && !is_slug("a/b") && !is_slug("a@b"));
    }
}
