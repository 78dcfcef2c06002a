//! The claims of an issuer's token, held to what its table in gateway.toml says: `iss`, `aud`, times, claims that must be there, and the two
//! that may name an account and a user. Takes the payload of a token whose signature was checked. RFC 7519, section 4.1.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::config::resolved::grants::Issuer as Rules;
use crate::json::{self, Names, Value, Walk};
use crate::limits::JSON_DEPTH;

/// Characters of an audience that did not fit that are kept for the log.
const AUDIENCE_SHOWN: usize = 200;

/// Who calls, as an issuer says.
#[derive(Clone)]
pub(crate) struct Issued {
    /// The configured claim: an integer's digits, or text.
    pub(crate) account: Option<Box<str>>,
    /// Likewise.
    pub(crate) user: Option<Box<str>>,
    /// The whole payload, as it came: one JSON object.
    pub(crate) raw: Bytes,
}

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IssuedFlaw {
    /// Not the JSON that it must be, or a registered claim of the wrong type.
    Malformed,
    /// Without it a token would be valid for ever.
    NoExpiry,
    /// Past `exp`, for so many seconds.
    Expired(i64),
    /// `nbf` or `iat` is in the future, by so many seconds.
    NotYetValid(i64),
    /// `iss` is another, or missing.
    Issuer,
    /// `aud` has none of the expected; what came.
    Audience(String),
    /// A claim that the configuration requires is missing or says something else.
    Required,
}

/// The time, and by how much two clocks may differ; both in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    /// Unix seconds.
    pub(crate) now: i64,
    /// Seconds.
    pub(crate) leeway: i64,
}

impl Issued {
    /// Reads a payload and holds it to the issuer's rules.
    pub(crate) fn parse(payload: Vec<u8>, rules: &Rules, when: When) -> Result<Self, IssuedFlaw> {
        let found = json::whole(&payload, Top(rules)).map_err(|_why| IssuedFlaw::Malformed)?;
        let expires = found.expires.ok_or(IssuedFlaw::NoExpiry)?;
        if found.issuer.as_deref() != Some(rules.issuer.as_str()) {
            return Err(IssuedFlaw::Issuer);
        }
        if when.now >= expires.saturating_add(when.leeway) {
            return Err(IssuedFlaw::Expired(when.now.saturating_sub(expires)));
        }
        for from in [found.not_before, found.issued_at].into_iter().flatten() {
            if when.now.saturating_add(when.leeway) < from {
                return Err(IssuedFlaw::NotYetValid(from.saturating_sub(when.now)));
            }
        }
        if !found.audience.iter().any(|came| rules.audience.iter().any(|own| own == came)) {
            let came = found.audience.first().map(|came| came.chars().take(AUDIENCE_SHOWN).collect());
            return Err(IssuedFlaw::Audience(came.unwrap_or_default()));
        }
        if !rules.required.is_empty() && !has_required(&payload, rules) {
            return Err(IssuedFlaw::Required);
        }
        let (account, user) = (found.account, found.user);
        Ok(Self { account, user, raw: Bytes::from(payload) })
    }

    /// Account and user, where both are monday's: integers.
    pub(crate) fn ids(&self) -> Option<(i64, i64)> {
        let integer = |text: &Option<Box<str>>| text.as_ref()?.parse().ok();
        Some((integer(&self.account)?, integer(&self.user)?))
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({} bytes)", self.raw.len())
    }
}

/// What stands in a payload.
#[derive(Default)]
struct Found<'p> {
    issuer: Option<Cow<'p, str>>,
    audience: Vec<Cow<'p, str>>,
    expires: Option<i64>,
    not_before: Option<i64>,
    issued_at: Option<i64>,
    account: Option<Box<str>>,
    user: Option<Box<str>>,
}

