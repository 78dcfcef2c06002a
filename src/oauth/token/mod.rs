//! Asks a provider's token endpoint: a code for tokens, a refresh token for new ones, or to take a token back (RFC 6749, sections 4.1.3, 6, 2.3.1;
//! RFC 7636; RFC 7009). Returns tokens or a fault that says what to mend. Stores nothing, and asks each time exactly once, except with an
//! older client secret after the provider has refused the newer one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::oauth::answer::{self, Asked};
use crate::oauth::discovery::Discovery;
use crate::oauth::fault::TokenFlaw;
use crate::oauth::provider::{AfterExchange, Client, ClientAuthentication, Provider, RequestFormat};
use crate::oauth::web::{Answer, Question, Reach};
use crate::secret::Secret;

pub(crate) use crate::oauth::answer::Tokens;
pub(crate) use crate::oauth::fault::TokenFault;

/// Parameters of a request.
type Parameters<'a> = Vec<(&'a str, &'a str)>;

/// What a callback brought, and what its state remembered.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// The code.
    pub(crate) code: &'a str,
    /// The redirect URI that was in the authorization request.
    pub(crate) redirect_uri: &'a str,
    /// PKCE's verifier, if the request had a challenge.
    pub(crate) verifier: Option<&'a str>,
}

impl std::fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("redirect_uri", &self.redirect_uri).finish_non_exhaustive()
    }
}

/// What is taken back.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    /// A refresh token, and with it its access tokens.
    Refresh(&'a str),
    /// An access token.
    Access(&'a str),
}

/// Exchanges a code. Afterwards asks what the provider has configured to be asked with the new token.
pub(crate) async fn exchange(
    discovery: &Discovery,
    provider: &Provider,
    code: Exchange<'_>,
) -> Result<Tokens, TokenFault> {
    let fault = |flaw| TokenFault::new(provider, flaw);
    let client = provider.client().ok_or_else(|| fault(TokenFlaw::NoOauth))?;
    let endpoints = discovery.locate(provider).await?;
    let mut parameters =
        vec![("grant_type", "authorization_code"), ("code", code.code), ("redirect_uri", code.redirect_uri)];
    parameters.extend(code.verifier.map(|verifier| ("code_verifier", verifier)));
    let sent: Vec<&str> = [code.code].into_iter().chain(code.verifier).collect();
    let asked = Asked { at: discovery.now(), refresh: None, sent: &sent };
    let request = Request { client, endpoint: &endpoints.token, parameters };
    let mut tokens = request.tokens(discovery, asked).await.map_err(fault)?;
    if let Some(after) = &client.after {
        let more = ask_after(discovery, after, &tokens.access).await.map_err(fault)?;
        tokens.values.extend(more);
    }
    Ok(tokens)
}

/// Redeems a refresh token. Without a new one in the answer, the old one is still good. `values` has only what this answer says again.
pub(crate) async fn refresh(
    discovery: &Discovery,
    provider: &Provider,
    refresh_token: &str,
) -> Result<Tokens, TokenFault> {
    let fault = |flaw| TokenFault::new(provider, flaw);
    let client = provider.client().ok_or_else(|| fault(TokenFlaw::NoOauth))?;
    let endpoints = discovery.locate(provider).await?;
    let parameters = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    let asked = Asked { at: discovery.now(), refresh: Some(refresh_token), sent: &[refresh_token] };
    let request = Request { client, endpoint: &endpoints.refresh, parameters };
    request.tokens(discovery, asked).await.map_err(fault)
}

/// Takes a token back. A provider without such an endpoint is a fault of its own: nothing was asked. A token that the provider does not know any
/// more is taken back already.
pub(crate) async fn revoke(discovery: &Discovery, provider: &Provider, given: Given<'_>) -> Result<(), TokenFault> {
    let fault = |flaw| TokenFault::new(provider, flaw);
    let client = provider.client().ok_or_else(|| fault(TokenFlaw::NoOauth))?;
    let endpoint =
        discovery.locate(provider).await?.revoke.ok_or_else(|| fault(TokenFlaw::NoEndpoint("revoke_url")))?;
    let (token, hint) = match given {
        Given::Refresh(token) => (token, "refresh_token"),
        Given::Access(token) => (token, "access_token"),
    };
    let parameters = vec![("token", token), ("token_type_hint", hint)];
    let revoked = Request { client, endpoint: &endpoint, parameters }.revoked(discovery, token).await;
    match revoked.map_err(fault) {
        Err(fault) if fault.is_final() => Ok(()),
        revoked => revoked,
    }
}

/// A request to a token or revocation endpoint, without the client's proof of who it is.
struct Request<'a> {
    client: &'a Client,
    endpoint: &'a Url,
    parameters: Parameters<'a>,
}

