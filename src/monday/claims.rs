//! The claims of monday's tokens, read in one strict pass: the flat shape (`accountId`) and the one under `dat`
//! (`account_id`). Takes the payload of a token whose signature was checked and the shapes that its kind may have; gives
//! `Claims`, or the fact that refuses them. Judges no time, audience or app: that is `pipeline::verify`.
//! monday's pages: "Authorization header", "Authorization URL", "App lifecycle webhooks"; RFC 7519, section 4.1.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;
use thiserror::Error;

use crate::json::{self, Names, Value, Walk};
use crate::limits::JSON_DEPTH;
use crate::monday::kinds::Shape;

/// Who calls, as monday says. Its texts are slices of the payload; it lives as long as the request.
#[derive(Clone)]
pub(crate) struct Claims {
    /// `accountId`, `dat.account_id`.
    pub(crate) account_id: i64,
    /// `userId`, `dat.user_id`.
    pub(crate) user_id: i64,
    /// `shortLivedToken`, `dat.short_lived_token`: for monday's API.
    pub(crate) api_key: Option<Text>,
    /// `backToUrl`: present for, and only for, [`Shape::FlatWithBackToUrl`].
    pub(crate) back_to_url: Option<Text>,
    /// `aud`, one or several; none if the token names none.
    pub(crate) audience: SmallVec<[Text; 1]>,
    /// `exp`, in Unix seconds.
    pub(crate) expires: i64,
    /// `nbf`, in Unix seconds.
    pub(crate) not_before: Option<i64>,
    /// `iat`, in Unix seconds.
    pub(crate) issued_at: Option<i64>,
    /// `client_id`, `clientId`, `dat.client_id`.
    pub(crate) client_id: Option<Text>,
    /// `app_id`, `appId`, `dat.app_id`.
    pub(crate) app_id: Option<i64>,
    /// `platformAppId`, which is an app id too.
    pub(crate) platform_app_id: Option<i64>,
    /// `dat.is_admin`.
    pub(crate) is_admin: Option<bool>,
    /// `dat.is_guest`.
    pub(crate) is_guest: Option<bool>,
    /// `dat.is_view_only`.
    pub(crate) is_view_only: Option<bool>,
    /// `dat.user_kind`.
    pub(crate) user_kind: Option<Text>,
    /// `dat.slug`.
    pub(crate) account_slug: Option<Text>,
    /// `dat.install_id`, which can be negative.
    pub(crate) install_id: Option<i64>,
    /// The whole payload, as it came: one JSON object.
    pub(crate) raw: Bytes,
}

