//! `[apps.*]`: secrets are fetched and long enough; names can be the value of `X-Monday-App`.

use std::sync::Arc;
use std::time::Duration;

use crate::config::read::{Field, OneOrMany};
use crate::config::resolve::authorization::OfApp;
use crate::config::resolve::check_name;
use crate::config::resolve::monday_provider::{Registered, monday_provider};
use crate::config::resolve::oauth_client::checked_scopes;
use crate::config::resolve::providers::Providers;
use crate::config::resolve::server::duration;
use crate::config::resolved::App;
use crate::config::secret_source::{SecretSource, fetch};
use crate::config::sheet::{At, Sheet};
use crate::config::written;
use crate::limits::SECRET_BYTES_MIN;
use crate::oauth::provider::Provider;
use crate::secret::Secret;

/// The scope that `me` needs.
const ME_READ: &str = "me:read";

/// All apps, in the file's order; a wrong one is `None`.
pub(crate) fn apps(file: &written::File, providers: &Providers<'_>, sheet: &mut Sheet<'_>) -> Vec<Option<App>> {
    let named = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    named
        .iter()
        .map(|(name, field)| {
            let plain = check_name(name, "an app", sheet);
            let written = field.given()?;
            let app = app(&written.is, sheet);
            let scopes = scopes(&written.is, sheet);
            let monday = monday(file, app.as_ref(), scopes);
            let of = OfApp { file, name, app: &written.is, monday: monday.as_ref(), providers };
            let authorization = written.is.authorization.optional().and_then(|table| match table {
                Some(table) => of.authorization(table, sheet).map(Some),
                None => Some(None),
            });
            Some(App { name: plain?, authorization: authorization?, monday, ..app? })
        })
        .collect()
}

/// `me:read` tells whose a monday grant is.
fn scopes(app: &written::App, sheet: &mut Sheet<'_>) -> Option<Vec<String>> {
    let mut scopes = match app.scopes.optional()? {
        Some(scopes) => checked_scopes(&scopes.is.0, " ", sheet)?,
        None => Vec::new(),
    };
    if !scopes.iter().any(|scope| scope == ME_READ) {
        scopes.insert(0, ME_READ.to_owned());
    }
    Some(scopes)
}

/// The built-in provider, where the app has what it needs.
fn monday(file: &written::File, app: Option<&App>, scopes: Option<Vec<String>>) -> Option<Arc<Provider>> {
    let (app, hosts) = (app?, crate::config::resolve::grants::monday(file)?);
    let id = app.client_id.clone()?;
    if app.client_secrets.is_empty() {
        return None;
    }
    let registered = Registered { id, secrets: app.client_secrets.clone(), generation: app.oauth, scopes: scopes? };
    Some(Arc::new(monday_provider(&hosts.auth, registered)))
}

fn app(app: &written::App, sheet: &mut Sheet<'_>) -> Option<App> {
    let client_id = app.client_id.optional().and_then(|id| match id {
        Some(id) => checked_client_id(id, sheet).map(Some),
        None => Some(None),
    });
    let client_secrets = secrets(&app.client_secret, sheet);
    let signing_secrets = secrets(&app.signing_secret, sheet);
    warn_if_same(app, client_secrets.as_deref(), signing_secrets.as_deref(), sheet);
    let app_id = app.app_id.optional().and_then(|id| match id {
        Some(At { is, place }) if *is <= 0 => {
            sheet.refuse(*place, "an app's id is a positive number", "as the Developer Center shows it")
        }
        Some(id) => Some(Some(id.is)),
        None => Some(None),
    });
    let leeway = duration(&app.leeway, Duration::ZERO, 300, sheet);
    Some(App {
        name: String::new(),
        client_id: client_id?,
        client_secrets: client_secrets?,
        signing_secrets: signing_secrets?,
        app_id: app_id?,
        audience: app.audience.given()?.is,
        leeway: leeway?,
        oauth: app.oauth.given()?.is,
        monday: None,
        authorization: None,
    })
}

fn checked_client_id(id: &At<String>, sheet: &mut Sheet<'_>) -> Option<String> {
    let is_plain = !id.is.is_empty() && id.is.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain {
        return Some(id.is.clone());
    }
    sheet.refuse(id.place, "a client id is visible ASCII without spaces", "copy it from the Developer Center")
}

fn secrets(field: &Field<OneOrMany<SecretSource>>, sheet: &mut Sheet<'_>) -> Option<Vec<Secret>> {
    let Some(sources) = field.optional()? else {
        return Some(Vec::new());
    };
    let fetched: Vec<Option<Secret>> =
        sources.is.0.iter().map(|source| fetch(&source.is, source.place, SECRET_BYTES_MIN, sheet)).collect();
    fetched.into_iter().collect()
}

fn warn_if_same(app: &written::App, client: Option<&[Secret]>, signing: Option<&[Secret]>, sheet: &mut Sheet<'_>) {
    let is_read = sheet.around().secrets == crate::config::sheet::Secrets::Read;
    let (Some(client), Some(signing), Some(at)) = (client, signing, app.signing_secret.given()) else {
        return;
    };
    let is_literal = |field: &Field<OneOrMany<SecretSource>>| {
        field.given().is_some_and(|all| all.is.0.iter().all(|source| matches!(source.is, SecretSource::Literal(_))))
    };
    let is_known = is_read || (is_literal(&app.client_secret) && is_literal(&app.signing_secret));
    if is_known && signing.iter().any(|secret| client.contains(secret)) {
        sheet.warn(
            at.place,
            "the signing secret and the client secret are the same: monday makes two, and each signs other tokens",
            "copy both from the Developer Center, under Basic information",
        );
    }
}
