//! Every URL to register, and where: what `check --print` lists. From a route's kind follows the field of the Developer Center; from
//! the providers of an app, the redirect URLs at monday and at each service.

use serde_json::{Value, json};

use crate::config::resolved::grants::{AppAuthorization, Mode, public_origin};
use crate::config::resolved::{App, Config, Route};
use crate::monday::kinds::Kind;
use crate::oauth::provider::Connect;
use crate::snapshot::served::{callback_path, providers};

/// One URL and the field it belongs into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The app's name in gateway.toml.
    pub app: String,
    /// With `{name}` and `...` where the route leaves it open.
    pub url: String,
    /// Where monday or another service asks for it.
    pub place: String,
}

impl Registration {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "app": self.app, "url": self.url, "where": self.place })
    }
}

/// All of them: Authorization URLs with their redirect URLs, then the routes' in their order.
pub(crate) fn registrations(config: &Config) -> Vec<Registration> {
    let mut all = Vec::new();
    for (at, app) in config.apps.iter().enumerate() {
        if let Some(authorization) = &app.authorization {
            all.extend(of_authorization(config, (at, app), authorization));
        }
    }
    for route in &config.routes {
        let Some(app) = route.app.and_then(|index| config.apps.get(index)) else { continue };
        let Some(place) = place_of(route.kind) else { continue };
        for url in urls(config, route) {
            all.push(Registration { app: app.name.clone(), url, place: place.to_owned() });
        }
    }
    all
}

/// The Authorization URL, and where each provider sends browsers back to. Keys that users type in need none.
fn of_authorization(config: &Config, (at, app): (usize, &App), authorization: &AppAuthorization) -> Vec<Registration> {
    let origin = public_origin(&config.server.public_urls);
    let one = |path: &str, place: String| Registration { app: app.name.clone(), url: format!("{origin}{path}"), place };
    let own = "the integration feature: Authorization URL".to_owned();
    let mut all = vec![one(&authorization.path, own)];
    if matches!(authorization.mode, Mode::Status { .. }) {
        return all;
    }
    let mut asked = providers(config, at);
    if let Some(monday) = app.monday.as_ref().filter(|_| asked.iter().all(|provider| provider.name != "monday")) {
        asked.insert(0, std::sync::Arc::clone(monday));
    }
    for provider in asked.iter().filter(|provider| matches!(provider.connect, Connect::Oauth(_))) {
        let is_monday = provider.client().is_some_and(|client| client.monday.is_some());
        let place = if is_monday {
            "the app's OAuth page: Redirect URLs".to_owned()
        } else {
            format!("at {}: the redirect URI (callback URL) of your OAuth client", provider.display)
        };
        all.push(one(&callback_path(authorization, provider), place));
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Secrets;
    use crate::config::load::load_text;
    use crate::config::relations::served::PAGES;
    use crate::snapshot::served::served;

    #[test]
    fn what_is_served_below_an_authorization_url_is_what_the_configuration_keeps_free() {
        let whole = include_str!("../config/whole.toml");
        let config = load_text("gateway.toml", whole, Path::new("/"), Secrets::Assume).unwrap().config;
        for one in served(&config) {
            let Some(below) = one.route.path.strip_prefix("/planner/authorize/") else { continue };
            let is_known = PAGES.contains(&below) || below.starts_with("keys/") || below.starts_with("callback/");
            assert!(is_known, "{below}");
        }
    }
}
