//! An authorization server that does as it is told: consent pages that a person or a program can click, one-time codes, PKCE,
//! refresh tokens that rotate, and every way in which real ones differ from the RFCs. The fake monday and the fake providers are
//! made of it. Whatever it hands out contains "canary" or is remembered, so that a search can show where it went.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::html::escape;
use super::mint;
use super::site::{Asked, Said, Site};

/// Who is signed in in the browser.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: i64,
    pub(crate) account: i64,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) admin: bool,
    pub(crate) guest: bool,
}

impl Person {
    /// The one whom the tests' tokens name.
    pub(crate) fn usual() -> Self {
        Self {
            user: mint::USER,
            account: mint::ACCOUNT,
            slug: "myaccount".into(),
            name: "Dana".into(),
            admin: true,
            guest: false,
        }
    }
}

/// What a server wants of PKCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pkce {
    Required,
    /// An answer to a challenge that it does not know.
    Refused,
}

/// How it is, for its whole life.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a list of what providers do otherwise")]
pub(crate) struct Manner {
    pub(crate) name: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) authorize_path: String,
    pub(crate) token_path: String,
    pub(crate) refresh_path: String,
    pub(crate) revoke_path: String,
    pub(crate) pkce: Pkce,
    /// Only Basic (true), only in the body (false), or either.
    pub(crate) basic: Option<bool>,
    /// Only JSON (true), only a form (false), or either.
    pub(crate) json: Option<bool>,
    /// Seconds that an access token lives; none: for ever, and nothing is said of it.
    pub(crate) lifetime: Option<i64>,
    /// Says it in `expires_in`, or leaves it to the token's own `exp`.
    pub(crate) says_lifetime: bool,
    /// Access tokens are JWTs.
    pub(crate) jwt: bool,
    /// Gives refresh tokens.
    pub(crate) refreshes: bool,
    /// A refresh token can be used once, and within this time again.
    pub(crate) grace: Duration,
    /// The member of the answer with the tokens, if they are not at the top.
    pub(crate) token_in: Option<String>,
    /// Members beside the token.
    pub(crate) more: Value,
    /// Errors come with status 200.
    pub(crate) errors_with_200: bool,
    /// `iss` of its callbacks.
    pub(crate) iss: Option<String>,
    /// The parameter with the scopes.
    pub(crate) scope_parameter: String,
    /// Parameters without which an authorization request is refused.
    pub(crate) wants: Vec<(String, String)>,
}

impl Manner {
    /// As the RFCs have it.
    pub(crate) fn standard(name: &str) -> Self {
        Self {
            name: name.into(),
            client_id: format!("{name}-client"),
            client_secret: format!("canary-{name}-client-secret-0123456789abcdef"),
            redirect_uris: vec![format!("https://gw.test/planner/authorize/callback/{}", name.to_lowercase())],
            authorize_path: "/authorize".into(),
            token_path: "/token".into(),
            refresh_path: "/token".into(),
            revoke_path: "/revoke".into(),
            pkce: Pkce::Required,
            basic: None,
            json: None,
            lifetime: Some(3600),
            says_lifetime: true,
            jwt: false,
            refreshes: true,
            grace: Duration::ZERO,
            token_in: None,
            more: json!({}),
            errors_with_200: false,
            iss: None,
            scope_parameter: "scope".into(),
            wants: Vec::new(),
        }
    }
}

