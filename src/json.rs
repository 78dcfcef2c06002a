//! Reads JSON as strictly as a token must be read: duplicate members are refused at every level, also inside members that
//! nobody asks for, nesting and the number of members are bounded, UTF-8 and numbers are checked everywhere.
//! Used in one pass over the text, without building a tree. Knows no claim. RFC 8259, section 4; RFC 8725, section 2.4.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

/// Members of one object, and elements of one array, beyond which a token is refused.
const MEMBERS_MAX: usize = 256;

/// A value as far as anybody needs it. What is none of the scalars was still walked to its end, and is `Other`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'de> {
    /// Text; borrowed unless it has escapes.
    Text(Cow<'de, str>),
    /// A number written without fraction and exponent that fits 64 bits.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// Another number, an array, an object.
    Other,
}

/// Walks one value strictly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// How many arrays and objects may still open inside each other.
    pub(crate) depth: usize,
}

impl Walk {
    /// What is left for the values inside an array or object that opens here.
    pub(crate) fn inside<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Value::Other, Value::Integer))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inside = self.inside()?;
        let mut elements = 0;
        while seq.next_element_seed(inside)?.is_some() {
            elements += 1;
            bounded(elements)?;
        }
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inside = self.inside()?;
        let mut names = Names::default();
        while names.next(&mut map)?.is_some() {
            map.next_value_seed(inside)?;
        }
        Ok(Value::Other)
    }
}

/// The names of an object's members so far.
#[derive(Debug, Default)]
pub(crate) struct Names<'de>(SmallVec<[Cow<'de, str>; 16]>);

impl<'de> Names<'de> {
    /// The next member's name, compared after its escapes are resolved. Fails if it was there before.
    pub(crate) fn next<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
        let Some(name) = map.next_key_seed(NameSeed)? else { return Ok(None) };
        if self.0.contains(&name) {
            return Err(A::Error::custom("a member is there twice"));
        }
        bounded(self.0.len() + 1)?;
        self.0.push(name.clone());
        Ok(Some(name))
    }
}

/// One more member or element than allowed fails.
pub(crate) fn bounded<E: Error>(members: usize) -> Result<(), E> {
    if members > MEMBERS_MAX { Err(E::custom("too many members")) } else { Ok(()) }
}

/// Reads a member's name.
struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// Reads a whole text with `seed`; anything but white space after it fails.
pub(crate) fn whole<'de, S: DeserializeSeed<'de>>(text: &'de [u8], seed: S) -> Result<S::Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

/// The value below these names in a text that was read strictly before, for a header: text and integers as they are, booleans as `true`
/// and `false`. None if there is none or it is anything else.
pub(crate) fn member(text: &[u8], path: &[String]) -> Option<String> {
    let mut value: &serde_json::Value = &serde_json::from_slice(text).ok()?;
    for name in path {
        value = value.as_object()?.get(name)?;
    }
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Bool(flag) => Some(flag.to_string()),
        serde_json::Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(text: &str) -> Result<Value<'_>, serde_json::Error> {
        whole(text.as_bytes(), Walk { depth: 3 })
    }

    #[test]
    fn only_plain_numbers_that_fit_are_integers() {
        for text in ["1.0", "1e3", "-0", "9223372036854775808", "-9223372036854775809", "1.5", "1e-999999999"] {
            assert_eq!(walk(text).unwrap(), Value::Other, "{text}");
        }
        assert_eq!(walk("-9223372036854775808").unwrap(), Value::Integer(i64::MIN));
        assert_eq!(walk("9223372036854775807").unwrap(), Value::Integer(i64::MAX));
    }

    #[test]
    fn what_is_no_json_is_refused_wherever_it_stands() {
        for text in [
            "",
            "{",
            "01",
            "+1",
            "1e999999999",
            "[1e400]",
            "{\"a\":1,}",
            "{\"a\":\"\u{1}\"}",
            "\"\\ud800\"",
            "{}{}",
            "nul",
            "{a:1}",
            "\u{feff}{}",
            "NaN",
        ] {
            assert!(walk(text).is_err(), "{text}");
        }
        assert!(whole(b"{\"a\":\"\xff\"}", Walk { depth: 3 }).is_err());
    }

    #[test]
    fn a_member_twice_is_refused_at_every_level_however_it_is_spelled() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":{"a":1,"b":2,"a":3}}"#, r#"[{"a":1,"a":2}]"#]
        {
            assert!(walk(text).is_err(), "{text}");
        }
        assert!(walk(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn nesting_and_members_are_bounded() {
        assert!(walk("[[[1]]]").is_ok());
        assert!(walk("[[[[1]]]]").is_err());
        assert!(walk(r#"{"a":{"b":{"c":{}}}}"#).is_err());
        let members = |n: usize| {
            let members: Vec<_> = (0..n).map(|i| format!("\"{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(walk(&members(MEMBERS_MAX)).is_ok());
        assert!(walk(&members(MEMBERS_MAX + 1)).is_err());
        assert!(walk(&format!("[{}0]", "0,".repeat(MEMBERS_MAX))).is_err());
    }
}
