//! Judges the raw bytes of one HTTP/1 request head: request line, field lines, and how the body is framed. Takes the bytes
//! from the head's first on, returns how long the head is and what follows it, or that it is not complete, or a refusal.
//! Stricter than RFC 9112 wherever recipients are known to differ: CRLF only, no folding, one length, one host, no list.
//! Knows nothing of connections; looks at no header that has no say in framing. RFC 9112, sections 2 to 6.

use memchr::memchr;

use crate::pipeline::guard::field::{Role, decimal, has_control, has_option, is_token, split_field};
use crate::pipeline::guard::host;
use crate::pipeline::refusal::{Malformed, Refusal};

/// Longest target that hyper parses (its own limit is 65 534).
const TARGET_BYTES: usize = 65_000;

/// What one head may have; from `[server.limits]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes from the first of the request line to the last of the empty line.
    pub(crate) bytes: usize,
    /// Field lines.
    pub(crate) fields: usize,
}

/// A head that every recipient reads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its bytes, with an empty line before it and the one after it.
    pub(crate) length: usize,
    /// What follows it.
    pub(crate) follows: Follows,
}

/// What the bytes behind a head are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// The next head.
    Head,
    /// A body of this many bytes, at least one.
    Length(u64),
    /// A chunked body.
    Chunked,
    /// A WebSocket, if the backend agrees; else the next head.
    Upgrade,
}

/// Judges the head at the start of `bytes`; `None` if its end is not there yet and nothing is wrong so far.
pub(crate) fn judge(bytes: &[u8], limits: HeadLimits) -> Result<Option<Head>, Refusal> {
    let head = read(bytes, limits)?;
    if head.map_or(bytes.len(), |head| head.length) > limits.bytes {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(head)
}

/// `judge` without the limit of bytes.
fn read(bytes: &[u8], limits: HeadLimits) -> Result<Option<Head>, Refusal> {
    let mut lines = Lines { rest: bytes };
    let Some(mut line) = lines.next()? else { return Ok(None) };
    if line.is_empty() {
        // One empty line is what old clients append to a body (RFC 9112, section 2.2).
        match lines.next()? {
            Some(second) => line = second,
            None => return Ok(None),
        }
    }
    let request = RequestLine::read(line)?;
    let mut framing = Framing::default();
    let mut fields = 0;
    loop {
        let Some(line) = lines.next()? else { return Ok(None) };
        if line.is_empty() {
            break;
        }
        fields += 1;
        if fields > limits.fields {
            return Err(Refusal::HeadTooLarge);
        }
        framing.add(line)?;
    }
    let follows = framing.follows(&request)?;
    Ok(Some(Head { length: bytes.len().saturating_sub(lines.rest.len()), follows }))
}

/// Splits off lines that end in CRLF, and refuses any other end.
struct Lines<'a> {
    /// What is not split off yet.
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line without its end, or `None` if the end is not there yet.
    fn next(&mut self) -> Result<Option<&'a [u8]>, Refusal> {
        let Some((line, rest)) = memchr(b'\n', self.rest).and_then(|end| self.rest.split_at_checked(end)) else {
            return Ok(None);
        };
        self.rest = rest.get(1..).unwrap_or_default();
        match line.strip_suffix(b"\r") {
            Some(line) => Ok(Some(line)),
            None => Err(Refusal::Malformed(Malformed::ControlCharacter)),
        }
    }
}

/// The facts of the request line that framing depends on.
struct RequestLine<'a> {
    /// A token.
    method: &'a [u8],
    /// HTTP/1.1; otherwise HTTP/1.0.
    is_1_1: bool,
}

impl<'a> RequestLine<'a> {
    /// `method SP target SP HTTP/1.x`, with exactly these two spaces.
    fn read(line: &'a [u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed(Malformed::RequestLine);
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err(malformed);
        }
        let is_1_1 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ => return Err(malformed),
        };
        if matches!(method, b"CONNECT" | b"TRACE") {
            return Err(Refusal::MethodRefused);
        }
        judge_target(target)?;
        Ok(Self { method, is_1_1 })
    }
}

/// Refuses what no route can have, and everything that hyper would refuse by itself, without a line in our log.
fn judge_target(target: &[u8]) -> Result<(), Refusal> {
    if target.len() > TARGET_BYTES {
        return Err(Refusal::HeadTooLarge);
    }
    if has_control(target) {
        return Err(Refusal::Malformed(Malformed::ControlCharacter));
    }
    let malformed = Refusal::Malformed(Malformed::Target);
    let path_and_query = match target.first() {
        Some(b'/') => target,
        _ => after_authority(target).ok_or_else(|| malformed.clone())?,
    };
    let end = memchr(b'?', path_and_query).unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at_checked(end).unwrap_or_default();
    let clean = path.iter().all(|&byte| is_path(byte)) && query.iter().all(|&byte| is_query(byte));
    if clean { Ok(()) } else { Err(malformed) }
}

