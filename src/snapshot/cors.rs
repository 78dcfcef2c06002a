//! Cross-origin rules of one route: who may read its answers from another website's script.
//! Takes the route's `cors`, answers preflights, and owns every `Access-Control-*` field of every answer: a backend's are removed.
//! Never allows credentials (callers send a token, never a cookie) and never the origin `null`. Knows no token. Fetch, section 3.2.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::config::resolved::{self, Origin};

/// The start of every field name that is owned here.
const OWNED: &str = "access-control-";

/// A route's rules, prepared once a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    origins: Vec<Origin>,
    /// `authorization`, `content-type` (a JSON body is not safelisted) and the listed ones.
    headers: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    /// Prepares the rules.
    pub(crate) fn new(rules: &resolved::Cors) -> Self {
        let mut names = vec![AUTHORIZATION, CONTENT_TYPE];
        for name in &rules.headers {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let joined = names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
        Self {
            origins: rules.origins.iter().filter(|origin| !is_null(origin)).cloned().collect(),
            headers: HeaderValue::try_from(joined).unwrap_or(HeaderValue::from_static("authorization, content-type")),
            max_age: HeaderValue::from(rules.max_age.as_secs()),
        }
    }

    /// Whether that `Origin`, byte for byte as the browser sent it, is listed. For answers, preflights and WebSocket handshakes.
    pub(crate) fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|listed| match listed {
            Origin::Exact(exact) => exact.as_bytes() == origin,
            Origin::AnySubdomain(suffix) => is_below(origin, suffix.as_bytes()),
        })
    }

    /// Whether a WebSocket handshake of the route may go on: browsers send `Origin` and no preflight. One without is no browser's,
    /// and is refused too: where `cors` is set, an origin is required.
    pub(crate) fn allows_handshake(&self, headers: &HeaderMap) -> bool {
        sole_origin(headers).is_some_and(|origin| self.allows(origin.as_bytes()))
    }

    /// The answer to a preflight. `methods` are those of the routes at that path; none means any, and then the asked one is named.
    /// None for an origin that is not listed.
    pub(crate) fn preflight(&self, request: &HeaderMap, methods: &[Method]) -> Option<Response<Bytes>> {
        let origin = sole_origin(request).filter(|origin| self.allows(origin.as_bytes()))?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        if let Some(methods) = allowed_methods(request, methods) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        headers.insert(
            VARY,
            HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers"),
        );
        Some(response)
    }

    /// Makes an answer's fields the route's, whether it is the backend's or a refusal. `origin` is the request's.
    pub(crate) fn decorate(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        remove_owned(headers);
        if let Some(origin) = origin.filter(|origin| self.allows(origin.as_bytes())) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        if !varies_by_origin(headers) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }
}