impl Request<'_> {
    async fn tokens(&self, discovery: &Discovery, asked: Asked<'_>) -> Result<Tokens, TokenFlaw> {
        self.with_each_secret(discovery, |answer| answer::tokens(answer, self.client, asked)).await
    }

    async fn revoked(&self, discovery: &Discovery, token: &str) -> Result<(), TokenFlaw> {
        self.with_each_secret(discovery, |answer| answer::revoked(answer, self.client, &[token])).await
    }

    /// The newest secret first, and an older one only where the provider refuses the client: while a secret is rotated.
    async fn with_each_secret<T>(
        &self,
        discovery: &Discovery,
        judge: impl Fn(&Answer) -> Result<T, TokenFlaw>,
    ) -> Result<T, TokenFlaw> {
        let mut first = None;
        for secret in self.secrets() {
            let question = self.question(secret)?;
            let asked = discovery.web().ask(question, Reach::Configured).await;
            let judged = judge(&asked.map_err(TokenFlaw::Web)?);
            match judged {
                Err(flaw) if flaw.is_about_the_client() => _ = first.get_or_insert(flaw),
                judged => return judged,
            }
        }
        // A client has at least one turn, with or without a secret.
        Err(first.unwrap_or(TokenFlaw::NoOauth))
    }

    fn secrets(&self) -> Vec<Option<&Secret>> {
        let secrets: Vec<_> = self.client.secrets.iter().map(Some).collect();
        if secrets.is_empty() { vec![None] } else { secrets }
    }

    fn question(&self, secret: Option<&Secret>) -> Result<Question, TokenFlaw> {
        let secret = secret.map(|secret| String::from_utf8_lossy(secret.expose()));
        let is_basic = self.client.authentication == ClientAuthentication::Basic;
        let mut parameters = self.parameters.clone();
        match secret.as_deref() {
            Some(_) if is_basic => {}
            Some(secret) => parameters.extend([("client_id", self.client.id.as_str()), ("client_secret", secret)]),
            None => parameters.push(("client_id", &self.client.id)),
        }
        for (name, value) in &self.client.token_parameters {
            if !parameters.iter().any(|(known, _)| known == name) {
                parameters.push((name, value));
            }
        }
        let question = match self.client.format {
            RequestFormat::Form => {
                Question::post(self.endpoint.clone(), "application/x-www-form-urlencoded", form(&parameters))
            }
            RequestFormat::Json => Question::post(self.endpoint.clone(), "application/json", json(&parameters)),
        };
        match secret.as_deref().filter(|_| is_basic) {
            Some(secret) => Ok(question.with(AUTHORIZATION, basic(&self.client.id, secret)?)),
            None => Ok(question),
        }
    }
}

fn form(parameters: &Parameters<'_>) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish().into()
}

fn json(parameters: &Parameters<'_>) -> Bytes {
    let object: serde_json::Map<String, Value> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    Value::Object(object).to_string().into()
}

/// RFC 6749, section 2.3.1: id and secret are form-encoded before they become user name and password.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, TokenFlaw> {
    let encoded = |text: &str| Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *encoded(id), *encoded(secret)));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).map_err(|_never| TokenFlaw::NoOauth)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is asked once with a new token. Without an answer the grant would lack what its backend needs, so it is a fault.
async fn ask_after(
    discovery: &Discovery,
    after: &AfterExchange,
    access: &str,
) -> Result<Vec<(String, String)>, TokenFlaw> {
    let field = |problem| TokenFlaw::Field {
        field: after.url.path().to_owned(),
        problem,
        fix: "what is asked after the exchange must answer with what is kept of it",
    };
    let mut bearer = HeaderValue::from_str(&format!("Bearer {access}")).map_err(|_unfit| field("cannot be asked"))?;
    bearer.set_sensitive(true);
    let question = Question::get(after.url.clone()).with(AUTHORIZATION, bearer);
    let answer = discovery.web().ask(question, Reach::Configured).await.map_err(TokenFlaw::Web)?;
    if !answer.status.is_success() {
        return Err(field("was not answered with a success"));
    }
    let root: Value = serde_json::from_slice(&answer.body).map_err(|_detail| field("was not answered with JSON"))?;
    let kept = after.kept.iter().map(|(name, pointer)| Some((name.clone(), answer::kept(&root, pointer)?)));
    kept.collect::<Option<_>>().ok_or_else(|| field("was answered without a value that is kept"))
}

#[cfg(test)]
mod tests;
