//! Who is at the other end: the connection's facts, and the client that a trusted proxy speaks for. Takes the connection, the
//! request's fields and `trusted_proxies`; returns a `Client` and the values that tell the backend of it. A forwarded field of
//! anyone else is not even read; one that is malformed, or contradicts another, is worth nothing. RFC 7239.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::headers;
use crate::pipeline::forwarded::{self, Proto, joined, parse_address, parse_proto, walk_back};
use crate::pipeline::guard::host;

/// Bytes of a request id from outside; a longer one is not taken over.
const REQUEST_ID_BYTES: usize = 128;

/// The facts of one client connection, known when its handshake is done.
#[derive(Clone, Debug)]
pub(crate) struct ConnInfo {
    /// Who connected.
    pub(crate) peer: SocketAddr,
    /// What is spoken.
    pub(crate) protocol: Protocol,
    /// How it is protected.
    pub(crate) secure: Secure,
    /// Which of the configured certificates was shown.
    pub(crate) certificate: Option<usize>,
}

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// 1.0 or 1.1.
    Http1,
    /// 2.
    Http2,
}

impl Protocol {
    /// The log's name.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Secure {
    /// Not at all: on loopback, or by a proxy in front.
    Plain,
    /// TLS 1.2.
    Tls1_2,
    /// TLS 1.3.
    Tls1_3,
}

impl Secure {
    /// The log's name of the version.
    pub(crate) fn label(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Tls1_2 => Some("TLSv1.2"),
            Self::Tls1_3 => Some("TLSv1.3"),
        }
    }

    /// Whether it is TLS.
    pub(crate) fn is_tls(self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls1_2 | Self::Tls1_3 => true,
        }
    }
}

/// Whether a peer's word is taken for who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is one of `trusted_proxies`.
    Trusted,
    /// It is not.
    Untrusted,
}

/// Who asks, as far as known.
#[derive(Clone, Debug)]
pub struct Client {
    /// Whether the peer is trusted; what `headers::strip_request` goes by.
    pub(crate) trust: Trust,
    /// The peer's address, or the one that trusted proxies vouch for.
    pub(crate) address: IpAddr,
    /// What the client used.
    pub(crate) proto: Proto,
    /// The host that the client used, where a trusted proxy says another one than `Host`. For telling the backend, not for
    /// routing.
    pub(crate) host: Option<HeaderValue>,
    /// The request id of a trusted proxy.
    pub(crate) request_id: Option<HeaderValue>,
    /// Who connected.
    peer: IpAddr,
    /// What a trusted proxy's `Forwarded` says, if it is well-formed.
    forwarded: Option<String>,
    /// Likewise `X-Forwarded-For`.
    forwarded_for: Option<String>,
}

/// Who asks over this connection with these fields.
pub(crate) fn client(conn: &ConnInfo, fields: &HeaderMap, trusted: &[IpNet]) -> Client {
    let peer = conn.peer.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut client = Client {
        trust: Trust::Untrusted,
        address: peer,
        proto: if conn.secure.is_tls() { Proto::Https } else { Proto::Http },
        host: None,
        request_id: None,
        peer,
        forwarded: None,
        forwarded_for: None,
    };
    if is_trusted(&peer) {
        client.trust = Trust::Trusted;
        client.request_id = fields.get(headers::X_REQUEST_ID).filter(|id| is_request_id(id)).cloned();
        client.believe(fields, &is_trusted);
    }
    client
}

/// What the backend is told of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardedValues {
    /// `Forwarded`.
    pub(crate) forwarded: HeaderValue,
    /// `X-Forwarded-For`.
    pub(crate) forwarded_for: HeaderValue,
    /// `X-Forwarded-Proto`.
    pub(crate) proto: HeaderValue,
    /// `X-Forwarded-Host`.
    pub(crate) host: HeaderValue,
}

impl ForwardedValues {
    /// Replaces the four fields.
    pub(crate) fn set(self, fields: &mut HeaderMap) {
        fields.insert(headers::FORWARDED, self.forwarded);
        fields.insert(headers::X_FORWARDED_FOR, self.forwarded_for);
        fields.insert(headers::X_FORWARDED_PROTO, self.proto);
        fields.insert(headers::X_FORWARDED_HOST, self.host);
    }
}

impl Client {
    /// The values for the backend of a request to `host`, which is `Clean::raw_host`.
    pub(crate) fn forwarded_values(&self, host: &HeaderValue) -> ForwardedValues {
        let host = self.host.as_ref().unwrap_or(host);
        let mut text = Text::new();
        if let Some(before) = &self.forwarded {
            text.add(format_args!("{before}, "));
        }
        let proto = self.proto.as_str();
        match self.peer {
            IpAddr::V4(peer) => text.add(format_args!("for={peer}")),
            IpAddr::V6(peer) => text.add(format_args!("for=\"[{peer}]\"")),
        }
        match host.to_str() {
            // A host is a token unless it has a port or is an IPv6 literal; quoting is right for all (RFC 7239, section 4).
            Ok(host) if host::parse(host).is_some() => text.add(format_args!(";host=\"{host}\";proto={proto}")),
            Ok(_) | Err(_) => text.add(format_args!(";proto={proto}")),
        }
        let forwarded = text.value();
        let mut text = Text::new();
        if let Some(before) = &self.forwarded_for {
            text.add(format_args!("{before}, "));
        }
        text.add(format_args!("{}", self.peer));
        ForwardedValues {
            forwarded,
            forwarded_for: text.value(),
            proto: HeaderValue::from_static(proto),
            host: host.clone(),
        }
    }