/// What it does wrong from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// 400 with this error.
    Error(&'static str),
    /// That status, and a page.
    Status(u16),
    /// 200, and no JSON.
    Garbage,
    /// 200, and these bytes as JSON.
    Body(&'static str),
    /// 307 to another host.
    Redirect(String),
    /// 200, and so many bytes.
    Huge(usize),
}

struct Code {
    person: Person,
    redirect_uri: String,
    challenge: Option<String>,
    scope: String,
}

#[derive(Clone)]
struct Chain {
    person: Person,
    scope: String,
    rotated: Option<Instant>,
}

/// What changes while a test runs.
pub(crate) struct State {
    /// Who is signed in.
    pub(crate) person: Person,
    /// The app is installed in the account.
    pub(crate) installed: bool,
    /// The token endpoint takes that long; a code or a token is redeemed before.
    pub(crate) delay: Duration,
    /// Seconds that access tokens live which are handed out from now on.
    pub(crate) life: Option<i64>,
    /// Token requests fail so.
    pub(crate) failure: Option<Failure>,
    /// Only of what was asked for is granted.
    pub(crate) grants_only: Option<String>,
    /// Everything that was handed out: codes, access tokens, refresh tokens.
    pub(crate) issued: Vec<String>,
    /// Access tokens that work, and whose they are.
    pub(crate) live: HashMap<String, Person>,
    /// Tokens that were taken back by a revocation request.
    pub(crate) revoked: Vec<String>,
    codes: HashMap<String, Code>,
    chains: HashMap<String, Chain>,
    serial: u64,
}

/// A running one.
pub(crate) struct OauthServer {
    pub(crate) site: Site,
    pub(crate) manner: Manner,
    state: Arc<Mutex<State>>,
}

type Further = dyn Fn(&Asked, &Arc<Mutex<State>>) -> Option<Said> + Send + Sync;

impl OauthServer {
    /// Starts it; `further` answers what is not OAuth.
    pub(crate) fn start(
        manner: Manner,
        further: impl Fn(&Asked, &Arc<Mutex<State>>) -> Option<Said> + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(Mutex::new(State {
            person: Person::usual(),
            installed: true,
            delay: Duration::ZERO,
            life: manner.lifetime,
            failure: None,
            grants_only: None,
            issued: Vec::new(),
            live: HashMap::new(),
            revoked: Vec::new(),
            codes: HashMap::new(),
            chains: HashMap::new(),
            serial: 0,
        }));
        let further: Arc<Further> = Arc::new(further);
        let (serving, mode) = (Arc::clone(&state), Arc::new(manner.clone()));
        let site = Site::start(move |asked| {
            let (state, manner, further) = (Arc::clone(&serving), Arc::clone(&mode), Arc::clone(&further));
            async move {
                if let Some(said) = further(&asked, &state) {
                    return said;
                }
                if [&manner.token_path, &manner.refresh_path].contains(&&asked.path) {
                    let said = token_request(&manner, &state, &asked);
                    let delay = state.lock().unwrap().delay;
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    return said;
                }
                if asked.path == "/__control" {
                    return control(&mut state.lock().unwrap(), &asked);
                }
                if asked.path == manner.authorize_path {
                    return consent_page(&manner, &state.lock().unwrap(), &asked);
                }
                if asked.path == format!("{}/decide", manner.authorize_path) {
                    return decide(&manner, &mut state.lock().unwrap(), &asked);
                }
                if asked.path == manner.revoke_path {
                    return revoke(&mut state.lock().unwrap(), &asked);
                }
                Said::json(404, &json!({ "error": "not_found" }))
            }
        });
        Self { site, manner, state }
    }

    /// What changes.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Requests to the token endpoint and, if it is another, the refresh endpoint.
    pub(crate) fn token_calls(&self) -> Vec<Asked> {
        let at = |path: &String| [&self.manner.token_path, &self.manner.refresh_path].contains(&path);
        self.site.asked().into_iter().filter(|asked| at(&asked.path)).collect()
    }

    /// Those of them that redeem a refresh token.
    pub(crate) fn refreshes(&self) -> Vec<Asked> {
        let calls = self.token_calls().into_iter();
        calls.filter(|asked| asked.member("grant_type").as_deref() == Some("refresh_token")).collect()
    }

    /// The access token that was handed out last.
    pub(crate) fn last_access(&self) -> String {
        let state = self.state();
        state.issued.iter().rev().find(|token| state.live.contains_key(*token)).cloned().expect("an access token")
    }

    /// The access token of that user, who has one.
    pub(crate) fn access_of(&self, user: i64) -> Option<String> {
        let state = self.state();
        state.live.iter().find(|(_, person)| person.user == user).map(|(token, _)| token.clone())
    }

    /// Everything that was handed out.
    pub(crate) fn issued(&self) -> Vec<String> {
        self.state().issued.clone()
    }

    /// No refresh token works any more.
    pub(crate) fn forget_chains(&self) {
        self.state().chains.clear();
    }
}

impl State {
    fn secret(&mut self, what: &str) -> String {
        self.serial += 1;
        let mut random = [0; 18];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let secret = format!("canary-{what}-{}-{}", self.serial, mint::encode(&random));
        self.issued.push(secret.clone());
        secret
    }

    /// A pair of tokens, as members of an answer.
    fn tokens(&mut self, manner: &Manner, chain: Chain) -> Value {
        let access = if manner.jwt {
            let serial = self.secret("jti");
            let exp = mint::now() + self.life.unwrap_or(3600);
            let claims = json!({ "uid": chain.person.user, "actid": chain.person.account, "iat": mint::now(), "exp": exp, "jti": serial });
            let token = mint::sign(&claims, mint::STRANGER);
            self.issued.push(token.clone());
            token
        } else {
            self.secret("access")
        };
        self.live.insert(access.clone(), chain.person.clone());
        let mut answer = json!({ "access_token": access, "token_type": "Bearer", "scope": chain.scope });
        if manner.says_lifetime
            && let Some(lifetime) = self.life
        {
            answer["expires_in"] = json!(lifetime);
        }
        if manner.refreshes {
            let refresh = self.secret("refresh");
            answer["refresh_token"] = json!(refresh);
            self.chains.insert(refresh, Chain { rotated: None, ..chain });
        }
        answer
    }
}

fn refused(manner: &Manner, error: &str, description: &str) -> Said {
    let status = if manner.errors_with_200 { 200 } else { 400 };
    Said::json(status, &json!({ "error": error, "error_description": description }))
}

/// What a test of another language changes: who is signed in, whether the app is installed, how token requests fail.
fn control(state: &mut State, asked: &Asked) -> Said {
    let wanted: Value = serde_json::from_slice(&asked.body).unwrap();
    let mut person = Person::usual();
    person.user = wanted["user"].as_i64().unwrap_or(person.user);
    person.account = wanted["account"].as_i64().unwrap_or(person.account);
    person.admin = wanted["admin"].as_bool().unwrap_or(person.admin);
    if let Some(slug) = wanted["slug"].as_str() {
        person.slug = slug.to_owned();
    }
    state.person = person;
    state.installed = wanted["installed"].as_bool().unwrap_or(true);
    state.failure = wanted["failure"].as_u64().and_then(|status| u16::try_from(status).ok()).map(Failure::Status);
    Said::json(200, &json!({}))
}

/// What is wrong with an authorization request, if it must not be sent back.
fn fault_of(manner: &Manner, asked: &Asked) -> Option<String> {
    let is = |name: &str| asked.parameter(name).unwrap_or_default();
    let twice = |name: &str| asked.query.iter().filter(|(n, _)| n == name).count() > 1;
    if let Some((name, _)) = asked.query.iter().find(|(name, _)| twice(name)) {
        return Some(format!("{name} comes twice"));
    }
    if is("client_id") != manner.client_id {
        return Some("client_id is unknown".into());
    }
    if !manner.redirect_uris.iter().any(|uri| uri == is("redirect_uri")) {
        return Some(format!("redirect_uri is not registered: {}", is("redirect_uri")));
    }
    if is("state").len() < 22 {
        return Some("state is missing or short".into());
    }
    if is("response_type") != "code" {
        return Some("response_type is not code".into());
    }
    let challenged = is("code_challenge_method") == "S256" && is("code_challenge").len() == 43;
    match manner.pkce {
        Pkce::Required if !challenged => return Some("code_challenge is required".into()),
        Pkce::Refused if asked.parameter("code_challenge").is_some() => {
            return Some("code_challenge is unknown".into());
        }
        Pkce::Required | Pkce::Refused => (),
    }
    manner.wants.iter().find(|(name, value)| is(name) != value).map(|(name, _)| format!("{name} is missing or wrong"))
}

fn page(manner: &Manner, title: &str, body: &str) -> String {
    let name = escape(&manner.name);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title} - {name}</title><main><h1>{title}</h1>{body}</main></html>"
    )
}

