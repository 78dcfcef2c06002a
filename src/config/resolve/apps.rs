//! `[apps.*]`: secrets are fetched and long enough; names can be the value of `X-Monday-App`.

use std::time::Duration;

use crate::config::read::{Field, OneOrMany};
use crate::config::resolve::check_name;
use crate::config::resolve::server::duration;
use crate::config::resolved::App;
use crate::config::secret_source::{SecretSource, fetch};
use crate::config::sheet::{At, Sheet};
use crate::config::written;
use crate::limits::SECRET_BYTES_MIN;
use crate::oauth::provider::MondayGeneration;
use crate::secret::Secret;

/// All apps, in the file's order.
pub(crate) fn apps(file: &written::File, sheet: &mut Sheet<'_>) -> Option<Vec<App>> {
    let named = file.apps.optional()?.map_or(&[][..], |apps| apps.is.0.as_slice());
    let apps: Vec<Option<App>> = named
        .iter()
        .map(|(name, field)| {
            let name = check_name(name, "an app", sheet);
            let app = field.given().and_then(|written| app(&written.is, sheet));
            Some(App { name: name?, ..app? })
        })
        .collect();
    apps.into_iter().collect()
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
        oauth: MondayGeneration::V21,
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