    /// Takes over what a trusted peer says.
    fn believe(&mut self, fields: &HeaderMap, is_trusted: &dyn Fn(&IpAddr) -> bool) {
        let standard = joined(fields, &headers::FORWARDED);
        let legacy = joined(fields, &headers::X_FORWARDED_FOR);
        let elements = standard.as_deref().map(forwarded::parse);
        let from_standard = elements.as_ref().map(|elements| {
            let elements = elements.as_deref()?;
            walk_back(elements.iter().map(|element| element.address), is_trusted)
        });
        let from_legacy = legacy.as_deref().map(|list| {
            let addresses: SmallVec<[Option<IpAddr>; 8]> = list.split(',').map(parse_address).collect();
            walk_back(addresses.iter().copied(), is_trusted)
        });
        let found = match (from_standard, from_legacy) {
            (None, None) => return self.believe_legacy_host(fields),
            (Some(found), None) | (None, Some(found)) => found,
            // Both, and they disagree: one of them came from the client.
            (Some(standard), Some(legacy)) => {
                standard.filter(|standard| legacy.is_some_and(|legacy| legacy.0 == standard.0))
            }
        };
        let Some((address, index)) = found else { return };
        self.address = address;
        match elements.flatten().as_deref().and_then(|elements| elements.get(index)) {
            Some(element) => {
                self.proto = element.proto.unwrap_or(self.proto);
                self.host = element.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok());
            }
            None => self.believe_legacy_host(fields),
        }
        self.forwarded = standard;
        self.forwarded_for = legacy;
    }

    /// `X-Forwarded-Proto` and `-Host`: what the proxy next to us says is at the end.
    fn believe_legacy_host(&mut self, fields: &HeaderMap) {
        let last = |name: &HeaderName| {
            let value = fields.get_all(name).iter().next_back()?.to_str().ok()?;
            value.rsplit(',').next().map(str::trim)
        };
        self.proto = last(&headers::X_FORWARDED_PROTO).and_then(parse_proto).unwrap_or(self.proto);
        let host = last(&headers::X_FORWARDED_HOST).filter(|host| host::parse(host).is_some());
        self.host = host.and_then(|host| HeaderValue::from_str(host).ok());
    }
}

/// A value that is written piece by piece, on the stack if it is short.
struct Text(SmallVec<[u8; 128]>);

impl Text {
    /// Nothing yet.
    fn new() -> Self {
        Self(SmallVec::new())
    }

    /// One piece more.
    fn add(&mut self, piece: std::fmt::Arguments<'_>) {
        // Writing to memory fails only if a `Display` does, and no address or text does.
        let written = self.write_fmt(piece);
        debug_assert!(written.is_ok(), "a Display failed");
    }

    /// The value. Every piece is visible ASCII: addresses, hosts that were parsed, fields that were.
    fn value(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_impossible| HeaderValue::from_static("for=unknown"))
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Short and visible, so that it goes into logs as it is.
fn is_request_id(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=REQUEST_ID_BYTES).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte))
}