/// The path and query of a target in absolute form (RFC 9112, section 3.2.2), which must have a path.
fn after_authority(target: &[u8]) -> Option<&[u8]> {
    let target = ["https://", "http://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    })?;
    let (authority, rest) = target.split_at_checked(memchr(b'/', target)?)?;
    host::parse(std::str::from_utf8(authority).ok()?).map(|_| rest)
}

/// What the fields say about framing, gathered line by line.
#[derive(Default)]
struct Framing<'a> {
    /// `Host` fields.
    hosts: usize,
    /// The one `Content-Length`.
    length: Option<u64>,
    /// The one `Transfer-Encoding`, which is `chunked`.
    chunked: bool,
    /// The one `Upgrade`.
    upgrade: Option<&'a [u8]>,
    /// `Connection` has the option `upgrade`.
    connection_upgrade: bool,
}

impl<'a> Framing<'a> {
    /// One field line.
    fn add(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        let (name, value) = split_field(line)?;
        let refuse = |malformed| Err(Refusal::Malformed(malformed));
        match Role::of(name) {
            Role::None => {}
            Role::Lookalike => return refuse(Malformed::FieldName),
            Role::Host => self.hosts += 1,
            Role::Length if self.length.is_some() => return refuse(Malformed::ContentLength),
            Role::Length => match decimal(value) {
                Some(length) => self.length = Some(length),
                None => return refuse(Malformed::ContentLength),
            },
            Role::TransferEncoding if self.chunked => return refuse(Malformed::TransferEncoding),
            Role::TransferEncoding if value.eq_ignore_ascii_case(b"chunked") => self.chunked = true,
            Role::TransferEncoding => return refuse(Malformed::TransferEncoding),
            Role::Upgrade if self.upgrade.is_some() => return refuse(Malformed::Upgrade),
            Role::Upgrade => self.upgrade = Some(value),
            Role::Connection if !value.is_ascii() => return refuse(Malformed::ControlCharacter),
            Role::Connection => self.connection_upgrade |= has_option(value, b"upgrade"),
        }
        Ok(())
    }

    /// What follows the head, if all fields together leave no doubt.
    fn follows(&self, request: &RequestLine<'_>) -> Result<Follows, Refusal> {
        let refuse = |malformed| Err(Refusal::Malformed(malformed));
        // A body of GET or HEAD has no meaning, and some recipients do not look for one (RFC 9110, section 9.3.1).
        let bodyless = matches!(request.method, b"GET" | b"HEAD");
        let follows = match (self.chunked, self.length.unwrap_or(0)) {
            (true, _) if self.length.is_some() => return refuse(Malformed::BothLengths),
            (true, _) if bodyless || !request.is_1_1 => return refuse(Malformed::TransferEncoding),
            (true, _) => Follows::Chunked,
            (false, 0) => Follows::Head,
            (false, _) if bodyless => return refuse(Malformed::ContentLength),
            (false, length) => Follows::Length(length),
        };
        if self.hosts != 1 {
            return refuse(Malformed::Host);
        }
        let Some(protocol) = self.upgrade else { return Ok(follows) };
        let handshake = protocol.eq_ignore_ascii_case(b"websocket")
            && self.connection_upgrade
            && request.is_1_1
            && request.method == b"GET";
        if handshake { Ok(Follows::Upgrade) } else { refuse(Malformed::Upgrade) }
    }
}

/// Visible ASCII that the `http` crate takes in a path.
const fn is_path(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'?' | b'<' | b'>' | b'`')
}

