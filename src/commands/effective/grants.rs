//! The tables of grants in the effective configuration: as the file would write them, a preset spelt out, secrets only counted.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use url::Url;

use crate::commands::effective::{MASK, masked, some_list};
use crate::config::mask::has_opaque_word;
use crate::config::resolved::Config;
use crate::config::resolved::grants::{
    Ability, AppAuthorization, BackTo, Branding, Identity, Internal, InternalListen, Issuer, Mode, OnUninstall,
    VaultSettings,
};
use crate::config::store;
use crate::config::units::duration_text;
use crate::oauth::provider::{
    Client, ClientAuthentication, Connect, ConnectBy, Endpoints, KeyForm, KeyTest, Per, Provider, RequestFormat,
};

/// Providers by name.
pub(crate) fn names(providers: &[Arc<Provider>]) -> Value {
    json!(providers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>())
}

/// `[apps.NAME.authorization]`.
pub(crate) fn authorization(config: &Config, one: &AppAuthorization) -> Value {
    let back_to: Vec<String> = one
        .back_to
        .iter()
        .map(|host| match host {
            BackTo::Host(host) | BackTo::Port(host) => host.clone(),
            BackTo::Below(suffix) => format!("*{suffix}"),
        })
        .collect();
    let grants = match &one.mode {
        Mode::Grants(grants) => names(grants),
        Mode::Status { url, upstream } => {
            let upstream = config.upstreams.get(*upstream).map(|upstream| &upstream.name);
            return json!({ "path": one.path, "status_url": url.as_str(), "upstream": upstream, "back_to": back_to });
        }
    };
    json!({
        "path": one.path,
        "grants": grants,
        "back_to": back_to,
        "identity": match one.identity { Identity::Monday => "monday", Identity::Confirm => "confirm" },
        "on_uninstall": match one.on_uninstall {
            OnUninstall::Revoke => "revoke",
            OnUninstall::Purge => "purge",
            OnUninstall::Keep => "keep",
        },
        "events": one.events.as_ref().map(|events| json!({ "url": events.url.as_str(), "key": masked(events.keys.len()) })),
    })
}

/// `[providers.NAME]`.
pub(crate) fn provider(one: &Provider) -> Value {
    let mut shown = match &one.connect {
        Connect::Oauth(client) => oauth(client),
        Connect::ApiKey(form) => key_form(form),
    };
    let connect_by = match (one.per, one.connect_by) {
        (Per::User, _) => None,
        (Per::Account, ConnectBy::Admin) => Some("admin"),
        (Per::Account, ConnectBy::Member) => Some("member"),
    };
    if let Some(shown) = shown.as_object_mut() {
        let per = match one.per {
            Per::User => "user",
            Per::Account => "account",
        };
        for (key, value) in [
            ("name", json!(one.display)),
            ("per", json!(per)),
            ("connect_by", json!(connect_by)),
            ("header", json!(one.header.as_str())),
            ("callback", json!(one.callback)),
        ] {
            shown.insert(key.to_owned(), value);
        }
    }
    shown
}

fn oauth(client: &Client) -> Value {
    let mut shown = json!({
        "type": "oauth",
        "client_id": client.id,
        "client_secret": masked(client.secrets.len()),
        "scopes": client.scopes,
        "scope_separator": client.scope_separator,
        "scope_parameter": client.scope_parameter,
        "authorize_params": map(&client.authorize_parameters),
        "token_params": map(&client.token_parameters),
        "pkce": client.pkce,
        "authentication": match client.authentication {
            ClientAuthentication::Basic => "basic",
            ClientAuthentication::Body => "body",
        },
        "format": match client.format { RequestFormat::Form => "form", RequestFormat::Json => "json" },
        "token_at": client.token_at,
        "keep": map(&client.kept),
        "after": client.after.as_ref().map(|after| json!({ "url": after.url.as_str(), "keep": map(&after.kept) })),
        "keepalive": duration_text(client.keepalive),
        "lifetime": client.absolute_lifetime.map(duration_text),
    });
    let endpoints = match &client.endpoints {
        Endpoints::Issuer(issuer) => vec![("issuer", json!(issuer.as_str()))],
        Endpoints::Fixed { authorize, token, refresh, revoke, issuer } => vec![
            ("authorize_url", json!(authorize.as_str())),
            ("token_url", json!(token.as_str())),
            ("refresh_url", json!(refresh.as_ref().map(Url::as_str))),
            ("revoke_url", json!(revoke.as_ref().map(Url::as_str))),
            ("iss", json!(issuer)),
        ],
    };
    if let Some(shown) = shown.as_object_mut() {
        shown.extend(endpoints.into_iter().map(|(key, value)| (key.to_owned(), value)));
    }
    shown
}

