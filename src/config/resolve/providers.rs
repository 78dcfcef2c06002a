//! `[providers.*]`: what a preset knows and what the file says over it become one `Provider`; what one way of connecting does not have
//! is refused for it. Names that a header or a path cannot carry are refused, too.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::config::headers::settable_name;
use crate::config::read::{Field, Named};
use crate::config::resolve::check_name;
use crate::config::resolve::key_form::key_form;
use crate::config::resolve::oauth_client::client;
use crate::config::sheet::{At, Place, Sheet};
use crate::config::written;
use crate::config::written::ProviderType;
use crate::oauth::provider::{Connect, ConnectBy, Per, Provider};

/// The built-in provider's name.
pub(crate) const MONDAY: &str = "monday";

/// All providers of the file, also those that are wrong: names are known all the same.
#[derive(Debug)]
pub(crate) struct Providers<'f> {
    /// As written.
    pub(crate) written: &'f [(At<String>, Field<written::Provider>)],
    resolved: Vec<Option<Arc<Provider>>>,
}

impl<'f> Providers<'f> {
    /// Reads all of them.
    pub(crate) fn read(file: &'f written::File, sheet: &mut Sheet<'_>) -> Self {
        let written = file.providers.given().map_or(&[][..], |providers| providers.is.0.as_slice());
        let resolved = written
            .iter()
            .map(|(name, field)| {
                let plain = provider_name(name, sheet);
                field.given().and_then(|table| provider(name, table, sheet)).filter(|_| plain.is_some()).map(Arc::new)
            })
            .collect();
        Self { written, resolved }
    }

    /// All, if none is wrong.
    pub(crate) fn all(&self, file: &written::File) -> Option<Vec<Arc<Provider>>> {
        file.providers.optional()?;
        self.resolved.iter().cloned().collect()
    }

    /// The provider of that name, if it is right.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Provider>> {
        let at = self.written.iter().position(|(known, _)| known.is == name)?;
        self.resolved.get(at)?.as_ref()
    }

    /// What can be named where grants are listed.
    pub(crate) fn names(&self) -> Vec<&'f str> {
        std::iter::once(MONDAY).chain(self.written.iter().map(|(name, _)| name.is.as_str())).collect()
    }
}

fn provider_name(name: &At<String>, sheet: &mut Sheet<'_>) -> Option<()> {
    let plain = check_name(name, "a provider", sheet)?;
    let lower = plain.to_ascii_lowercase();
    if lower == MONDAY {
        return sheet.refuse(
            name.place,
            "`monday` is built in, and each app has its own: nothing of it is configured here",
            "remove this table; client_id, client_secret, oauth and scopes are keys of [apps.NAME]",
        );
    }
    if lower.starts_with(MONDAY) {
        return sheet.refuse(
            name.place,
            "the headers of this provider would be among `X-Monday-*`, which tell who calls",
            "choose a name that does not begin with `monday`",
        );
    }
    if !plain.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return sheet.refuse(
            name.place,
            "a provider's name begins with a letter or a digit: paths carry it",
            "rename it",
        );
    }
    Some(())
}

fn provider(name: &At<String>, table: &At<written::Provider>, sheet: &mut Sheet<'_>) -> Option<Provider> {
    let is = &table.is;
    let header = header_of(name, is, sheet);
    let connect_by = connect_by(is, sheet);
    let named = display(is, sheet);
    let connected = match is.r#type.given()?.is {
        ProviderType::Oauth => {
            refuse_keys(&form_keys(is), "is for API keys, and this provider is connected by OAuth", sheet);
            client(table, sheet).map(|(known, client)| {
                let values = client.kept.iter().chain(client.after.iter().flat_map(|after| &after.kept));
                let values: Vec<String> = values.map(|(value, _)| value.clone()).collect();
                (known, Connect::Oauth(Box::new(client)), values)
            })
        }
        ProviderType::ApiKey => {
            refuse_keys(
                &oauth_keys(is),
                "is for OAuth, and this provider is connected by keys that users type in",
                sheet,
            );
            key_form(table, sheet).map(|form| {
                let values = form.fields.iter().skip(1).map(|field| field.name.clone()).collect();
                (None, Connect::ApiKey(Box::new(form)), values)
            })
        }
    };
    let (known, connect, values) = connected?;
    let values = value_headers(name, &values, header.as_ref(), sheet);
    Some(Provider {
        name: name.is.clone(),
        display: named?.or(known).unwrap_or_else(|| name.is.clone()),
        connect,
        per: is.per.given()?.is,
        connect_by: connect_by?,
        header: header?,
        values: values?,
        callback: is.callback.optional()?.map(|path| path.is.0.clone()),
    })
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn display(is: &written::Provider, sheet: &mut Sheet<'_>) -> Option<Option<String>> {
    match is.name.optional()? {
        Some(At { is, .. }) if (1..=64).contains(&is.chars().count()) && !is.chars().any(char::is_control) => {
            Some(Some(is.clone()))
        }
        Some(At { place, .. }) => {
            sheet.refuse(*place, "pages show this name: it has 1 to 64 characters", "as in \"GitHub\"")
        }
        None => Some(None),
    }
}