/// Visible ASCII that the `http` crate takes in a query.
const fn is_query(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'"' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 32 * 1024, fields: 100 };

    fn head(text: &str) -> Result<Option<Follows>, Refusal> {
        Ok(judge(text.as_bytes(), LIMITS)?.map(|head| head.follows))
    }

    fn refused(text: &str) -> Malformed {
        match head(text) {
            Err(Refusal::Malformed(malformed)) => malformed,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn what_follows_a_head_is_what_its_fields_say() {
        let post = |fields: &str| head(&format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(post(""), Ok(Some(Follows::Head)));
        assert_eq!(post("Content-Length: 0\r\n"), Ok(Some(Follows::Head)));
        assert_eq!(post("content-length:\t7 \r\n"), Ok(Some(Follows::Length(7))));
        assert_eq!(post("Transfer-Encoding: Chunked\r\n"), Ok(Some(Follows::Chunked)));
        assert_eq!(post("X-Name: caf\u{e9}\r\n"), Ok(Some(Follows::Head)));
    }

    #[test]
    fn every_beginning_of_a_clean_head_is_incomplete() {
        let text = "\r\nPOST http://h:80/a?b HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(judge(&text.as_bytes()[..end], LIMITS), Ok(None), "{end}");
        }
        let whole = judge(format!("{text}abc").as_bytes(), LIMITS);
        assert_eq!(whole, Ok(Some(Head { length: text.len(), follows: Follows::Length(3) })));
    }

    #[test]
    fn request_lines_with_another_form_are_refused() {
        for line in [
            "",
            " GET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / http/1.1",
            "PRI * HTTP/2.0",
            "G(T / HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET / a HTTP/1.1",
        ] {
            let malformed = refused(&format!("\r\n{line}\r\nHost: h\r\n\r\n"));
            assert_eq!(malformed, Malformed::RequestLine, "{line:?}");
        }
        for target in [
            "*",
            "a",
            "h:80",
            "/a#b",
            "/\u{e9}",
            "http://h",
            "http://h?a",
            "ftp://h/",
            "http://u@h/",
            "http:///",
            "/<",
            "/a?\"",
        ] {
            let malformed = refused(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
            assert_eq!(malformed, Malformed::Target, "{target:?}");
        }
    }

    #[test]
    fn trace_and_connect_are_refused_before_hyper_sees_them() {
        for line in ["CONNECT h:443", "TRACE /"] {
            assert_eq!(head(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")), Err(Refusal::MethodRefused));
        }
    }

    #[test]
    fn lines_that_others_would_join_or_split_are_refused() {
        for (fields, malformed) in [
            ("A: b\nC: d\r\n", Malformed::ControlCharacter),
            ("A: b\rC: d\r\n", Malformed::ControlCharacter),
            ("A: b\0\r\n", Malformed::ControlCharacter),
            ("A: b\x7f\r\n", Malformed::ControlCharacter),
            ("A: b\x0b\r\n", Malformed::ControlCharacter),
            ("A: b\r\n c\r\n", Malformed::ObsFold),
            ("A: b\r\n\tc\r\n", Malformed::ObsFold),
            ("A : b\r\n", Malformed::FieldName),
            ("A\t: b\r\n", Malformed::FieldName),
            (": b\r\n", Malformed::FieldName),
            ("A\r\n", Malformed::FieldName),
            ("A\u{a0}: b\r\n", Malformed::FieldName),
            ("Content_Length: 1\r\n", Malformed::FieldName),
            ("ContentLength: 1\r\n", Malformed::FieldName),
            ("Transfer.Encoding: chunked\r\n", Malformed::FieldName),
            ("Connection: close\u{85}\r\n", Malformed::ControlCharacter),
        ] {
            assert_eq!(refused(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")), malformed, "{fields:?}");
        }
    }

    #[test]
    fn lengths_that_others_would_read_differently_are_refused() {
        for value in ["", "+1", "-1", "1,1", "1, 1", "0x1", "1 1", "1;", "99999999999999999999", "١"] {
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {value}\r\n\r\n");
            assert_eq!(refused(&text), Malformed::ContentLength, "{value:?}");
        }
        for value in [
            "",
            ",chunked",
            "chunked,",
            "gzip, chunked",
            "chunked, chunked",
            "identity",
            "\"chunked\"",
            "chunked;a",
            "xchunked",
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {value}\r\n\r\n");
            assert_eq!(refused(&text), Malformed::TransferEncoding, "{value:?}");
        }
        for (fields, malformed) in [
            ("Content-Length: 1\r\nContent-Length: 1\r\n", Malformed::ContentLength),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Malformed::BothLengths),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Malformed::BothLengths),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Malformed::TransferEncoding),
        ] {
            assert_eq!(refused(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")), malformed, "{fields:?}");
        }
        assert_eq!(
            refused("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Malformed::TransferEncoding
        );
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"), Malformed::ContentLength);
        assert_eq!(
            refused("HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Malformed::TransferEncoding
        );
    }

    #[test]
    fn exactly_one_host_is_needed_in_both_versions() {
        for version in ["HTTP/1.0", "HTTP/1.1"] {
            assert_eq!(refused(&format!("GET / {version}\r\n\r\n")), Malformed::Host);
            assert_eq!(refused(&format!("GET / {version}\r\nHost: h\r\nhost: h\r\n\r\n")), Malformed::Host);
        }
    }

    #[test]
    fn only_a_websocket_handshake_may_ask_for_an_upgrade() {
        let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let handshake = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
        assert_eq!(head(&get(handshake)), Ok(Some(Follows::Upgrade)));
        assert_eq!(head(&get("Connection: upgrade\r\n")), Ok(Some(Follows::Head)));
        for fields in [
            "Connection: upgrade\r\nUpgrade: h2c\r\n",
            "Upgrade: websocket\r\n",
            "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
            "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
        ] {
            assert_eq!(refused(&get(fields)), Malformed::Upgrade, "{fields:?}");
        }
        assert_eq!(refused(&get(handshake).replace("HTTP/1.1", "HTTP/1.0")), Malformed::Upgrade);
        assert_eq!(refused(&get(handshake).replace("GET", "POST")), Malformed::Upgrade);
    }

    #[test]
    fn a_head_beyond_a_limit_is_too_large() {
        let limits = HeadLimits { bytes: 64, fields: 2 };
        let judge = |text: &str| judge(text.as_bytes(), limits);
        assert_eq!(judge("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nHost: h\r\n\r\n"), Err(Refusal::HeadTooLarge));
        assert_eq!(judge(&format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(64))), Err(Refusal::HeadTooLarge));
        assert_eq!(judge(&"a".repeat(65)), Err(Refusal::HeadTooLarge));
        assert_eq!(judge(&"a".repeat(64)), Ok(None));
    }
}
