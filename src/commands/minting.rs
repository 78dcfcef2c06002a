//! What `token` and `send` share: arguments that say whom a token names, and the token made of them with the secrets of
//! gateway.toml. Takes the resolved configuration; reads no file and no environment.

use clap::Args;
use http::Uri;
use http::uri::PathAndQuery;
use serde_json::Value;

use crate::config::resolved::{App, Config};
use crate::monday::kinds::{KINDS, Kind, SignedBy, TokenPlace};
use crate::monday::mint::{self, LIFETIME, Mint};
use crate::secret::Secret;

/// Seconds by which `--expired` is past, beyond every sensible leeway.
const LONG_AGO: i64 = 86_400;

/// Whom and what the token names.
#[derive(Clone, Debug, Args)]
pub(crate) struct MintArgs {
    /// The app, by its name in gateway.toml; needed if there are several.
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// The kind of request: action, subscribe, view, authorization, board-webhook, ...
    #[arg(long, default_value = "action", value_parser = kind_by_name)]
    pub(crate) kind: Kind,
    /// The account's id.
    #[arg(long, allow_negative_numbers = true, default_value_t = Mint::default().account_id)]
    pub(crate) account: i64,
    /// The user's id.
    #[arg(long, allow_negative_numbers = true, default_value_t = Mint::default().user_id)]
    pub(crate) user: i64,
    /// Seconds for which the token is good; monday's are 300.
    #[arg(long, value_name = "SECONDS", default_value_t = LIFETIME)]
    pub(crate) ttl: i64,
    /// Make one that expired a day ago.
    #[arg(long)]
    pub(crate) expired: bool,
    /// The URL in `aud`; by default the one that is registered with monday: of `public_url`, with the path that is called.
    #[arg(long, value_name = "URL")]
    pub(crate) aud: Option<String>,
    /// Where an Authorization URL leads in the end.
    #[arg(long, value_name = "URL", default_value = Mint::default().back_to_url)]
    pub(crate) back_to_url: String,
    /// Claims to add or replace, as a JSON object; a null removes one.
    #[arg(long, value_name = "JSON")]
    pub(crate) claims: Option<String>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum MintFault {
    /// Not among the apps.
    #[error("gateway.toml has no app {0:?}; it has: {1}")]
    NoSuchApp(String, String),
    /// None was named, and there are several.
    #[error("gateway.toml has several apps, name one by --app: {0}")]
    WhichApp(String),
    /// No app at all.
    #[error("gateway.toml has no app")]
    NoApp,
    /// The kind's secret is not in the file.
    #[error("the app {app} has no {secret}, which signs this kind's tokens")]
    NoSecret {
        /// The app.
        app: String,
        /// The key in gateway.toml.
        secret: &'static str,
    },
    /// A kind without tokens.
    #[error("requests of the kind `public` have no token")]
    Public,
    /// A kind whose tokens are not monday's.
    #[error(
        "tokens of the kind `jwt` are their issuer's to make, with a key that the gateway does not have; `send --token` sends one"
    )]
    Issuer,
    /// `--claims` cannot be read.
    #[error("--claims is no JSON object")]
    Claims,
}

/// A token, and how it came about.
pub(crate) struct Minted {
    /// The token.
    pub(crate) token: String,
    /// Its claims.
    pub(crate) claims: Value,
    /// The app's name.
    pub(crate) app: String,
    /// The key in gateway.toml whose first secret signed it.
    pub(crate) secret: &'static str,
}

/// The kind of that name, for clap.
pub(crate) fn kind_by_name(name: &str) -> Result<Kind, String> {
    Kind::from_name(name).ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|row| row.name).collect();
        format!("one of: {}", names.join(", "))
    })
}

/// Where a token of the kind goes: the query parameter, or none for `Authorization`.
pub(crate) fn query_place(kind: Kind) -> Option<&'static str> {
    match kind.row().token {
        TokenPlace::Query(name) => Some(name),
        TokenPlace::Header | TokenPlace::HeaderOrQuery(_) | TokenPlace::Nowhere => None,
    }
}