fn connect_by(is: &written::Provider, sheet: &mut Sheet<'_>) -> Option<ConnectBy> {
    let per = is.per.given()?.is;
    match is.connect_by.optional()? {
        Some(At { place, .. }) if per == Per::User => sheet.refuse(
            *place,
            "`connect_by` says who may connect for a whole account, and here each user connects",
            "add per = \"account\", or remove this",
        ),
        Some(by) => Some(by.is),
        None => Some(ConnectBy::Admin),
    }
}

fn header_of(name: &At<String>, is: &written::Provider, sheet: &mut Sheet<'_>) -> Option<HeaderName> {
    if let Some(written) = is.header.optional()? {
        return settable_name(written, "a provider", sheet);
    }
    let default = Provider::value_header(&name.is, "access-token")?;
    settable_name(&At::new(default.as_str().to_owned(), name.place), "a provider", sheet)
}

/// The headers of values: `X-<Provider>-<Name>`, each once.
fn value_headers(
    name: &At<String>,
    values: &[String],
    token: Option<&HeaderName>,
    sheet: &mut Sheet<'_>,
) -> Option<Vec<(String, HeaderName)>> {
    let mut headers: Vec<(String, HeaderName)> = Vec::new();
    for value in values {
        let header = Provider::value_header(&name.is, value)?;
        // `[providers.forwarded]` with a value `for`: what a provider or a user says would be a header that backends trust.
        settable_name(&At::new(header.as_str().to_owned(), name.place), "a provider", sheet)?;
        let is_taken = token == Some(&header) || headers.iter().any(|(_, other)| *other == header);
        if is_taken {
            return sheet.refuse(
                name.place,
                format!("two values of this provider would be in the same header, `{header}`"),
                "rename one of them; `_` and `-` are the same in a header's name, as are capitals",
            );
        }
        headers.push((value.clone(), header));
    }
    Some(headers)
}

/// Keys with their places, where they are written.
type Keys = Vec<(&'static str, Place)>;

macro_rules! written_keys {
    ($table:expr; $($field:ident)+) => {
        [$((stringify!($field), $table.$field.given().map(|at| at.place))),+]
            .into_iter()
            .filter_map(|(key, place)| place.map(|place| (key, place)))
            .collect()
    };
}

fn oauth_keys(is: &written::Provider) -> Keys {
    written_keys!(is; preset issuer authorize_url token_url refresh_url revoke_url iss client_id client_secret scopes scope_separator
        scope_parameter authorize_params token_params pkce authentication format token_at keep after callback keepalive lifetime)
}

fn form_keys(is: &written::Provider) -> Keys {
    written_keys!(is; fields help_url test)
}

fn refuse_keys(keys: &Keys, why: &str, sheet: &mut Sheet<'_>) {
    for (key, place) in keys {
        let _: Option<()> = sheet.refuse(*place, format!("`{key}` {why}"), "remove it, or change `type`");
    }
}

/// Pairs of a table that users name, each name one that a header can carry.
pub(crate) fn pairs<T, Out>(
    field: &Field<Named<T>>,
    read: impl Fn(&At<T>, &mut Sheet<'_>) -> Option<Out>,
    sheet: &mut Sheet<'_>,
) -> Option<Vec<(String, Out)>> {
    let Some(named) = field.optional()? else { return Some(Vec::new()) };
    let all: Vec<Option<(String, Out)>> = named
        .is
        .0
        .iter()
        .map(|(name, value)| {
            let plain = check_name(name, "a value", sheet);
            let out = value.given().and_then(|value| read(value, sheet));
            Some((plain?, out?))
        })
        .collect();
    all.into_iter().collect()
}

/// The longest duration of a provider: ten years.
pub(crate) const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);