#[cfg(test)]
impl ConnInfo {
    /// A connection from 192.0.2.1.
    pub(crate) fn for_tests(secure: Secure) -> Self {
        Self { peer: ([192, 0, 2, 1], 40_000).into(), protocol: Protocol::Http1, secure, certificate: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in list {
            fields.append(*name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    fn ask(list: &[(&'static str, &str)], trusted: &[&str]) -> Client {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client(&ConnInfo::for_tests(Secure::Tls1_3), &fields(list), &trusted)
    }

    const PROXIES: &[&str] = &["192.0.2.0/24", "10.0.0.0/8"];

    #[test]
    fn nobody_is_believed_unless_listed() {
        let spoofed = [
            ("x-forwarded-for", "198.51.100.7"),
            ("forwarded", "for=198.51.100.7;proto=http;host=evil"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil"),
            ("x-request-id", "spoofed"),
            ("x-real-ip", "198.51.100.7"),
        ];
        for trusted in [&[][..], &["203.0.113.0/24"][..]] {
            let client = ask(&spoofed, trusted);
            assert_eq!(client.trust, Trust::Untrusted);
            assert_eq!(client.address.to_string(), "192.0.2.1");
            assert_eq!((client.proto, &client.host, &client.request_id), (Proto::Https, &None, &None));
            let values = client.forwarded_values(&HeaderValue::from_static("gw:1"));
            assert_eq!(values.forwarded, "for=192.0.2.1;host=\"gw:1\";proto=https");
            assert_eq!(
                (values.forwarded_for, values.proto, values.host),
                ("192.0.2.1".parse().unwrap(), "https".parse().unwrap(), "gw:1".parse().unwrap())
            );
        }
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_not_trusted() {
        for (list, address) in [
            ("203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9:4711, 10.1.1.1", "203.0.113.9"),
            ("[2001:db8::7]:80", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
            ("1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("1.1.1.1, evil", "192.0.2.1"),
            ("", "192.0.2.1"),
        ] {
            assert_eq!(ask(&[("x-forwarded-for", list)], PROXIES).address.to_string(), address, "{list}");
        }
        let long = "1.1.1.1, ".repeat(40) + "1.1.1.1";
        assert_eq!(ask(&[("x-forwarded-for", &long)], PROXIES).address.to_string(), "192.0.2.1");
    }

    #[test]
    fn forwarded_is_read_strictly() {
        for (text, address, proto, host) in [
            ("for=203.0.113.9", "203.0.113.9", Proto::Https, None),
            ("For=\"203.0.113.9:80\"; Proto=http;HOST=\"a.b:1\"", "203.0.113.9", Proto::Http, Some("a.b:1")),
            (
                "for=1.1.1.1;proto=http, for=\"[2001:db8::7]:9\";by=_x , for=10.0.0.1;host=inner",
                "2001:db8::7",
                Proto::Https,
                None,
            ),
            ("for=_hidden, for=10.0.0.1;proto=http", "10.0.0.1", Proto::Http, None),
        ] {
            let client = ask(&[("forwarded", text)], PROXIES);
            assert_eq!((client.address.to_string().as_str(), client.proto), (address, proto), "{text}");
            assert_eq!(client.host, host.map(HeaderValue::from_static), "{text}");
        }
        for text in [
            "for=203.0.113.9;for=1.1.1.1",
            "for =203.0.113.9",
            "for= 203.0.113.9",
            "for=203.0.113.9 proto=http",
            "for=\"203.0.113.9",
            "for",
            "for=203.0.113.9;proto=ftp",
            "for=203.0.113.9;host=\"a;b\"",
            "for=203.0.113.9,",
            "=a",
            "for=203.0.113.9:80",
            "\u{e9}",
        ] {
            let client = ask(&[("forwarded", text)], PROXIES);
            assert_eq!(client.address.to_string(), "192.0.2.1", "{text}");
            assert_eq!((client.proto, client.forwarded), (Proto::Https, None), "{text}");
        }
    }

    #[test]
    fn two_fields_that_disagree_are_worth_nothing() {
        let agree = ask(&[("forwarded", "for=203.0.113.9;proto=http"), ("x-forwarded-for", "203.0.113.9")], PROXIES);
        assert_eq!((agree.address.to_string().as_str(), agree.proto), ("203.0.113.9", Proto::Http));
        let disagree = ask(&[("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "203.0.113.9")], PROXIES);
        assert_eq!((disagree.address.to_string().as_str(), disagree.forwarded), ("192.0.2.1", None));
    }

    #[test]
    fn the_backend_is_told_the_chain_with_the_peer_at_its_end() {
        let list = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "gw.example.com"),
            ("x-request-id", "id-1"),
        ];
        let client = ask(&list, PROXIES);
        assert_eq!(client.request_id.as_ref().unwrap(), "id-1");
        let mut sent = fields(&[("x-forwarded-for", "evil"), ("x-forwarded-for", "evil")]);
        client.forwarded_values(&HeaderValue::from_static("inner")).set(&mut sent);
        assert_eq!(sent.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["203.0.113.9, 192.0.2.1"]);
        assert_eq!(sent["forwarded"], "for=192.0.2.1;host=\"gw.example.com\";proto=http");
        assert_eq!(
            (&sent["x-forwarded-proto"], &sent["x-forwarded-host"]),
            (&"http".parse().unwrap(), &"gw.example.com".parse().unwrap())
        );
    }

    #[test]
    fn an_ipv6_peer_is_quoted_and_in_brackets() {
        let mut conn = ConnInfo::for_tests(Secure::Plain);
        conn.peer = "[2001:db8::1]:5".parse().unwrap();
        let values = client(&conn, &HeaderMap::new(), &[]).forwarded_values(&HeaderValue::from_static("[::1]:80"));
        assert_eq!(values.forwarded, "for=\"[2001:db8::1]\";host=\"[::1]:80\";proto=http");
        assert_eq!(values.forwarded_for, "2001:db8::1");
        assert!(forwarded::parse(values.forwarded.to_str().unwrap()).is_some());
    }

    #[test]
    fn a_request_id_from_a_proxy_is_short_and_plain() {
        for id in ["", "a b", "a\"b", "\u{e9}", &"a".repeat(129)] {
            assert_eq!(ask(&[("x-request-id", id)], PROXIES).request_id, None, "{id:?}");
        }
    }
}
