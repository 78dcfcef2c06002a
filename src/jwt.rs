//! Compact JWS with HS256, and nothing else.

/// What is wrong with a token itself, before any claim is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
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