/// A parameter that looks like a key is not shown.
fn map(pairs: &[(String, String)]) -> Value {
    let entries = pairs.iter().map(|(name, value)| (name.clone(), json!(plain(value))));
    if pairs.is_empty() { Value::Null } else { Value::Object(entries.collect::<Map<_, _>>()) }
}

fn plain(value: &str) -> &str {
    if has_opaque_word(value) { MASK } else { value }
}

fn key_form(form: &KeyForm) -> Value {
    let fields: Vec<Value> = form
        .fields
        .iter()
        .map(|field| json!({ "name": field.name, "label": field.label, "secret": field.is_secret }))
        .collect();
    json!({ "type": "api_key", "fields": fields, "help_url": form.help_url.as_ref().map(Url::as_str), "test": form.test.as_ref().map(key_test) })
}

fn key_test(test: &KeyTest) -> Value {
    let headers: Vec<(String, String)> =
        test.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
    let basic = test.basic.as_ref().map(|(user, password)| json!({ "user": plain(user), "password": plain(password) }));
    json!({ "url": test.url, "headers": map(&headers), "basic": basic })
}

/// `[issuers.NAME]`.
pub(crate) fn issuer(one: &Issuer) -> Value {
    let require: Map<String, Value> = one
        .required
        .iter()
        .map(|(name, value)| (name.clone(), value.as_ref().map_or(json!(true), |value| json!(value))))
        .collect();
    json!({
        "issuer": one.issuer,
        "jwks_url": one.jwks_url.as_ref().map(Url::as_str),
        "audience": one.audience,
        "account": one.account,
        "user": one.user,
        "require": require,
    })
}

/// `[vault]`.
pub(crate) fn vault(one: &VaultSettings) -> Value {
    json!({
        "store": store::shown(&one.store, MASK),
        "keys": masked(one.keys.len()),
        "stale": duration_text(one.stale),
        "cache_entries": one.cache_entries,
        "audit": one.audit,
    })
}

/// `[internal]`.
pub(crate) fn internal(config: &Config, one: &Internal) -> Value {
    let (listen, tls) = match &one.listen {
        InternalListen::Unix(path) => (format!("unix:{}", path.display()), None),
        InternalListen::Tcp { address, tls } => (
            address.to_string(),
            tls.as_ref().map(|tls| {
                json!({
                    "certificate": tls.certificate.certificate,
                    "private_key": tls.certificate.private_key,
                    "client_ca": tls.client_ca,
                })
            }),
        ),
    };
    let ability = |can: &Ability| match can {
        Ability::Read => "read",
        Ability::List => "list",
        Ability::Revoke => "revoke",
        Ability::Sign => "sign",
    };
    let clients: Map<String, Value> = one
        .clients
        .iter()
        .map(|client| {
            let apps: Vec<&str> =
                client.apps.iter().filter_map(|at| config.apps.get(*at)).map(|app| app.name.as_str()).collect();
            let can: Vec<&str> = client.can.iter().map(ability).collect();
            let shown = json!({
                "key": masked(client.keys.len()),
                "apps": apps,
                "grants": some_list(&client.grants),
                "can": can,
            });
            (client.name.clone(), shown)
        })
        .collect();
    json!({ "listen": listen, "tls": tls, "clients": clients })
}

/// `[pages]`.
pub(crate) fn pages(one: &Branding) -> Value {
    json!({ "name": one.name, "logo": one.logo, "color": one.color, "support": one.support, "words": one.words })
}
