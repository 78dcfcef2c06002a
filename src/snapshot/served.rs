//! The routes that the gateway serves itself: the pages of each app with `[apps.NAME.authorization]`, as routes like any other, so that
//! they are behind the same guard, index, limits and counters. Takes the configuration; knows nothing of what a page does.

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::config::resolved::grants::{AppAuthorization, Mode};
use crate::config::resolved::{Allow, App, Authorization, Config, Cors, Pattern, Route};
use crate::limits;
use crate::monday::kinds::Kind;
use crate::oauth::provider::{Connect, Provider};

/// What a path that the gateway serves is for. Their order is that of a user's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The Authorization URL itself.
    Authorize,
    /// The Authorization URL of an app whose backend says who is authorized: whoever is not, goes on to the backend.
    Status,
    /// The front end of a view asks for a link.
    Connect,
    /// A one-time link is opened.
    Go,
    /// What is missing, step by step.
    Next,
    /// As `Next`, for somebody who is signed in to monday.com as somebody else.
    Switch,
    /// "This is me."
    Confirm,
    /// The form for the keys of this provider.
    Keys(Arc<str>),
    /// This provider sends the browser back.
    Callback(Arc<str>),
    /// What is connected.
    Connections,
    /// A connection ends.
    Disconnect,
}

/// One path that the gateway serves.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// As a route, for the index, metrics and `explain`. Its upstream is one only for [`Page::Status`].
    pub(crate) route: Route,
    /// What it is for.
    pub(crate) page: Page,
}

/// `Route::upstream` of a route that has none: no position of a list.
pub(crate) const NO_UPSTREAM: usize = usize::MAX;

/// Everything that the gateway serves with this configuration. No two have the same path.
pub(crate) fn served(config: &Config) -> Vec<Served> {
    let mut all: Vec<Served> = Vec::new();
    for (at, app) in config.apps.iter().enumerate() {
        let Some(authorization) = &app.authorization else { continue };
        for one in of_app(config, (at, app), authorization) {
            let is_known = all.iter().any(|known| known.route.path == one.route.path);
            // One callback of a provider may be the callback of several apps: the state says whose it is.
            if !is_known {
                all.push(one);
            }
        }
    }
    all
}

/// Every provider that an app's users may connect: those of its Authorization URL first, then those of its routes.
pub(crate) fn providers(config: &Config, at: usize) -> Vec<Arc<Provider>> {
    let Some(app) = config.apps.get(at) else { return Vec::new() };
    let asked = app.authorization.iter().flat_map(|authorization| match &authorization.mode {
        Mode::Grants(grants) => grants.as_slice(),
        Mode::Status { .. } => &[],
    });
    let routes = config.routes.iter().filter(|route| route.app == Some(at));
    let mut all: Vec<Arc<Provider>> = Vec::new();
    for provider in asked.chain(routes.flat_map(|route| &route.grants)) {
        if !all.iter().any(|known| known.name == provider.name) {
            all.push(Arc::clone(provider));
        }
    }
    all
}

/// Where a provider sends browsers back to: a path of the gateway.
pub(crate) fn callback_path(authorization: &AppAuthorization, provider: &Provider) -> String {
    let own = || format!("{}/callback/{}", authorization.path.trim_end_matches('/'), provider.name);
    provider.callback.clone().unwrap_or_else(own)
}

fn of_app(config: &Config, (at, app): (usize, &App), authorization: &AppAuthorization) -> Vec<Served> {
    let base = authorization.path.trim_end_matches('/');
    if let Mode::Status { upstream, .. } = authorization.mode {
        let mut status = one(at, &authorization.path, Kind::Authorization, &Page::Status);
        status.route.upstream = upstream;
        return vec![status];
    }
    let mut all = vec![one(at, &authorization.path, Kind::Authorization, &Page::Authorize)];
    let mut connect = one(at, &format!("{base}/connect"), Kind::View, &Page::Connect);
    connect.route.cors = view_cors(config, at);
    all.push(connect);
    let public = [
        ("go", Page::Go),
        ("next", Page::Next),
        ("switch", Page::Switch),
        ("confirm", Page::Confirm),
        ("connections", Page::Connections),
        ("disconnect", Page::Disconnect),
    ];
    all.extend(public.iter().map(|(name, page)| one(at, &format!("{base}/{name}"), Kind::Public, page)));
    let mut connectable = providers(config, at);
    connectable.extend(app.monday.iter().map(Arc::clone));
    for provider in connectable {
        let name: Arc<str> = Arc::from(provider.name.as_str());
        let (path, page) = match provider.connect {
            Connect::Oauth(_) => (callback_path(authorization, &provider), Page::Callback(name)),
            Connect::ApiKey(_) => (format!("{base}/keys/{name}"), Page::Keys(name)),
        };
        all.push(one(at, &path, Kind::Public, &page));
    }
    all
}

fn one(app: usize, path: &str, kind: Kind, page: &Page) -> Served {
    let route = Route {
        name: path.to_owned(),
        path: path.to_owned(),
        pattern: Pattern { base: path.trim_end_matches('/').to_owned(), rest: false },
        host: None,
        methods: page.methods(),
        app: Some(app),
        kind,
        upstream: NO_UPSTREAM,
        strip_prefix: None,
        timeout: if *page == Page::Status { Duration::from_secs(kind.row().timeout) } else { limits::VISIT },
        max_body: limits::VISIT_BODY,
        authorization: Authorization::Keep,
        keep_query_token: false,
        allow: Allow::default(),
        cors: None,
        inject_claims: false,
        inject_headers: Vec::new(),
        grants: Vec::new(),
        require: Vec::new(),
        issuer: None,
    };
    Served { route, page: page.clone() }
}

/// The front ends that may call the app's views may ask for a link, too.
fn view_cors(config: &Config, app: usize) -> Option<Cors> {
    let views = config.routes.iter().filter(|route| route.kind == Kind::View && route.app == Some(app));
    let mut cors = views.filter_map(|route| route.cors.clone()).reduce(|mut all, more| {
        all.origins.extend(more.origins);
        all
    })?;
    cors.headers = vec![http::header::AUTHORIZATION, http::header::CONTENT_TYPE];
    Some(cors)
}

impl Page {
    /// The methods that it takes.
    pub(crate) fn methods(&self) -> Vec<Method> {
        match self {
            Self::Authorize | Self::Status | Self::Go | Self::Next | Self::Switch | Self::Callback(_) => {
                vec![Method::GET]
            }
            Self::Connect | Self::Confirm | Self::Disconnect => vec![Method::POST],
            Self::Keys(_) | Self::Connections => vec![Method::GET, Method::POST],
        }
    }
}
