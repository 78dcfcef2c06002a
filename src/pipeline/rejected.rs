//! Sends a request once more whose backend says that a token was refused and that it did nothing: `X-Monday-Token-Rejected: <provider>`.
//! Once a request and grant, with a newer token only: from the vault, or by a refresh. Only where the body is still there.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Request, request};
use smallvec::SmallVec;

use crate::grants::port::Port;
use crate::headers::X_MONDAY_TOKEN_REJECTED;
use crate::pipeline::Work;
use crate::pipeline::granted::Granted;
use crate::upstream::request_body::RequestBody;

/// A request that can be sent again.
#[derive(Debug)]
pub(crate) struct Again {
    parts: request::Parts,
    /// Empty or whole.
    body: Bytes,
    granted: Granted,
    /// Places of grants that were renewed for this request.
    renewed: SmallVec<[usize; 2]>,
}

impl Again {
    /// Keeps a request that carries tokens, if its body is whole.
    pub(crate) fn keep(granted: Option<Granted>, request: &Request<RequestBody>) -> Option<Box<Self>> {
        let granted = granted.filter(|granted| granted.looked.grants.iter().any(|known| known.version != 0))?;
        let body = match request.body() {
            RequestBody::Empty => Bytes::new(),
            RequestBody::Whole(bytes) => bytes.clone(),
            RequestBody::Stream(_) => return None,
        };
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri) = (request.method().clone(), request.uri().clone());
        (parts.version, parts.headers) = (request.version(), request.headers().clone());
        Some(Box::new(Self { parts, body, granted, renewed: SmallVec::new() }))
    }

    /// The request with a newer token, if the answer's head says that one was refused, and there is one.
    pub(crate) async fn renewed(&mut self, work: &Work<'_>, answer: &HeaderMap) -> Option<Request<RequestBody>> {
        let provider = answer.get(X_MONDAY_TOKEN_REJECTED)?.to_str().ok()?.trim();
        let port = work.worker.shared.grants.as_ref()?;
        let Granted { needs, ids, looked } = &self.granted;
        let at = needs.grants.iter().position(|need| need.provider.name.eq_ignore_ascii_case(provider))?;
        let version = looked.grants.get(at).map(|known| known.version).filter(|&version| version != 0)?;
        if self.renewed.contains(&at) {
            return None;
        }
        self.renewed.push(at);
        let deadlines = &work.worker.deadlines;
        let newer = port.rejected(needs, *ids, (at, version), deadlines).await.ok()?;
        let is_newer = newer.grants.get(at).is_some_and(|known| known.version != 0 && known.version != version);
        let place = (needs.as_ref(), *ids);
        let newer = Port::keep(&mut work.worker.copies.borrow_mut(), place, newer, deadlines.now_millis());
        if !is_newer {
            return None;
        }
        for (name, _) in &looked.headers {
            self.parts.headers.remove(name);
        }
        for (name, value) in &newer.headers {
            self.parts.headers.insert(name.clone(), value.clone());
        }
        self.granted.looked = Rc::clone(&newer);
        let body = if self.body.is_empty() { RequestBody::Empty } else { RequestBody::Whole(self.body.clone()) };
        Some(Request::from_parts(self.parts.clone(), body))
    }
}
