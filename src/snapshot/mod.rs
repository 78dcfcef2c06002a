//! What the workers read: gateway.toml made ready for requests. Routes behind an index, keys prepared, header values made,
//! counters resolved. Built off the request's path, never changed, shared by all cores; a request keeps the one it began with.
//! Knows nothing of connections or time.

pub(crate) mod build;
pub(crate) mod cors;
pub(crate) mod index;
pub(crate) mod needs;
pub(crate) mod served;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use ipnet::IpNet;

use crate::config::resolved::{Allow, Authorization, InjectHeader, Limits, PublicUrl};
use crate::headers::Removal;
use crate::issuers::Issuer;
use crate::monday::app_keys::AppKeys;
use crate::monday::kinds::Kind;
use crate::snapshot::cors::Cors;
use crate::snapshot::index::{Found, Index};
use crate::snapshot::needs::Needs;
use crate::snapshot::served::Page;
use crate::telemetry::counters::PerWorker;
use crate::telemetry::metrics::{AppCounters, RouteCounters};
use crate::tls::certificates::Certificates;
use crate::upstream::Upstream;

/// One state of the configuration.
#[derive(Debug)]
pub(crate) struct Snapshot {
    index: Index,
    routes: Vec<Route>,
    /// Which of a caller's fields never reach a backend.
    pub(crate) removal: Removal,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// What `aud` is compared with.
    pub(crate) public_urls: Vec<PublicUrl>,
    /// `[server.limits]`.
    pub(crate) limits: Limits,
    /// The certificates of the TLS listeners, if any.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// In the order of the configuration; `Route::upstream` points here.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// Counts what no route matched.
    pub(crate) unrouted: Arc<PerWorker<RouteCounters>>,
}

/// One `[[routes]]`, ready for use.
#[derive(Debug)]
pub(crate) struct Route {
    /// Metrics' label.
    pub(crate) name: String,
    /// What the request is.
    pub(crate) kind: Kind,
    /// Whose tokens it takes, with the header values and counters of that app; none on a `public` route without an app.
    pub(crate) app: Option<App>,
    /// Whose tokens a route of kind `jwt` takes.
    pub(crate) issuer: Option<Arc<Issuer>>,
    /// The methods that it takes; any if empty.
    pub(crate) methods: Vec<Method>,
    /// Where its requests go.
    pub(crate) target: Target,
    /// Taken off the path before it is forwarded.
    pub(crate) strip_prefix: Option<String>,
    /// To the head of the answer.
    pub(crate) timeout: Duration,
    /// Bytes of a request's body.
    pub(crate) max_body: u64,
    /// What the backend finds in `Authorization`.
    pub(crate) authorization: Authorization,
    /// Whether a query token stays in the URL.
    pub(crate) keep_query_token: bool,
    /// Who of the verified may pass.
    pub(crate) allow: Allow,
    /// Cross-origin rules.
    pub(crate) cors: Option<Cors>,
    /// Fields that are the same for every request: the kind, the app, fixed ones of `inject.headers`.
    pub(crate) fixed: HeaderMap,
    /// Templates of `inject.headers`.
    pub(crate) templates: Vec<InjectHeader>,
    /// Whether all claims are injected.
    pub(crate) inject_claims: bool,
    /// Whose tokens go into headers, and which of them are required; none if none do.
    pub(crate) needs: Option<Arc<Needs>>,
    /// One set a core.
    pub(crate) counters: Arc<PerWorker<RouteCounters>>,
}

/// Where the requests of a route go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To a backend: a position in `Snapshot::upstreams`.
    Upstream(usize),
    /// Nowhere: the gateway answers.
    Page(Page),
    /// The gateway answers, or lets the request go on to a backend.
    PageOrUpstream(Page, usize),
}

/// A route's app.
#[derive(Debug)]
pub(crate) struct App {
    /// What its tokens are verified with.
    pub(crate) keys: Arc<AppKeys>,
    /// One set a core.
    pub(crate) counters: Arc<PerWorker<AppCounters>>,
}

/// What a snapshot knows of a request.
#[derive(Debug)]
pub(crate) enum Matched<'s> {
    /// Its route, and the route's position.
    Route(usize, &'s Route),
    /// No route has this host and path.
    Nothing,
    /// A route has, but not with this method; what `Allow` says.
    OtherMethods(String),
}

impl Route {
    /// The backend that its requests may go to: a position in `Snapshot::upstreams`.
    pub(crate) fn upstream(&self) -> Option<usize> {
        match self.target {
            Target::Upstream(at) | Target::PageOrUpstream(_, at) => Some(at),
            Target::Page(_) => None,
        }
    }

    /// The page that the gateway serves here.
    pub(crate) fn page(&self) -> Option<&Page> {
        match &self.target {
            Target::Page(page) | Target::PageOrUpstream(page, _) => Some(page),
            Target::Upstream(_) => None,
        }
    }
}

impl Snapshot {
    /// The route of a request. `host` is lower case and without a port; `path` is the guard's.
    pub(crate) fn find(&self, host: &str, path: &str, method: &Method) -> Matched<'_> {
        match self.index.find(host, path, method) {
            Found::Route(at) => self.routes.get(at).map_or(Matched::Nothing, |route| Matched::Route(at, route)),
            Found::Nothing => Matched::Nothing,
            Found::OtherMethods(allow) => Matched::OtherMethods(allow),
        }
    }

    /// Whether a host belongs to another certificate than the one that this connection was opened with.
    pub(crate) fn misdirected(&self, presented: Option<usize>, host: &str) -> bool {
        match (&self.certificates, presented) {
            (Some(certificates), Some(presented)) => certificates.misdirected(presented, host),
            _ => false,
        }
    }

    /// The routes, for `explain` and `check`.
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }
}
