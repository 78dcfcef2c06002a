//! A compact JWS of an issuer, before and at its signature. The header only says which key may have signed it; the key says how. Nothing
//! of the payload is decoded before a key has fitted. RFC 7515, sections 4.1 and 5.2; RFC 8725, sections 3.1 and 3.11.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::issuers::key_set::{Fitting, KeySet};
use crate::json::{self, Names, Value, Walk};
use crate::jwt::{Flaw, Parts};
use crate::limits::{JSON_DEPTH, KID_BYTES};

/// Media types of tokens that say who calls (RFC 7519, section 5.1; RFC 9068, section 2.1). A logout token or a proof of possession is none.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A token whose form and header are right; nobody has looked at its signature yet.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    parts: Parts<'t>,
    /// What it says about its key.
    pub(crate) header: Header,
}

/// What a header says about the key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// One of those that a key may have.
    pub(crate) alg: String,
    /// The key's name.
    pub(crate) kid: Option<String>,
}

/// What a key set says to a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// One of its keys signed it: the payload, decoded.
    Signed(Vec<u8>),
    /// None of its keys did.
    Refused(Flaw),
    /// The set has no key of that name: a newer one may.
    UnknownKey,
}

impl<'t> Token<'t> {
    /// Reads form and header.
    pub(crate) fn read(token: &'t str) -> Result<Self, Flaw> {
        let parts = Parts::cut(token)?;
        let header = URL_SAFE_NO_PAD.decode(parts.header).map_err(|_why| Flaw::Base64)?;
        let header = json::whole(&header, HeaderSeed).map_err(|_why| Flaw::Header)??;
        Ok(Self { parts, header })
    }

    /// Looks for the key that signed it.
    pub(crate) fn judge(&self, set: &KeySet) -> Verdict {
        let keys = match set.fitting(&self.header) {
            Fitting::Keys(keys) => keys,
            Fitting::OtherAlgorithm => return Verdict::Refused(Flaw::Algorithm),
            Fitting::None => return Verdict::UnknownKey,
        };
        let Parts { signed, payload, signature, .. } = self.parts;
        if URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Verdict::Refused(Flaw::Base64);
        }
        if keys.iter().any(|key| key.made(signature, signed)) {
            return URL_SAFE_NO_PAD.decode(payload).map_or(Verdict::Refused(Flaw::Base64), Verdict::Signed);
        }
        // A token that names no key may have been signed with one that is newer than the set.
        if self.header.kid.is_none() { Verdict::UnknownKey } else { Verdict::Refused(Flaw::Signature) }
    }
}

impl Header {
    /// Whether it agrees with a key about the algorithm, which is the key's.
    pub(crate) fn says(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::RS256 => self.alg == "RS256",
            Algorithm::PS256 => self.alg == "PS256",
            Algorithm::ES256 => self.alg == "ES256",
            Algorithm::EdDSA => self.alg == "EdDSA" || self.alg == "Ed25519",
            _ => false,
        }
    }

    /// Whether any key could agree: what is refused here costs no look at a set.
    fn is_known(&self) -> bool {
        [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA].into_iter().any(|one| self.says(one))
    }
}

/// Reads a header to its end, and then says what is wrong with it.
struct HeaderSeed;

impl<'de> DeserializeSeed<'de> for HeaderSeed {
    type Value = Result<Header, Flaw>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed {
    type Value = Result<Header, Flaw>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Names::default();
        let mut header = Header { alg: String::new(), kid: None };
        let mut form = Ok(());
        while let Some(name) = names.next(&mut map)? {
            let value = map.next_value_seed(Walk { depth: JSON_DEPTH - 1 })?;
            match (name.as_ref(), value) {
                ("alg", Value::Text(alg)) => header.alg = alg.into_owned(),
                ("kid", Value::Text(kid)) if kid.len() <= KID_BYTES => header.kid = Some(kid.into_owned()),
                ("kid", _) => return Err(A::Error::custom("`kid` is no text, or too long")),
                ("typ", Value::Text(typ)) if TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known)) => {}
                ("crit", _) => form = Err(Flaw::Critical),
                // They change what is signed or how the payload is read (RFC 7797; RFC 7516, section 4.1), or what the token is for.
                ("b64" | "zip" | "enc" | "typ", _) => form = form.and(Err(Flaw::Header)),
                _ => {}
            }
        }
        let known = if header.is_known() { Ok(header) } else { Err(Flaw::Algorithm) };
        Ok(form.and(known))
    }
}
