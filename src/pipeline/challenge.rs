//! Answers the handshake with which monday registers a board webhook: it comes without a token, and the backend never sees
//! it. monday's page "Webhooks", "URL verification".

use std::rc::Rc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};

use crate::limits;
use crate::monday::challenge::challenge;
use crate::monday::kinds::Kind;
use crate::pipeline::Work;
use crate::pipeline::body::{Intake, collect};
use crate::pipeline::route::Routed;

/// The echo, if this is the handshake. Reads the body only of a request that is refused otherwise, for want of a token.
pub(crate) async fn answer(work: &Work<'_>, routed: &mut Routed<'_>) -> Option<Response<Bytes>> {
    let kind = routed.route().kind;
    let clean = routed.clean_mut();
    if kind != Kind::BoardWebhook
        || clean.request().method() != Method::POST
        || clean.request().headers().contains_key(AUTHORIZATION)
    {
        return None;
    }
    let intake = Intake {
        limit: limits::CHALLENGE_BYTES as u64,
        patience: work.snapshot().limits.body_idle_timeout,
        whole_within: work.snapshot().limits.head_timeout,
        deadlines: work.worker.deadlines.clone(),
        installed: Rc::clone(work.installed),
    };
    let body = collect(clean.body_mut(), &intake).await.ok()?;
    let mut echo = Response::new(challenge(&body)?);
    echo.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(echo)
}
