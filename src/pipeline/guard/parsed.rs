//! Judges the request that hyper parsed, for HTTP/1 (whose raw head `wire` has judged) and HTTP/2 (where this is all there is).
//! Takes the request and its connection, returns `Clean`: the proof that route, verify and forward ask for, whose path bytes
//! are the ones that are matched and sent on. Knows no route and no token. RFC 9110, RFC 9112 section 3, RFC 9113 section 8.

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};

use crate::headers;
use crate::pipeline::guard::field::{decimal, has_option, resembles_length};
use crate::pipeline::guard::{host, path};
use crate::pipeline::peer::ConnInfo;
use crate::pipeline::refusal::{Malformed, Refusal};

/// A request that every recipient reads alike.
#[derive(Debug)]
pub struct Clean<B> {
    /// Untouched, but for the cookies of HTTP/2, which are one field again.
    request: Request<B>,
    /// Path and query as they came.
    target: PathAndQuery,
    /// As it came; for the backend.
    host: HeaderValue,
    /// How much of `host` is the name: without port and final dot.
    name_bytes: usize,
    /// The name in lower case, if it did not come so.
    lowered: Option<Box<str>>,
    /// Whether the client asks for a WebSocket.
    upgrade: Option<WebSocket>,
}

/// The client sent a WebSocket handshake (RFC 6455, section 4.1), over HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WebSocket(());

impl<B> Clean<B> {
    /// The path as it came, which begins with a slash.
    pub(crate) fn path(&self) -> &str {
        self.target.path()
    }

    /// The query as it came, without its question mark.
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Path and query as they came; cheap to clone.
    pub(crate) fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// The host's name in lower case, without port and final dot; an IPv6 address in brackets. For routing.
    pub(crate) fn host(&self) -> &str {
        match &self.lowered {
            Some(name) => name,
            None => self.host.to_str().ok().and_then(|host| host.get(..self.name_bytes)).unwrap_or_default(),
        }
    }

    /// The host as it came, with its port. For the backend.
    pub(crate) fn raw_host(&self) -> &HeaderValue {
        &self.host
    }

    /// The handshake, if it is one.
    pub(crate) fn upgrade(&self) -> Option<WebSocket> {
        self.upgrade
    }

    /// The request itself; its target and host are better read here.
    pub(crate) fn request(&self) -> &Request<B> {
        &self.request
    }

    /// The request's body, for a step that reads it.
    pub(crate) fn body_mut(&mut self) -> &mut B {
        self.request.body_mut()
    }

    /// The request, given away.
    pub(crate) fn into_request(self) -> Request<B> {
        self.request
    }
}

/// Judges a request.
pub(crate) fn check<B>(mut request: Request<B>, conn: &ConnInfo) -> Result<Clean<B>, Refusal> {
    if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
        return Err(Refusal::MethodRefused);
    }
    let facts = Facts::gather(&request)?;
    facts.judge(&request)?;
    let host = judge_host(&request, &facts, conn)?;
    let parsed = host.to_str().ok().and_then(host::parse).ok_or(Refusal::Malformed(Malformed::Host))?;
    let name_bytes = parsed.name.len();
    let lowered =
        parsed.name.bytes().any(|byte| byte.is_ascii_uppercase()).then(|| parsed.name.to_ascii_lowercase().into());
    let target = judge_target(&request)?;
    let upgrade = judge_upgrade(&request)?;
    if facts.cookies > 1 && request.version() == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    Ok(Clean { request, target, host, name_bytes, lowered, upgrade })
}

/// What one pass over the fields finds.
#[derive(Default)]
struct Facts {
    /// `Host` fields.
    hosts: usize,
    /// `Content-Length` fields.
    lengths: usize,
    /// `Transfer-Encoding` fields.
    codings: usize,
    /// `Cookie` fields.
    cookies: usize,
}

impl Facts {
    /// One pass, which refuses what no request may have.
    fn gather<B>(request: &Request<B>) -> Result<Self, Refusal> {
        let mut facts = Self::default();
        let is_http_2 = request.version() == Version::HTTP_2;
        for (name, value) in request.headers() {
            if is_http_2 {
                judge_http_2_field(name, value)?;
            }
            match *name {
                header::HOST => facts.hosts += 1,
                header::COOKIE => facts.cookies += 1,
                header::CONTENT_LENGTH => facts.lengths += 1,
                header::TRANSFER_ENCODING => facts.codings += 1,
                header::MAX_FORWARDS => return Err(Refusal::Malformed(Malformed::MaxForwards)),
                _ if resembles_length(name.as_str().as_bytes()) => {
                    return Err(Refusal::Malformed(Malformed::FieldName));
                }
                _ => {}
            }
        }
        Ok(facts)
    }