fn consent_page(manner: &Manner, state: &State, asked: &Asked) -> Said {
    if let Some(fault) = fault_of(manner, asked) {
        return Said::html(400, &page(manner, "This request is refused", &format!("<p>{}</p>", escape(&fault))));
    }
    let action = format!("{}/decide?{}", manner.authorize_path, asked.raw_query);
    let form = |buttons: &str| format!("<form method=\"post\" action=\"{}\">{buttons}</form>", escape(&action));
    if !state.installed {
        if asked.parameter("force_install_if_needed") != Some("true") {
            return Said::html(403, &page(manner, "App is not installed", "<p>Ask an admin.</p>"));
        }
        let buttons = form("<button name=\"decision\" value=\"install\">Install</button>");
        return Said::html(200, &page(manner, "Install the app", &buttons));
    }
    let who = format!(
        "{} (user {}) of {} (account {})",
        state.person.name, state.person.user, state.person.slug, state.person.account
    );
    let wanted = escape(asked.parameter(&manner.scope_parameter).unwrap_or("everything"));
    let buttons = form(
        "<input type=\"hidden\" name=\"as\" value=\"\"><button name=\"decision\" value=\"allow\">Allow</button> <button name=\"decision\" value=\"deny\">Deny</button>",
    );
    let body = format!("<p>Signed in as {}.</p><p>Wanted: {wanted}</p>{buttons}", escape(&who));
    Said::html(200, &page(manner, "Allow access?", &body))
}

