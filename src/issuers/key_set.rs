//! A JSON Web Key Set as far as tokens are verified with it. A key says by itself which algorithm is its own; one that does not, or that
//! is for anything else, is left out. RFC 7517, section 5; RFC 7518, section 6; RFC 8037, section 2.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::issuers::token::Header;
use crate::json::{self, Walk};
use crate::limits;

/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bytes of an RSA exponent: 65537 has three.
const EXPONENT_BYTES: std::ops::RangeInclusive<usize> = 1..=4;
/// Bytes of a coordinate on P-256, and of an Ed25519 key.
const POINT_BYTES: std::ops::RangeInclusive<usize> = 32..=32;
/// How deep a key set may nest: an object, an array, keys, and `x5c` or `key_ops` in them.
const DEPTH: usize = 8;

/// An issuer's keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    /// Unix seconds after which it is not used any more.
    pub(crate) usable_until: i64,
}

/// One key, and the only algorithm that it is used with.
pub(crate) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Which keys a token may have been signed with.
#[derive(Debug)]
pub(crate) enum Fitting<'s> {
    /// These are tried.
    Keys(Vec<&'s Key>),
    /// The key that it names is of another algorithm.
    OtherAlgorithm,
    /// There is none.
    None,
}

/// A set that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeySetFlaw {
    /// Not JSON, a member twice, too deep or too many.
    #[error("is not strict JSON (a member twice, nested too deep, or too large)")]
    Json,
    /// No `keys`.
    #[error("has no `keys` array: is jwks_url the address of a JSON Web Key Set?")]
    Keys,
    /// Nothing that tokens can be verified with.
    #[error("has no key for RS256, PS256, ES256 or EdDSA signatures")]
    Empty,
}

impl KeySet {
    /// Reads a set.
    pub(crate) fn parse(text: &[u8], usable_until: i64) -> Result<Self, KeySetFlaw> {
        json::whole(text, Walk { depth: DEPTH }).map_err(|_why| KeySetFlaw::Json)?;
        let set: Value = serde_json::from_slice(text).map_err(|_why| KeySetFlaw::Json)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(KeySetFlaw::Keys)?;
        let keys = keys.iter().filter_map(Value::as_object).filter_map(Key::of).take(limits::KEYS_MAX);
        let keys: Vec<Key> = keys.collect();
        if keys.is_empty() { Err(KeySetFlaw::Empty) } else { Ok(Self { keys, usable_until }) }
    }

    /// The keys that a token of this header may have been signed with.
    pub(crate) fn fitting(&self, header: &Header) -> Fitting<'_> {
        let named = |key: &&Key| match (&header.kid, &key.kid) {
            (Some(kid), Some(own)) => kid == own,
            // A key without a name is nobody's whom the token names, unless it is the only one.
            (Some(_), None) => self.keys.len() == 1,
            (None, _) => true,
        };
        let mut other = false;
        let mut keys = Vec::new();
        for key in self.keys.iter().filter(named) {
            if header.says(key.algorithm) {
                keys.push(key);
            } else {
                other = true;
            }
        }
        keys.truncate(limits::KEYS_TRIED);
        match (keys.is_empty(), other) {
            (false, _) => Fitting::Keys(keys),
            (true, true) => Fitting::OtherAlgorithm,
            (true, false) => Fitting::None,
        }
    }

    /// How many keys it has.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Key {
    /// A key of a set, if it is one for signatures that are accepted here.
    fn of(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        if members.get("use").is_some_and(|used| used.as_str() != Some("sig")) || !may_verify(members.get("key_ops")) {
            return None;
        }
        let algorithm = algorithm(text("kty")?, text("crv"), members.get("alg"))?;
        let bytes = |name: &str, lengths: std::ops::RangeInclusive<usize>| {
            let encoded = text(name)?;
            let decoded = URL_SAFE_NO_PAD.decode(encoded).ok()?;
            lengths.contains(&decoded.len()).then_some(encoded)
        };
        let key = match text("kty")? {
            "RSA" => DecodingKey::from_rsa_components(bytes("n", MODULUS_BYTES)?, bytes("e", EXPONENT_BYTES)?),
            "EC" => DecodingKey::from_ec_components(bytes("x", POINT_BYTES)?, bytes("y", POINT_BYTES)?),
            _ => DecodingKey::from_ed_components(bytes("x", POINT_BYTES)?),
        };
        let kid = match members.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().filter(|kid| kid.len() <= limits::KID_BYTES)?.to_owned()),
        };
        Some(Self { kid, algorithm, key: key.ok()? })
    }

    /// Whether it made this signature (base64url) of these bytes.
    pub(crate) fn made(&self, signature: &str, signed: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key, self.algorithm).unwrap_or(false)
    }
}

