//! One field line of a head or a trailer section: its two parts, what it has to do with framing, and the few values that framing
//! depends on. Takes bytes, returns parts of them, or why they are none. Knows no other line. RFC 9110, section 5.

use memchr::memchr;

use crate::pipeline::refusal::{Malformed, Refusal};

/// Longest field name that the `http` crate parses (its own limit is 65 535).
const NAME_BYTES: usize = 32_768;

/// What a field has to do with framing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    None,
    /// `Host`.
    Host,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
    /// `Connection`.
    Connection,
    /// A name that somebody may take for one of the two lengths: `Content_Length`.
    Lookalike,
}

impl Role {
    /// The role of a field name in any case.
    pub(crate) fn of(name: &[u8]) -> Self {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => Self::Host,
            7 if name.eq_ignore_ascii_case(b"upgrade") => Self::Upgrade,
            10 if name.eq_ignore_ascii_case(b"connection") => Self::Connection,
            14 if name.eq_ignore_ascii_case(b"content-length") => Self::Length,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TransferEncoding,
            _ if resembles_length(name) => Self::Lookalike,
            _ => Self::None,
        }
    }
}

/// Whether the letters of a name are those of `Content-Length` or `Transfer-Encoding`: `Content_Length`, `ContentLength`.
pub(crate) fn resembles_length(name: &[u8]) -> bool {
    let letters = || name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    letters().eq(*b"contentlength") || letters().eq(*b"transferencoding")
}

/// Name and value of a field line; the value without the space around it (RFC 9112, section 5).
pub(crate) fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let refuse = |malformed| Err(Refusal::Malformed(malformed));
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return refuse(Malformed::ObsFold);
    }
    let Some((name, value)) = memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else {
        return refuse(Malformed::FieldName);
    };
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return refuse(Malformed::FieldName);
    }
    if name.len() > NAME_BYTES {
        return Err(Refusal::HeadTooLarge);
    }
    let value = value.get(1..).unwrap_or_default();
    if has_control(value) {
        return refuse(Malformed::ControlCharacter);
    }
    Ok((name, trim(value)))
}

/// A number of 1 to 19 digits and nothing else (RFC 9110, section 8.6); 19 digits always fit.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte & 0x0F))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a list of connection options has this one, given in lower case (RFC 9110, section 7.6.1).
pub(crate) fn has_option(value: &[u8], option: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|part| trim(part).eq_ignore_ascii_case(option))
}

/// A value without the spaces and tabs around it.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A control character other than tab. Without an early exit, so that the compiler tests 16 bytes at a time.
#[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch for each byte")]
pub(crate) fn has_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, &byte| found | ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7F))
}

/// A character of a token (RFC 9110, section 5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'#'..=b'\'' | b'*' | b'+'
        | b'^' | b'`' | b'|' | b'~')
}
