//! Finds the route of a clean request, and answers what needs no token: a preflight. Takes the guard's `Clean`, whose
//! path bytes are matched and later forwarded as they are. Knows no token.

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;

use crate::pipeline::Work;
use crate::pipeline::guard::parsed::Clean;
use crate::pipeline::refusal::Refusal;
use crate::snapshot::cors::{is_preflight, requested_method};
use crate::snapshot::{Matched, Route};

/// A clean request and its route.
#[derive(Debug)]
pub struct Routed<'s> {
    clean: Clean<Incoming>,
    route: &'s Route,
}

/// Where a request goes on.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "matched at once; a box would be an allocation for each request")]
pub(crate) enum Way<'s> {
    /// To `verify`.
    On(Routed<'s>),
    /// Nowhere: a browser asked what it may send, and is told here.
    Answered(Response<Bytes>),
}

impl<'s> Routed<'s> {
    /// The request.
    pub(crate) fn clean(&self) -> &Clean<Incoming> {
        &self.clean
    }

    /// The request, for the step that reads its body.
    pub(crate) fn clean_mut(&mut self) -> &mut Clean<Incoming> {
        &mut self.clean
    }

    /// Its route.
    pub(crate) fn route(&self) -> &'s Route {
        self.route
    }

    /// Gives up the proof for the request.
    pub(crate) fn into_clean(self) -> Clean<Incoming> {
        self.clean
    }
}

/// Finds the route, or answers a preflight of a route that has `cors`.
pub(crate) fn route<'s>(work: &mut Work<'s>, clean: Clean<Incoming>) -> Result<Way<'s>, Refusal> {
    let snapshot = work.snapshot();
    if snapshot.misdirected(work.connection.peer.certificate, clean.host()) {
        return Err(Refusal::Misdirected);
    }
    if is_preflight(clean.request().method(), clean.request().headers())
        && let Some(method) = requested_method(clean.request().headers())
        && let Matched::Route(at, route) = snapshot.find(clean.host(), clean.path(), &method)
        && let Some(cors) = &route.cors
    {
        work.seen.took(at);
        return cors
            .preflight(clean.request().headers(), &route.methods)
            .map(Way::Answered)
            .ok_or(Refusal::OriginRefused);
    }
    match snapshot.find(clean.host(), clean.path(), clean.request().method()) {
        Matched::Route(at, route) => {
            work.seen.took(at);
            on(clean, route)
        }
        Matched::Nothing => Err(Refusal::NoRoute),
        Matched::OtherMethods(allow) => Err(Refusal::NoMethod { allow }),
    }
}

/// A page of another origin must not open a WebSocket in the name of whoever looks at it: no preflight guards those.
fn on(clean: Clean<Incoming>, route: &Route) -> Result<Way<'_>, Refusal> {
    if let Some(cors) = &route.cors
        && clean.upgrade().is_some()
        && !cors.allows_handshake(clean.request().headers())
    {
        return Err(Refusal::OriginRefused);
    }
    Ok(Way::On(Routed { clean, route }))
}
