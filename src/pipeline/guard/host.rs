//! What a `Host`, an `:authority` and the authority of an absolute target may be: a name, an IPv4 address or an IPv6 literal,
//! and perhaps a port. Narrower than RFC 3986, section 3.2.2: no user, no percent-encoding, and none of the characters that
//! mean something in `Forwarded`, in a list or in a URL. Takes text, returns its two parts; resolves nothing.

use std::net::Ipv6Addr;

/// Longest host name (RFC 1035, section 2.3.4), with a final dot.
const NAME_BYTES: usize = 254;

/// The parts of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    /// As written, without a final dot; an IPv6 literal in its brackets.
    pub(crate) name: &'a str,
    /// 0 to 65535.
    pub(crate) port: Option<u16>,
}

/// The parts of `text`, if it is a host.
pub(crate) fn parse(text: &str) -> Option<Host<'_>> {
    let (name, port) = match text.strip_prefix('[') {
        Some(literal) => {
            let (address, _) = literal.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            text.split_at_checked(address.len().checked_add(2)?)?
        }
        None => text.split_at_checked(text.find(':').unwrap_or(text.len()))?,
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => Some(parse_port(digits)?),
        None if port.is_empty() => None,
        None => return None,
    };
    if name.starts_with('[') {
        return Some(Host { name, port });
    }
    is_name(name).then(|| Host { name: name.strip_suffix('.').unwrap_or(name), port })
}

/// Letters, digits, `-`, `_` and single dots between them; one more dot may end it.
fn is_name(name: &str) -> bool {
    let mut before = b'.';
    for byte in name.bytes() {
        let fits = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && before != b'.');
        if !fits {
            return false;
        }
        before = byte;
    }
    !name.is_empty() && name.len() <= NAME_BYTES
}

/// One to five digits; `u16::from_str` alone would take a sign.
fn parse_port(digits: &str) -> Option<u16> {
    let plain = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_hosts() {
        for (text, name, port) in [
            ("gw.example.com", "gw.example.com", None),
            ("GW.example.com.:8443", "GW.example.com", Some(8443)),
            ("my_host", "my_host", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:443", "[2001:db8::1]", Some(443)),
        ] {
            assert_eq!(parse(text), Some(Host { name, port }), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_no_host() {
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a:",
            ":80",
            "a:65536",
            "a:+80",
            "a:8o",
            "a:80:80",
            "u@a",
            "a,b",
            "a;b",
            "a\"b",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a%41",
            "[::1",
            "::1",
            "[::1]a",
            "[::1%25eth0]",
            "[]",
            "a\r\nb",
            "\u{e9}.com",
            "a\\b",
            "a=b",
            "(a)",
            "[v1.a]",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&"a".repeat(255)), None);
    }
}
