//! Makes a snapshot of a resolved configuration: prepares keys, loads certificates, resolves counters by name, so that
//! nothing of it is left to a request. Fails only on what the configuration's text cannot show: files and TLS.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use rustls::pki_types::ServerName;

use crate::config::resolved::{self, Config, HostHeader, InjectValue, UpstreamServer};
use crate::headers::{self, Removal};
use crate::issuers::Issuer;
use crate::jwt;
use crate::monday::app_keys::AppKeys;
use crate::snapshot::cors::Cors;
use crate::snapshot::index::{Entry, Index};
use crate::snapshot::needs::Needs;
use crate::snapshot::served::{Page, served};
use crate::snapshot::{App, Route, Snapshot, Target as RouteTarget};
use crate::telemetry::metrics::{Metrics, NO_ROUTE};
use crate::tls::CertificatePaths;
use crate::tls::certificates::Certificates;
use crate::tls::files::TlsFault;
use crate::tls::roots::client_config;
use crate::upstream::{Places, Target, Upstream};

/// Why a configuration without mistakes does not become a snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildFault {
    /// A certificate, key or CA file.
    #[error("{0}")]
    Tls(#[from] TlsFault),
    /// A name that no certificate can bear.
    #[error("upstream `{upstream}`: `{name}` is no server name")]
    ServerName {
        /// Whose.
        upstream: String,
        /// The name.
        name: String,
    },
}

/// Counts of open connections by upstream's name: they outlive a snapshot.
pub(crate) type OpenCounts = HashMap<String, Arc<Places>>;

/// What outlives a snapshot and is looked up by name while one is built.
#[derive(Debug)]
pub(crate) struct Lasting<'a> {
    /// Counters.
    pub(crate) metrics: &'a Metrics,
    /// Open connections.
    pub(crate) open: &'a mut OpenCounts,
    /// In the order of the configuration's issuers.
    pub(crate) issuers: &'a [Arc<Issuer>],
}

/// Builds the snapshot of a configuration. `certificates` are those of its TLS listeners, loaded already.
pub(crate) fn build(
    config: &Config,
    certificates: Option<Arc<Certificates>>,
    lasting: &mut Lasting<'_>,
) -> Result<Snapshot, BuildFault> {
    let keys: Vec<Arc<AppKeys>> = config.apps.iter().map(|app| Arc::new(app_keys(app))).collect();
    let upstreams =
        config.upstreams.iter().map(|one| upstream(one, lasting).map(Arc::new)).collect::<Result<_, _>>()?;
    let injected = config.routes.iter().flat_map(|route| route.inject_headers.iter().map(|header| header.name.clone()));
    let granted = config
        .providers
        .iter()
        .flat_map(|one| std::iter::once(one.header.clone()).chain(one.values.iter().map(|(_, header)| header.clone())));
    Ok(Snapshot {
        index: index(config),
        routes: routes(config, &keys, lasting),
        removal: Removal::new(injected.chain(granted)),
        trusted_proxies: config.server.trusted_proxies.clone(),
        public_urls: config.server.public_urls.clone(),
        limits: config.server.limits.clone(),
        certificates,
        upstreams,
        unrouted: lasting.metrics.route(NO_ROUTE),
    })
}

/// The index of a configuration's routes, and after them of what the gateway serves; also for `explain`.
pub(crate) fn index(config: &Config) -> Index {
    let served = served(config);
    let entries: Vec<Entry<'_>> = config
        .routes
        .iter()
        .chain(served.iter().map(|one| &one.route))
        .map(|route| Entry { host: route.host.as_deref(), pattern: &route.pattern, methods: &route.methods })
        .collect();
    Index::build(&entries)
}

/// In the index's order.
fn routes(config: &Config, keys: &[Arc<AppKeys>], lasting: &Lasting<'_>) -> Vec<Route> {
    let own = config.routes.iter().map(|one| route(one, None, keys, lasting));
    own.chain(served(config).into_iter().map(|one| route(&one.route, Some(one.page), keys, lasting))).collect()
}

/// An app's keys, prepared.
pub(crate) fn app_keys(app: &resolved::App) -> AppKeys {
    AppKeys {
        name: app.name.clone(),
        client_id: app.client_id.clone(),
        app_id: app.app_id,
        signing: app.signing_secrets.iter().map(jwt::Key::new).collect(),
        client: app.client_secrets.iter().map(jwt::Key::new).collect(),
        audience: app.audience,
        leeway: i64::try_from(app.leeway.as_secs()).unwrap_or(i64::MAX),
    }
}

