//! The OAuth half of a provider: exactly one way to its endpoints, then every key over what the preset (or OAuth itself) says.
//! RFC 6749, 7636, 9207.

use std::time::Duration;

use url::Url;

use crate::config::endpoint::Endpoint;
use crate::config::parameters::Parameter;
use crate::config::read::{Field, Many, Named, OneOrMany};
use crate::config::resolve::presets::preset;
use crate::config::resolve::providers::{LONGEST, pairs};
use crate::config::resolve::server::duration;
use crate::config::secret_source::{SecretSource, fetch_of};
use crate::config::sheet::{At, Place, Sheet};
use crate::config::written;
use crate::oauth::provider::{AfterExchange, Client, ClientAuthentication, Endpoints};
use crate::secret::Secret;

/// The least that makes sense: background work looks once in a while.
const LEAST: Duration = Duration::from_mins(1);
const POINTER_RIGHT: &str = "a JSON pointer, as in \"/authed_user/access_token\"";

/// What the gateway sends itself; a file cannot replace it.
const OWN_AUTHORIZE: [&str; 6] =
    ["response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"];
const OWN_TOKEN: [&str; 7] =
    ["grant_type", "code", "redirect_uri", "client_id", "client_secret", "code_verifier", "refresh_token"];

/// The client of a provider, and what its preset calls the service.
pub(crate) fn client(table: &At<written::Provider>, sheet: &mut Sheet<'_>) -> Option<(Option<String>, Client)> {
    let is = &table.is;
    let base = base(table, sheet);
    let id = client_id(table, sheet);
    let secrets = secrets(&is.client_secret, sheet);
    let separator = is.scope_separator.optional().and_then(|text| separator(text, sheet));
    let scope_parameter = is.scope_parameter.optional().and_then(|name| scope_parameter(name, sheet));
    let own_scope = scope_parameter.clone().flatten().unwrap_or_else(|| "scope".to_owned());
    let authorize = parameters(&is.authorize_params, &[&OWN_AUTHORIZE[..], &[own_scope.as_str()]].concat(), sheet);
    let token = parameters(&is.token_params, &OWN_TOKEN, sheet);
    let token_at = is.token_at.optional().and_then(|at| at.map_or(Some(None), |at| pointer(at, sheet).map(Some)));
    let kept = kept(&is.keep, sheet);
    let after = after(is, sheet);
    let keepalive = span(&is.keepalive, sheet);
    let lifetime = span(&is.lifetime, sheet);
    let (known, base) = base?;
    let separator = separator?.unwrap_or_else(|| base.scope_separator.clone());
    let scopes = scopes(&is.scopes, &separator, sheet);
    let client = Client {
        id: id?,
        secrets: secrets?,
        scopes: with_needed(base.scopes, scopes?.unwrap_or_default()),
        scope_separator: separator,
        scope_parameter: scope_parameter?.unwrap_or(base.scope_parameter),
        authorize_parameters: over(base.authorize_parameters, authorize?),
        token_parameters: over(base.token_parameters, token?),
        pkce: is.pkce.optional()?.map_or(base.pkce, |pkce| pkce.is),
        authentication: is.authentication.optional()?.map_or(base.authentication, |by| by.is),
        format: is.format.optional()?.map_or(base.format, |format| format.is),
        token_at: token_at?.unwrap_or(base.token_at),
        kept: over(base.kept, kept?),
        after: after?.or(base.after),
        keepalive: keepalive?.unwrap_or(base.keepalive),
        absolute_lifetime: lifetime?.or(base.absolute_lifetime),
        endpoints: base.endpoints,
        monday: None,
    };
    check_proof(table, &client, sheet)?;
    Some((known, client))
}

/// The file's scopes, and those without which a preset's service gives no refresh token.
fn with_needed(needed: Vec<String>, mut said: Vec<String>) -> Vec<String> {
    let missing: Vec<_> = needed.into_iter().filter(|scope| !said.contains(scope)).collect();
    said.extend(missing);
    said
}

/// What is said over what was known: the same names are replaced, others added.
fn over<T>(mut known: Vec<(String, T)>, said: Vec<(String, T)>) -> Vec<(String, T)> {
    known.retain(|(name, _)| !said.iter().any(|(other, _)| other == name));
    known.extend(said);
    known
}

/// What the preset knows, with the endpoints as the file says.
fn base(table: &At<written::Provider>, sheet: &mut Sheet<'_>) -> Option<(Option<String>, Client)> {
    let is = &table.is;
    let written = Written {
        issuer: is.issuer.optional()?,
        authorize: is.authorize_url.optional()?,
        token: is.token_url.optional()?,
        refresh: is.refresh_url.optional()?,
        revoke: is.revoke_url.optional()?,
        iss: is.iss.optional()?,
    };
    if let (Some(issuer), Some(url)) = (written.issuer, written.authorize.or(written.token)) {
        sheet.refuse_pair(
            [url.place, issuer.place],
            "the issuer",
            "an issuer's endpoints are found by discovery, and this names one beside it: there is one way to a provider",
            "remove `issuer`, or authorize_url and token_url",
        );
        return None;
    }
    let Some(name) = is.preset.optional()? else {
        let endpoints = written.endpoints(None, table.place, sheet)?;
        return Some((None, Client::plain(endpoints)));
    };
    let (display, client) = preset(name, sheet)?;
    let endpoints = written.endpoints(Some(client.endpoints.clone()), table.place, sheet)?;
    Some((Some(display), Client { endpoints, ..client }))
}

