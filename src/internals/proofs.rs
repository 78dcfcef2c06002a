//! That no step of `pipeline` can be left out, as pairs of examples: the first compiles; the second differs only in the line that
//! leaves the step out, and does not. Examples rather than `trybuild`, which would build every dependency a second time. The
//! functions are the steps themselves, without their reasons to refuse. That the proofs' fields are private to their
//! makers cannot be seen from outside: `tests/gateway/tidy.rs` reads it in the source.

use http::Request;
use hyper::body::Incoming;

use crate::pipeline;
use crate::pipeline::guard::parsed;
use crate::pipeline::inject::Resigning;
use crate::pipeline::route::Way;

pub use crate::pipeline::Work;
pub use crate::pipeline::admit::Admitted;
pub use crate::pipeline::guard::parsed::Clean;
pub use crate::pipeline::inject::HeaderChanges;
pub use crate::pipeline::peer::Client;
pub use crate::pipeline::route::Routed;
pub use crate::pipeline::verify::Caller;

/// The guard, the only maker of a [`Clean`].
pub fn guard(work: &Work<'_>, request: Request<Incoming>) -> Option<Clean<Incoming>> {
    parsed::check(request, &work.connection.peer).ok()
}

/// The router takes what the guard made.
///
/// ```
/// use hyper::{Request, body::Incoming};
/// use monday_gateway::internals::proofs::{Clean, Work, route};
///
/// fn routed(work: &mut Work<'_>, request: Request<Incoming>, clean: Clean<Incoming>) {
///     let _ = route(work, clean);
/// }
/// ```
///
/// A request that the guard has not seen finds no route.
///
/// ```compile_fail,E0308
/// use hyper::{Request, body::Incoming};
/// use monday_gateway::internals::proofs::{Clean, Work, route};
///
/// fn routed(work: &mut Work<'_>, request: Request<Incoming>, clean: Clean<Incoming>) {
///     let _ = route(work, request);
/// }
/// ```
pub fn route<'r>(work: &mut Work<'r>, clean: Clean<Incoming>) -> Option<Routed<'r>> {
    match pipeline::route::route(work, clean).ok()? {
        Way::On(routed) => Some(routed),
        Way::Answered(_preflight) => None,
    }
}

/// Who may pass is asked of a caller that `verify` made.
///
/// ```
/// use monday_gateway::internals::proofs::{Caller, Routed, Work, admit};
///
/// async fn admitted(work: &Work<'_>, routed: Routed<'_>, caller: Caller, name: &str) {
///     admit(work, routed, caller).await;
/// }
/// ```
///
/// Nobody else's word is a caller.
///
/// ```compile_fail,E0308
/// use monday_gateway::internals::proofs::{Caller, Routed, Work, admit};
///
/// async fn admitted(work: &Work<'_>, routed: Routed<'_>, caller: Caller, name: &str) {
///     admit(work, routed, name).await;
/// }
/// ```
///
/// There is no caller to begin with: one is made of a token that was verified.
///
/// ```
/// use monday_gateway::internals::proofs::Caller;
///
/// fn calls(verified: Caller) -> Caller {
///     verified
/// }
/// ```
///
/// So none can be made up.
///
/// ```compile_fail,E0599
/// use monday_gateway::internals::proofs::Caller;
///
/// fn calls(verified: Caller) -> Caller {
///     Caller::default()
/// }
/// ```
pub async fn admit<'s>(work: &Work<'_>, routed: Routed<'s>, caller: Caller) -> Option<Admitted<'s>> {
    pipeline::admit::admit(work, routed, caller).await.ok()
}

/// Header values are made for a request that was admitted.
///
/// ```
/// use monday_gateway::internals::proofs::{Admitted, Routed, inject};
///
/// fn told(admitted: &Admitted<'_>, routed: &Routed<'_>) {
///     inject(admitted);
/// }
/// ```
///
/// One that only has its route gets none.
///
/// ```compile_fail,E0308
/// use monday_gateway::internals::proofs::{Admitted, Routed, inject};
///
/// fn told(admitted: &Admitted<'_>, routed: &Routed<'_>) {
///     inject(routed);
/// }
/// ```
pub fn inject(admitted: &Admitted<'_>) -> HeaderChanges {
    pipeline::inject::inject(admitted, Resigning { key: None, now: 0 })
}

/// A request is forwarded with its admission.
///
/// ```
/// use monday_gateway::internals::proofs::{Admitted, Client, HeaderChanges, Routed, Work, forward};
///
/// async fn sent(work: &mut Work<'_>, of: (Routed<'_>, Admitted<'_>), changes: HeaderChanges, client: &Client) {
///     forward(work, of.1, changes, client).await;
/// }
/// ```
///
/// Without one it stays here.
///
/// ```compile_fail,E0308
/// use monday_gateway::internals::proofs::{Admitted, Client, HeaderChanges, Routed, Work, forward};
///
/// async fn sent(work: &mut Work<'_>, of: (Routed<'_>, Admitted<'_>), changes: HeaderChanges, client: &Client) {
///     forward(work, of.0, changes, client).await;
/// }
/// ```
///
/// What the backend is told of the caller goes with it.
///
/// ```compile_fail,E0308
/// use monday_gateway::internals::proofs::{Admitted, Client, HeaderChanges, Routed, Work, forward};
///
/// async fn sent(work: &mut Work<'_>, of: (Routed<'_>, Admitted<'_>), changes: HeaderChanges, client: &Client) {
///     forward(work, of.1, http::HeaderMap::new(), client).await;
/// }
/// ```
pub async fn forward(work: &mut Work<'_>, admitted: Admitted<'_>, changes: HeaderChanges, client: &Client) -> bool {
    pipeline::forward::forward(work, admitted, changes, client).await.is_ok()
}
