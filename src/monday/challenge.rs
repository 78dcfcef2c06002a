//! The handshake of a board webhook: monday posts `{"challenge": "..."}` without a token and wants to read it again.
//! Takes the body, returns the answer's; anything that is not exactly this object is no challenge, and goes on to be
//! verified like every other request. monday's page: "Webhooks", URL verification.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::json::{self, Names, Value, Walk};
use crate::limits::CHALLENGE_BYTES;

/// The answer's body, written anew: nothing but the text is the caller's.
pub(crate) fn challenge(body: &[u8]) -> Option<Bytes> {
    if body.len() > CHALLENGE_BYTES {
        return None;
    }
    let challenge = json::whole(body, Seed).ok()?;
    serde_json::to_vec(&Echo { challenge }).ok().map(Bytes::from)
}

#[derive(Serialize)]
struct Echo {
    challenge: String,
}

/// Reads an object with this one member.
struct Seed;

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a challenge")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Names::default();
        if names.next(&mut map)?.as_deref() != Some("challenge") {
            return Err(A::Error::custom("another member"));
        }
        let Value::Text(challenge) = map.next_value_seed(Walk { depth: 0 })? else {
            return Err(A::Error::custom("no text"));
        };
        match names.next(&mut map)? {
            None => Ok(challenge.into_owned()),
            Some(_) => Err(A::Error::custom("more than the challenge")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_echoed() {
        let answer = challenge(br#" { "challenge" : "3eZbrw1a-\u00e4\" </x>" } "#).unwrap();
        assert_eq!(answer, "{\"challenge\":\"3eZbrw1a-ä\\\" </x>\"}".as_bytes());
    }

    #[test]
    fn anything_but_exactly_a_challenge_is_none() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            r#""challenge""#,
            r#"{"challenge":1}"#,
            r#"{"challenge":null}"#,
            r#"{"challenge":["a"]}"#,
            r#"{"challenge":"a","challenge":"a"}"#,
            r#"{"challenge":"a","event":{}}"#,
            r#"{"event":{},"challenge":"a"}"#,
            r#"{"Challenge":"a"}"#,
            r#"{"challenge":"a"}{}"#,
            r#"[{"challenge":"a"}]"#,
        ] {
            assert_eq!(challenge(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_challenge_above_the_limit_is_none() {
        let body = |bytes: usize| format!("{{\"challenge\":\"{}\"}}", "a".repeat(bytes - 16)).into_bytes();
        assert_eq!(body(CHALLENGE_BYTES).len(), CHALLENGE_BYTES);
        assert!(challenge(&body(CHALLENGE_BYTES)).is_some());
        assert!(challenge(&body(CHALLENGE_BYTES + 1)).is_none());
    }
}