impl<'p> Found<'p> {
    /// Takes in one member that is not `aud`.
    fn take<E: Error>(&mut self, name: &str, value: Value<'p>, rules: &Rules) -> Result<(), E> {
        if rules.account.as_deref() == Some(name) {
            self.account = words(&value);
        }
        if rules.user.as_deref() == Some(name) {
            self.user = words(&value);
        }
        match (name, value) {
            ("iss", Value::Text(issuer)) => self.issuer = Some(issuer),
            ("exp", Value::Integer(time @ 0..)) => self.expires = Some(time),
            ("nbf", Value::Integer(time @ 0..)) => self.not_before = Some(time),
            ("iat", Value::Integer(time @ 0..)) => self.issued_at = Some(time),
            ("iss" | "exp" | "nbf" | "iat", _) => return Err(E::custom("a registered claim of the wrong type")),
            _ => {}
        }
        Ok(())
    }
}

/// Whether the claims that must be there are, in a payload that was read strictly before.
fn has_required(payload: &[u8], rules: &Rules) -> bool {
    let Ok(claims) = serde_json::from_slice::<serde_json::Value>(payload) else { return false };
    rules.required.iter().all(|(name, wanted)| has(&claims, name, wanted.as_deref()))
}

/// Whether a claim is there, and says what is wanted.
pub(crate) fn has(claims: &serde_json::Value, name: &str, wanted: Option<&str>) -> bool {
    match (claims.get(name), wanted) {
        (None | Some(serde_json::Value::Null), _) => false,
        (Some(_), None) => true,
        (Some(value), Some(wanted)) => agrees(name, value, wanted),
    }
}

/// Whether a claim says what is wanted: a text, a number or a flag as a whole, a list with one of its members. `scope` is a list in one text
/// (RFC 8693, section 4.2), and so is what is wanted of it.
fn agrees(name: &str, value: &serde_json::Value, wanted: &str) -> bool {
    let is_scope = name == "scope";
    let said: Vec<Cow<'_, str>> = match value {
        serde_json::Value::Array(members) => members.iter().filter_map(scalar).collect(),
        serde_json::Value::String(text) if is_scope => text.split(' ').map(Cow::Borrowed).collect(),
        value => scalar(value).into_iter().collect(),
    };
    let says = |wanted: &str| said.iter().any(|said| *said == wanted);
    if is_scope { wanted.split(' ').all(says) } else { says(wanted) }
}

/// A text, an integer or a flag, as a header would say it.
fn scalar(value: &serde_json::Value) -> Option<Cow<'_, str>> {
    match value {
        serde_json::Value::String(text) => Some(Cow::Borrowed(text)),
        serde_json::Value::Bool(flag) => Some(Cow::Owned(flag.to_string())),
        serde_json::Value::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// A value as a header would say it.
fn words(value: &Value<'_>) -> Option<Box<str>> {
    match value {
        Value::Text(text) => Some(text.as_ref().into()),
        Value::Integer(integer) => Some(integer.to_string().into()),
        Value::Bool(flag) => Some(flag.to_string().into()),
        Value::Null | Value::Other => None,
    }
}

/// Reads the payload.
struct Top<'r>(&'r Rules);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inside = Walk { depth: JSON_DEPTH - 1 };
        let mut names = Names::default();
        let mut found = Found::default();
        while let Some(name) = names.next(&mut map)? {
            match name.as_ref() {
                "aud" => found.audience = map.next_value_seed(Audience(inside))?,
                name => found.take(name, map.next_value_seed(inside)?, self.0)?,
            }
        }
        Ok(found)
    }
}

/// Reads `aud`: text, or an array of text.
struct Audience(Walk);

impl<'de> DeserializeSeed<'de> for Audience {
    type Value = Vec<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Audience {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or an array of text in `aud`")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(vec![Cow::Borrowed(value)])
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(vec![Cow::Owned(value.to_owned())])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inside = self.0.inside()?;
        let mut all = Vec::new();
        while let Some(one) = seq.next_element_seed(inside)? {
            json::bounded(all.len() + 1)?;
            match one {
                Value::Text(text) => all.push(text),
                _ => return Err(A::Error::custom("`aud` has something that is no text")),
            }
        }
        Ok(all)
    }
}