/// The app of that name, or the only one.
pub(crate) fn app<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c App, MintFault> {
    let names = || config.apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, config.apps.as_slice()) {
        (_, []) => Err(MintFault::NoApp),
        (None, [only]) => Ok(only),
        (None, _) => Err(MintFault::WhichApp(names())),
        (Some(name), apps) => {
            apps.iter().find(|app| app.name == name).ok_or_else(|| MintFault::NoSuchApp(name.to_owned(), names()))
        }
    }
}

/// The URL that monday calls in order to reach `called`, which may be behind a tunnel.
fn registered(config: &Config, called: Option<&Uri>) -> String {
    let path = called.and_then(Uri::path_and_query).map_or("/", PathAndQuery::as_str);
    let public = |uri: &Uri| {
        let port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let urls = &config.server.public_urls;
        urls.iter().any(|url| Some(url.host.as_str()) == uri.host() && url.port == uri.port_u16().unwrap_or(port))
    };
    match (called, config.server.public_urls.first()) {
        (Some(called), Some(_)) if public(called) => called.to_string(),
        (_, Some(first)) => format!("{}{}{path}", first.origin(), first.path),
        (called, None) => called.map(Uri::to_string).unwrap_or_default(),
    }
}

/// Makes the token for a request to `called`.
pub(crate) fn mint(args: &MintArgs, config: &Config, called: Option<&Uri>, now: i64) -> Result<Minted, MintFault> {
    match args.kind.row().signed_by {
        SignedBy::Issuer => return Err(MintFault::Issuer),
        SignedBy::Nobody => return Err(MintFault::Public),
        SignedBy::Signing | SignedBy::Client | SignedBy::SigningThenClient => {}
    }
    let app = app(config, args.app.as_deref())?;
    let (secret, name) = secret(app, args.kind)?;
    let audience = args.aud.clone().unwrap_or_else(|| registered(config, called));
    let issued_at = if args.expired { now - LONG_AGO - args.ttl } else { now };
    let mut claims = Mint {
        account_id: args.account,
        user_id: args.user,
        app_id: app.app_id,
        client_id: app.client_id.as_deref(),
        audience: &audience,
        back_to_url: &args.back_to_url,
        issued_at,
        expires: issued_at.saturating_add(args.ttl),
    }
    .claims(args.kind);
    if let Some(more) = &args.claims {
        let more: Value = serde_json::from_str(more).map_err(|_why| MintFault::Claims)?;
        if !more.is_object() {
            return Err(MintFault::Claims);
        }
        merge(&mut claims, more);
    }
    Ok(Minted { token: mint::token(&claims, secret), claims, app: app.name.clone(), secret: name })
}

fn secret(app: &App, kind: Kind) -> Result<(&Secret, &'static str), MintFault> {
    let (secrets, name) = if mint::signed_by_client(kind) {
        (&app.client_secrets, "client_secret")
    } else {
        (&app.signing_secrets, "signing_secret")
    };
    let newest = secrets.first().ok_or_else(|| MintFault::NoSecret { app: app.name.clone(), secret: name })?;
    Ok((newest, name))
}

