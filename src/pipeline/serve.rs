//! Answers what the gateway serves itself: hands an admitted request for a page to the control plane, and waits for the page. Takes
//! what `admit` returned; gives it back if the request goes on to a backend. Knows no flow: what a page says is `authorize`'s.

use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{ACCEPT_LANGUAGE, COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Response};

use crate::authorize::door::{Admission, Identified, Visit};
use crate::limits;
use crate::monday::claims::{Claims, Text};
use crate::pipeline::Work;
use crate::pipeline::admit::Admitted;
use crate::pipeline::body::{Intake, collect};
use crate::pipeline::refusal::Refusal;

/// How browsers say where a request comes from (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What became of an admitted request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "matched at once; a box would be an allocation for each request")]
pub(crate) enum Turn<'s> {
    /// The gateway has answered.
    Served(Response<Bytes>),
    /// It goes on to its backend.
    On(Admitted<'s>),
}

/// Serves the page of a route that has one.
pub(crate) async fn serve<'s>(work: &mut Work<'_>, admitted: Admitted<'s>) -> Result<Turn<'s>, Refusal> {
    if admitted.routed().route().page().is_none() {
        return Ok(Turn::On(admitted));
    }
    // Boxed: what waits for a page is large, and most requests are for backends.
    Box::pin(visited(work, admitted)).await
}

/// Takes a request for a page to the control plane.
async fn visited<'s>(work: &mut Work<'_>, mut admitted: Admitted<'s>) -> Result<Turn<'s>, Refusal> {
    // The index sends HEAD where GET goes; but a visit has effects, and is never asked for without its page.
    if admitted.routed().clean().request().method() == Method::HEAD {
        return Err(Refusal::NoMethod { allow: "GET".to_owned() });
    }
    let body = body(work, &mut admitted).await?;
    let visit = visit(work, &admitted, body).ok_or(Refusal::Internal)?;
    let patience = work.worker.deadlines.after(limits::VISIT);
    let entering = pin!(work.worker.shared.door.enter(visit));
    match patience.bound(entering).await {
        Some(Some(Admission::Answer(answer))) => Ok(Turn::Served(*answer)),
        Some(Some(Admission::Onwards)) => Ok(Turn::On(admitted)),
        Some(None) | None => Err(Refusal::PageUnavailable),
    }
}

/// The form that came, whole; nothing if it goes on to a backend, which reads its body itself.
async fn body(work: &mut Work<'_>, admitted: &mut Admitted<'_>) -> Result<Bytes, Refusal> {
    if admitted.routed().clean().request().method() != Method::POST {
        return Ok(Bytes::new());
    }
    let intake = Intake {
        limit: limits::VISIT_BODY,
        patience: work.snapshot().limits.body_idle_timeout,
        whole_within: limits::COLLECTED_BODY_TIME,
        deadlines: work.worker.deadlines.clone(),
        installed: Rc::clone(work.installed),
    };
    let body = collect(admitted.routed_mut().clean_mut().body_mut(), &intake).await?;
    work.seen.bytes_in = body.len() as u64;
    Ok(body)
}

fn visit(work: &Work<'_>, admitted: &Admitted<'_>, body: Bytes) -> Option<Visit> {
    let (route, clean) = (admitted.routed().route(), admitted.routed().clean());
    let request = clean.request();
    let fields = request.headers();
    Some(Visit {
        app: route.app.as_ref()?.keys.name.clone(),
        page: route.page()?.clone(),
        is_post: request.method() == Method::POST,
        path: clean.path().to_owned(),
        query: clean.query().unwrap_or_default().to_owned(),
        // Another program's cookie on this host may be anything; ours are ASCII, and are found beside it.
        cookies: fields.get_all(COOKIE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect(),
        origin: text(fields, &ORIGIN),
        fetch_site: text(fields, &SEC_FETCH_SITE),
        accept_language: text(fields, &ACCEPT_LANGUAGE).unwrap_or_default(),
        caller: admitted.caller().claims().map(identified),
        request_id: work.seen.request_id.to_str().unwrap_or_default().to_owned(),
        body,
    })
}

/// A field's value, joined if it came in several.
fn text(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = fields.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn identified(claims: &Claims) -> Identified {
    let owned = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
    Identified {
        account: claims.account_id,
        user: claims.user_id,
        slug: owned(&claims.account_slug),
        back_to: owned(&claims.back_to_url),
        claims: claims.raw.clone(),
    }
}