fn decide(manner: &Manner, state: &mut State, asked: &Asked) -> Said {
    if let Some(fault) = fault_of(manner, asked) {
        return Said::html(400, &page(manner, "This request is refused", &escape(&fault)));
    }
    let decision = asked.member("decision").unwrap_or_default();
    if decision == "install" {
        state.installed = true;
        return Said::redirect(&format!("{}?{}", manner.authorize_path, asked.raw_query));
    }
    let is = |name: &str| asked.parameter(name).unwrap_or_default().to_owned();
    let mut back = form_urlencoded::Serializer::new(String::new());
    match decision.as_str() {
        "allow" => {
            let code = state.secret("code");
            let asked_for = is(&manner.scope_parameter);
            let scope = state.grants_only.clone().unwrap_or(asked_for);
            back.append_pair("code", &code).append_pair("scope", &scope).append_pair("status", "success");
            let challenge = asked.parameter("code_challenge").map(str::to_owned);
            let mut person = state.person.clone();
            if let Some((account, user)) = asked.member("as").unwrap_or_default().split_once(':') {
                (person.account, person.user) = (account.parse().unwrap(), user.parse().unwrap());
            }
            state.codes.insert(code, Code { person, redirect_uri: is("redirect_uri"), challenge, scope });
        }
        "deny" => {
            back.append_pair("error", "access_denied").append_pair("error_description", "<b>The user said no</b>");
        }
        other => {
            back.append_pair("error", other).append_pair("error_description", "as the test wants it");
        }
    }
    back.append_pair("state", &is("state"));
    if let Some(iss) = &manner.iss {
        back.append_pair("iss", iss);
    }
    Said::redirect(&format!("{}?{}", is("redirect_uri"), back.finish()))
}

