//! `[apps.X.authorization]`: who says whether a user is authorized, in which order grants are asked for, and where `backToUrl` may
//! lead. What other parts of the file must have for it is checked here at its keys, too.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::address::is_host_name;
use crate::config::mask::quotable;
use crate::config::read::{Field, OneOrMany};
use crate::config::resolve::providers::{MONDAY, Providers};
use crate::config::resolve::routes::index_of;
use crate::config::resolved::grants::{AppAuthorization, BackTo, Events, Identity, Mode, OnUninstall};
use crate::config::secret_source::{SecretSource, fetch_of};
use crate::config::sheet::{At, Place, Secrets, Sheet};
use crate::config::suggest::suggest;
use crate::config::written;
use crate::limits::SECRET_BYTES_MIN;
use crate::oauth::provider::{Per, Provider};
use crate::secret::Secret;

/// One app, and the file around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfApp<'a> {
    /// The file.
    pub(crate) file: &'a written::File,
    /// The app's name.
    pub(crate) name: &'a At<String>,
    /// The app.
    pub(crate) app: &'a written::App,
    /// The built-in provider, if it can be made.
    pub(crate) monday: Option<&'a Arc<Provider>>,
    /// All others.
    pub(crate) providers: &'a Providers<'a>,
}

impl OfApp<'_> {
    /// The Authorization URL.
    pub(crate) fn authorization(
        &self,
        table: &At<written::AppAuthorization>,
        sheet: &mut Sheet<'_>,
    ) -> Option<AppAuthorization> {
        let is = &table.is;
        let mode = self.mode(table, sheet);
        let back_to = back_to(&is.back_to, sheet);
        let identity = identity(table, sheet);
        let events = is.events.optional().and_then(|events| match events {
            Some(events) => self::events(events, sheet).map(Some),
            None => Some(None),
        });
        self.check_signing(table, sheet);
        Some(AppAuthorization {
            path: is.path.given()?.is.0.clone(),
            mode: mode?,
            back_to: back_to?,
            identity: identity?,
            on_uninstall: is.on_uninstall.optional()?.map_or(OnUninstall::Revoke, |at| at.is),
            events: events?,
        })
    }

    fn mode(&self, table: &At<written::AppAuthorization>, sheet: &mut Sheet<'_>) -> Option<Mode> {
        let is = &table.is;
        match (is.grants.optional()?, is.status_url.optional()?) {
            (Some(grants), Some(status)) => {
                sheet.refuse_pair(
                    [status.place, grants.place],
                    "the grants",
                    "either the gateway asks for grants, or the backend says who is authorized: one of the two decides",
                    "remove `status_url`, or `grants`",
                );
                None
            }
            (None, None) => sheet.absent(
                table.place,
                "this says nowhere what makes a user authorized",
                "add grants = [\"monday\"], or status_url = \"https://...\" and upstream = \"NAME\"",
            ),
            (Some(grants), None) => {
                if let Some(upstream) = is.upstream.given() {
                    let _: Option<()> = sheet.refuse(
                        upstream.place,
                        "the gateway serves these pages itself: `upstream` goes with `status_url`",
                        "remove it",
                    );
                }
                self.grants(grants, sheet).map(Mode::Grants)
            }
            (None, Some(status)) => {
                let upstream = self.status_upstream(status.place, is, sheet);
                refuse_beside_status(is, sheet)?;
                Some(Mode::Status { url: status.is.0.clone(), upstream: upstream? })
            }
        }
    }

    fn status_upstream(&self, status: Place, is: &written::AppAuthorization, sheet: &mut Sheet<'_>) -> Option<usize> {
        let Some(name) = is.upstream.optional()? else {
            return sheet.absent(
                status,
                "`upstream` is missing here: where would a user go who is not authorized?",
                "add upstream = \"NAME\" with the backend that has the pages",
            );
        };
        let index = index_of(&self.file.upstreams, name, "upstream", sheet)?;
        let upstream = self.file.upstreams.given()?.is.0.get(index)?.1.given()?;
        if upstream.is.signing_secret.is_absent() {
            let what = format!(
                "the question to `status_url` is signed with the upstream's own secret, and upstream `{}` has none",
                name.is
            );
            let right = format!("add signing_secret = {{ env = \"...\" }} to [upstreams.{}]", name.is);
            return sheet.absent(name.place, what, right);
        }
        Some(index)
    }

    fn grants(
        &self,
        grants: &At<crate::config::read::Many<String>>,
        sheet: &mut Sheet<'_>,
    ) -> Option<Vec<Arc<Provider>>> {
        if grants.is.0.is_empty() {
            return sheet.refuse(
                grants.place,
                "an app that asks for nothing needs no Authorization URL",
                "name the providers, as in [\"monday\"], or remove [apps.NAME.authorization]",
            );
        }
        let found = self.named(&grants.is.0, sheet)?;
        let monday = found.iter().position(|provider| provider.name == MONDAY);
        if let (Some(at), Some(first)) = (monday.filter(|at| *at > 0), grants.is.0.first()) {
            let place = grants.is.0.get(at).map_or(first.place, |named| named.place);
            return sheet.refuse(
                place,
                "`monday` is asked first: its consent step tells who is in this browser, before another account is connected",
                "put \"monday\" at the beginning of `grants`",
            );
        }
        let of_account = found.iter().position(|provider| provider.per == Per::Account);
        if let (None, Some(place)) = (monday, of_account.and_then(|at| grants.is.0.get(at)).map(|named| named.place)) {
            return sheet.refuse(
                place,
                "who may connect this for the whole account, only monday's `me` can say, and this app asks for no monday grant",
                "put \"monday\" at the beginning of `grants`, or write per = \"user\" for this provider",
            );
        }
        Some(found)
    }

    /// Providers by name, each once.
    pub(crate) fn named(&self, names: &[At<String>], sheet: &mut Sheet<'_>) -> Option<Vec<Arc<Provider>>> {
        let mut found: Vec<Option<Arc<Provider>>> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|earlier| earlier.is == name.is) {
                found.push(sheet.refuse(name.place, "this provider is in the list twice", "remove one"));
            } else {
                found.push(self.provider(name, sheet));
            }
        }
        found.into_iter().collect()
    }

    fn provider(&self, name: &At<String>, sheet: &mut Sheet<'_>) -> Option<Arc<Provider>> {
        if name.is == MONDAY {
            self.check_registered(name.place, sheet);
            return self.monday.cloned();
        }
        let known = self.providers.names();
        if known.contains(&name.is.as_str()) {
            return self.providers.find(&name.is).cloned();
        }
        let right = if known.len() > 1 {
            suggest(&name.is, &known)
        } else {
            format!("add [providers.{}], or name \"monday\"", quotable(&name.is))
        };
        sheet.absent(name.place, format!("there is no provider `{}`", quotable(&name.is)), right)
    }

    /// A monday grant is asked for in the name of the app.
    fn check_registered(&self, place: Place, sheet: &mut Sheet<'_>) {
        let missing: Vec<&str> =
            [("client_id", self.app.client_id.is_absent()), ("client_secret", self.app.client_secret.is_absent())]
                .into_iter()
                .filter_map(|(key, is_absent)| is_absent.then_some(key))
                .collect();
        if missing.is_empty() || sheet.is_broken() {
            return;
        }
        let keys = missing.join(" and ");
        sheet.refuse_pair(
            [place, self.name.place],
            "this is the app",
            format!(
                "a monday grant is asked for with the app's client_id and client_secret, and app `{}` has no {keys}",
                self.name.is
            ),
            format!(
                "add {keys} to [apps.{}], as the Developer Center shows them under Basic information",
                self.name.is
            ),
        );
    }

    /// Tokens of this URL are verified with the signing secret, then the client secret.
    fn check_signing(&self, table: &At<written::AppAuthorization>, sheet: &mut Sheet<'_>) {
        if self.app.signing_secret.is_absent() && !sheet.is_broken() {
            sheet.refuse_pair(
                [table.place, self.name.place],
                "this is the app",
                format!(
                    "the Authorization URL's tokens are verified with `signing_secret`, and app `{}` has none",
                    self.name.is
                ),
                format!("add signing_secret = {{ env = \"...\" }} to [apps.{}]", self.name.is),
            );
        }
    }
}