    /// Judges the lengths together. For HTTP/1 `wire` did; nothing here depends on that.
    fn judge<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let refuse = |malformed| Err(Refusal::Malformed(malformed));
        let fields = request.headers();
        let bodyless = matches!(*request.method(), Method::GET | Method::HEAD);
        if self.codings > 0 && self.lengths > 0 {
            return refuse(Malformed::BothLengths);
        }
        let coding = fields.get(header::TRANSFER_ENCODING);
        let chunked = coding.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if self.codings > 1 || !chunked || (self.codings > 0 && (bodyless || request.version() != Version::HTTP_11)) {
            return refuse(Malformed::TransferEncoding);
        }
        let length = match fields.get(header::CONTENT_LENGTH) {
            Some(value) => decimal(value.as_bytes()),
            None => Some(0),
        };
        match length {
            Some(length) if self.lengths <= 1 && (length == 0 || !bodyless) => Ok(()),
            Some(_) | None => refuse(Malformed::ContentLength),
        }
    }
}

/// What HTTP/2 forbids and `h2` may let through (RFC 9113, sections 8.2.1 and 8.2.2).
fn judge_http_2_field(name: &HeaderName, value: &HeaderValue) -> Result<(), Refusal> {
    let malformed = match *name {
        header::TRANSFER_ENCODING => Malformed::TransferEncoding,
        header::TE if value != "trailers" => Malformed::TransferEncoding,
        header::UPGRADE | header::CONNECTION => Malformed::Upgrade,
        _ if *name == headers::KEEP_ALIVE || *name == headers::PROXY_CONNECTION || *name == headers::HTTP2_SETTINGS => {
            Malformed::Upgrade
        }
        // HTTP/1 would drop the space.
        _ => match value.as_bytes() {
            [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => Malformed::ControlCharacter,
            _ => return Ok(()),
        },
    };
    Err(Refusal::Malformed(malformed))
}

/// The one host that the request names, as it came. A target with an authority must agree with it.
fn judge_host<B>(request: &Request<B>, facts: &Facts, conn: &ConnInfo) -> Result<HeaderValue, Refusal> {
    let refuse = |malformed| Err(Refusal::Malformed(malformed));
    let field = request.headers().get(header::HOST);
    let is_http_2 = request.version() == Version::HTTP_2;
    if facts.hosts > 1 {
        return refuse(Malformed::Host);
    }
    let Some(authority) = request.uri().authority() else {
        // HTTP/2 always has an authority (RFC 9113, section 8.3.1).
        return field.filter(|_| !is_http_2).cloned().ok_or(Refusal::Malformed(Malformed::Host));
    };
    let scheme = request.uri().scheme();
    let fits = scheme == Some(&Scheme::HTTPS) || (scheme == Some(&Scheme::HTTP) && !conn.secure.is_tls());
    if !fits {
        return refuse(Malformed::Target);
    }
    match field {
        Some(host) if host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => Ok(host.clone()),
        Some(_) => refuse(Malformed::HostMismatch),
        None if is_http_2 => {
            HeaderValue::from_str(authority.as_str()).map_err(|_not_a_value| Refusal::Malformed(Malformed::Host))
        }
        None => refuse(Malformed::Host),
    }
}

/// The path and query, if they mean the same to everyone.
fn judge_target<B>(request: &Request<B>) -> Result<PathAndQuery, Refusal> {
    let target = request.uri().path_and_query().ok_or(Refusal::Malformed(Malformed::Target))?;
    // `path()` makes a slash of an absent path.
    if !target.as_str().starts_with('/') {
        return Err(Refusal::Malformed(Malformed::Target));
    }
    path::judge(target.path()).map_err(Refusal::Malformed)?;
    if let Some(query) = target.query() {
        path::judge_query(query).map_err(Refusal::Malformed)?;
    }
    Ok(target.clone())
}

/// A whole WebSocket handshake, no attempt at any upgrade, or a refusal.
fn judge_upgrade<B>(request: &Request<B>) -> Result<Option<WebSocket>, Refusal> {
    let fields = request.headers();
    let Some(protocol) = fields.get(header::UPGRADE) else { return Ok(None) };
    let once = |name: &HeaderName| {
        let mut values = fields.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let has_upgrade = fields.get_all(header::CONNECTION).iter().any(|value| has_option(value.as_bytes(), b"upgrade"));
    let handshake = *request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
        && once(&header::UPGRADE).is_some()
        && has_upgrade
        && once(&header::SEC_WEBSOCKET_KEY).is_some_and(|key| key.len() == 24 && key.as_bytes().ends_with(b"=="))
        && once(&header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if handshake { Ok(Some(WebSocket(()))) } else { Err(Refusal::Malformed(Malformed::Upgrade)) }
}

/// Makes one field of the cookies that HTTP/2 may split (RFC 9113, section 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..]));
    if let Ok(joined) = joined {
        fields.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::peer::Secure;

    fn built(request: http::request::Builder) -> Request<()> {
        request.body(()).unwrap()
    }

    fn check_on(secure: Secure, request: http::request::Builder) -> Result<Clean<()>, Refusal> {
        check(built(request), &ConnInfo::for_tests(secure))
    }

    fn over_1(target: &str) -> http::request::Builder {
        Request::builder().uri(target).header("host", "h")
    }

    fn over_2(target: &str) -> http::request::Builder {
        Request::builder().version(Version::HTTP_2).uri(target)
    }

    fn refused(request: http::request::Builder) -> Malformed {
        match check_on(Secure::Tls1_3, request) {
            Err(Refusal::Malformed(malformed)) => malformed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn path_query_and_host_are_what_came() {
        let clean =
            check_on(Secure::Tls1_3, Request::builder().uri("/a%20b?c=d").header("host", "Gw.Example.com.:8443"))
                .unwrap();
        assert_eq!((clean.path(), clean.query()), ("/a%20b", Some("c=d")));
        assert_eq!(
            (clean.host(), clean.raw_host()),
            ("gw.example.com", &HeaderValue::from_static("Gw.Example.com.:8443"))
        );
        let clean = check_on(Secure::Tls1_3, over_2("https://h:1/a")).unwrap();
        assert_eq!((clean.host(), clean.raw_host()), ("h", &HeaderValue::from_static("h:1")));
    }

    #[test]
    fn a_target_with_an_authority_must_agree_with_the_host() {
        assert!(check_on(Secure::Tls1_3, over_1("https://H/a")).is_ok());
        assert!(check_on(Secure::Plain, over_1("http://h/a")).is_ok());
        assert_eq!(refused(over_1("http://h/a")), Malformed::Target);
        assert_eq!(refused(over_1("https://other/a")), Malformed::HostMismatch);
        assert_eq!(refused(over_1("https://h:443/a")), Malformed::HostMismatch);
        assert_eq!(refused(over_2("https://h/a").header("host", "i")), Malformed::HostMismatch);
        assert!(check_on(Secure::Tls1_3, over_2("https://h/a").header("host", "h")).is_ok());
        assert_eq!(refused(over_1("https://u@h/").header("host", "u@h")), Malformed::Host);
    }

    #[test]
    fn a_request_without_exactly_one_host_is_refused() {
        assert_eq!(refused(Request::builder().uri("/")), Malformed::Host);
        assert_eq!(refused(over_1("/").header("host", "h")), Malformed::Host);
        assert_eq!(refused(over_2("/").header("host", "h")), Malformed::Host);
        for host in ["a;b", "a\"b", "a,b", "a b", "u@a", "a:b", "", "a/b", "[::1"] {
            assert_eq!(refused(Request::builder().uri("/").header("host", host)), Malformed::Host, "{host:?}");
        }
    }

    #[test]
    fn methods_and_fields_that_only_serve_an_attack_are_refused() {
        for method in [Method::TRACE, Method::CONNECT] {
            assert_eq!(check_on(Secure::Plain, over_1("/").method(method)).unwrap_err(), Refusal::MethodRefused);
        }
        assert_eq!(refused(over_1("/").header("max-forwards", "1")), Malformed::MaxForwards);
        assert_eq!(refused(over_1("*").method(Method::OPTIONS)), Malformed::Target);
        assert_eq!(refused(over_1("/a/../b")), Malformed::Path);
        assert_eq!(refused(over_2("https://h?a")), Malformed::Target);
    }

    #[test]
    fn framing_in_http_2_is_one_plain_length() {
        let post = || over_2("https://h/").method(Method::POST);
        assert!(check_on(Secure::Tls1_3, post().header("content-length", "5")).is_ok());
        for (name, value, malformed) in [
            ("content-length", "+5", Malformed::ContentLength),
            ("content-length", "5,5", Malformed::ContentLength),
            ("content-length", "", Malformed::ContentLength),
            ("transfer-encoding", "chunked", Malformed::TransferEncoding),
            ("te", "gzip", Malformed::TransferEncoding),
            ("connection", "close", Malformed::Upgrade),
            ("keep-alive", "5", Malformed::Upgrade),
            ("proxy-connection", "close", Malformed::Upgrade),
            ("upgrade", "websocket", Malformed::Upgrade),
            ("http2-settings", "a", Malformed::Upgrade),
            ("content_length", "5", Malformed::FieldName),
            ("x-space", "a ", Malformed::ControlCharacter),
        ] {
            assert_eq!(refused(post().header(name, value)), malformed, "{name}: {value}");
        }
        assert_eq!(
            refused(post().header("content-length", "5").header("content-length", "5")),
            Malformed::ContentLength
        );
        assert_eq!(refused(over_2("https://h/").header("content-length", "5")), Malformed::ContentLength);
    }

    #[test]
    fn cookies_that_http_2_split_are_one_field_again() {
        let clean =
            check_on(Secure::Tls1_3, over_2("https://h/").header("cookie", "a=b").header("cookie", "c=d")).unwrap();
        let cookies: Vec<_> = clean.request().headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=b; c=d"]);
    }

    #[test]
    fn a_websocket_handshake_is_seen_and_half_of_one_refused() {
        let fields = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let without = |left_out: &str| {
            fields
                .iter()
                .filter(|(name, _)| *name != left_out)
                .fold(over_1("/"), |request, (name, value)| request.header(*name, *value))
        };
        assert!(check_on(Secure::Plain, without("")).unwrap().upgrade().is_some());
        assert!(check_on(Secure::Plain, without("upgrade")).unwrap().upgrade().is_none());
        for (name, _) in fields.iter().filter(|(name, _)| *name != "upgrade") {
            assert_eq!(refused(without(name)), Malformed::Upgrade, "without {name}");
        }
    }
}