/// `key_ops`, if it is there, has `verify`.
fn may_verify(operations: Option<&Value>) -> bool {
    operations.is_none_or(|operations| {
        operations.as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == Some("verify")))
    })
}

/// The one algorithm of a key. An RSA key without `alg` is for RS256: who wants PS256 says so.
fn algorithm(kty: &str, crv: Option<&str>, alg: Option<&Value>) -> Option<Algorithm> {
    let alg = match alg {
        Some(alg) => Some(alg.as_str()?),
        None => None,
    };
    match (kty, crv, alg) {
        ("RSA", None, None | Some("RS256")) => Some(Algorithm::RS256),
        ("RSA", None, Some("PS256")) => Some(Algorithm::PS256),
        ("EC", Some("P-256"), None | Some("ES256")) => Some(Algorithm::ES256),
        ("OKP", Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) => Some(Algorithm::EdDSA),
        _ => None,
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.kid, self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::issuers::minter::{Pair, set};

    fn parse(set: &Value) -> Result<usize, KeySetFlaw> {
        KeySet::parse(set.to_string().as_bytes(), 0).map(|set| set.len())
    }

    /// How many keys are left of a set whose one key was changed.
    fn left(pair: &Pair, member: &str, value: Value) -> usize {
        let mut jwk = pair.jwk();
        jwk[member] = value;
        parse(&json!({ "keys": [jwk] })).unwrap_or(0)
    }

    #[test]
    fn only_keys_for_signatures_of_a_known_kind_are_kept() {
        let [rsa, ec, ed] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(|of| Pair::new("k", of));
        for (pair, member, value, expected) in [
            (&rsa, "use", json!("enc"), 0),
            (&rsa, "use", json!(1), 0),
            (&rsa, "key_ops", json!(["verify"]), 1),
            (&rsa, "key_ops", json!(["encrypt"]), 0),
            (&rsa, "alg", json!("RS512"), 0),
            (&rsa, "alg", json!("RSA-OAEP"), 0),
            (&rsa, "alg", json!("HS256"), 0),
            (&rsa, "alg", json!(null), 0),
            (&rsa, "kty", json!("oct"), 0),
            (&rsa, "kty", json!("EC"), 0),
            (&rsa, "n", json!("AQAB"), 0),
            (&rsa, "n", json!("A".repeat(4000)), 0),
            (&rsa, "e", json!("A".repeat(400)), 0),
            (&ec, "crv", json!("P-384"), 0),
            (&ec, "crv", json!("secp256k1"), 0),
            (&ec, "alg", json!("ES384"), 0),
            (&ec, "x", json!("AQAB"), 0),
            (&ed, "crv", json!("Ed448"), 0),
            (&ed, "alg", json!("Ed25519"), 1),
            (&ed, "kid", json!("k".repeat(257)), 0),
            (&ed, "kid", json!(7), 0),
        ] {
            assert_eq!(left(pair, member, value.clone()), expected, "{member} = {value}");
        }
    }

    #[test]
    fn what_is_no_strict_set_is_refused_and_strange_keys_in_it_are_passed_over() {
        let pair = Pair::new("k", Algorithm::EdDSA);
        assert_eq!(parse(&set(&[])), Err(KeySetFlaw::Empty));
        assert_eq!(parse(&json!([])), Err(KeySetFlaw::Keys));
        assert_eq!(parse(&json!({ "keys": {} })), Err(KeySetFlaw::Keys));
        assert_eq!(parse(&json!({ "keys": [1, null, { "kty": "AKP" }, pair.jwk()] })), Ok(1));
        let twice = set(&[&pair]).to_string().replacen("{\"", "{\"keys\":[],\"", 1);
        assert_eq!(KeySet::parse(twice.as_bytes(), 0).err(), Some(KeySetFlaw::Json));
        assert_eq!(KeySet::parse(b"<html>", 0).err(), Some(KeySetFlaw::Json));
        let many = json!({ "keys": vec![pair.jwk(); 200] });
        assert_eq!(parse(&many), Ok(limits::KEYS_MAX));
    }
}