/// Text of a claim, valid UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text(Bytes);

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ClaimsFlaw {
    /// Not the JSON that it must be, or a claim of the wrong type. The reason quotes no value.
    #[error("{0}")]
    Malformed(String),
    /// Without it a token would be valid for ever.
    #[error("`exp` is missing")]
    NoExpiry,
    /// Another kind's claims.
    #[error("{0}")]
    Shape(&'static str),
}

impl Claims {
    /// Reads a payload and holds it to the shapes that `shape` allows.
    pub(crate) fn parse(payload: Bytes, shape: Shape) -> Result<Self, ClaimsFlaw> {
        let found = json::whole(&payload, Top).map_err(|error| ClaimsFlaw::Malformed(error.to_string()))?;
        let expires = found.expires.ok_or(ClaimsFlaw::NoExpiry)?;
        let who = found.who(shape)?;
        let text = |text: &Option<Cow<'_, str>>| text.as_ref().map(|text| Text::within(&payload, text));
        let dat = found.dat.as_ref();
        let mut claims = Self {
            account_id: who.account_id,
            user_id: who.user_id,
            api_key: text(who.api_key),
            back_to_url: text(&found.back_to_url),
            audience: found.audience.iter().map(|one| Text::within(&payload, one)).collect(),
            expires,
            not_before: found.not_before,
            issued_at: found.issued_at,
            client_id: text(&found.named.client_id).or_else(|| text(&dat?.named.client_id)),
            app_id: found.named.app_id.or_else(|| dat?.named.app_id),
            platform_app_id: found.platform_app_id,
            is_admin: dat.and_then(|dat| dat.is_admin),
            is_guest: dat.and_then(|dat| dat.is_guest),
            is_view_only: dat.and_then(|dat| dat.is_view_only),
            user_kind: dat.and_then(|dat| text(&dat.user_kind)),
            account_slug: dat.and_then(|dat| text(&dat.slug)),
            install_id: dat.and_then(|dat| dat.install_id),
            raw: Bytes::new(),
        };
        drop(found);
        claims.raw = payload;
        Ok(claims)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("account_id", &self.account_id)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

impl Text {
    /// Shares the payload's bytes where the text is written there as it is.
    #[expect(clippy::ptr_arg, reason = "only the borrowed variant is known to lie within the payload")]
    fn within(payload: &Bytes, text: &Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self(payload.slice_ref(text.as_bytes())),
            Cow::Owned(text) => Self(Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its bytes, shared, for a header value.
    pub(crate) fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// What stands in a payload, borrowed from it, before it is held to a shape.
#[derive(Default)]
struct Found<'p> {
    account_id: Option<i64>,
    user_id: Option<i64>,
    api_key: Option<Cow<'p, str>>,
    back_to_url: Option<Cow<'p, str>>,
    audience: SmallVec<[Cow<'p, str>; 1]>,
    expires: Option<i64>,
    not_before: Option<i64>,
    issued_at: Option<i64>,
    named: Named<'p>,
    platform_app_id: Option<i64>,
    dat: Option<FoundDat<'p>>,
}

/// What stands under `dat`.
#[derive(Default)]
struct FoundDat<'p> {
    account_id: Option<i64>,
    user_id: Option<i64>,
    api_key: Option<Cow<'p, str>>,
    back_to_url: bool,
    named: Named<'p>,
    is_admin: Option<bool>,
    is_guest: Option<bool>,
    is_view_only: Option<bool>,
    user_kind: Option<Cow<'p, str>>,
    slug: Option<Cow<'p, str>>,
    install_id: Option<i64>,
}

/// The app that a token names, in either spelling; two that differ are no app's.
#[derive(Default, PartialEq)]
struct Named<'p> {
    client_id: Option<Cow<'p, str>>,
    app_id: Option<i64>,
}

/// The ids that every kind must have, from whichever shape the token has.
struct Who<'f, 'p> {
    account_id: i64,
    user_id: i64,
    api_key: &'f Option<Cow<'p, str>>,
}

impl<'p> Found<'p> {
    /// Decides which shape this is, and whether `shape` allows it.
    fn who(&self, shape: Shape) -> Result<Who<'_, 'p>, ClaimsFlaw> {
        let back = self.back_to_url.as_ref();
        match shape {
            Shape::Configured | Shape::None => return Err(ClaimsFlaw::Shape("this kind has no token of monday's")),
            Shape::FlatWithBackToUrl if back.is_none_or(|url| url.is_empty()) => {
                return Err(ClaimsFlaw::Shape("`backToUrl` is missing"));
            }
            Shape::Flat | Shape::DatOrFlat
                if back.is_some() || self.dat.as_ref().is_some_and(|dat| dat.back_to_url) =>
            {
                return Err(ClaimsFlaw::Shape("`backToUrl` belongs to the Authorization URL's token only"));
            }
            Shape::Flat | Shape::DatOrFlat | Shape::FlatWithBackToUrl => {}
        }
        let (account_id, user_id, api_key) = match &self.dat {
            None => (self.account_id, self.user_id, &self.api_key),
            Some(_) if shape != Shape::DatOrFlat => {
                return Err(ClaimsFlaw::Shape("this kind has no claims under `dat`"));
            }
            Some(_) if self.account_id.is_some() || self.user_id.is_some() || self.api_key.is_some() => {
                return Err(ClaimsFlaw::Shape("claims at the top beside those under `dat`"));
            }
            Some(dat) if !self.named.agrees(&dat.named) => {
                return Err(ClaimsFlaw::Shape("the app at the top is another than under `dat`"));
            }
            Some(dat) => (dat.account_id, dat.user_id, &dat.api_key),
        };
        let account_id = account_id.ok_or(ClaimsFlaw::Shape("the account id is missing"))?;
        let user_id = user_id.ok_or(ClaimsFlaw::Shape("the user id is missing"))?;
        Ok(Who { account_id, user_id, api_key })
    }

    /// Takes in one member that is neither `aud` nor `dat`.
    fn take<E: Error>(&mut self, name: &str, value: Value<'p>) -> Result<(), E> {
        match name {
            "accountId" => self.account_id = Some(integer(name, &value)?),
            "userId" => self.user_id = Some(integer(name, &value)?),
            "shortLivedToken" => self.api_key = text_or_null(name, value)?,
            "backToUrl" => self.back_to_url = Some(text(name, value)?),
            "exp" => self.expires = Some(time(name, &value)?),
            "nbf" => self.not_before = Some(time(name, &value)?),
            "iat" => self.issued_at = Some(time(name, &value)?),
            "platformAppId" => self.platform_app_id = integer_or_null(name, &value)?,
            _ => self.named.take(name, value)?,
        }
        Ok(())
    }
}

impl<'p> FoundDat<'p> {
    /// Takes in one member.
    fn take<E: Error>(&mut self, name: &str, value: Value<'p>) -> Result<(), E> {
        match name {
            "account_id" => self.account_id = Some(integer(name, &value)?),
            "user_id" => self.user_id = Some(integer(name, &value)?),
            "short_lived_token" => self.api_key = text_or_null(name, value)?,
            "backToUrl" => self.back_to_url = true,
            "is_admin" => self.is_admin = flag_or_null(name, &value)?,
            "is_guest" => self.is_guest = flag_or_null(name, &value)?,
            "is_view_only" => self.is_view_only = flag_or_null(name, &value)?,
            "user_kind" => self.user_kind = text_or_null(name, value)?,
            "slug" => self.slug = text_or_null(name, value)?,
            "install_id" => self.install_id = integer_or_null(name, &value)?,
            _ => self.named.take(name, value)?,
        }
        Ok(())
    }
}

impl<'p> Named<'p> {
    /// Takes in one member; one that names no app is ignored.
    fn take<E: Error>(&mut self, name: &str, value: Value<'p>) -> Result<(), E> {
        let mut other = Self::default();
        match name {
            "client_id" | "clientId" => other.client_id = text_or_null(name, value)?,
            "app_id" | "appId" => other.app_id = integer_or_null(name, &value)?,
            _ => return Ok(()),
        }
        if !self.agrees(&other) {
            return Err(E::custom("two spellings of one claim differ"));
        }
        self.client_id = self.client_id.take().or(other.client_id);
        self.app_id = self.app_id.or(other.app_id);
        Ok(())
    }

    /// Whether what both name is the same.
    fn agrees(&self, other: &Self) -> bool {
        let same = |a: &Option<Cow<'_, str>>, b: &Option<Cow<'_, str>>| a.is_none() || b.is_none() || a == b;
        same(&self.client_id, &other.client_id)
            && (self.app_id.is_none() || other.app_id.is_none() || self.app_id == other.app_id)
    }
}

/// Seconds since 1970; nothing was signed before.
fn time<E: Error>(name: &str, value: &Value<'_>) -> Result<i64, E> {
    match integer(name, value)? {
        time @ 0.. => Ok(time),
        _ => Err(E::custom(format_args!("`{name}` is before 1970"))),
    }
}

fn integer<E: Error>(name: &str, value: &Value<'_>) -> Result<i64, E> {
    match value {
        Value::Integer(integer) => Ok(*integer),
        _ => Err(E::custom(format_args!("`{name}` is no integer"))),
    }
}

fn integer_or_null<E: Error>(name: &str, value: &Value<'_>) -> Result<Option<i64>, E> {
    if *value == Value::Null { Ok(None) } else { integer(name, value).map(Some) }
}

fn flag_or_null<E: Error>(name: &str, value: &Value<'_>) -> Result<Option<bool>, E> {
    match value {
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::Null => Ok(None),
        _ => Err(E::custom(format_args!("`{name}` is neither true nor false"))),
    }
}

fn text<'p, E: Error>(name: &str, value: Value<'p>) -> Result<Cow<'p, str>, E> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(E::custom(format_args!("`{name}` is no text"))),
    }
}

fn text_or_null<'p, E: Error>(name: &str, value: Value<'p>) -> Result<Option<Cow<'p, str>>, E> {
    if value == Value::Null { Ok(None) } else { text(name, value).map(Some) }
}