/// Whether the client showed who it is, in the way that this server wants.
fn is_client(manner: &Manner, asked: &Asked) -> bool {
    let basic = asked.field("authorization").and_then(|value| value.strip_prefix("Basic ")).is_some_and(|value| {
        let text = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        text == format!("{}:{}", manner.client_id, manner.client_secret)
    });
    let body = asked.member("client_id").as_ref() == Some(&manner.client_id)
        && asked.member("client_secret").as_ref() == Some(&manner.client_secret);
    match manner.basic {
        Some(true) => basic && asked.member("client_secret").is_none(),
        Some(false) => body && asked.field("authorization").is_none(),
        None => basic || body,
    }
}

fn token_request(manner: &Manner, state: &Mutex<State>, asked: &Asked) -> Said {
    let mut state = state.lock().unwrap();
    if let Some(failure) = &state.failure {
        return match failure {
            Failure::Error(error) => refused(manner, error, "as the test wants it"),
            Failure::Status(status) => Said::html(*status, "<h1>Sorry</h1>"),
            Failure::Garbage => Said::html(200, "<h1>Welcome</h1>"),
            Failure::Body(body) => Said::text(200, "application/json", body),
            Failure::Redirect(to) => Said { status: 307, ..Said::redirect(to) },
            Failure::Huge(size) => Said::text(200, "application/json", &format!("{{\"x\":\"{}\"}}", "x".repeat(*size))),
        };
    }
    let is_json = asked.field("content-type").is_some_and(|kind| kind.contains("json"));
    if asked.method != "POST" || manner.json.is_some_and(|wanted| wanted != is_json) {
        return refused(manner, "invalid_request", "not so");
    }
    if !is_client(manner, asked) {
        return Said::json(if manner.errors_with_200 { 200 } else { 401 }, &json!({ "error": "invalid_client" }));
    }
    let is = |name: &str| asked.member(name).unwrap_or_default();
    let tokens = match is("grant_type").as_str() {
        "authorization_code" | "" if asked.path == manner.token_path => {
            let Some(code) = state.codes.remove(&is("code")) else {
                return refused(manner, "invalid_grant", "no such code");
            };
            if code.redirect_uri != is("redirect_uri") {
                return refused(manner, "invalid_grant", "another redirect_uri");
            }
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, is("code_verifier").as_bytes());
            if code.challenge.is_some_and(|challenge| challenge != mint::encode(digest.as_ref())) {
                return refused(manner, "invalid_grant", "another verifier");
            }
            state.tokens(manner, Chain { person: code.person, scope: code.scope, rotated: None })
        }
        "refresh_token" if asked.path == manner.refresh_path && manner.refreshes => {
            let token = is("refresh_token");
            let Some(chain) = state.chains.get_mut(&token) else {
                return refused(manner, "invalid_grant", "no such refresh token");
            };
            let used = *chain.rotated.get_or_insert_with(Instant::now);
            if used < asked.begun && used.elapsed() > manner.grace {
                return refused(manner, "invalid_grant", "the refresh token was used before");
            }
            let chain = chain.clone();
            state.tokens(manner, chain)
        }
        _ => return refused(manner, "unsupported_grant_type", "not here"),
    };
    Said::json(200, &shaped(manner, tokens))
}

/// The answer as this server writes it.
fn shaped(manner: &Manner, tokens: Value) -> Value {
    let mut answer = match &manner.token_in {
        Some(member) => json!({ "ok": true, (member.as_str()): tokens }),
        None => tokens,
    };
    if let (Some(answer), Some(more)) = (answer.as_object_mut(), manner.more.as_object()) {
        answer.extend(more.clone());
    }
    answer
}

fn revoke(state: &mut State, asked: &Asked) -> Said {
    let token = asked.member("token").unwrap_or_default();
    state.live.remove(&token);
    state.chains.remove(&token);
    state.revoked.push(token);
    Said::json(200, &json!({ "success": true }))
}
