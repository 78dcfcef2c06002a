//! What the parts of gateway.toml mean to each other: routes that would take each other's requests, and what works but is
//! probably not meant. Looks at the file as written, for its places.

pub(crate) mod grants;
pub(crate) mod served;

use std::net::IpAddr;
use std::time::Duration;

use crate::config::address::ServerUrl;
use crate::config::headers::HeaderText;
use crate::config::read::{Field, Named};
use crate::config::resolve::providers::Providers;
use crate::config::resolve::route_path::{pattern, shape};
use crate::config::resolved::Authorization;
use crate::config::sheet::{At, Place, Sheet};
use crate::config::written;
use crate::monday::kinds::Kind;

/// monday waits this long for an action.
const MONDAY_WAITS: Duration = Duration::from_mins(1);

/// All of it.
pub(crate) fn check(file: &written::File, providers: &Providers<'_>, sheet: &mut Sheet<'_>) {
    let routes: Vec<&At<written::Route>> =
        file.routes.given().map_or_else(Vec::new, |routes| routes.is.0.iter().collect());
    refuse_ties(&routes, sheet);
    refuse_equal_names(&routes, sheet);
    served::check(file, &routes, providers, sheet);
    grants::check(file, &routes, providers, sheet);
    if sheet.is_broken() {
        return;
    }
    let has_app = |name: &str| routes.iter().any(|route| names(&route.is.app, name)) || grants::uses_app(file, name);
    warn_unused(&file.apps, "app", has_app, sheet);
    let has_upstream =
        |name: &str| routes.iter().any(|route| names(&route.is.upstream, name)) || grants::uses_upstream(file, name);
    warn_unused(&file.upstreams, "upstream", has_upstream, sheet);
    warn_unused(&file.issuers, "issuer", |name| grants::uses_issuer(&routes, name), sheet);
    grants::warn_second_authorization(file, &routes, sheet);
    warn_hosts(file, &routes, sheet);
    warn_methods(&routes, sheet);
    warn_timeouts(file, &routes, sheet);
    warn_public_url(file, sheet);
    warn_reachable_upstreams(file, &routes, sheet);
}

fn names(field: &Field<String>, name: &str) -> bool {
    field.given().is_some_and(|written| written.is == name)
}

/// What two routes must share to take the same requests.
struct Claim<'a> {
    place: Place,
    host: Option<String>,
    shape: (String, bool),
    methods: Vec<&'a str>,
}

fn claim(route: &At<written::Route>) -> Option<Claim<'_>> {
    let path = route.is.path.given()?;
    let methods = route
        .is
        .methods
        .optional()?
        .map_or_else(Vec::new, |methods| methods.is.0.iter().map(|method| method.is.as_str()).collect());
    let host = route.is.host.optional()?.map(|host| host.is.to_ascii_lowercase());
    Some(Claim { place: path.place, host, shape: shape(&pattern(&path.is).ok()?), methods })
}

fn refuse_ties(routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    let claims: Vec<Claim<'_>> = routes.iter().filter_map(|route| claim(route)).collect();
    for (index, later) in claims.iter().enumerate() {
        let tie = claims.iter().take(index).find(|earlier| {
            let share_methods = later.methods.is_empty()
                || earlier.methods.is_empty()
                || later.methods.iter().any(|method| earlier.methods.contains(method));
            later.host == earlier.host && later.shape == earlier.shape && share_methods
        });
        if let Some(earlier) = tie {
            sheet.refuse_pair(
                [later.place, earlier.place],
                "the other route",
                "two routes take the same requests, and order never decides between them",
                "give them different hosts, paths or methods, or remove one",
            );
        }
    }
}

fn refuse_equal_names(routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    let labels: Vec<&At<String>> =
        routes.iter().filter_map(|route| route.is.name.given().or_else(|| route.is.path.given())).collect();
    for (index, later) in labels.iter().enumerate() {
        if let Some(earlier) = labels.iter().take(index).find(|earlier| earlier.is == later.is) {
            let right = "give one of them a `name` of its own; without one, the path is the name";
            sheet.refuse_pair(
                [later.place, earlier.place],
                "the other route",
                "two routes have the same name, and metrics could not tell them apart",
                right,
            );
        }
    }
}

fn warn_unused<T>(tables: &Field<Named<T>>, what: &str, is_used: impl Fn(&str) -> bool, sheet: &mut Sheet<'_>) {
    for (name, _) in tables.given().map_or(&[][..], |tables| tables.is.0.as_slice()) {
        if !is_used(&name.is) {
            sheet.warn(
                name.place,
                format!("no route uses {what} `{}`", name.is),
                format!("name it in a route, or remove [{what}s.{}]", name.is),
            );
        }
    }
}

