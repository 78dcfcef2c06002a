//! Sends an admitted request to its backend and returns the head of the answer, with the body to follow. Within the
//! route's `timeout`, over all attempts. A request is sent again only if it came back unsent from a kept connection.

use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use http::header::{CONNECTION, HOST, TRAILER, UPGRADE};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use crate::headers::{Sender, X_MONDAY_TOKEN_REJECTED, X_REQUEST_ID, announced, strip_request};
use crate::limits;
use crate::monday::kinds::TokenPlace;
use crate::pipeline::Work;
use crate::pipeline::admit::Admitted;
use crate::pipeline::body::{Intake, Trouble, collect, take_in};
use crate::pipeline::inject::{HeaderChanges, apply};
use crate::pipeline::lifecycle;
use crate::pipeline::lifetimes::Tunnel;
use crate::pipeline::peer::{Client, Trust};
use crate::pipeline::referer::keep_tokens_out;
use crate::pipeline::refusal::{Malformed, Refusal, UpstreamFault};
use crate::pipeline::rejected::Again;
use crate::pipeline::verify::query_without;
use crate::snapshot::Route;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::connect::ConnectFault;
use crate::upstream::link::{ExchangeFault, Link};
use crate::upstream::pool::{Age, CheckoutFault, Pool};
use crate::upstream::request_body::RequestBody;

/// The head of a backend's answer, and what follows.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An ordinary one.
    Ordinary(Response<AnswerBody>),
    /// 101: from here on the connection is a tunnel.
    Switched(Response<()>, Tunnel),
}

/// Whether the request is a WebSocket handshake: only then is a 101 an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
    WebSocket,
    None,
}

/// What a request is sent with, beside its own parts.
struct Sending<'a> {
    route: &'a Route,
    upstream: usize,
    pool: &'a Rc<Pool>,
    client: &'a Client,
    handshake: Handshake,
    trouble: &'a Trouble,
}

/// Forwards an admitted request. `changes` are applied after the caller's protected fields are gone.
pub(crate) async fn forward(
    work: &mut Work<'_>,
    admitted: Admitted<'_>,
    changes: HeaderChanges,
    client: &Client,
) -> Result<Answer, Refusal> {
    let route = admitted.routed().route();
    let handshake = admitted.routed().clean().upgrade().map_or(Handshake::None, |_| Handshake::WebSocket);
    let upstream = route.upstream().ok_or(Refusal::Internal)?;
    let (pool, trouble) = (work.pool(upstream)?, Trouble::default());
    let sending = Sending { route, upstream, pool: &pool, client, handshake, trouble: &trouble };
    let granted = admitted.granted().cloned();
    let request = outgoing(work, admitted, changes, &sending).await?;
    let again = Again::keep(granted, &request);
    send(work, request, again, &sending).await
}

/// Sends it, and once more with a newer token if the backend says that the first was refused.
async fn send(
    work: &mut Work<'_>,
    mut request: Request<RequestBody>,
    mut again: Option<Box<Again>>,
    sending: &Sending<'_>,
) -> Result<Answer, Refusal> {
    let began = Instant::now();
    loop {
        let patience = sending.route.timeout.saturating_sub(began.elapsed());
        let sent = {
            let exchanging = pin!(exchange(sending.pool, request));
            work.worker.deadlines.after(patience).bound(exchanging).await
        };
        let took = began.elapsed();
        work.seen.upstream = Some((sending.upstream, took));
        sending.pool.counters().durations.observe(took);
        // A body that failed on its way is the caller's fault, whatever became of the exchange.
        let fault = |fault| sending.trouble.refusal().unwrap_or(Refusal::Upstream(fault));
        let (answer, link) = sent.ok_or_else(|| fault(UpstreamFault::Timeout))?.map_err(fault)?;
        let renewed = match &mut again {
            // Boxed: what renews a token is large, and hardly any answer asks for it.
            Some(again) if answer.headers().contains_key(X_MONDAY_TOKEN_REJECTED) => {
                Box::pin(again.renewed(work, answer.headers())).await
            }
            Some(_) | None => None,
        };
        let Some(renewed) = renewed else {
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Box::pin(switched((answer, link), sending.handshake)).await;
            }
            return Ok(Answer::Ordinary(ordinary(work, sending.pool, (answer, link))));
        };
        request = renewed;
    }
}