fn identity(table: &At<written::AppAuthorization>, sheet: &mut Sheet<'_>) -> Option<Identity> {
    let is = &table.is;
    let asks_monday = is.grants.optional()?.is_some_and(|grants| grants.is.0.iter().any(|name| name.is == MONDAY));
    match is.identity.optional()? {
        None if asks_monday => Some(Identity::Monday),
        None => Some(Identity::Confirm),
        Some(At { is: Identity::Monday, place }) if !asks_monday && is.grants.given().is_some() => sheet.refuse(
            *place,
            "who is in the browser, monday's consent step tells, and this app asks for no monday grant",
            "put \"monday\" at the beginning of `grants`, or write identity = \"confirm\"",
        ),
        Some(At { is: Identity::Confirm, place }) if asks_monday => sheet.refuse(
            *place,
            "monday's consent step tells who is in the browser, and a confirmation tells less",
            "remove it, or remove \"monday\" from `grants`",
        ),
        Some(identity) => Some(identity.is),
    }
}

/// With `status_url` the backend has the grants, and all that is done with them.
fn refuse_beside_status(is: &written::AppAuthorization, sheet: &mut Sheet<'_>) -> Option<()> {
    let places = [
        ("identity", is.identity.given().map(|at| at.place)),
        ("on_uninstall", is.on_uninstall.given().map(|at| at.place)),
        ("events", is.events.given().map(|at| at.place)),
    ];
    let mut is_right = true;
    for (key, place) in places {
        let Some(place) = place else { continue };
        is_right = false;
        let what =
            format!("`{key}` is about grants that the gateway keeps, and with `status_url` the backend keeps its own");
        let _: Option<()> = sheet.refuse(place, what, "remove it, or name `grants` instead of `status_url`");
    }
    is_right.then_some(())
}

