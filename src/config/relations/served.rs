//! Paths that the gateway answers itself, and everything else that has a path: a request must have one owner. A route that could match a
//! served path is a mistake, also where the served one would win: what the gateway does not serve below it would then reach a backend,
//! tokens and codes in the query with it.

use crate::config::resolve::providers::Providers;
use crate::config::resolve::route_path::pattern;
use crate::config::sheet::{At, Place, Sheet};
use crate::config::written;

/// What is below each Authorization URL; also `keys/NAME` and `callback/NAME`.
pub(crate) const PAGES: [&str; 7] = ["connect", "go", "next", "switch", "confirm", "connections", "disconnect"];

/// A path that the gateway answers.
struct Served<'a> {
    place: Place,
    path: &'a str,
    /// Also everything below.
    below: bool,
    /// The app's or the provider's.
    name: &'a str,
}

/// All of it.
pub(crate) fn check(
    file: &written::File,
    routes: &[&At<written::Route>],
    providers: &Providers<'_>,
    sheet: &mut Sheet<'_>,
) {
    let apps: Vec<Served<'_>> = of_apps(file);
    let callbacks = of_callbacks(providers);
    refuse_overlaps(&apps, sheet);
    refuse_equal_callbacks(&callbacks, &apps, sheet);
    for served in apps.iter().chain(&callbacks) {
        for route in routes {
            refuse_route(served, route, sheet);
        }
    }
}

fn of_apps(file: &written::File) -> Vec<Served<'_>> {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    apps.iter()
        .filter_map(|(name, app)| {
            let table = app.given()?.is.authorization.given()?;
            let path = table.is.path.given()?;
            let below = table.is.status_url.is_absent();
            Some(Served { place: path.place, path: &path.is.0, below, name: &name.is })
        })
        .collect()
}

fn of_callbacks<'a>(providers: &Providers<'a>) -> Vec<Served<'a>> {
    let written = providers.written.iter();
    written
        .filter_map(|(name, table)| {
            let path = table.given()?.is.callback.given()?;
            Some(Served { place: path.place, path: &path.is.0, below: false, name: &name.is })
        })
        .collect()
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn refuse_overlaps(apps: &[Served<'_>], sheet: &mut Sheet<'_>) {
    for (index, later) in apps.iter().enumerate() {
        let overlaps = |earlier: &&Served<'_>| {
            later.path == earlier.path
                || earlier.below && is_below(later.path, earlier.path)
                || later.below && is_below(earlier.path, later.path)
        };
        if let Some(earlier) = apps.iter().take(index).find(overlaps) {
            sheet.refuse_pair(
                [later.place, earlier.place],
                "the other app's",
                "two apps' Authorization URLs overlap: callbacks and pages are below each, and whose would they be?",
                "give each app a path of its own, as in \"/planner/authorize\"",
            );
        }
    }
}

fn refuse_equal_callbacks(callbacks: &[Served<'_>], apps: &[Served<'_>], sheet: &mut Sheet<'_>) {
    for (index, later) in callbacks.iter().enumerate() {
        if let Some(earlier) = callbacks.iter().take(index).find(|earlier| earlier.path == later.path) {
            sheet.refuse_pair(
                [later.place, earlier.place],
                "the other provider's",
                "two providers have the same callback: one could answer for the other",
                "give each a path of its own, or remove `callback`",
            );
        }
        if let Some(app) = apps.iter().find(|app| is_a_page(later, app)) {
            sheet.refuse_pair(
                [later.place, app.place],
                "the Authorization URL",
                "this callback is the path of an Authorization URL, or of a page below it",
                "give the callback a path of its own, or remove `callback`",
            );
        }
    }
}

/// Its own default callback is no other page.
fn is_a_page(callback: &Served<'_>, app: &Served<'_>) -> bool {
    if callback.path == app.path {
        return true;
    }
    let below = callback.path.strip_prefix(app.path).and_then(|rest| rest.strip_prefix('/'));
    let Some(below) = below.filter(|_| app.below) else { return false };
    let other_callback = below.strip_prefix("callback/").is_some_and(|name| name != callback.name);
    PAGES.contains(&below) || below.starts_with("keys/") || other_callback
}

fn refuse_route(served: &Served<'_>, route: &At<written::Route>, sheet: &mut Sheet<'_>) {
    let Some(path) = route.is.path.given() else { return };
    let Ok(pattern) = pattern(&path.is) else { return };
    let route_segments: Vec<&str> = segments(&pattern.base);
    let served_segments: Vec<&str> = segments(served.path);
    let shared = route_segments.len().min(served_segments.len());
    let fits = route_segments.iter().zip(&served_segments).all(|(one, other)| one == other || one.starts_with('{'));
    let reaches = (route_segments.len() <= shared || served.below) && (served_segments.len() <= shared || pattern.rest);
    if !fits || !reaches {
        return;
    }
    // A route of any host loses wherever the served path is the more specific one; a route of one host is asked first.
    let is_literal = served_segments.iter().zip(&route_segments).all(|(one, other)| one == other);
    let wins = is_literal
        && (route_segments.len() > served_segments.len()
            || route_segments.len() == served_segments.len() && (served.below || !pattern.rest));
    let below = if served.below { " and everything below it" } else { "" };
    sheet.refuse_pair(
        [path.place, served.place],
        "the gateway's own path",
        format!("the gateway itself answers `{}`{below}, and this route could match its requests", served.path),
        if route.is.host.given().is_some() && !wins {
            "a route with a `host` is asked first: give one of the two another path"
        } else {
            "name the backend's paths one by one, or give one of the two a path of its own"
        },
    );
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_ends_at_a_segment() {
        assert!(is_below("/a/b", "/a") && is_below("/a", "/a"));
        assert!(!is_below("/ab", "/a") && !is_below("/", "/a"));
    }
}