fn warn_hosts(file: &written::File, routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    let Some(urls) = file.server.given().and_then(|server| server.is.public_url.given()) else {
        return;
    };
    for host in routes.iter().filter_map(|route| route.is.host.given()) {
        let lower = host.is.to_ascii_lowercase();
        let is_public = urls.is.0.iter().any(|url| match lower.strip_prefix('*') {
            Some(suffix) => url.is.host.ends_with(suffix),
            None => url.is.host == lower,
        });
        if !is_public {
            sheet.warn(
                host.place,
                "no `public_url` has this host, so monday will not send requests to it",
                "add it to server.public_url, or correct it",
            );
        }
    }
}

fn warn_methods(routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    for route in routes {
        let (Some(kind), Some(methods)) = (route.is.kind.given(), route.is.methods.given()) else { continue };
        if kind.is.row().only_monday && !methods.is.0.iter().any(|method| method.is == "POST") {
            let what = format!("monday sends `{}` requests by POST: none of them would match", kind.is.name());
            sheet.warn(methods.place, what, "add \"POST\", or remove `methods`");
        }
    }
}

fn warn_timeouts(file: &written::File, routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    for route in routes {
        let (Some(kind), Some(timeout)) = (route.is.kind.given(), route.is.timeout.given()) else { continue };
        if kind.is == Kind::Action && timeout.is.0 > MONDAY_WAITS {
            sheet.warn(
                timeout.place,
                "monday gives up on an action after 60 s and sends it again",
                "55s leaves time for the way back",
            );
        }
    }
    let Some(deadline) =
        file.server.given().and_then(|server| server.is.drain.given()).and_then(|drain| drain.is.deadline.given())
    else {
        return;
    };
    let longest = routes
        .iter()
        .filter(|route| route.is.kind.given().is_some_and(|kind| kind.is == Kind::Action))
        .map(|route| {
            route.is.timeout.given().map_or(Duration::from_secs(Kind::Action.row().timeout), |timeout| timeout.is.0)
        })
        .max();
    if longest.is_some_and(|longest| longest > deadline.is.0) {
        sheet.warn(
            deadline.place,
            "an action may take longer than this, and would be cut when the gateway stops",
            "a deadline above every action's timeout",
        );
    }
}

fn warn_public_url(file: &written::File, sheet: &mut Sheet<'_>) {
    let Some(server) = file.server.given() else { return };
    let Some(urls) = server.is.public_url.given() else { return };
    for url in urls.is.0.iter().filter(|url| url.is.scheme == "http") {
        let what = if server.is.tls.given().is_some() {
            "the gateway speaks TLS, but this URL is http: tokens made for it compare with http, and monday sends no short-lived token there"
        } else {
            "monday sends no short-lived token (`X-Monday-Api-Key`) to a URL that is not https"
        };
        sheet.warn(url.place, what, "the https URL that is registered at monday, also where something else ends TLS");
    }
}

/// The backend may trust the headers only if nobody else can reach it.
fn warn_reachable_upstreams(file: &written::File, routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    for (name, upstream) in file.upstreams.given().map_or(&[][..], |upstreams| upstreams.is.0.as_slice()) {
        let Some(upstream) = upstream.given() else { continue };
        let Some(server) = upstream.is.servers.given().and_then(|servers| servers.is.0.first()) else { continue };
        let is_closed = match &server.is {
            ServerUrl::Unix(_) => true,
            ServerUrl::Tcp { tls: true, .. } if upstream.is.client_certificate.given().is_some() => true,
            ServerUrl::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        };
        let mut users = routes.iter().filter(|route| names(&route.is.upstream, &name.is)).peekable();
        let is_proven = users.peek().is_some() && users.all(|route| proves_itself(&route.is));
        if !is_closed && !is_proven {
            sheet.warn(
                server.place,
                "others may be able to reach this backend, and could send it the headers that it trusts",
                "a client certificate, authorization = \"resign\", or a shared key in inject.headers on all its routes; or a Unix socket or loopback",
            );
        }
    }
}

fn proves_itself(route: &written::Route) -> bool {
    let is_resigned =
        route.authorization.given().is_some_and(|authorization| authorization.is == Authorization::Resign);
    let headers = route.inject.given().and_then(|inject| inject.is.headers.given());
    let has_key = headers.is_some_and(|headers| {
        headers
            .is
            .0
            .iter()
            .any(|(_, value)| value.given().is_some_and(|value| matches!(value.is, HeaderText::Secret(_))))
    });
    is_resigned || has_key
}
