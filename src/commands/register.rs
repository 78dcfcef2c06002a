//! Every URL to register at monday, and where: what `check --print` lists. From a route's kind follows the field of the
//! Developer Center.

use serde_json::{Value, json};

use crate::config::resolved::{Config, Route};
use crate::monday::kinds::Kind;

/// One URL and the field it belongs into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The app's name in gateway.toml.
    pub app: String,
    /// With `{name}` and `...` where the route leaves it open.
    pub url: String,
    /// Where monday asks for it.
    pub place: &'static str,
}

impl Registration {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "app": self.app, "url": self.url, "where": self.place })
    }
}

/// All of them, in the order of the routes.
pub(crate) fn registrations(config: &Config) -> Vec<Registration> {
    let mut all = Vec::new();
    for route in &config.routes {
        let Some(app) = route.app.and_then(|index| config.apps.get(index)) else { continue };
        let Some(place) = place_of(route.kind) else { continue };
        for url in urls(config, route) {
            all.push(Registration { app: app.name.clone(), url, place });
        }
    }
    all
}

/// The first public URL with the route's host; the first of all for routes of any host.
fn urls(config: &Config, route: &Route) -> Vec<String> {
    let fits = |host: &str| match &route.host {
        None => true,
        Some(wanted) => wanted.strip_prefix('*').map_or(host == wanted, |suffix| host.ends_with(suffix)),
    };
    let urls = config.server.public_urls.iter().filter(|url| fits(&url.host));
    let below = if route.pattern.rest { "/..." } else { "" };
    urls.take(1).map(|url| format!("{}{}{}{below}", url.origin(), url.path, route.pattern.base)).collect()
}

const fn place_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Action => Some("the action block of an integration recipe: Run URL"),
        Kind::Subscribe => Some("the trigger block of an integration recipe: Subscribe URL"),
        Kind::Unsubscribe => Some("the trigger block of an integration recipe: Unsubscribe URL"),
        Kind::RemoteOptions => Some("the custom field: Remote options URL"),
        Kind::FieldDefinitions => Some("the dynamic mapping or object field: Field definitions URL"),
        Kind::Credentials => Some("the credentials field or feature: its URLs"),
        Kind::BoardWebhook => Some("the `url` of the create_webhook mutation, or the board's webhook integration"),
        Kind::AppLifecycle => Some("the app's Webhooks page: app lifecycle events"),
        Kind::FeatureLifecycle => Some("the app feature: its lifecycle events"),
        Kind::View => Some("nowhere: the app's own front end calls it with its session token"),
        Kind::Authorization => Some("the integration feature: Authorization URL"),
        Kind::Jwt | Kind::Public => None,
    }
}