/// What the file says of endpoints.
struct Written<'a> {
    issuer: Option<&'a At<Endpoint>>,
    authorize: Option<&'a At<Endpoint>>,
    token: Option<&'a At<Endpoint>>,
    refresh: Option<&'a At<Endpoint>>,
    revoke: Option<&'a At<Endpoint>>,
    iss: Option<&'a At<String>>,
}

impl Written<'_> {
    fn endpoints(&self, known: Option<Endpoints>, whole: Place, sheet: &mut Sheet<'_>) -> Option<Endpoints> {
        let url = |at: Option<&At<Endpoint>>| at.map(|at| at.is.0.clone());
        if let Some(issuer) = self.issuer {
            self.refuse_beside_discovery("`issuer`", sheet)?;
            return Some(Endpoints::Issuer(issuer.is.0.clone()));
        }
        let (authorize, token, refresh, revoke, issuer) = match known {
            Some(Endpoints::Fixed { authorize, token, refresh, revoke, issuer }) => {
                (Some(authorize), Some(token), refresh, revoke, issuer)
            }
            Some(found @ Endpoints::Issuer(_)) if self.authorize.is_none() && self.token.is_none() => {
                self.refuse_beside_discovery("the preset's issuer", sheet)?;
                return Some(found);
            }
            Some(Endpoints::Issuer(_)) | None => (None, None, None, None, None),
        };
        let moved = self.authorize.is_some() || self.token.is_some();
        match (url(self.authorize).or(authorize), url(self.token).or(token)) {
            (Some(authorize), Some(token)) => Some(Endpoints::Fixed {
                authorize,
                token,
                refresh: url(self.refresh).or(refresh),
                revoke: url(self.revoke).or(revoke),
                // An issuer that the preset knows is the service's own, and not of other hosts.
                issuer: self.iss.map(|iss| iss.is.clone()).or_else(|| issuer.filter(|_| !moved)),
            }),
            (None, None) => sheet.absent(
                whole,
                "this says nowhere where the service is",
                "add preset = \"NAME\", or issuer = \"https://...\", or authorize_url and token_url",
            ),
            (Some(_), None) => missing(self.authorize, "token_url", whole, sheet),
            (None, Some(_)) => missing(self.token, "authorize_url", whole, sheet),
        }
    }

    /// Discovery finds these.
    fn refuse_beside_discovery(&self, what: &str, sheet: &mut Sheet<'_>) -> Option<()> {
        let places = [
            ("refresh_url", self.refresh.map(|at| at.place)),
            ("revoke_url", self.revoke.map(|at| at.place)),
            ("iss", self.iss.map(|at| at.place)),
        ];
        let mut is_right = true;
        for (key, place) in places {
            let Some(place) = place else { continue };
            is_right = false;
            let _: Option<()> = sheet.refuse(
                place,
                format!("{what} leads to the service's own metadata, which says this"),
                format!("remove `{key}`, or name authorize_url and token_url instead of an issuer"),
            );
        }
        is_right.then_some(())
    }
}

fn missing<T>(beside: Option<&At<Endpoint>>, key: &str, whole: Place, sheet: &mut Sheet<'_>) -> Option<T> {
    let place = beside.map_or(whole, |at| at.place);
    sheet.absent(place, format!("this URL has no `{key}` beside it"), format!("add {key} = \"https://...\""))
}

fn client_id(table: &At<written::Provider>, sheet: &mut Sheet<'_>) -> Option<String> {
    let Some(id) = table.is.client_id.optional()? else {
        return sheet.absent(
            table.place,
            "`client_id` is missing here",
            "register the gateway at the service, with the callback that `check --print` shows, and copy the id from there",
        );
    };
    if !id.is.is_empty() && id.is.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(id.is.clone());
    }
    sheet.refuse(id.place, "a client id is visible ASCII without spaces", "copy it from the service")
}

fn secrets(field: &Field<OneOrMany<SecretSource>>, sheet: &mut Sheet<'_>) -> Option<Vec<Secret>> {
    let Some(sources) = field.optional()? else { return Some(Vec::new()) };
    let fetched: Vec<Option<Secret>> = sources
        .is
        .0
        .iter()
        .map(|source| fetch_of(&source.is, source.place, 1, "copy it from the service", sheet))
        .collect();
    fetched.into_iter().collect()
}

