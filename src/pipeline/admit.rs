//! Lets a verified request through, or not: the route's `allow`, and the grants that it requires. Takes what `verify` returned; only this makes an `Admitted`,
//! and only that is given header values and forwarded. Async because who is authorized may have to be asked for.

use crate::config::resolved::Allow;
use crate::monday::claims::Claims;
use crate::pipeline::Work;
use crate::pipeline::granted::{Granted, granted};
use crate::pipeline::refusal::{Forbidden, Refusal};
use crate::pipeline::route::Routed;
use crate::pipeline::verify::Caller;

/// A request that may be forwarded: routed, verified, allowed. Made by [`admit`] only.
#[derive(Debug)]
pub struct Admitted<'s> {
    routed: Routed<'s>,
    caller: Caller,
    granted: Option<Granted>,
}

impl<'s> Admitted<'s> {
    /// The request and its route.
    pub(crate) fn routed(&self) -> &Routed<'s> {
        &self.routed
    }

    /// The request, for the step that reads its body.
    pub(crate) fn routed_mut(&mut self) -> &mut Routed<'s> {
        &mut self.routed
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What is known of the grants that the route needs.
    pub(crate) fn granted(&self) -> Option<&Granted> {
        self.granted.as_ref()
    }

    /// Gives up the proof for the request.
    pub(crate) fn into_routed(self) -> Routed<'s> {
        self.routed
    }
}

/// Admits the request of a verified caller, or says which part of `allow`, or which grant that is required, refuses it.
pub(crate) async fn admit<'s>(work: &Work<'_>, routed: Routed<'s>, caller: Caller) -> Result<Admitted<'s>, Refusal> {
    if let Some(claims) = caller.claims() {
        allowed(&routed.route().allow, claims).map_err(Refusal::Forbidden)?;
    } else if caller.said().is_some() {
        // An issuer's token says nothing of guests and admins; the configuration refuses those rules on such a route.
        let account = caller.account_id();
        let accounts = &routed.route().allow.accounts;
        if !accounts.is_empty() && !account.is_some_and(|account| accounts.contains(&account)) {
            return Err(Refusal::Forbidden(Forbidden::Account));
        }
    }
    let granted = granted(work, routed.route(), &caller).await?;
    Ok(Admitted { routed, caller, granted })
}

/// Whether `allow` lets these claims pass. A claim that is absent refuses.
fn allowed(allow: &Allow, claims: &Claims) -> Result<(), Forbidden> {
    let is_not = |claim: Option<bool>| claim == Some(false);
    if allow.no_guests && !is_not(claims.is_guest) {
        return Err(Forbidden::Guest);
    }
    if allow.no_view_only && !is_not(claims.is_view_only) {
        return Err(Forbidden::ViewOnly);
    }
    if allow.admin_only && claims.is_admin != Some(true) {
        return Err(Forbidden::NotAdmin);
    }
    if !allow.accounts.is_empty() && !allow.accounts.contains(&claims.account_id) {
        return Err(Forbidden::Account);
    }
    Ok(())
}