/// Whether a request asks for leave and is not the request itself (Fetch, "CORS-preflight request").
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The method that a preflight asks for, by which it is routed; none if it is no method.
pub(crate) fn requested_method(headers: &HeaderMap) -> Option<Method> {
    Method::from_bytes(headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// The request's one `Origin`; none if there are several.
fn sole_origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut all = headers.get_all(ORIGIN).iter();
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn allowed_methods(request: &HeaderMap, methods: &[Method]) -> Option<HeaderValue> {
    if methods.is_empty() {
        return HeaderValue::try_from(requested_method(request)?.as_str()).ok();
    }
    HeaderValue::try_from(methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")).ok()
}

fn remove_owned(headers: &mut HeaderMap) {
    let theirs: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(OWNED)).cloned().collect();
    for name in theirs {
        headers.remove(name);
    }
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    headers
        .get_all(VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|name| name == "*" || name.eq_ignore_ascii_case("origin"))
}

fn is_null(origin: &Origin) -> bool {
    matches!(origin, Origin::Exact(exact) if exact.eq_ignore_ascii_case("null"))
}

/// `https://` and one or more DNS labels before `suffix`, which begins with a dot. Browsers serialise hosts in lower case.
fn is_below(origin: &[u8], suffix: &[u8]) -> bool {
    let labels = origin.strip_prefix(b"https://").and_then(|rest| rest.strip_suffix(suffix));
    suffix.first() == Some(&b'.') && labels.is_some_and(|labels| labels.split(|byte| *byte == b'.').all(is_label))
}

fn is_label(label: &[u8]) -> bool {
    (1..=63).contains(&label.len())
        && label.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS,
    };

    use super::*;

    fn cors() -> Cors {
        Cors::new(&resolved::Cors {
            origins: vec![
                Origin::Exact("https://app.example.com".into()),
                Origin::Exact("null".into()),
                Origin::AnySubdomain(".cdn.example.com".into()),
            ],
            headers: vec![HeaderName::from_static("x-trace"), CONTENT_TYPE],
            max_age: Duration::from_mins(10),
        })
    }

    fn asking(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("x-evil"));
        headers
    }

    #[test]
    fn an_origin_is_listed_to_the_byte_or_below_a_suffix_at_a_label() {
        let cors = cors();
        for good in ["https://app.example.com", "https://a.cdn.example.com", "https://a-1.b_2.cdn.example.com"] {
            assert!(cors.allows(good.as_bytes()), "{good}");
        }
        let bad = [
            "",
            "null",
            "NULL",
            "*",
            "http://app.example.com",
            "https://app.example.com:444",
            "https://app.example.com/",
            "https://APP.example.com",
            "https://app.example.com.evil.test",
            "https://evilapp.example.com",
            "https://cdn.example.com",
            "https://.cdn.example.com",
            "https://evilcdn.example.com",
            "https://a..cdn.example.com",
            "http://a.cdn.example.com",
            "https://a.cdn.example.com:8443",
            "https://u@a.cdn.example.com",
            "https://evil.test/.cdn.example.com",
            "https://evil.test#.cdn.example.com",
            "https://evil.test:1.cdn.example.com",
            "https://a.cdn.example.com https://app.example.com",
        ];
        for bad in bad {
            assert!(!cors.allows(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_preflight_names_the_routes_methods_and_fields_and_reflects_nothing() {
        let methods = [Method::GET, Method::PUT];
        let answer = cors().preflight(&asking("https://app.example.com"), &methods).expect("allowed");
        let headers = answer.headers();
        assert_eq!(answer.status(), 204);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.com");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, PUT");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, content-type, x-trace");
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "600");
        assert!(headers[VARY].to_str().expect("ASCII").contains("origin"));
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn where_a_route_takes_any_method_the_asked_one_is_named() {
        let answer = cors().preflight(&asking("https://app.example.com"), &[]).expect("allowed");
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "PUT");
    }

    #[test]
    fn a_preflight_from_elsewhere_is_refused() {
        assert!(cors().preflight(&asking("https://evil.test"), &[]).is_none());
        let mut two = asking("https://app.example.com");
        two.append(ORIGIN, HeaderValue::from_static("https://app.example.com"));
        assert!(cors().preflight(&two, &[]).is_none());
    }

    #[test]
    fn only_options_with_origin_and_method_is_a_preflight() {
        let asking = asking("https://app.example.com");
        assert!(is_preflight(&Method::OPTIONS, &asking));
        assert!(!is_preflight(&Method::GET, &asking));
        let mut no_method = asking.clone();
        no_method.remove(ACCESS_CONTROL_REQUEST_METHOD);
        assert!(!is_preflight(&Method::OPTIONS, &no_method));
        assert_eq!(requested_method(&asking), Some(Method::PUT));
    }

    #[test]
    fn the_backends_cors_fields_are_replaced_and_its_vary_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.append(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://evil.test"));
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-secret"));
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        let mut to_others = headers.clone();
        cors().decorate(&mut headers, Some(&HeaderValue::from_static("https://app.example.com")));
        let left: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        for line in ["access-control-allow-origin: https://app.example.com", "vary: accept-encoding", "vary: origin"] {
            assert!(left.contains(&line.to_owned()), "{left:?}");
        }
        cors().decorate(&mut to_others, Some(&HeaderValue::from_static("https://evil.test")));
        assert!(!to_others.keys().any(|name| name.as_str().starts_with(OWNED)), "{to_others:?}");
    }

    #[test]
    fn decorating_twice_says_vary_once() {
        let mut headers = HeaderMap::new();
        cors().decorate(&mut headers, None);
        cors().decorate(&mut headers, None);
        assert_eq!(headers.get_all(VARY).iter().count(), 1);
    }

    #[test]
    fn a_websocket_handshake_needs_a_listed_origin() {
        assert!(cors().allows_handshake(&asking("https://app.example.com")));
        assert!(!cors().allows_handshake(&asking("https://evil.test")));
        assert!(!cors().allows_handshake(&HeaderMap::new()));
    }
}
