//! Tries keys that a user has typed in: one request that succeeds with good keys only. Fills the templates so that what was typed stays within
//! its part: one label of the host, one segment of the path, one value of the query. A host that a user had part in must be public.
//! Keeps and prints nothing of it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;
use zeroize::Zeroizing;

use crate::limits;
use crate::oauth::provider::{Connect, KeyForm, KeyTest, Provider};
use crate::oauth::web::{Question, Reach, Web, WebFault};

/// Everything but unreserved characters (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Keys that were not found good. `Display` names provider, field and fix, and no value; it is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{provider}: {flaw}")]
pub(crate) struct KeyFault {
    /// As people call it.
    pub(crate) provider: String,
    /// Why.
    pub(crate) flaw: KeyFlaw,
}

/// Why keys were not found good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFlaw {
    /// The provider has OAuth.
    #[error("has no key form")]
    NoForm,
    /// A field that is missing, or cannot be a key.
    #[error("field `{field}` {problem}")]
    Field {
        /// Its name.
        field: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// 401 or 403.
    #[error("the keys are refused ({0}): the user has to type them again")]
    BadKeys(u16),
    /// Anything else.
    #[error("the test was answered {0}, which is neither success nor 401 or 403: check `url` of its `test`")]
    Unexpected(u16),
    /// The template makes no request.
    #[error("`{0}` of its `test` makes no request with these fields")]
    Template(&'static str),
    /// No answer.
    #[error("{0}")]
    Web(#[from] WebFault),
}

impl KeyFault {
    /// Whether the user can mend it by typing something else.
    pub(crate) fn is_users(&self) -> bool {
        matches!(self.flaw, KeyFlaw::BadKeys(_) | KeyFlaw::Field { .. })
    }
}

/// What was typed, by the fields' names.
type Typed = BTreeMap<String, String>;

/// Judges what was typed, and tries it where the form has a test.
pub(crate) async fn test(web: &Web, provider: &Provider, typed: &Typed) -> Result<(), KeyFault> {
    let fault = |flaw| KeyFault { provider: provider.display.clone(), flaw };
    let Connect::ApiKey(form) = &provider.connect else { return Err(fault(KeyFlaw::NoForm)) };
    judge(form, typed).map_err(fault)?;
    match &form.test {
        Some(test) => ask(web, test, typed).await.map_err(fault),
        None => Ok(()),
    }
}

/// Every field is there, and can stand in a field of a request.
fn judge(form: &KeyForm, typed: &Typed) -> Result<(), KeyFlaw> {
    for field in &form.fields {
        let value = typed.get(&field.name).map(String::as_str).unwrap_or_default();
        let problem = match value {
            "" => "is empty",
            value if value.len() > limits::CREDENTIAL_BYTES => "is too long",
            value if !value.bytes().all(|byte| byte.is_ascii_graphic()) => {
                "has spaces or characters beyond ASCII, which no key has"
            }
            _ => continue,
        };
        return Err(KeyFlaw::Field { field: field.name.clone(), problem });
    }
    Ok(())
}

async fn ask(web: &Web, test: &KeyTest, typed: &Typed) -> Result<(), KeyFlaw> {
    let (url, reach) = url(&test.url, typed)?;
    let mut question = Question::get(url);
    for (name, template) in &test.headers {
        question = question.with(name.clone(), sensitive(&plain(template, typed, "headers")?, "headers")?);
    }
    if let Some((user, password)) = &test.basic {
        let user = plain(user, typed, "basic")?;
        if user.contains(':') {
            return Err(KeyFlaw::Template("basic")); // RFC 7617: it would move a part of the name into the password
        }
        let pair = Zeroizing::new(format!("{}:{}", *user, *plain(password, typed, "basic")?));
        let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        question = question.with(AUTHORIZATION, sensitive(&text, "basic")?);
    }
    let answer = web.ask(question, reach).await?;
    match answer.status.as_u16() {
        200..=299 => Ok(()),
        status @ (401 | 403) => Err(KeyFlaw::BadKeys(status)),
        status => Err(KeyFlaw::Unexpected(status)),
    }
}

fn sensitive(text: &str, place: &'static str) -> Result<HeaderValue, KeyFlaw> {
    let is_fit = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let mut value = HeaderValue::from_str(text).ok().filter(|_| is_fit).ok_or(KeyFlaw::Template(place))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A template with each `{name}` replaced as it is.
fn plain(template: &str, typed: &Typed, place: &'static str) -> Result<Zeroizing<String>, KeyFlaw> {
    let filled = fill(template, typed, |_, value| Ok(value.to_owned()));
    filled.map(Zeroizing::new).map_err(|flaw| flaw.unwrap_or(KeyFlaw::Template(place)))
}

/// The parts of a URL that a field can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Scheme,
    Host,
    Path,
    Query,
}

fn url(template: &str, typed: &Typed) -> Result<(Url, Reach), KeyFlaw> {
    let broken = || KeyFlaw::Template("url");
    let (scheme, rest) = template.split_once("://").ok_or_else(broken)?;
    let authority_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, _) = rest.split_at_checked(authority_ends).ok_or_else(broken)?;
    if scheme.contains('{') || authority.contains('@') || rest.contains('#') {
        return Err(broken());
    }
    let is_whole_host = |name: &str| authority == format!("{{{name}}}");
    let filled = fill(template, typed, |before, value| {
        let name_of_value = typed.iter().find(|(_, known)| known.as_str() == value).map(|(name, _)| name.as_str());
        match part(before) {
            Part::Scheme => Err(None),
            Part::Host if is_label(value) => Ok(value.to_owned()),
            Part::Host if name_of_value.is_some_and(is_whole_host) && value.split('.').all(is_label) => {
                Ok(value.to_owned())
            }
            Part::Host => Err(Some("is not a host's name: letters, digits and hyphens only")),
            Part::Path if value.bytes().all(|byte| byte == b'.') => Err(Some("would leave its part of the path")),
            Part::Path | Part::Query => Ok(utf8_percent_encode(value, ENCODED).to_string()),
        }
    });
    let filled = Zeroizing::new(filled.map_err(|flaw| flaw.unwrap_or_else(broken))?);
    let url = Url::parse(&filled).map_err(|_invalid| broken())?;
    let reach = if authority.contains('{') { Reach::PublicOnly } else { Reach::Configured };
    Ok((url, reach))
}

/// In which part of a URL its next character is.
fn part(before: &str) -> Part {
    match before.split_once("://") {
        None => Part::Scheme,
        Some((_, rest)) if rest.contains('?') => Part::Query,
        Some((_, rest)) if rest.contains('/') => Part::Path,
        Some(_) => Part::Host,
    }
}

/// One label of a host name (RFC 1123, section 2.1). Not digits alone: they would be a number, and numbers are addresses.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Replaces each `{name}` by what `put` makes of it, told what is before it. `Err(None)`: the template itself is wrong.
fn fill(
    template: &str,
    typed: &Typed,
    put: impl Fn(&str, &str) -> Result<String, Option<&'static str>>,
) -> Result<String, Option<KeyFlaw>> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (name, after) = after.split_once('}').ok_or(None)?;
        let value = typed.get(name).ok_or(None)?;
        let made = put(&filled, value);
        let flaw = |problem| KeyFlaw::Field { field: name.to_owned(), problem };
        filled.push_str(&made.map_err(|problem| problem.map(flaw))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests;