fn upstream(one: &resolved::Upstream, lasting: &mut Lasting<'_>) -> Result<Upstream, BuildFault> {
    let own_host = match one.host {
        HostHeader::Client => None,
        HostHeader::Upstream => authority(&one.server),
    };
    let places = lasting.open.entry(one.name.clone()).or_default();
    Ok(Upstream {
        name: one.name.clone(),
        target: target(one)?,
        connect_timeout: one.connect_timeout,
        idle_timeout: one.idle_timeout,
        max_connections: one.max_connections,
        places: Arc::clone(places),
        own_host,
        resign: one.signing_secret.as_ref().map(jwt::Key::new),
        health: lasting.metrics.server(&one.name, &shown(&one.server)),
        counters: lasting.metrics.upstream(&one.name),
    })
}

/// Where an upstream is, with its TLS files loaded.
pub(crate) fn target(one: &resolved::Upstream) -> Result<Target, BuildFault> {
    Ok(match &one.server {
        UpstreamServer::Unix { path } => Target::Unix { path: path.clone() },
        UpstreamServer::Http { host, port } => Target::Tcp { host: host.clone(), port: *port },
        UpstreamServer::Https { host, port, server_name, ca, client_certificate } => {
            let pair = client_certificate
                .as_ref()
                .map(|pair| CertificatePaths { certificate: &pair.certificate, private_key: &pair.private_key });
            let name = ServerName::try_from(server_name.clone())
                .map_err(|_invalid| BuildFault::ServerName { upstream: one.name.clone(), name: server_name.clone() })?;
            let config = client_config(ca.as_deref().map(Path::new), pair)?;
            Target::Tls { host: host.clone(), port: *port, name, config }
        }
    })
}

/// How metrics name a server.
fn shown(server: &UpstreamServer) -> String {
    match server {
        UpstreamServer::Http { host, port } => format!("http://{host}:{port}"),
        UpstreamServer::Https { host, port, .. } => format!("https://{host}:{port}"),
        UpstreamServer::Unix { path } => format!("unix:{}", path.display()),
    }
}

fn authority(server: &UpstreamServer) -> Option<HeaderValue> {
    let (host, port) = match server {
        UpstreamServer::Unix { .. } => return Some(HeaderValue::from_static("localhost")),
        UpstreamServer::Http { host, port } | UpstreamServer::Https { host, port, .. } => (host, port),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    HeaderValue::try_from(format!("{host}:{port}")).ok()
}

fn route(one: &resolved::Route, page: Option<Page>, keys: &[Arc<AppKeys>], lasting: &Lasting<'_>) -> Route {
    let metrics = lasting.metrics;
    let app = one
        .app
        .and_then(|at| keys.get(at))
        .map(|keys| App { keys: Arc::clone(keys), counters: metrics.app(&keys.name) });
    Route {
        name: one.name.clone(),
        kind: one.kind,
        fixed: fixed(one, app.as_ref()),
        needs: app.as_ref().and_then(|app| Needs::of(one, &app.keys.name, metrics)),
        app,
        issuer: one.issuer.and_then(|at| lasting.issuers.get(at)).map(Arc::clone),
        methods: one.methods.clone(),
        target: match page {
            None => RouteTarget::Upstream(one.upstream),
            Some(page @ Page::Status) => RouteTarget::PageOrUpstream(page, one.upstream),
            Some(page) => RouteTarget::Page(page),
        },
        strip_prefix: one.strip_prefix.clone(),
        timeout: one.timeout,
        max_body: one.max_body,
        authorization: one.authorization,
        keep_query_token: one.keep_query_token,
        allow: one.allow.clone(),
        cors: one.cors.as_ref().map(Cors::new),
        templates: one
            .inject_headers
            .iter()
            .filter(|header| matches!(header.value, InjectValue::Template(_)))
            .cloned()
            .collect(),
        inject_claims: one.inject_claims,
        counters: metrics.route(&one.name),
    }
}

fn fixed(one: &resolved::Route, app: Option<&App>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for header in &one.inject_headers {
        if let InjectValue::Fixed(value) = &header.value {
            fields.insert(header.name.clone(), value.clone());
        }
    }
    // After the user's own, so that nothing in the file can replace them.
    fields.insert(headers::X_MONDAY_KIND, HeaderValue::from_static(one.kind.name()));
    if let Some(name) = app.and_then(|app| HeaderValue::from_str(&app.keys.name).ok()) {
        fields.insert(headers::X_MONDAY_APP, name);
    }
    fields
}