/// Reads the payload.
struct Top;

impl<'de> DeserializeSeed<'de> for Top {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top {
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
                "dat" => found.dat = Some(map.next_value_seed(Dat(inside))?),
                name => found.take(name, map.next_value_seed(inside)?)?,
            }
        }
        Ok(found)
    }
}

/// Reads `dat`.
struct Dat(Walk);

impl<'de> DeserializeSeed<'de> for Dat {
    type Value = FoundDat<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Dat {
    type Value = FoundDat<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object under `dat`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inside = self.0.inside()?;
        let mut names = Names::default();
        let mut found = FoundDat::default();
        while let Some(name) = names.next(&mut map)? {
            found.take(&name, map.next_value_seed(inside)?)?;
        }
        Ok(found)
    }
}

/// Reads `aud`: text, an array of text, or null for none.
struct Audience(Walk);

impl<'de> DeserializeSeed<'de> for Audience {
    type Value = SmallVec<[Cow<'de, str>; 1]>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Audience {
    type Value = SmallVec<[Cow<'de, str>; 1]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or an array of text in `aud`")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(SmallVec::new())
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(SmallVec::from_buf([Cow::Borrowed(value)]))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(SmallVec::from_buf([Cow::Owned(value.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inside = self.0.inside()?;
        let mut all = SmallVec::new();
        while let Some(one) = seq.next_element_seed(inside)? {
            json::bounded(all.len() + 1)?;
            all.push(text("aud", one)?);
        }
        if all.is_empty() { Err(A::Error::custom("`aud` is empty")) } else { Ok(all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAT: &str = r#""accountId":1,"userId":2"#;

    fn parse(text: &str, shape: Shape) -> Result<Claims, ClaimsFlaw> {
        Claims::parse(Bytes::copy_from_slice(text.as_bytes()), shape)
    }

    fn shape_flaw(text: &str, shape: Shape) -> bool {
        matches!(parse(text, shape), Err(ClaimsFlaw::Shape(_)))
    }

    fn malformed(text: &str) -> bool {
        [Shape::Flat, Shape::DatOrFlat].iter().all(|shape| matches!(parse(text, *shape), Err(ClaimsFlaw::Malformed(_))))
    }

    #[test]
    fn the_example_of_an_integration_request_is_read() {
        let claims = parse(
            r#"{"accountId":1825529,"userId":4012689,"aud":"https://www.yourserver.com/endpoint","exp":1606808758,
                "shortLivedToken":"eyJ.a.b","iat":1606808458,"platformAppId":7}"#,
            Shape::Flat,
        )
        .unwrap();
        assert_eq!((claims.account_id, claims.user_id), (1_825_529, 4_012_689));
        assert_eq!((claims.expires, claims.issued_at, claims.not_before), (1_606_808_758, Some(1_606_808_458), None));
        assert_eq!(claims.api_key.unwrap().as_str(), "eyJ.a.b");
        assert_eq!(claims.audience[0].as_str(), "https://www.yourserver.com/endpoint");
        assert_eq!(claims.platform_app_id, Some(7));
        assert!(claims.raw.starts_with(b"{\"accountId\""));
    }

    #[test]
    fn the_example_of_a_session_token_is_read() {
        let claims = parse(
            r#"{"dat":{"client_id":"xyz","user_id":12,"account_id":34,"slug":"instance-slug","app_id":5,
                "app_version_id":6,"install_id":-2,"is_admin":true,"is_view_only":false,"is_guest":null,
                "user_kind":"ad\u006din"},"exp":1712402403}"#,
            Shape::DatOrFlat,
        )
        .unwrap();
        assert_eq!((claims.account_id, claims.user_id, claims.app_id, claims.install_id), (34, 12, Some(5), Some(-2)));
        assert_eq!((claims.is_admin, claims.is_view_only, claims.is_guest), (Some(true), Some(false), None));
        assert_eq!(claims.client_id.unwrap().as_str(), "xyz");
        assert_eq!(claims.account_slug.unwrap().as_str(), "instance-slug");
        assert_eq!(claims.user_kind.unwrap().bytes(), "admin");
        assert!(claims.api_key.is_none() && claims.audience.is_empty());
    }

    #[test]
    fn times_and_ids_are_integers_and_nothing_else() {
        for value in [
            "\"1\"",
            "\"x\"",
            "1.0",
            "1.5",
            "1e3",
            "1e400",
            "1e-400",
            "1e999999999",
            "-0",
            "null",
            "[]",
            "[1]",
            "{}",
            "true",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "01",
            "0x1",
            "+1",
            "NaN",
            "Infinity",
        ] {
            for name in ["exp", "nbf", "iat", "accountId", "userId"] {
                let mut others = vec![r#""exp":9"#, r#""accountId":1"#, r#""userId":2"#];
                others.retain(|other| !other.starts_with(&format!("\"{name}\"")));
                let text = format!("{{{},\"{name}\":{value}}}", others.join(","));
                assert!(malformed(&text), "{text}");
            }
            for (name, other) in [("user_id", "account_id"), ("account_id", "user_id")] {
                let text = format!(r#"{{"exp":9,"dat":{{"{other}":1,"{name}":{value}}}}}"#);
                assert!(malformed(&text), "{text}");
            }
        }
        let extreme = parse(&format!(r#"{{{FLAT},"exp":{},"iat":0}}"#, i64::MAX), Shape::Flat).unwrap();
        assert_eq!((extreme.expires, extreme.issued_at), (i64::MAX, Some(0)));
        for name in ["exp", "nbf", "iat"] {
            let exp = if name == "exp" { "" } else { r#","exp":9"# };
            assert!(malformed(&format!(r#"{{{FLAT}{exp},"{name}":-1}}"#)), "a negative {name}");
        }
    }

    #[test]
    fn a_claim_of_another_type_is_malformed() {
        for member in [
            r#""shortLivedToken":1"#,
            r#""backToUrl":null"#,
            r#""backToUrl":["a"]"#,
            r#""aud":1"#,
            r#""aud":[]"#,
            r#""aud":["a",1]"#,
            r#""aud":[["a"]]"#,
            r#""aud":{"a":1}"#,
            r#""aud":true"#,
            r#""platformAppId":"1""#,
            r#""client_id":1"#,
            r#""appId":"1""#,
            r#""dat":1"#,
            r#""dat":null"#,
            r#""dat":[]"#,
            r#""dat":{"is_admin":1}"#,
            r#""dat":{"is_guest":"false"}"#,
            r#""dat":{"slug":1}"#,
            r#""dat":{"install_id":"1"}"#,
        ] {
            let text = format!(r#"{{"exp":9,{FLAT},{member}}}"#);
            assert!(malformed(&text), "{text}");
        }
    }

    #[test]
    fn a_member_twice_is_malformed_at_every_level() {
        for member in [
            r#""exp":9"#,
            r#""userId":2"#,
            r#""us\u0065rId":2"#,
            r#""x":1,"x":1"#,
            r#""x":{"y":1,"y":2}"#,
            r#""x":[[{"y":1,"y":2}]]"#,
            r#""aud":"a","aud":"a""#,
            r#""dat":{"a":1,"a":1}"#,
            r#""dat":{"a":{"b":1,"b":1}}"#,
            r#""appId":1,"app_id":2"#,
            r#""clientId":"a","client_id":"b""#,
        ] {
            let text = format!(r#"{{"exp":9,{FLAT},{member}}}"#);
            assert!(malformed(&text), "{text}");
        }
        assert!(parse(&format!(r#"{{"exp":9,{FLAT},"appId":1,"app_id":1}}"#), Shape::Flat).is_ok());
    }

    #[test]
    fn depth_is_bounded_to_the_level() {
        let nested = |levels: usize| format!(r#"{{"exp":9,{FLAT},"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(JSON_DEPTH - 1), Shape::Flat).is_ok());
        assert!(malformed(&nested(JSON_DEPTH)));
        assert!(malformed(&nested(100_000)));
    }

    #[test]
    fn a_payload_that_is_no_object_is_malformed() {
        for text in ["", "null", "[]", "1", "\"a\"", "{", "{}x", "[{\"exp\":1}]", "{\"exp\":1,}"] {
            assert!(malformed(text), "{text}");
        }
        let not_utf8 = Bytes::from_static(b"{\"accountId\":1,\"userId\":2,\"exp\":9,\"x\":\"\xc0\xaf\"}");
        assert!(matches!(Claims::parse(not_utf8, Shape::Flat), Err(ClaimsFlaw::Malformed(_))));
    }

    #[test]
    fn a_token_without_exp_is_refused() {
        assert_eq!(parse(&format!("{{{FLAT}}}"), Shape::Flat).unwrap_err(), ClaimsFlaw::NoExpiry);
        assert_eq!(parse(r#"{"dat":{"exp":9}}"#, Shape::DatOrFlat).unwrap_err(), ClaimsFlaw::NoExpiry);
    }

    #[test]
    fn each_shape_is_held_to_its_kinds() {
        let flat = format!(r#"{{"exp":9,{FLAT}}}"#);
        let back = format!(r#"{{"exp":9,{FLAT},"backToUrl":"https://a.monday.com/"}}"#);
        let dat = r#"{"exp":9,"dat":{"account_id":1,"user_id":2}}"#;
        assert!(parse(&flat, Shape::Flat).is_ok() && parse(&flat, Shape::DatOrFlat).is_ok());
        assert!(shape_flaw(&flat, Shape::FlatWithBackToUrl) && shape_flaw(&flat, Shape::None));
        assert!(parse(&back, Shape::FlatWithBackToUrl).is_ok());
        assert!(shape_flaw(&back, Shape::Flat) && shape_flaw(&back, Shape::DatOrFlat));
        assert!(parse(dat, Shape::DatOrFlat).is_ok());
        assert!(shape_flaw(dat, Shape::Flat) && shape_flaw(dat, Shape::FlatWithBackToUrl));
    }

    #[test]
    fn both_shapes_at_once_are_neither() {
        for text in [
            r#"{"exp":9,"accountId":1,"userId":2,"dat":{"account_id":1,"user_id":2}}"#,
            r#"{"exp":9,"userId":2,"dat":{"account_id":1,"user_id":2}}"#,
            r#"{"exp":9,"userId":2,"dat":{"account_id":1}}"#,
            r#"{"exp":9,"shortLivedToken":"a","dat":{"account_id":1,"user_id":2}}"#,
            r#"{"exp":9,"app_id":1,"dat":{"account_id":1,"user_id":2,"app_id":2}}"#,
            r#"{"exp":9,"dat":{"account_id":1,"user_id":2,"backToUrl":"x"}}"#,
            r#"{"exp":9,"accountId":1,"userId":2,"backToUrl":"","x":1}"#,
            r#"{"exp":9,"account_id":1,"user_id":2}"#,
            r#"{"exp":9,"accountId":1}"#,
            r#"{"exp":9,"userId":1}"#,
            r#"{"exp":9,"dat":{"accountId":1,"userId":1}}"#,
            r#"{"exp":9,"dat":{}}"#,
        ] {
            assert!(shape_flaw(text, Shape::DatOrFlat) && shape_flaw(text, Shape::FlatWithBackToUrl), "{text}");
        }
    }

    #[test]
    fn a_lookup_gives_text_integers_and_booleans_and_nothing_else() {
        let claims = parse(
            r#"{"exp":9,"accountId":1,"userId":2,"integrationId":"327000608","big":18446744073709551615,"minus":-5,
                "dat2":{"kind":"admin","yes":true,"no":false,"float":1.5,"null":null,"list":[1],"object":{}}}"#,
            Shape::Flat,
        )
        .unwrap();
        let lookup = |path: &str| json::member(&claims.raw, &path.split('/').map(str::to_owned).collect::<Vec<_>>());
        for (path, expected) in [
            ("integrationId", "327000608"),
            ("userId", "2"),
            ("big", "18446744073709551615"),
            ("minus", "-5"),
            ("dat2/kind", "admin"),
            ("dat2/yes", "true"),
            ("dat2/no", "false"),
        ] {
            assert_eq!(lookup(path).as_deref(), Some(expected), "{path}");
        }
        for path in
            ["absent", "dat2", "dat2/float", "dat2/null", "dat2/list", "dat2/list/0", "dat2/object", "userId/x", ""]
        {
            assert_eq!(lookup(path), None, "{path}");
        }
    }

    #[test]
    fn debug_shows_no_token_and_no_text() {
        let text = format!(r#"{{"exp":9,{FLAT},"shortLivedToken":"canary","aud":"canary"}}"#);
        let claims = parse(&text, Shape::Flat).unwrap();
        assert!(!format!("{claims:?} {:?}", claims.api_key).contains("canary"));
    }
}
