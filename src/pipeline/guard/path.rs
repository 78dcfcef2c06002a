//! Which paths are routed and forwarded: those that no backend can resolve to another path. Dot segments, empty segments,
//! backslashes, and `%2e %2f %5c %00` in any encoding are refused; everything else passes as it came, byte for byte. Takes the
//! path as the client wrote it, returns nothing but the refusal: there is no normalised path. RFC 3986, section 3.3.

use memchr::{memchr, memchr2};
use smallvec::SmallVec;

use crate::pipeline::refusal::Malformed;

/// How often a path may be encoded over itself. Nobody has a use for the third time, and each costs a pass.
const LEVELS: usize = 3;

/// Room for the decoded path without an allocation.
type Decoded = SmallVec<[u8; 256]>;

/// Refuses a path that two servers could resolve differently.
pub(crate) fn judge(path: &str) -> Result<(), Malformed> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(Malformed::Target);
    }
    if !bytes.iter().all(u8::is_ascii_graphic) || memchr2(b'\\', b'#', bytes).is_some() || !has_plain_segments(bytes) {
        return Err(Malformed::Path);
    }
    if memchr(b'%', bytes).is_none() {
        return Ok(());
    }
    if !is_well_encoded(bytes) {
        return Err(Malformed::Path);
    }
    judge_decoded(bytes)
}

/// Whether a query is visible ASCII and ends where the target does.
pub(crate) fn judge_query(query: &str) -> Result<(), Malformed> {
    let clean = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if clean { Ok(()) } else { Err(Malformed::Query) }
}

/// Decodes until nothing is encoded, and looks at each level with a backend's eyes.
fn judge_decoded(path: &[u8]) -> Result<(), Malformed> {
    let mut level = Decoded::from_slice(path);
    for _ in 0..LEVELS {
        let (decoded, dangerous) = decode(&level);
        if dangerous || std::str::from_utf8(&decoded).is_err() || !has_plain_segments(&decoded) {
            return Err(Malformed::Path);
        }
        if decoded.len() == level.len() {
            return Ok(());
        }
        level = decoded;
    }
    Err(Malformed::Path)
}

/// One level decoded; and whether that brought forth a dot, a slash, a backslash or a NUL.
fn decode(bytes: &[u8]) -> (Decoded, bool) {
    let mut decoded = Decoded::new();
    let mut dangerous = false;
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(byte) = escape(rest) {
            dangerous |= matches!(byte, b'.' | b'/' | b'\\' | 0);
            decoded.push(byte);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            decoded.push(first);
            rest = after;
        }
    }
    (decoded, dangerous)
}

/// The byte that `%XX` at the start of `bytes` stands for.
fn escape(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// Whether two hexadecimal digits follow every `%`.
fn is_well_encoded(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, &byte)| byte != b'%' || bytes.get(at..).and_then(escape).is_some())
}

/// No segment is empty, but perhaps the last, and none is `.` or `..`, also not before its parameters.
fn has_plain_segments(path: &[u8]) -> bool {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let name = memchr(b';', segment).and_then(|end| segment.get(..end)).unwrap_or(segment);
        let is_last = segments.peek().is_none();
        let plain = match name {
            b"" => is_last && segment.is_empty(),
            b"." | b".." => false,
            _ => true,
        };
        if !plain {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_mean_one_thing_pass() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/.well-known/x",
            "/...",
            "/a..b",
            "/..a",
            "/a;v=1/b",
            "/a%20b",
            "/%C3%A9",
            "/100%25",
            "/a%2Cb",
            "/%7Euser",
            "/a:b@c",
            "/a%3Fb",
            "/a%23b",
            "/a%0d%0a",
            "/a=b&c",
            "/{id}",
            "/%2520",
        ] {
            assert_eq!(judge(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_that_resolve_to_others_are_refused() {
        for path in [
            "/.",
            "/..",
            "/a/..",
            "/a/../b",
            "/a/./b",
            "/../",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/a\\b",
            "/..\\a",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/%2e./a",
            "/a%2eb",
            "/%252e%252e/a",
            "/%25252e",
            "/%2525252e",
            "/a%2fb",
            "/a%2Fb",
            "/a%252fb",
            "/a%5cb",
            "/a%255Cb",
            "/a%00",
            "/a%2500",
            "/..;/a",
            "/..;x=y/a",
            "/.;/a",
            "/;/a",
            "/;x",
            "/a/;x/b",
            "/..%3b/a",
            "/..%3bx=y/a",
            "/..%253bx",
            "/%25%32%65",
            "/%",
            "/a%",
            "/a%2",
            "/a%2g",
            "/%u002e",
            "/%c0%ae",
            "/%c0%af",
            "/%e0%80%ae",
            "/%ff",
            "/%c3",
            "/%25c0%25ae",
            "/\u{e9}",
            "/a b",
            "/a\tb",
            "/a#b",
            "/a\x7f",
        ] {
            assert_eq!(judge(path), Err(Malformed::Path), "{path}");
        }
        for path in ["", "*", "a", "?a"] {
            assert_eq!(judge(path), Err(Malformed::Target), "{path}");
        }
    }

    #[test]
    fn a_path_encoded_over_and_over_costs_a_few_passes_and_is_refused() {
        let path = format!("/%{}41", "25".repeat(15_000));
        assert_eq!(judge(&path), Err(Malformed::Path));
    }

    #[test]
    fn a_query_is_visible_and_has_no_fragment() {
        assert_eq!(judge_query("a=b&c=%zz/../?"), Ok(()));
        for query in ["a#b", "a b", "a\u{e9}", "a\0"] {
            assert_eq!(judge_query(query), Err(Malformed::Query), "{query:?}");
        }
    }
}
