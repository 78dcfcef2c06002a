//! What `benches/` measures, one unit of work a function; not for other programs. Takes nothing: the request is an action as
//! monday sends it, and its route is in a configuration of its own. Each unit is a call of the step that serves requests;
//! none is inlined, so that a profiler sees where it begins and ends.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};

use crate::clock::Clock;
use crate::config::Secrets;
use crate::config::load::load_text;
use crate::gateway::assemble::metrics;
use crate::headers::{Sender, strip_request};
use crate::jwt;
use crate::monday::kinds::Kind;
use crate::monday::mint::{LIFETIME, Mint};
use crate::pipeline::guard::head::{self, HeadLimits};
use crate::pipeline::guard::parsed;
use crate::pipeline::inject::{Resigning, apply, changes};
use crate::pipeline::peer::{self, ConnInfo, Secure};
use crate::pipeline::verify::{Asked, Caller, judge};
use crate::secret::Secret;
use crate::snapshot::build::{Lasting, OpenCounts, build};
use crate::snapshot::{Matched, Route, Snapshot};

pub use crate::telemetry::access_log::{AccessLog, Bounds, Destination, Format, Lines, Record};
pub use crate::telemetry::counters::{BOUNDS, Counter, Distribution, Gauge, Health, Histogram, PerWorker, Tally};
pub use crate::telemetry::metrics::{
    AppCounters, BuildInfo, Handshake, Metrics, NO_ROUTE, ProcessCounters, Protocol, RouteCounters, Tables, TlsVersion,
    UpstreamCounters,
};

/// What the token is signed with.
const SECRET: &str = "bench-signing-secret-0123456789abcdef";
/// The request's path.
const PATH: &str = "/actions/run";
/// The time at which the token is judged, in Unix seconds.
const NOW: i64 = 1_767_225_600;
/// One route of the commonest kind.
const CONFIGURATION: &str = r#"
[server]
listen = "127.0.0.1:0"
public_url = "https://gateway.example.com"

[apps.planner]
signing_secret = "bench-signing-secret-0123456789abcdef"

[upstreams.backend]
servers = ["http://127.0.0.1:3000"]

[[routes]]
path = "/actions/run"
app = "planner"
kind = "action"
upstream = "backend"
"#;
/// The fields of the request, without its token: what an HTTP client and a tracer of monday's servers send.
const FIELDS: [(&str, &str); 11] = [
    ("host", "gateway.example.com"),
    ("connection", "keep-alive"),
    ("accept", "application/json, text/plain, */*"),
    ("content-type", "application/json"),
    ("user-agent", "axios/1.7.9"),
    ("accept-encoding", "gzip, compress, deflate, br"),
    ("content-length", "812"),
    ("x-request-id", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("x-datadog-trace-id", "1234567890123456789"),
    ("x-datadog-sampling-priority", "1"),
];

/// A request at each step of its way.
#[derive(Debug)]
pub struct Parts {
    snapshot: Snapshot,
    peer: ConnInfo,
    head: Vec<u8>,
    request: Request<()>,
    caller: Caller,
}

impl Parts {
    /// Makes the request and all that its steps need. `None` if one of them refuses it.
    pub fn new() -> Option<Self> {
        let config = load_text("measured.toml", CONFIGURATION, Path::new(""), Secrets::Read).ok()?.config;
        let metrics = metrics(&config, &Clock::standing_at(NOW)).ok()?;
        let mut open = OpenCounts::new();
        let snapshot = build(&config, None, &mut Lasting { metrics: &metrics, open: &mut open, issuers: &[] }).ok()?;
        let request = request(&token())?;
        let caller = caller(&snapshot, &request)?;
        Some(Self { head: head(&request), snapshot, peer: connection(), request, caller })
    }

    /// A copy of the request, for a unit that takes it.
    pub fn request(&self) -> Request<()> {
        self.request.clone()
    }

    /// The guard's first half: judges the raw head.
    #[inline(never)]
    pub fn judge_head(&self) -> bool {
        let limits = HeadLimits { bytes: 32 * 1024, fields: 100 };
        matches!(head::judge(&self.head, limits), Ok(Some(_)))
    }

    /// The guard's second half: judges what was parsed.
    #[inline(never)]
    pub fn check(&self, request: Request<()>) -> bool {
        parsed::check(request, &self.peer).is_ok()
    }

    /// Finds the route.
    #[inline(never)]
    pub fn route(&self) -> bool {
        found(&self.snapshot).is_some()
    }

    /// Verifies the token: where it stands, its signature, its claims.
    #[inline(never)]
    pub fn verify(&self) -> bool {
        caller(&self.snapshot, &self.request).is_some()
    }

    /// Takes out of the fields what the caller may not set.
    #[inline(never)]
    pub fn strip(&self, fields: &mut HeaderMap) -> usize {
        let removed = strip_request(fields, &self.snapshot.removal, Sender::Untrusted);
        removed.odd + removed.other
    }

    /// Sets what the backend is told.
    #[inline(never)]
    pub fn inject(&self, fields: &mut HeaderMap) -> bool {
        let Some(route) = found(&self.snapshot) else { return false };
        let changes = changes(route, &self.caller, Resigning { key: None, now: NOW });
        apply(changes, route, fields);
        true
    }
}

fn found(snapshot: &Snapshot) -> Option<&Route> {
    match snapshot.find("gateway.example.com", PATH, &Method::POST) {
        Matched::Route(_, route) => Some(route),
        Matched::Nothing | Matched::OtherMethods(_) => None,
    }
}

fn caller(snapshot: &Snapshot, request: &Request<()>) -> Option<Caller> {
    let route = found(snapshot)?;
    let asked = Asked {
        row: route.kind.row(),
        app: route.app.as_ref().map(|app| app.keys.as_ref()),
        public_urls: &snapshot.public_urls,
        path: PATH,
        now: NOW,
    };
    let fields = request.headers().get_all(header::AUTHORIZATION);
    judge(fields.iter().map(HeaderValue::as_bytes), None, &asked).ok()
}

/// A token with a short-lived API key among its claims.
fn token() -> String {
    let mint = Mint {
        audience: "https://gateway.example.com/actions/run",
        issued_at: NOW,
        expires: NOW + LIFETIME,
        ..Mint::default()
    };
    jwt::sign(&jwt::Key::new(&Secret::new(SECRET)), mint.claims(Kind::Action).to_string().as_bytes())
}

fn request(token: &str) -> Option<Request<()>> {
    let mut request = Request::post(PATH).body(()).ok()?;
    for (name, value) in FIELDS {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_str(token).ok()?);
    Some(request)
}

/// The request's head as bytes.
fn head(request: &Request<()>) -> Vec<u8> {
    let mut head = format!("POST {PATH} HTTP/1.1\r\n").into_bytes();
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn connection() -> ConnInfo {
    ConnInfo {
        peer: ([203, 0, 113, 9], 50_000).into(),
        protocol: peer::Protocol::Http1,
        secure: Secure::Tls1_3,
        certificate: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_does_its_work() {
        let parts = Parts::new().unwrap();
        let mut request = parts.request();
        assert!(parts.judge_head() && parts.check(parts.request()) && parts.route() && parts.verify());
        assert_eq!(parts.strip(request.headers_mut()), 2, "connection and x-request-id");
        assert!(parts.inject(request.headers_mut()));
        assert_eq!(request.headers().get("x-monday-user-id").unwrap(), "4012689");
        assert!(request.headers().contains_key("x-monday-api-key"));
    }
}
