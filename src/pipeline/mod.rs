//! The way of a request, one file a step, top to bottom in `steps`. Each step takes what the step before it returned, so that
//! a step that is left out does not compile. A step that refuses returns a `Refusal`; `reply` alone makes answers of them.

pub(crate) mod admit;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod challenge;
pub(crate) mod forward;
pub(crate) mod forwarded;
pub(crate) mod granted;
pub(crate) mod guard;
pub(crate) mod inject;
pub(crate) mod lifecycle;
pub(crate) mod lifetimes;
pub(crate) mod observe;
pub(crate) mod peer;
pub(crate) mod referer;
pub(crate) mod refusal;
pub(crate) mod rejected;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod serve;
pub(crate) mod verify;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::header::{CONNECTION, ORIGIN, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;

use crate::headers;
use crate::issuers::claims::When;
use crate::monday::kinds::{Row, TokenPlace, VIEW_IN_HEADER};
use crate::pipeline::admit::{Admitted, admit};
use crate::pipeline::answer::answer;
use crate::pipeline::body::{AnswerOut, Content};
use crate::pipeline::forward::forward;
use crate::pipeline::guard::parsed;
use crate::pipeline::inject::{HeaderChanges, Resigning, inject};
use crate::pipeline::lifetimes::{Connection, Installed, Worker};
use crate::pipeline::observe::Observation;
use crate::pipeline::peer::{Client, Protocol};
use crate::pipeline::refusal::{Refusal, UpstreamFault};
use crate::pipeline::reply::facts::{self, facts};
use crate::pipeline::reply::{Look, Prefers, reply, set_strict_transport};
use crate::pipeline::route::{Routed, Way, route};
use crate::pipeline::serve::{Turn, serve};
use crate::pipeline::verify::issued::{AskedOfIssuer, judge_issued};
use crate::pipeline::verify::{Asked, Caller, judge};
use crate::snapshot::served::Page;
use crate::snapshot::{Route, Snapshot};
use crate::upstream::pool::Pool;

/// One request at work: what its steps may use beside what they are given.
#[derive(Debug)]
pub struct Work<'r> {
    /// The core that it is on.
    pub(crate) worker: &'r Rc<Worker>,
    /// The connection that it came over.
    pub(crate) connection: &'r Rc<Connection>,
    /// The snapshot that it began with.
    pub(crate) installed: &'r Rc<Installed>,
    /// What is told of it in the end.
    pub(crate) seen: &'r mut Observation,
}

/// What an answer needs to know of its request when that is long gone.
#[derive(Debug)]
struct Asking {
    prefers: Prefers,
    origin: Option<HeaderValue>,
}

/// Serves one request. Always answers: a refusal and a panic end here as answers.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Response<AnswerOut> {
    let answering = connection.begin();
    let progress = worker.stream.borrow().clone();
    let installed = worker.installed();
    let mut seen = Observation::begin(&worker, &connection, &installed, &request);
    let asking = Asking { prefers: Prefers::of(request.headers()), origin: request.headers().get(ORIGIN).cloned() };
    let mut work = Work { worker: &worker, connection: &connection, installed: &installed, seen: &mut seen };
    let outcome = caught(pin!(steps(&mut work, &asking, request))).await.unwrap_or(Err(Refusal::Internal));
    let mut response = outcome.unwrap_or_else(|refusal| refuse(&mut seen, &connection, &asking, refusal));
    secure(&connection, response.headers_mut());
    seen.status = response.status().as_u16();
    connection.resolve_upgrade(response.status());
    response.map(|content| AnswerOut::new(content, seen, answering, progress))
}

/// The steps, top to bottom.
async fn steps(work: &mut Work<'_>, asking: &Asking, request: Request<Incoming>) -> Result<Response<Content>, Refusal> {
    if let Some(refusal) = work.connection.refused_on_the_wire() {
        return Err(refusal);
    }
    // The wire has counted those of HTTP/1, which may not be merged or split on the way here.
    if request.headers().len() > work.snapshot().limits.headers {
        return Err(Refusal::HeadTooLarge);
    }
    let clean = parsed::check(request, &work.connection.peer)?;
    let client = work.meet(clean.request().headers());
    let mut routed = match route(work, clean)? {
        Way::On(routed) => routed,
        Way::Answered(answer) => return Ok(answer.map(Content::Whole)),
    };
    if let Some(mut echo) = challenge::answer(work, &mut routed).await {
        cross_origin(work.seen, asking.origin.as_ref(), echo.headers_mut());
        return Ok(echo.map(Content::Whole));
    }
    let caller = verify(work, &routed).await?;
    let admitted = admit(work, routed, caller).await?;
    let admitted = match serve(work, admitted).await? {
        Turn::On(admitted) => admitted,
        Turn::Served(mut answer) => {
            cross_origin(work.seen, asking.origin.as_ref(), answer.headers_mut());
            return Ok(answer.map(Content::Whole));
        }
    };
    #[cfg(test)]
    panic_on_demand(admitted.routed().clean().request().headers());
    let changes = inject(&admitted, work.resigning(&admitted));
    work.count_omitted(&changes);
    let answered = forward(work, admitted, changes, &client).await?;
    let mut answer = answer(work, answered).await;
    cross_origin(work.seen, asking.origin.as_ref(), answer.headers_mut());
    Ok(answer)
}

