//! A service that a user connects: its endpoints, its quirks, and what its grants become for a backend. Made by the configuration
//! (of a preset, an issuer or endpoints), used by the flow, by refreshes and by the headers of requests.

use std::time::Duration;

use http::HeaderName;
use url::Url;

use crate::secret::Secret;

/// One provider, as one app uses it.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// The table's name; "monday" for the built-in one.
    pub(crate) name: String,
    /// What people call it: "GitHub".
    pub(crate) display: String,
    /// How a user connects.
    pub(crate) connect: Connect,
    /// Whose a grant is.
    pub(crate) per: Per,
    /// Who may make or remove a grant that is the account's.
    pub(crate) connect_by: ConnectBy,
    /// The field that carries the access token (or the first field of an API key): `X-<Provider>-Access-Token`.
    pub(crate) header: HeaderName,
    /// What else of a grant a backend is told: the value's name in the grant, and the field that carries it.
    pub(crate) values: Vec<(String, HeaderName)>,
    /// The path of its callback, if it is not `<authorization path>/callback/<name>`.
    pub(crate) callback: Option<String>,
}

/// How a user connects.
#[derive(Clone, Debug)]
pub(crate) enum Connect {
    /// Authorization code flow.
    Oauth(Box<Client>),
    /// A form for keys that the user has from the service.
    ApiKey(Box<KeyForm>),
}

/// The gateway as a client of an authorization server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Where.
    pub(crate) endpoints: Endpoints,
    /// Which generation of monday's OAuth this is; none for every other provider.
    pub(crate) monday: Option<MondayGeneration>,
    /// As registered there.
    pub(crate) id: String,
    /// Newest first; empty for a public client.
    pub(crate) secrets: Vec<Secret>,
    /// What is asked for.
    pub(crate) scopes: Vec<String>,
    /// Between two scopes.
    pub(crate) scope_separator: String,
    /// Name of the parameter with the scopes: `scope`, or Slack's `user_scope`.
    pub(crate) scope_parameter: String,
    /// More parameters of the authorization request.
    pub(crate) authorize_parameters: Vec<(String, String)>,
    /// More parameters of every token request.
    pub(crate) token_parameters: Vec<(String, String)>,
    /// RFC 7636; off only where a provider refuses it.
    pub(crate) pkce: bool,
    /// How the client shows who it is at the token endpoint.
    pub(crate) authentication: ClientAuthentication,
    /// How a token request is written.
    pub(crate) format: RequestFormat,
    /// JSON pointer (RFC 6901) of the object with the token in an answer: "" for the answer itself, `/authed_user` for Slack's.
    pub(crate) token_at: String,
    /// Values beside the token that are kept: name, JSON pointer from the answer's root.
    pub(crate) kept: Vec<(String, String)>,
    /// After a code exchange, this is asked with the new token, and its answer kept as values: Atlassian's cloud id.
    pub(crate) after: Option<AfterExchange>,
    /// An idle chain of refresh tokens is used once in this time, so that it does not lapse.
    pub(crate) keepalive: Duration,
    /// From the first consent to the end of a chain of refresh tokens, whatever is done; monday: six months.
    pub(crate) absolute_lifetime: Option<Duration>,
}

/// An idle chain of refresh tokens is used once in this time, unless the configuration says otherwise.
const KEEPALIVE: Duration = Duration::from_hours(30 * 24);

impl Client {
    /// As most services want it (RFC 6749, RFC 7636): what a preset or a file changes stands out. It has no id and no secret yet.
    pub(crate) fn plain(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            monday: None,
            id: String::new(),
            secrets: Vec::new(),
            scopes: Vec::new(),
            scope_separator: " ".to_owned(),
            scope_parameter: "scope".to_owned(),
            authorize_parameters: Vec::new(),
            token_parameters: Vec::new(),
            pkce: true,
            authentication: ClientAuthentication::Body,
            format: RequestFormat::Form,
            token_at: String::new(),
            kept: Vec::new(),
            after: None,
            keepalive: KEEPALIVE,
            absolute_lifetime: None,
        }
    }
}

/// Where an authorization server's endpoints are.
#[expect(clippy::large_enum_variant, reason = "as many as providers in the configuration")]
#[derive(Clone, Debug)]
pub(crate) enum Endpoints {
    /// By discovery (RFC 8414, OpenID Connect Discovery 1.0).
    Issuer(Url),
    /// As configured.
    Fixed {
        /// Authorization endpoint.
        authorize: Url,
        /// Token endpoint.
        token: Url,
        /// Another one for refreshes.
        refresh: Option<Url>,
        /// RFC 7009.
        revoke: Option<Url>,
        /// What `iss` of a callback must be, if it comes (RFC 9207).
        issuer: Option<String>,
    },
}

/// `apps.NAME.oauth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MondayGeneration {
    /// PKCE, rotating refresh tokens, access tokens of an hour whose own `exp` says so.
    V21,
    /// One opaque token, valid until uninstall.
    Legacy,
}

/// RFC 6749, section 2.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuthentication {
    /// `Authorization: Basic`.
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
}

/// How a token request's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestFormat {
    /// application/x-www-form-urlencoded.
    Form,
    /// JSON.
    Json,
}

/// A question asked once, right after a code exchange.
#[derive(Clone, Debug)]
pub(crate) struct AfterExchange {
    /// GET with the new token as Bearer.
    pub(crate) url: Url,
    /// Values that are kept: name, JSON pointer into the answer.
    pub(crate) kept: Vec<(String, String)>,
}

/// Whose a grant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// Each user connects.
    User,
    /// One person connects for the whole account.
    Account,
}

/// Who may connect for the whole account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectBy {
    /// Whom monday's `me` calls admin.
    Admin,
    /// Anyone but a guest.
    Member,
}

/// Keys that a user types in.
#[derive(Clone, Debug)]
pub(crate) struct KeyForm {
    /// In the form's order; the first is the one that `Provider::header` carries.
    pub(crate) fields: Vec<KeyField>,
    /// Where to find the keys, for the form.
    pub(crate) help_url: Option<Url>,
    /// Tries what was typed before it is kept.
    pub(crate) test: Option<KeyTest>,
}

/// One field of a key form.
#[derive(Clone, Debug)]
pub(crate) struct KeyField {
    /// Its name in the grant.
    pub(crate) name: String,
    /// Its label.
    pub(crate) label: String,
    /// Shown as typed, and not kept from logs of browsers: a host name, a user name.
    pub(crate) is_secret: bool,
}

/// A request that succeeds only with good keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyTest {
    /// `https://{subdomain}.example.com/me`: fields by name in braces.
    pub(crate) url: String,
    /// `Authorization = "Bearer {key}"`; names and templates.
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// A user name and a password for Basic, as templates.
    pub(crate) basic: Option<(String, String)>,
}

impl Provider {
    /// The field that carries one of its values: `X-<Provider>-<Name>`.
    pub(crate) fn value_header(provider: &str, name: &str) -> Option<HeaderName> {
        let text = format!("x-{provider}-{name}").to_ascii_lowercase().replace(['_', '.'], "-");
        HeaderName::from_bytes(text.as_bytes()).ok()
    }

    /// The OAuth client, if it is one.
    pub(crate) fn client(&self) -> Option<&Client> {
        match &self.connect {
            Connect::Oauth(client) => Some(client),
            Connect::ApiKey(_) => None,
        }
    }
}