fn back_to(field: &Field<OneOrMany<String>>, sheet: &mut Sheet<'_>) -> Option<Vec<BackTo>> {
    let hosts: Vec<Option<BackTo>> = field.given()?.is.0.iter().map(|host| back_to_host(host, sheet)).collect();
    hosts.into_iter().collect()
}

fn back_to_host(host: &At<String>, sheet: &mut Sheet<'_>) -> Option<BackTo> {
    let right = "a host, or \"*.\" and a domain, as in \"*.monday.com\"";
    let lower = host.is.to_ascii_lowercase();
    let refuse = |what: &str, sheet: &mut Sheet<'_>| sheet.refuse(host.place, what, right);
    if lower.contains("://") || lower.contains('/') {
        return refuse("this names hosts only: `backToUrl` is always https, and may have any path", sheet);
    }
    if let Some((name, port)) = lower.rsplit_once(':') {
        let number = port.parse::<u16>().unwrap_or(0);
        let is_plain = number != 0 && number != 443 && number.to_string() == port;
        if is_plain && matches!(name, "localhost" | "127.0.0.1") {
            return Some(BackTo::Port(lower));
        }
        return refuse("this names hosts only, without a port; on this machine alone, a port is written", sheet);
    }
    match lower.strip_prefix("*.") {
        Some(domain) if is_host_name(domain) && domain.contains('.') => Some(BackTo::Below(format!(".{domain}"))),
        Some(domain) if is_host_name(domain) => refuse("this is nearly everybody: a link could lead anywhere", sheet),
        None if is_host_name(&lower) => Some(BackTo::Host(lower)),
        Some(_) | None => refuse("this is no host", sheet),
    }
}

fn events(table: &At<written::Events>, sheet: &mut Sheet<'_>) -> Option<Events> {
    let keys: Vec<Option<Secret>> =
        table.is.key.given()?.is.0.iter().map(|source| event_key(&source.is, source.place, sheet)).collect();
    let url = table.is.url.given()?.is.0.clone();
    Some(Events { url, keys: keys.into_iter().collect::<Option<_>>()? })
}

/// As Standard Webhooks writes keys, or any 32 bytes.
fn event_key(source: &SecretSource, place: Place, sheet: &mut Sheet<'_>) -> Option<Secret> {
    let right = "\"whsec_\" and 24 to 64 bytes in base64, or any 32 bytes and more";
    let secret = fetch_of(source, place, 1, right, sheet)?;
    let is_assumed = sheet.around().secrets == Secrets::Assume && !matches!(source, SecretSource::Literal(_));
    let is_right = match secret.expose().strip_prefix(b"whsec_") {
        Some(encoded) => STANDARD.decode(encoded).is_ok_and(|bytes| (24..=64).contains(&bytes.len())),
        None => secret.len() >= SECRET_BYTES_MIN,
    };
    if is_right || is_assumed {
        return Some(secret);
    }
    sheet.refuse(place, "this key is too short to sign with, or is not base64 after `whsec_`", right)
}