/// A header that makes a step panic; in tests only.
#[cfg(test)]
pub(crate) const PANIC_ON_DEMAND: &str = "x-panic-on-demand";

/// A fault of our own, in the middle of a request.
#[cfg(test)]
fn panic_on_demand(fields: &HeaderMap) {
    assert!(!fields.contains_key(PANIC_ON_DEMAND), "a panic on demand");
}

/// What a route's kind asks of a request. A link that connects is asked for with a token in the field only: one in a query lies in logs
/// and histories.
fn row(route: &Route) -> &'static Row {
    match route.page() {
        Some(Page::Connect) => &VIEW_IN_HEADER,
        _ => route.kind.row(),
    }
}

/// Lets `judge` say who calls, and counts what it says. Waits only for an issuer's key that this core does not have yet.
async fn verify(work: &mut Work<'_>, routed: &Routed<'_>) -> Result<Caller, Refusal> {
    let (clean, route) = (routed.clean(), routed.route());
    let asked = Asked {
        row: row(route),
        app: route.app.as_ref().map(|app| app.keys.as_ref()),
        public_urls: &work.snapshot().public_urls,
        path: clean.path(),
        now: work.worker.shared.clock.unix_seconds(),
    };
    let fields = clean.request().headers().get_all(http::header::AUTHORIZATION);
    let fields = fields.iter().map(HeaderValue::as_bytes);
    let judged = match &route.issuer {
        None => judge(fields, clean.query(), &asked).map_err(Refusal::Unauthorized),
        Some(issuer) => {
            let leeway = asked.app.map_or(0, |app| app.leeway);
            let asked = AskedOfIssuer { issuer, copies: &work.worker.keys, when: When { now: asked.now, leeway } };
            // Boxed: what waits for keys is large, and hardly any request does.
            Box::pin(judge_issued(fields, clean.query(), &asked)).await
        }
    };
    if let Some(app) = route.app.as_ref().filter(|_| asked.row.token != TokenPlace::Nowhere) {
        let counters = app.counters.get(work.worker.id);
        match &judged {
            Ok(_) => counters.verified(route.kind as usize, 0),
            Err(Refusal::Unauthorized(why)) => counters.verified(route.kind as usize, why.result()),
            // Nothing was judged.
            Err(_) => {}
        }
    }
    let caller = judged?;
    work.seen.ids = caller.ids();
    Ok(caller)
}

/// Polls the steps so that a panic in them ends this request, and nothing else.
async fn caught<T>(mut steps: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| steps.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        // The hook has logged and counted it.
        Err(_panic) => Poll::Ready(None),
    })
    .await
}

/// Makes the answer of a refusal.
fn refuse(seen: &mut Observation, connection: &Connection, asking: &Asking, refusal: Refusal) -> Response<Content> {
    let request_id = seen.request_id.clone();
    let row = seen.route().map(|route| route.kind.row());
    let look = Look { prefers: asking.prefers, ..Look::blind(row, request_id.to_str().unwrap_or_default()) };
    let mut response = reply(&refusal, &look);
    if facts(&refusal).connection == facts::Connection::Close && connection.peer.protocol == Protocol::Http1 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    cross_origin(seen, asking.origin.as_ref(), response.headers_mut());
    seen.refusal = Some(Box::new(refusal));
    response.map(Content::Whole)
}

/// Lets the route's rules say who may read an answer, whatever the backend says.
fn cross_origin(seen: &Observation, origin: Option<&HeaderValue>, fields: &mut HeaderMap) {
    if let Some(cors) = seen.route().and_then(|route| route.cors.as_ref()) {
        cors.decorate(fields, origin);
    }
}

/// Tells browsers to stay with HTTPS, in every answer over TLS, ours and the backend's (RFC 6797).
fn secure(connection: &Connection, fields: &mut HeaderMap) {
    if connection.peer.secure.is_tls() && !fields.contains_key(STRICT_TRANSPORT_SECURITY) {
        set_strict_transport(fields);
    }
}

impl<'r> Work<'r> {
    /// The snapshot that it began with.
    pub(crate) fn snapshot(&self) -> &'r Snapshot {
        &self.installed.snapshot
    }

    /// This core's connections to an upstream.
    pub(crate) fn pool(&self, upstream: usize) -> Result<Rc<Pool>, Refusal> {
        self.installed.pools.get(upstream).map(Rc::clone).ok_or(Refusal::Upstream(UpstreamFault::Connect))
    }

    /// Learns who is there, behind proxies that are trusted.
    fn meet(&mut self, fields: &HeaderMap) -> Client {
        let client = peer::client(&self.connection.peer, fields, &self.snapshot().trusted_proxies);
        self.seen.client = Some(client.address);
        if let Some(id) = &client.request_id {
            self.seen.request_id = id.clone();
        }
        client
    }

    fn resigning(&self, admitted: &Admitted<'_>) -> Resigning<'r> {
        let upstream = admitted.routed().route().upstream().and_then(|at| self.snapshot().upstreams.get(at));
        Resigning {
            key: upstream.and_then(|upstream| upstream.resign.as_ref()),
            now: self.worker.shared.clock.unix_seconds(),
        }
    }

    fn count_omitted(&self, changes: &HeaderChanges) {
        for name in &changes.omitted {
            match headers::omittable_index(name) {
                Some(index) => self.worker.counters().header_omitted(index),
                None => self.worker.counters().odd_names_omitted(1),
            }
        }
    }
}
