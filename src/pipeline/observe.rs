//! What is seen of a request while it is served, and told once when it ends: the access log's line and the counters.
//! Never an outcome: a step neither reads it nor waits for it. Dropped without an end, it still tells.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Uri};

use crate::pipeline::lifetimes::{Connection, Installed, Worker};
use crate::pipeline::refusal::Refusal;
use crate::pipeline::reply::detail::log_detail;
use crate::pipeline::reply::facts::{facts, reason_index};
use crate::snapshot::Route;
use crate::telemetry::access_log::Record;

/// One request, as seen so far.
#[derive(Debug)]
pub(crate) struct Observation {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    installed: Rc<Installed>,
    began: Instant,
    method: Method,
    /// Its path is logged, its query never.
    uri: Uri,
    host: Option<HeaderValue>,
    /// The client behind trusted proxies, or the peer.
    pub(crate) client: Option<IpAddr>,
    /// Named in every answer of the gateway's own, and to the backend.
    pub(crate) request_id: HeaderValue,
    route: Option<usize>,
    /// Whom the token named.
    pub(crate) ids: Option<(i64, i64)>,
    /// The upstream that was asked, and how long its head took.
    pub(crate) upstream: Option<(usize, Duration)>,
    /// The status of the answer.
    pub(crate) status: u16,
    /// Why it was refused, if it was.
    pub(crate) refusal: Option<Box<Refusal>>,
    /// Bytes of the request's body, as far as it was read.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body, as far as they were handed over.
    pub(crate) bytes_out: u64,
}

impl Observation {
    /// The beginning of a request.
    pub(crate) fn begin<B>(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        installed: &Rc<Installed>,
        request: &http::Request<B>,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            connection: Rc::clone(connection),
            installed: Rc::clone(installed),
            began: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(http::header::HOST).cloned(),
            client: None,
            request_id: worker.request_id(),
            route: None,
            ids: None,
            upstream: None,
            status: 0,
            refusal: None,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Which route it took: a position in the snapshot's list.
    pub(crate) fn took(&mut self, route: usize) {
        self.route = Some(route);
    }

    /// The route that it took.
    pub(crate) fn route(&self) -> Option<&Route> {
        self.installed.snapshot.routes().get(self.route?)
    }

    fn count(&self, elapsed: Duration) {
        let counters =
            self.route().map_or(&self.installed.snapshot.unrouted, |route| &route.counters).get(self.worker.id);
        counters.requests(self.status);
        counters.duration(elapsed);
        if let Some(refusal) = &self.refusal {
            counters.refused(reason_index(facts(refusal).reason));
        }
    }

    fn log(&self, elapsed: Duration) {
        let mut lines = self.worker.lines.borrow_mut();
        if !lines.enabled() {
            return;
        }
        let route = self.route();
        let detail = self.refusal.as_deref().map(log_detail);
        let upstream = self.upstream.and_then(|(at, took)| Some((self.installed.snapshot.upstreams.get(at)?, took)));
        let host = self.host.as_ref().map(HeaderValue::as_bytes);
        lines.record(&Record {
            unix_millis: self.worker.shared.clock.unix_millis(),
            client: self.client.or_else(|| Some(self.connection.peer.peer.ip())),
            method: self.method.as_str(),
            host: host.or_else(|| self.uri.authority().map(|host| host.as_str().as_bytes())).unwrap_or_default(),
            path: self.uri.path().as_bytes(),
            protocol: self.connection.peer.protocol.label(),
            tls: self.connection.peer.secure.label(),
            status: self.status,
            duration: elapsed,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            route: route.map(|route| route.name.as_str()),
            app: route.and_then(|route| route.app.as_ref()).map(|app| app.keys.name.as_str()),
            kind: route.map(|route| route.kind.name()),
            account: self.ids.map(|(account, _)| account),
            user: self.ids.map(|(_, user)| user),
            upstream: upstream.map(|(upstream, _)| upstream.name.as_str()),
            upstream_time: upstream.map(|(_, took)| took),
            reason: self.refusal.as_deref().map(|refusal| facts(refusal).reason),
            detail: detail.as_ref().map(|detail| detail as &dyn std::fmt::Display),
            request_id: self.request_id.to_str().unwrap_or_default(),
        });
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let elapsed = self.began.elapsed();
        self.count(elapsed);
        self.log(elapsed);
    }
}
