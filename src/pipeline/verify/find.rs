//! Where a request's token is: exactly one, in the place that its kind has for it. Takes the `Authorization` fields and
//! the raw query; never looks into a body. Two tokens are refused whatever they say, since the backend might read the
//! other one. Verifies nothing. RFC 6750, section 2; RFC 9110, section 11.6.2.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::monday::kinds::TokenPlace;
use crate::pipeline::refusal::Unauthorized;

/// Parameters in which monday's samples look for a token.
const QUERY_NAMES: [&str; 2] = ["token", "sessionToken"];

/// A token, and where it was.
#[derive(Debug)]
pub(super) enum Found<'r> {
    /// In the `Authorization` field, without the scheme.
    Header(&'r str),
    /// In the query, percent-decoded.
    Query(Cow<'r, str>),
}

impl Found<'_> {
    /// The token.
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Header(token) => token,
            Self::Query(token) => token,
        }
    }
}

/// The one token of the request.
pub(super) fn find<'r>(
    place: TokenPlace,
    fields: impl Iterator<Item = &'r [u8]>,
    query: Option<&'r str>,
) -> Result<Found<'r>, Unauthorized> {
    let header = in_header(fields)?;
    let (wanted, with_header) = match place {
        TokenPlace::Nowhere => return Err(Unauthorized::Missing),
        TokenPlace::Header => (None, true),
        TokenPlace::HeaderOrQuery(name) => (Some(name), true),
        TokenPlace::Query(name) => (Some(name), false),
    };
    let Queried { token, stray } = in_query(query.unwrap_or_default(), wanted)?;
    match (header, token) {
        (None, None) => Err(Unauthorized::Missing),
        (Some(_), Some(_)) => Err(Unauthorized::Multiple),
        _ if stray => Err(Unauthorized::Multiple),
        (Some(token), None) if with_header => Ok(Found::Header(token)),
        (Some(_), None) => Err(Unauthorized::Missing),
        (None, Some(token)) => Ok(Found::Query(token)),
    }
}

/// The query without these parameters, whose names are compared decoded. All other bytes stay as they are.
pub(crate) fn query_without(query: &str, names: &[&str]) -> String {
    let mut rest = String::with_capacity(query.len());
    let mut first = true;
    for pair in query.split('&').filter(|pair| !names.iter().any(|name| decoded(cut(pair).0) == *name)) {
        if !first {
            rest.push('&');
        }
        rest.push_str(pair);
        first = false;
    }
    rest
}

/// The token of at most one field; an empty one has none.
fn in_header<'r>(mut fields: impl Iterator<Item = &'r [u8]>) -> Result<Option<&'r str>, Unauthorized> {
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() || field.contains(&b',') {
        return Err(Unauthorized::Multiple);
    }
    // Bytes that are no text are no token either; the empty string would say that there is none.
    let field = std::str::from_utf8(field).unwrap_or("?").trim_matches([' ', '\t']);
    let token = match field.split_at_checked(6) {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("bearer") && !rest.starts_with(|c| c != ' ' && c != '\t') =>
        {
            rest.trim_start_matches([' ', '\t'])
        }
        _ => field,
    };
    Ok(Some(token).filter(|token| !token.is_empty()))
}

/// What the query has of tokens.
#[derive(Default)]
struct Queried<'r> {
    /// The parameter's value, unless it is empty.
    token: Option<Cow<'r, str>>,
    /// Something like a token under a name that this kind does not read.
    stray: bool,
}

fn in_query<'r>(query: &'r str, wanted: Option<&str>) -> Result<Queried<'r>, Unauthorized> {
    let mut queried = Queried::default();
    let mut seen = 0;
    for (name, value) in query.split('&').map(cut) {
        let name = decoded(name);
        if !QUERY_NAMES.contains(&name.as_ref()) {
            continue;
        }
        let value = decoded(value);
        if wanted == Some(name.as_ref()) {
            seen += 1;
            queried.token = Some(value).filter(|token| !token.is_empty());
        } else {
            queried.stray |= value.bytes().filter(|byte| *byte == b'.').count() == 2;
        }
    }
    if seen > 1 { Err(Unauthorized::Multiple) } else { Ok(queried) }
}

fn cut(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// Bytes that are no UTF-8 become a character that no token and no wanted name has.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}
