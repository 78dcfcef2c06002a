//! The effective configuration, as `check --print` shows it: every value with defaults filled in, secrets only counted.

pub(crate) mod grants;

use serde_json::{Map, Value, json};

use crate::config::resolved::{
    AccessLog, Allow, App, Audience, Authorization, Config, Cors, HostHeader, InjectValue, Level, LogFormat, Origin,
    Piece, Route, Server, Upstream, UpstreamServer,
};
use crate::config::units::{duration_text, size_text};
use crate::monday::kinds::Kind;
use crate::oauth::provider::MondayGeneration;

/// What stands for every secret.
pub(crate) const MASK: &str = "********";

/// The whole of it, by the file's own names.
pub(crate) fn effective(config: &Config) -> Value {
    let named = |entries: Vec<(String, Value)>| Value::Object(entries.into_iter().collect::<Map<_, _>>());
    let access = match &config.log.access {
        AccessLog::Off => json!("off"),
        AccessLog::Stdout => json!("stdout"),
        AccessLog::File(path) => json!({ "file": path }),
    };
    json!({
        "server": server(&config.server),
        "admin": config.admin.map(|listen| json!({ "listen": listen })),
        "log": { "level": level(config.log.level), "format": format(config.log.format), "access": access },
        "apps": named(config.apps.iter().map(|one| (one.name.clone(), app(config, one))).collect()),
        "upstreams": named(config.upstreams.iter().map(|one| (one.name.clone(), upstream(one))).collect()),
        "providers": named(config.providers.iter().map(|one| (one.name.clone(), grants::provider(one))).collect()),
        "monday": { "auth_url": config.monday.auth.as_str(), "api_url": config.monday.api.as_str() },
        "issuers": named(config.issuers.iter().map(|one| (one.name.clone(), grants::issuer(one))).collect()),
        "vault": config.vault.as_ref().map(grants::vault),
        "internal": config.internal.as_ref().map(|one| grants::internal(config, one)),
        "pages": grants::pages(&config.branding),
        "routes": config.routes.iter().map(|one| route(config, one)).collect::<Vec<_>>(),
    })
}

fn server(server: &Server) -> Value {
    let urls: Vec<String> = server.public_urls.iter().map(|url| format!("{}{}", url.origin(), url.path)).collect();
    let tls = server.tls.as_ref().map(|tls| {
        let pairs: Vec<Value> = tls
            .certificates
            .iter()
            .map(|pair| json!({ "certificate": pair.certificate, "private_key": pair.private_key }))
            .collect();
        json!({ "certificates": pairs, "min_version": if tls.only_1_3 { "1.3" } else { "1.2" } })
    });
    let limits = &server.limits;
    json!({
        "listen": server.listen,
        "public_url": urls,
        "workers": server.workers,
        "trusted_proxies": server.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tls": tls,
        "limits": {
            "head": size_text(limits.head as u64),
            "headers": limits.headers,
            "body": size_text(limits.body),
            "connections": limits.connections,
            "streams": limits.streams,
            "handshake_timeout": duration_text(limits.handshake_timeout),
            "head_timeout": duration_text(limits.head_timeout),
            "idle_timeout": duration_text(limits.idle_timeout),
            "body_idle_timeout": duration_text(limits.body_idle_timeout),
        },
        "drain": { "delay": duration_text(server.drain.delay), "deadline": duration_text(server.drain.deadline) },
    })
}

/// How many secrets, never which; nothing for none.
pub(crate) fn masked(count: usize) -> Value {
    some_list(&vec![MASK; count])
}