/// Makes the request that goes out: the caller's protected fields removed, ours set, the path as it was matched.
async fn outgoing(
    work: &mut Work<'_>,
    admitted: Admitted<'_>,
    changes: HeaderChanges,
    sending: &Sending<'_>,
) -> Result<Request<RequestBody>, Refusal> {
    let route = admitted.routed().route();
    let target = target(&admitted)?;
    let intake = Intake {
        limit: route.max_body,
        patience: work.snapshot().limits.body_idle_timeout,
        whole_within: route.timeout.min(limits::COLLECTED_BODY_TIME),
        deadlines: work.worker.deadlines.clone(),
        installed: Rc::clone(work.installed),
    };
    let host = admitted.routed().clean().raw_host().clone();
    let told_of = lifecycle::told_of(work, &admitted);
    let (mut parts, mut incoming) = admitted.into_routed().into_clean().into_request().into_parts();
    let body = match told_of {
        None => take_in(incoming, &intake, sending.trouble).await?,
        Some(who) => {
            let body = Box::pin(collect(&mut incoming, &intake)).await?;
            Box::pin(lifecycle::hear(work, who, &body)).await?;
            RequestBody::Whole(body)
        }
    };
    if let RequestBody::Whole(bytes) = &body {
        work.seen.bytes_in = bytes.len() as u64;
    }
    let trailers = parts.headers.remove(TRAILER).and_then(|names| announced(&names, &work.snapshot().removal));
    let forwarded = work.connection.introduce(sending.client, &host);
    let removed = strip_request(&mut parts.headers, &work.snapshot().removal, sending.client.trust.into());
    work.worker.counters().odd_names_omitted(removed.odd as u64);
    keep_tokens_out(&mut parts.headers);
    apply(changes, route, &mut parts.headers);
    forwarded.set(&mut parts.headers);
    parts.headers.insert(X_REQUEST_ID, work.seen.request_id.clone());
    parts.headers.insert(HOST, sending.pool.upstream.own_host.clone().unwrap_or(host));
    if let (RequestBody::Stream(_), Some(names)) = (&body, trailers) {
        parts.headers.insert(TRAILER, names);
    }
    if sending.handshake == Handshake::WebSocket {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    (parts.uri, parts.version, parts.extensions) = (target, Version::HTTP_11, Extensions::new());
    Ok(Request::from_parts(parts, body))
}

/// The path and query that go out: byte for byte what was matched, but for `strip_prefix` and the query token.
fn target(admitted: &Admitted<'_>) -> Result<Uri, Refusal> {
    let (clean, route) = (admitted.routed().clean(), admitted.routed().route());
    let removed = match route.kind.row().token {
        TokenPlace::Query(name) | TokenPlace::HeaderOrQuery(name) if !route.keep_query_token => Some(name),
        _ => None,
    };
    let stripped = route.strip_prefix.as_deref().and_then(|prefix| clean.path().strip_prefix(prefix));
    if removed.is_none() && stripped.is_none() {
        return Ok(Uri::from(clean.target().clone()));
    }
    let path = match stripped {
        Some("") => "/",
        Some(rest) => rest,
        None => clean.path(),
    };
    let query =
        clean.query().map(|query| removed.map_or_else(|| query.to_owned(), |name| query_without(query, &[name])));
    let whole = match query.as_deref() {
        None | Some("") => path.to_owned(),
        Some(query) => format!("{path}?{query}"),
    };
    let whole = PathAndQuery::try_from(whole).map_err(|_invalid| Refusal::Malformed(Malformed::Target))?;
    Ok(Uri::from(whole))
}

/// Sends it over a connection of the pool; over another one only as long as it comes back unsent.
async fn exchange(
    pool: &Rc<Pool>,
    mut request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Box<Link>), UpstreamFault> {
    for _ in 0..limits::KEPT_ATTEMPTS {
        let mut lent = pool.checkout().await.map_err(UpstreamFault::from)?;
        match lent.link.exchange(request).await {
            Ok(answer) => return Ok((answer, lent.link)),
            Err(ExchangeFault::Unsent(unsent)) if lent.age == Age::Kept => request = *unsent,
            Err(ExchangeFault::Broken) => return Err(UpstreamFault::Broken),
            Err(ExchangeFault::Unsent(_) | ExchangeFault::Closed) => return Err(UpstreamFault::Closed),
        }
    }
    Err(UpstreamFault::Closed)
}

/// Takes a 101: only if a WebSocket was asked for, and is what the backend switches to.
async fn switched((answer, link): (Response<Incoming>, Box<Link>), handshake: Handshake) -> Result<Answer, Refusal> {
    if handshake == Handshake::None || !is_for_websocket(answer.headers()) {
        return Err(Refusal::Upstream(UpstreamFault::Broken));
    }
    let (parts, _empty) = answer.into_parts();
    let (stream, early, slot) = link.into_stream().await;
    Ok(Answer::Switched(Response::from_parts(parts, ()), Tunnel { stream, early, slot }))
}

/// Takes every other head; the body follows.
fn ordinary(work: &Work<'_>, pool: &Rc<Pool>, (answer, link): (Response<Incoming>, Box<Link>)) -> Response<AnswerBody> {
    let patience = work.snapshot().limits.body_idle_timeout;
    let mut answer =
        answer.map(|incoming| AnswerBody::new(incoming, link, Rc::clone(pool), &work.worker.deadlines, patience));
    answer.body_mut().settle();
    answer
}

/// Whether a 101 switches to the one protocol that was asked for (RFC 6455, section 4.1).
fn is_for_websocket(fields: &HeaderMap) -> bool {
    let mut protocols = fields.get_all(UPGRADE).iter();
    let is_websocket = protocols.next().is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    is_websocket && protocols.next().is_none()
}

impl From<Trust> for Sender {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Trusted => Self::TrustedProxy,
            Trust::Untrusted => Self::Untrusted,
        }
    }
}

impl From<CheckoutFault> for UpstreamFault {
    fn from(fault: CheckoutFault) -> Self {
        match fault {
            CheckoutFault::Exhausted => Self::Exhausted,
            CheckoutFault::Connect(ConnectFault::Timeout) => Self::ConnectTimeout,
            CheckoutFault::Connect(ConnectFault::Io(_)) => Self::Connect,
        }
    }
}
