//! The built-in provider: monday itself, as one app uses it. Both generations of its OAuth; monday's pages "OAuth and permissions".

use std::time::Duration;

use http::HeaderName;
use url::Url;

use crate::config::resolve::providers::MONDAY;
use crate::oauth::provider::{
    Client, ClientAuthentication, Connect, ConnectBy, Endpoints, MondayGeneration, Per, Provider, RequestFormat,
};
use crate::secret::Secret;

/// From the first consent on: six months.
const LIFETIME: Duration = Duration::from_secs(180 * 86_400);
const KEEPALIVE: Duration = Duration::from_secs(30 * 86_400);

/// What an app says of its monday provider.
#[derive(Debug)]
pub(crate) struct Registered {
    /// `client_id`.
    pub(crate) id: String,
    /// `client_secret`, newest first.
    pub(crate) secrets: Vec<Secret>,
    /// `oauth`.
    pub(crate) generation: MondayGeneration,
    /// `scopes` with `me:read`.
    pub(crate) scopes: Vec<String>,
}

/// monday, for one app. `None` if the URL cannot have paths below, which no https URL is.
pub(crate) fn monday_provider(auth: &Url, app: Registered) -> Option<Provider> {
    let below = |path: &str| Url::parse(&format!("{}{path}", auth.as_str().trim_end_matches('/'))).ok();
    let (token, revoke) = match app.generation {
        MondayGeneration::V21 => (below("/oauth_ms/oauth/token")?, below("/oauth_ms/oauth/revoke")),
        MondayGeneration::Legacy => (below("/oauth2/token")?, None),
    };
    let is_new = app.generation == MondayGeneration::V21;
    let client = Client {
        endpoints: Endpoints::Fixed {
            authorize: below("/oauth2/authorize")?,
            token,
            refresh: None,
            revoke,
            issuer: None,
        },
        monday: Some(app.generation),
        id: app.id,
        secrets: app.secrets,
        scopes: app.scopes,
        scope_separator: " ".to_owned(),
        scope_parameter: "scope".to_owned(),
        authorize_parameters: vec![("force_install_if_needed".to_owned(), "true".to_owned())],
        token_parameters: Vec::new(),
        pkce: is_new,
        authentication: ClientAuthentication::Body,
        format: RequestFormat::Json,
        token_at: String::new(),
        kept: Vec::new(),
        after: None,
        keepalive: KEEPALIVE,
        absolute_lifetime: is_new.then_some(LIFETIME),
    };
    Some(Provider {
        name: MONDAY.to_owned(),
        display: "monday.com".to_owned(),
        connect: Connect::Oauth(Box::new(client)),
        per: Per::User,
        connect_by: ConnectBy::Admin,
        header: HeaderName::from_static("x-monday-access-token"),
        values: Vec::new(),
        callback: None,
    })
}
