//! What grants need of the rest of gateway.toml: a vault, https, headers that nobody else sets, somebody who uses each provider.

use http::HeaderName;

use crate::config::endpoint::is_loopback;
use crate::config::read::{Field, Many};
use crate::config::resolve::providers::{MONDAY, Providers};
use crate::config::sheet::{At, Place, Sheet};
use crate::config::written;
use crate::monday::kinds::Kind;
use url::Url;

/// All of it.
pub(crate) fn check(
    file: &written::File,
    routes: &[&At<written::Route>],
    providers: &Providers<'_>,
    sheet: &mut Sheet<'_>,
) {
    let lists = lists(file, routes);
    refuse_without_vault(file, &lists, sheet);
    refuse_http(file, sheet);
    refuse_same_headers(routes, providers, sheet);
    if sheet.is_broken() {
        return;
    }
    warn_unused(file, &lists, providers, sheet);
    warn_unasked(file, routes, sheet);
    warn_scopes(file, &lists, sheet);
}

/// Every list of grants: of apps, then of routes.
fn lists<'a>(file: &'a written::File, routes: &[&'a At<written::Route>]) -> Vec<&'a At<Many<String>>> {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    let of_apps = apps.iter().filter_map(|(_, app)| app.given()?.is.authorization.given()?.is.grants.given());
    let of_routes = routes.iter().flat_map(|route| [route.is.grants.given(), route.is.require.given()]).flatten();
    of_apps.chain(of_routes).filter(|list| !list.is.0.is_empty()).collect()
}

fn refuse_without_vault(file: &written::File, lists: &[&At<Many<String>>], sheet: &mut Sheet<'_>) {
    let needed = lists.first().map(|list| list.place).or_else(|| file.internal.given().map(|internal| internal.place));
    if let (Some(place), true) = (needed, file.vault.is_absent()) {
        let _: Option<()> = sheet.absent(
            place,
            "grants are kept in a vault, and there is none",
            "add [vault] with store = \"sqlite:data/vault.db\" and keys = [{ env = \"VAULT_KEY\" }]",
        );
    }
}

/// The flow's cookies are for https only, and providers redirect codes to https only.
fn refuse_http(file: &written::File, sheet: &mut Sheet<'_>) {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    let serves = apps.iter().any(|(_, app)| {
        app.given().and_then(|app| app.is.authorization.given()).is_some_and(|table| table.is.grants.given().is_some())
    });
    let urls = file.server.given().and_then(|server| server.is.public_url.given());
    let Some(first) = urls.and_then(|urls| urls.is.0.first()).filter(|_| serves) else { return };
    let is_near = Url::parse(&first.is.origin()).is_ok_and(|url| is_loopback(&url));
    if first.is.scheme == "http" && !is_near {
        let _: Option<()> = sheet.refuse(
            first.place,
            "the Authorization URL is served here, and codes and cookies would cross the network readable",
            "the https URL that is registered at monday, also where something else ends TLS",
        );
    }
}

/// A header has one owner, or a backend would not know whose token it is.
fn refuse_same_headers(routes: &[&At<written::Route>], providers: &Providers<'_>, sheet: &mut Sheet<'_>) {
    let mut owners: Vec<(Place, HeaderName)> = Vec::new();
    for (name, table) in providers.written {
        let Some(provider) = providers.find(&name.is) else { continue };
        let place = table.given().and_then(|table| table.is.header.given()).map_or(name.place, |header| header.place);
        let headers = std::iter::once(&provider.header).chain(provider.values.iter().map(|(_, header)| header));
        for header in headers {
            if let Some((other, _)) = owners.iter().find(|(at, known)| known == header && *at != place) {
                sheet.refuse_pair(
                    [place, *other],
                    "the other provider",
                    format!("two providers set `{header}`: a backend would not know whose token it has"),
                    "give one of them a `header` of its own, or another name",
                );
                break;
            }
            owners.push((place, header.clone()));
        }
    }
    for route in routes {
        let injected = route.is.inject.given().and_then(|inject| inject.is.headers.given());
        for (name, _) in injected.map_or(&[][..], |headers| headers.is.0.as_slice()) {
            let lower = name.is.to_ascii_lowercase();
            if let Some((other, _)) = owners.iter().find(|(_, header)| header.as_str() == lower) {
                sheet.refuse_pair(
                    [name.place, *other],
                    "the provider",
                    "this header carries a provider's grant, and a route cannot set it, too",
                    "choose another name, or give the provider a `header` of its own",
                );
            }
        }
    }
}

