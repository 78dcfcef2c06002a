//! Services that the gateway knows: what gateway.toml would have to say of each of them. Each preset is a client without id, secrets and (mostly)
//! scopes; every key of the file overrides it, and scopes of the file are added to those without which there is no refresh token. What is here is what the service's documentation says, which is cited.

use url::Url;

use crate::oauth::provider::{AfterExchange, Client, ClientAuthentication, Endpoints, RequestFormat};

/// The presets' names in gateway.toml.
pub(crate) const NAMES: [&str; 7] = ["github", "google", "microsoft", "slack", "jira", "hubspot", "salesforce"];

/// What people call the service, and its client.
pub(crate) fn preset(name: &str) -> Option<(&'static str, Client)> {
    match name {
        "github" => Some(("GitHub", github()?)),
        "google" => Some(("Google", google()?)),
        "microsoft" => Some(("Microsoft", microsoft()?)),
        "slack" => Some(("Slack", slack()?)),
        "jira" => Some(("Jira", jira()?)),
        "hubspot" => Some(("HubSpot", hubspot()?)),
        "salesforce" => Some(("Salesforce", salesforce()?)),
        _ => None,
    }
}

/// Nothing unusual: what a preset changes stands out.
fn plain(authorize: &str, token: &str) -> Option<Client> {
    Some(Client::plain(Endpoints::Fixed {
        authorize: Url::parse(authorize).ok()?,
        token: Url::parse(token).ok()?,
        refresh: None,
        revoke: None,
        issuer: None,
    }))
}

/// With a revocation endpoint and an issuer for `iss`.
fn known(client: Client, revoke_url: Option<&str>, iss: Option<&str>) -> Option<Client> {
    let Endpoints::Fixed { authorize, token, refresh, .. } = client.endpoints else { return None };
    let revoke = match revoke_url {
        Some(text) => Some(Url::parse(text).ok()?),
        None => None,
    };
    let endpoints = Endpoints::Fixed { authorize, token, refresh, revoke, issuer: iss.map(str::to_owned) };
    Some(Client { endpoints, ..client })
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Errors have status 200. Its way to take a token back is DELETE with a body, which is not RFC 7009's, so there is none here.
/// docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
fn github() -> Option<Client> {
    plain("https://github.com/login/oauth/authorize", "https://github.com/login/oauth/access_token")
}

/// A refresh token is given only with `access_type=offline`, and again only with `prompt=consent`.
/// developers.google.com/identity/protocols/oauth2/web-server
fn google() -> Option<Client> {
    let client = Client {
        authorize_parameters: pairs(&[("access_type", "offline"), ("prompt", "consent")]),
        ..plain("https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token")?
    };
    known(client, Some("https://oauth2.googleapis.com/revoke"), Some("https://accounts.google.com"))
}

/// Any tenant, for one tenant override `authorize_url` and `token_url`. A refresh token is given only for `offline_access`. Its metadata names another issuer for `common`, so there is no discovery.
/// learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
fn microsoft() -> Option<Client> {
    Some(Client {
        scopes: vec!["offline_access".to_owned()],
        ..plain(
            "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
            "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        )?
    })
}

/// The token is the user's, below `authed_user`; its scopes are `user_scope`, with commas; errors are `ok: false` with status 200. PKCE would
/// make the app a public client for good, so it is off. docs.slack.dev/authentication/installing-with-oauth, /authentication/using-pkce
fn slack() -> Option<Client> {
    Some(Client {
        scope_parameter: "user_scope".to_owned(),
        scope_separator: ",".to_owned(),
        pkce: false,
        authentication: ClientAuthentication::Basic,
        token_at: "/authed_user".to_owned(),
        kept: pairs(&[("team_id", "/team/id"), ("user_id", "/authed_user/id")]),
        ..plain("https://slack.com/oauth/v2/authorize", "https://slack.com/api/oauth.v2.access")?
    })
}

/// Token requests are JSON. API requests need the cloud id of a site, which is asked for after the consent: the first one that the user has chosen.
/// Refresh tokens rotate and end after 90 days without use. developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps
fn jira() -> Option<Client> {
    Some(Client {
        scopes: vec!["offline_access".to_owned()],
        authorize_parameters: pairs(&[("audience", "api.atlassian.com"), ("prompt", "consent")]),
        format: RequestFormat::Json,
        after: Some(AfterExchange {
            url: Url::parse("https://api.atlassian.com/oauth/token/accessible-resources").ok()?,
            kept: pairs(&[("cloud_id", "/0/id"), ("site_url", "/0/url")]),
        }),
        ..plain("https://auth.atlassian.com/authorize", "https://auth.atlassian.com/oauth/token")?
    })
}

/// Tokens live 30 minutes. Errors are `status` and `message`. developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide
fn hubspot() -> Option<Client> {
    Some(Client {
        kept: pairs(&[("hub_id", "/hub_id")]),
        ..plain("https://app.hubspot.com/oauth/authorize", "https://api.hubapi.com/oauth/v3/token")?
    })
}

/// API requests go to `instance_url`. Its answers say no lifetime: the org's session settings do. A refresh token is given only for `refresh_token`.
/// For a sandbox or a domain of one's own override `authorize_url`, `token_url` and `revoke_url`.
/// help.salesforce.com, "OAuth 2.0 Web Server Flow for Web App Integration"
fn salesforce() -> Option<Client> {
    let client = Client {
        scopes: vec!["api".to_owned(), "refresh_token".to_owned()],
        kept: pairs(&[("instance_url", "/instance_url")]),
        ..plain(
            "https://login.salesforce.com/services/oauth2/authorize",
            "https://login.salesforce.com/services/oauth2/token",
        )?
    };
    known(client, Some("https://login.salesforce.com/services/oauth2/revoke"), None)
}

#[cfg(test)]
mod tests;