/// Somebody who sees a code must not be able to redeem it.
fn check_proof(table: &At<written::Provider>, client: &Client, sheet: &mut Sheet<'_>) -> Option<()> {
    if !client.secrets.is_empty() {
        return Some(());
    }
    if client.authentication == ClientAuthentication::Basic {
        return sheet.absent(
            table.is.authentication.given().map_or(table.place, |at| at.place),
            "Basic authentication is the client's id and secret, and there is no `client_secret`",
            "add client_secret = { env = \"...\" }",
        );
    }
    if !client.pkce {
        return sheet.absent(
            table.is.pkce.given().map_or(table.place, |at| at.place),
            "without PKCE and without `client_secret`, whoever sees a code could redeem it",
            "add client_secret = { env = \"...\" }, or remove pkce = false",
        );
    }
    Some(())
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn separator(text: Option<&At<String>>, sheet: &mut Sheet<'_>) -> Option<Option<String>> {
    match text {
        Some(At { is, .. }) if matches!(is.as_str(), " " | "," | ", " | ";" | "+" | "|") => Some(Some(is.clone())),
        Some(At { place, .. }) => {
            sheet.refuse(*place, "no service is known to write this between scopes", "\" \", \",\" or \";\"")
        }
        None => Some(None),
    }
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn scope_parameter(name: Option<&At<String>>, sheet: &mut Sheet<'_>) -> Option<Option<String>> {
    let Some(name) = name else { return Some(None) };
    if OWN_AUTHORIZE.contains(&name.is.as_str()) {
        let what = format!("the gateway itself sends `{}`", name.is);
        return sheet.refuse(name.place, what, "as in \"scope\" or \"user_scope\"");
    }
    if !name.is.is_empty() && name.is.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Some(Some(name.is.clone()));
    }
    sheet.refuse(name.place, "this is no name of a parameter", "as in \"scope\" or \"user_scope\"")
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn scopes(field: &Field<Many<String>>, separator: &str, sheet: &mut Sheet<'_>) -> Option<Option<Vec<String>>> {
    let Some(scopes) = field.optional()? else { return Some(None) };
    checked_scopes(&scopes.is.0, separator, sheet).map(Some)
}

/// Scopes one by one (RFC 6749, section 3.3), each once.
pub(crate) fn checked_scopes(scopes: &[At<String>], separator: &str, sheet: &mut Sheet<'_>) -> Option<Vec<String>> {
    let mut read: Vec<Option<String>> = Vec::new();
    for At { is, place } in scopes {
        let is_token =
            !is.is_empty() && is.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        let scope = if !is_token || is.contains(separator) {
            sheet.refuse(*place, "this is no single scope", "write each scope on its own: [\"one\", \"two\"]")
        } else if read.contains(&Some(is.clone())) {
            sheet.refuse(*place, "this scope is in the list twice", "remove one")
        } else {
            Some(is.clone())
        };
        read.push(scope);
    }
    read.into_iter().collect()
}

fn parameters(field: &Field<Named<Parameter>>, own: &[&str], sheet: &mut Sheet<'_>) -> Option<Vec<(String, String)>> {
    let mut is_right = true;
    for (name, _) in field.given().map_or(&[][..], |named| named.is.0.as_slice()) {
        if own.contains(&name.is.as_str()) {
            is_right = false;
            let what = format!("the gateway itself sends `{}`: the flow depends on it", name.is);
            let _: Option<()> = sheet.refuse(name.place, what, "remove it; keys of its own say what can be said of it");
        }
    }
    let read = pairs(field, |value, _| Some(value.is.0.clone()), sheet);
    read.filter(|_| is_right)
}

/// Names and JSON pointers of values.
fn kept(field: &Field<Named<String>>, sheet: &mut Sheet<'_>) -> Option<Vec<(String, String)>> {
    pairs(
        field,
        |at, sheet| {
            if at.is.is_empty() {
                return sheet.refuse(at.place, "this is the whole answer, and a value is a part of it", POINTER_RIGHT);
            }
            pointer(at, sheet)
        },
        sheet,
    )
}

/// RFC 6901.
fn pointer(at: &At<String>, sheet: &mut Sheet<'_>) -> Option<String> {
    let is_begun = at.is.is_empty() || at.is.starts_with('/');
    let is_escaped = at.is.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if is_begun && is_escaped {
        return Some(at.is.clone());
    }
    let right =
        if is_begun { POINTER_RIGHT.to_owned() } else { format!("did you mean `/{}`?", at.is.replace('.', "/")) };
    sheet.refuse(at.place, "this is no JSON pointer", right)
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn after(is: &written::Provider, sheet: &mut Sheet<'_>) -> Option<Option<AfterExchange>> {
    let Some(table) = is.after.optional()? else { return Some(None) };
    let kept = kept(&table.is.keep, sheet);
    let url: &Url = &table.is.url.given()?.is.0;
    Some(Some(AfterExchange { url: url.clone(), kept: kept? }))
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn span(field: &Field<crate::config::units::Span>, sheet: &mut Sheet<'_>) -> Option<Option<Duration>> {
    match field {
        Field::Absent => Some(None),
        Field::Given(_) | Field::Wrong => duration(field, LEAST, LONGEST.as_secs(), sheet).map(Some),
    }
}