/// A list, or nothing where an empty one would mean something else.
pub(crate) fn some_list<T: serde::Serialize>(list: &[T]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn app(config: &Config, app: &App) -> Value {
    let audience = match app.audience {
        Audience::Off => "off",
        Audience::Origin => "origin",
        Audience::Exact => "exact",
    };
    json!({
        "client_id": app.client_id,
        "client_secret": masked(app.client_secrets.len()),
        "signing_secret": masked(app.signing_secrets.len()),
        "app_id": app.app_id,
        "audience": audience,
        "leeway": duration_text(app.leeway),
        "oauth": match app.oauth { MondayGeneration::V21 => "2.1", MondayGeneration::Legacy => "legacy" },
        "scopes": app.monday.as_ref().and_then(|monday| monday.client()).map(|client| &client.scopes),
        "authorization": app.authorization.as_ref().map(|one| grants::authorization(config, one)),
    })
}

fn upstream(upstream: &Upstream) -> Value {
    let mut shown = json!({
        "servers": [server_text(&upstream.server)],
        "connect_timeout": duration_text(upstream.connect_timeout),
        "idle_timeout": duration_text(upstream.idle_timeout),
        "max_connections": upstream.max_connections,
        "host": match upstream.host { HostHeader::Client => "client", HostHeader::Upstream => "upstream" },
        "signing_secret": upstream.signing_secret.as_ref().map(|_| MASK),
    });
    if let (UpstreamServer::Https { server_name, ca, client_certificate, .. }, Some(shown)) =
        (&upstream.server, shown.as_object_mut())
    {
        shown.insert("server_name".to_owned(), json!(server_name));
        shown.insert("ca".to_owned(), json!(ca));
        let pair = client_certificate
            .as_ref()
            .map(|pair| json!({ "certificate": pair.certificate, "private_key": pair.private_key }));
        shown.insert("client_certificate".to_owned(), json!(pair));
    }
    shown
}

/// As `servers` writes it.
fn server_text(server: &UpstreamServer) -> String {
    let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match server {
        UpstreamServer::Http { host, port } => format!("http://{}:{port}", bracketed(host)),
        UpstreamServer::Https { host, port, .. } => format!("https://{}:{port}", bracketed(host)),
        UpstreamServer::Unix { path } => format!("unix:{}", path.display()),
    }
}

fn route(config: &Config, route: &Route) -> Value {
    let authorization = match route.authorization {
        Authorization::Keep => "keep",
        Authorization::Strip => "strip",
        Authorization::Resign => "resign",
    };
    let headers: Map<String, Value> = route
        .inject_headers
        .iter()
        .map(|header| (header.name.as_str().to_owned(), json!(value_text(&header.value))))
        .collect();
    json!({
        "name": route.name,
        "path": route.path,
        "host": route.host,
        "methods": some_list(&route.methods.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "app": route.app.and_then(|index| config.apps.get(index)).map(|app| &app.name),
        "kind": route.kind.name(),
        "upstream": config.upstreams.get(route.upstream).map(|upstream| &upstream.name),
        "strip_prefix": route.strip_prefix,
        "timeout": duration_text(route.timeout),
        "max_body": size_text(route.max_body),
        "authorization": authorization,
        "query_token": if route.keep_query_token { "keep" } else { "strip" },
        "allow": allow(route),
        "cors": route.cors.as_ref().map(cors),
        "inject": { "claims": route.inject_claims, "headers": headers },
        "grants": if route.kind == Kind::Public { Value::Null } else { grants::names(&route.grants) },
        "require": if route.require.is_empty() { Value::Null } else { grants::names(&route.require) },
        "issuer": route.issuer.and_then(|at| config.issuers.get(at)).map(|issuer| &issuer.name),
    })
}

/// Only what the kind's tokens can say.
fn allow(route: &Route) -> Value {
    let Allow { no_guests, no_view_only, admin_only, accounts } = &route.allow;
    let accounts = some_list(accounts);
    match route.kind.row().has_dat() {
        true => {
            json!({ "guests": !no_guests, "view_only": !no_view_only, "admin_only": admin_only, "accounts": accounts })
        }
        false if accounts.is_null() => Value::Null,
        false => json!({ "accounts": accounts }),
    }
}

fn cors(cors: &Cors) -> Value {
    let origins = cors.origins.iter().map(|origin| match origin {
        Origin::Exact(origin) => origin.clone(),
        Origin::AnySubdomain(suffix) => format!("https://*{suffix}"),
    });
    json!({
        "origins": origins.collect::<Vec<_>>(),
        "headers": cors.headers.iter().map(http::HeaderName::as_str).collect::<Vec<_>>(),
        "max_age": duration_text(cors.max_age),
    })
}

/// A fixed value may be a key that somebody pasted: it is never shown.
fn value_text(value: &InjectValue) -> String {
    match value {
        InjectValue::Fixed(_) => MASK.to_owned(),
        InjectValue::Template(pieces) => pieces.iter().map(piece_text).collect(),
    }
}

fn piece_text(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Piece::AccountId => "{account_id}".to_owned(),
        Piece::UserId => "{user_id}".to_owned(),
        Piece::Claim(path) => format!("{{claims.{}}}", path.join(".")),
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

const fn format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    }
}