/// Objects are merged, null removes, anything else replaces (RFC 7396).
fn merge(into: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *into = patch;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Some(members) = into.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;

    use serde_json::json;

    use crate::config::resolved::grants::{Branding, MondayHosts};
    use crate::config::resolved::{AccessLog, Audience, Drain, Level, Limits, Log, LogFormat, PublicUrl, Server};
    use crate::oauth::provider::MondayGeneration;

    /// One app with both secrets, at `https://gw.example.com`.
    pub(crate) fn config() -> Config {
        let second = Duration::from_secs(1);
        let limits = Limits {
            head: 1,
            headers: 1,
            body: 1,
            connections: 1,
            streams: 1,
            handshake_timeout: second,
            head_timeout: second,
            idle_timeout: second,
            body_idle_timeout: second,
        };
        let host = "gw.example.com".to_owned();
        Config {
            server: Server {
                listen: Vec::new(),
                public_urls: vec![PublicUrl { scheme: "https".to_owned(), host, port: 443, path: String::new() }],
                workers: 0,
                trusted_proxies: Vec::new(),
                tls: None,
                limits,
                drain: Drain { delay: second, deadline: second },
            },
            admin: None,
            log: Log { level: Level::Info, format: LogFormat::Text, access: AccessLog::Off },
            apps: vec![App {
                name: "planner".to_owned(),
                client_id: Some("client".to_owned()),
                client_secrets: vec![Secret::new("canary-client-secret-of-32-bytes!!")],
                signing_secrets: vec![Secret::new("canary-signing-secret-of-32-bytes!")],
                app_id: Some(7),
                audience: Audience::Origin,
                leeway: Duration::from_secs(30),
                oauth: MondayGeneration::V21,
                monday: None,
                authorization: None,
            }],
            upstreams: Vec::new(),
            routes: Vec::new(),
            providers: Vec::new(),
            monday: MondayHosts {
                auth: "https://auth.monday.com".parse().unwrap(),
                api: "https://api.monday.com/v2".parse().unwrap(),
            },
            issuers: Vec::new(),
            vault: None,
            internal: None,
            branding: Branding::default(),
        }
    }

    /// What clap would make of these words.
    pub(crate) fn args(words: &[&str]) -> MintArgs {
        #[derive(clap::Parser)]
        struct Words {
            #[command(flatten)]
            mint: MintArgs,
        }
        clap::Parser::try_parse_from(std::iter::once(&"x").chain(words)).map(|words: Words| words.mint).unwrap()
    }

    #[test]
    fn a_minted_token_says_what_was_asked_for() {
        let words = ["--kind", "view", "--account", "-5", "--ttl", "60", "--claims", r#"{"dat":{"is_guest":true}}"#];
        let minted = mint(&args(&words), &config(), None, 1000).unwrap();
        assert_eq!((minted.secret, minted.app.as_str()), ("client_secret", "planner"));
        assert_eq!(minted.claims["dat"]["account_id"], -5);
        assert_eq!(minted.claims["dat"]["is_guest"], true);
        assert_eq!(minted.claims["exp"], 1060);
        let expired = mint(&args(&["--expired"]), &config(), None, 1_000_000).unwrap();
        assert_eq!(expired.claims["exp"], 1_000_000 - LONG_AGO);
        assert_eq!(expired.claims["aud"], "https://gw.example.com/");
    }

    #[test]
    fn the_audience_is_the_url_that_monday_would_call() {
        let aud = |called: &str| registered(&config(), Some(&called.parse().unwrap()));
        assert_eq!(aud("http://127.0.0.1:3000/a?b"), "https://gw.example.com/a?b");
        assert_eq!(aud("https://gw.example.com/a"), "https://gw.example.com/a");
        assert_eq!(aud("https://gw.example.com:8443/a"), "https://gw.example.com/a");
        assert_eq!(registered(&config(), None), "https://gw.example.com/");
    }

    #[test]
    fn what_cannot_be_minted_says_why() {
        let fault = |words: &[&str], config: &Config| mint(&args(words), config, None, 0).err().unwrap().to_string();
        assert!(fault(&["--app", "plan"], &config()).contains("it has: planner"));
        assert!(fault(&["--claims", "[1]"], &config()).contains("--claims"));
        assert!(fault(&["--kind", "public"], &config()).contains("no token"));
        assert!(fault(&["--kind", "jwt"], &config()).contains("`jwt` are their issuer's to make"));
        let mut none = config();
        none.apps[0].signing_secrets.clear();
        assert!(fault(&[], &none).contains("signing_secret"));
        none.apps.push(none.apps[0].clone());
        assert!(fault(&[], &none).contains("--app"));
        none.apps.clear();
        assert!(fault(&[], &none).contains("no app"));
    }

    #[test]
    fn claims_are_merged_replaced_and_removed() {
        let mut claims = json!({ "a": 1, "dat": { "is_guest": false, "x": 1 } });
        merge(&mut claims, json!({ "b": [1], "dat": { "is_guest": true, "x": null, "y": { "z": null } }, "a": null }));
        assert_eq!(claims, json!({ "b": [1], "dat": { "is_guest": true, "y": {} } }));
    }

    #[test]
    fn a_kind_that_is_none_is_answered_with_those_that_are() {
        assert_eq!(kind_by_name("view"), Ok(Kind::View));
        assert!(kind_by_name("veiw").unwrap_err().contains("view, authorization, jwt, public"));
    }
}
