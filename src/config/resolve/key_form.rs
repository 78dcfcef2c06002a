//! Providers of `type = "api_key"`: the form's fields, and the request that tests what was typed. Every `{name}` must be a field; the
//! test is https (http to loopback only), whatever is typed.

use http::HeaderName;

use crate::config::endpoint::endpoint;
use crate::config::mask::quotable;
use crate::config::parameters::Parameter;
use crate::config::read::Field;
use crate::config::resolve::check_name;
use crate::config::sheet::{At, Place, Sheet};
use crate::config::suggest::suggest;
use crate::config::written;
use crate::oauth::provider::{KeyField, KeyForm, KeyTest};

/// More would be a survey.
const FIELDS_MAX: usize = 8;

/// The form of a provider.
pub(crate) fn key_form(table: &At<written::Provider>, sheet: &mut Sheet<'_>) -> Option<KeyForm> {
    let is = &table.is;
    let fields = fields(table, sheet);
    let help_url = is.help_url.optional()?.map(|url| url.is.0.clone());
    let written = is.test.optional()?;
    let fields = fields?;
    let test = match written {
        Some(table) => Some(test(table, &fields, sheet)?),
        None => None,
    };
    Some(KeyForm { fields, help_url, test })
}

fn fields(table: &At<written::Provider>, sheet: &mut Sheet<'_>) -> Option<Vec<KeyField>> {
    let listed = table.is.fields.optional()?.map_or(&[][..], |fields| fields.is.0.as_slice());
    if listed.is_empty() {
        return sheet.absent(
            table.place,
            "a provider with API keys has `fields`: without one there is nothing to type in",
            "add fields = [{ name = \"key\", label = \"API key\" }]",
        );
    }
    if let Some(field) = listed.get(FIELDS_MAX) {
        return sheet.refuse(field.place, format!("a form has at most {FIELDS_MAX} fields"), "remove some");
    }
    let mut read: Vec<Option<KeyField>> = Vec::new();
    for At { is: field, .. } in listed {
        let name = field.name.given().and_then(|name| {
            if read.iter().flatten().any(|known| known.name == name.is) {
                return sheet.refuse(name.place, "two fields have the same name", "rename one");
            }
            check_name(name, "a field", sheet)
        });
        let label = label(&field.label, sheet);
        let is_secret = field.secret.given().map(|secret| secret.is);
        read.push((|| Some(KeyField { name: name?, label: label?, is_secret: is_secret? }))());
    }
    read.into_iter().collect()
}

fn label(field: &Field<String>, sheet: &mut Sheet<'_>) -> Option<String> {
    let At { is, place } = field.given()?;
    if (1..=80).contains(&is.chars().count()) && !is.chars().any(char::is_control) {
        return Some(is.clone());
    }
    sheet.refuse(*place, "a label has 1 to 80 characters", "as in \"API key\"")
}

fn test(table: &At<written::KeyTest>, fields: &[KeyField], sheet: &mut Sheet<'_>) -> Option<KeyTest> {
    let mut used = 0;
    let mut template = |at: &At<Parameter>, sheet: &mut Sheet<'_>| {
        let count = placeholders(&at.is.0, at.place, fields, sheet)?;
        used += count;
        Some(at.is.0.clone())
    };
    let url = table.is.url.given().and_then(|at| {
        let text = template(at, sheet)?;
        check_url(&text, at.place, fields, sheet)
    });
    let headers: Option<Vec<(HeaderName, String)>> = match table.is.headers.optional()? {
        None => Some(Vec::new()),
        Some(named) => named
            .is
            .0
            .iter()
            .map(|(name, value)| {
                let value = value.given().and_then(|value| template(value, sheet));
                let name = test_header(name, sheet);
                Some((name?, value?))
            })
            .collect::<Vec<_>>()
            .into_iter()
            .collect(),
    };
    let basic = match table.is.basic.optional()? {
        None => None,
        Some(pair) => {
            let user = template(pair.is.user.given()?, sheet);
            let password = template(pair.is.password.given()?, sheet);
            Some((user?, password?))
        }
    };
    let (url, headers) = (url?, headers?);
    if used == 0 {
        return sheet.refuse(
            table.place,
            "this test sends nothing that was typed, so it would succeed with any key",
            "put a field in braces into url, headers or basic, as in headers = { Authorization = \"Bearer {key}\" }",
        );
    }
    Some(KeyTest { url, headers, basic })
}

fn test_header(name: &At<String>, sheet: &mut Sheet<'_>) -> Option<HeaderName> {
    let header = HeaderName::try_from(name.is.to_ascii_lowercase()).ok();
    let is_framing = |header: &HeaderName| {
        matches!(header.as_str(), "host" | "content-length" | "transfer-encoding" | "connection" | "te" | "upgrade")
    };
    match header {
        Some(header) if !is_framing(&header) => Some(header),
        Some(_) => sheet.refuse(name.place, "this field belongs to the connection, not to the test", "remove it"),
        None => sheet.refuse(name.place, "this is no name of a header", "as in \"Authorization\""),
    }
}

/// How many fields a template names. All must be known.
fn placeholders(text: &str, place: Place, fields: &[KeyField], sheet: &mut Sheet<'_>) -> Option<usize> {
    let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let mut rest = text;
    let mut count = 0;
    while let Some(at) = rest.find(['{', '}']) {
        let name = rest.split_at_checked(at).and_then(|(_, from)| from.strip_prefix('{')?.split_once('}'));
        let Some((name, after)) = name else {
            return sheet.refuse(place, "a brace stands alone in this template", "as in \"Bearer {key}\"");
        };
        if !known.contains(&name) {
            let what = format!("`{}` is no field of this form", quotable(name));
            return sheet.refuse(place, what, suggest(name, &known));
        }
        count += 1;
        rest = after;
    }
    Some(count)
}

/// The URL with every field put in must be one that may be called: its scheme is written, not typed.
fn check_url(text: &str, place: Place, fields: &[KeyField], sheet: &mut Sheet<'_>) -> Option<String> {
    let mut example = text.to_owned();
    for field in fields {
        example = example.replace(&format!("{{{}}}", field.name), "x");
    }
    let authority = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let is_typed_near = text.starts_with("http://") && authority.contains('{');
    match endpoint(&example) {
        Ok(_) if text.starts_with('{') || is_typed_near => {
            sheet.refuse(place, "keys would go wherever somebody types", "begin it with https://")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => sheet.refuse(
            place,
            "a URL with a user in it ends in logs",
            "write basic = { user = \"...\", password = \"...\" }",
        ),
        Ok(_) => Some(text.to_owned()),
        Err(why) => sheet.refuse(place, why, "as in \"https://{subdomain}.example.com/me\""),
    }
}