fn warn_unused(file: &written::File, lists: &[&At<Many<String>>], providers: &Providers<'_>, sheet: &mut Sheet<'_>) {
    let clients = file.internal.given().and_then(|internal| internal.is.clients.given());
    let of_clients = clients.map_or(&[][..], |clients| clients.is.0.as_slice()).iter();
    let asked: Vec<&Many<String>> =
        of_clients.filter_map(|(_, client)| client.given()?.is.grants.given()).map(|list| &list.is).collect();
    for (name, _) in providers.written {
        let mut all = lists.iter().map(|list| &list.is).chain(asked.iter().copied());
        if !all.any(|list| list.0.iter().any(|one| one.is == name.is)) {
            sheet.warn(
                name.place,
                format!("nothing uses provider `{}`", name.is),
                format!("name it in `grants` of an app or a route, or remove [providers.{}]", name.is),
            );
        }
    }
}

/// Where the gateway serves no Authorization URL of the app, nobody can connect: a grant is there only if it was imported.
fn warn_unasked(file: &written::File, routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    for route in routes {
        let Some(name) = route.is.app.given() else { continue };
        let app = apps.iter().find(|(known, _)| known.is == name.is).and_then(|(_, app)| app.given());
        let Some(app) = app else { continue };
        let is_served = match &app.is.authorization {
            Field::Given(table) => table.is.status_url.is_absent(),
            Field::Absent => false,
            Field::Wrong => true,
        };
        let lists = [&route.is.grants, &route.is.require].into_iter().filter_map(Field::given);
        if let (false, Some(first)) = (is_served, lists.flat_map(|list| &list.is.0).next()) {
            sheet.warn(
                first.place,
                format!(
                    "nobody can connect here: the gateway serves no Authorization URL with grants for app `{}`",
                    name.is
                ),
                format!(
                    "add [apps.{}.authorization] with path and grants, or import the grants into the vault",
                    name.is
                ),
            );
        }
    }
}

/// Without `scopes` a monday grant can only say who the user is.
fn warn_scopes(file: &written::File, lists: &[&At<Many<String>>], sheet: &mut Sheet<'_>) {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    for (_, app) in apps {
        let Some(app) = app.given().filter(|app| app.is.scopes.is_absent()) else { continue };
        let asked = app.is.authorization.given().and_then(|table| table.is.grants.given());
        let monday = asked.and_then(|grants| grants.is.0.iter().find(|one| one.is == MONDAY));
        if let Some(monday) = monday.filter(|_| !lists.is_empty()) {
            sheet.warn(
                monday.place,
                "this app has no `scopes`, so a monday grant can read who the user is, and nothing else",
                "add scopes = [\"me:read\", ...] with what the app's backend does, as registered in the Developer Center",
            );
        }
    }
}

/// Whether an issuer has a route.
pub(crate) fn uses_issuer(routes: &[&At<written::Route>], name: &str) -> bool {
    routes.iter().any(|route| route.is.issuer.given().is_some_and(|issuer| issuer.is == name))
}

/// Whether something but a route uses an app: its Authorization URL, or the internal API.
pub(crate) fn uses_app(file: &written::File, name: &str) -> bool {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    let is_served = apps
        .iter()
        .any(|(known, app)| known.is == name && app.given().is_some_and(|app| app.is.authorization.given().is_some()));
    let clients = file.internal.given().and_then(|internal| internal.is.clients.given());
    let clients = clients.map_or(&[][..], |clients| clients.is.0.as_slice());
    let is_asked = clients.iter().any(|(_, client)| {
        client
            .given()
            .and_then(|client| client.is.apps.given())
            .is_some_and(|apps| apps.is.0.iter().any(|app| app.is == name))
    });
    is_served || is_asked
}

/// Whether an Authorization URL leads to an upstream.
pub(crate) fn uses_upstream(file: &written::File, name: &str) -> bool {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    apps.iter()
        .filter_map(|(_, app)| app.given()?.is.authorization.given()?.is.upstream.given())
        .any(|upstream| upstream.is == name)
}

/// A route of kind "authorization" beside an Authorization URL that the gateway serves: the app has two, and monday knows one.
pub(crate) fn warn_second_authorization(file: &written::File, routes: &[&At<written::Route>], sheet: &mut Sheet<'_>) {
    for route in routes {
        let (Some(kind), Some(app)) = (route.is.kind.given(), route.is.app.given()) else { continue };
        let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
        let table = apps
            .iter()
            .find(|(known, _)| known.is == app.is)
            .and_then(|(_, app)| app.given()?.is.authorization.given());
        if let (Kind::Authorization, Some(_)) = (kind.is, table) {
            sheet.warn(
                kind.place,
                format!("the gateway serves the Authorization URL of app `{}` itself, and this route leads another one to a backend", app.is),
                "register one of the two at monday; `check --print` shows both",
            );
        }
    }
}
