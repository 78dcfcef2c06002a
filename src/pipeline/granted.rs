//! Asks what is known of the grants that a route needs: this core's copy, or else the control plane, within a second. A grant that the
//! route requires and that is missing or dead refuses the request, with a link to connect again; a store that is down refuses only
//! where a grant is required. Takes a verified caller; makes nothing of a header.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use crate::authorize::door::Reconnect;
use crate::grants::port::{Looked, News, Port};
use crate::grants::standing::Standing;
use crate::grants::{Down, Who};
use crate::limits;
use crate::monday::claims::Text;
use crate::monday::kinds::SignedBy;
use crate::pipeline::Work;
use crate::pipeline::refusal::{GrantsNeeded, NeededGrant, Refusal};
use crate::pipeline::verify::Caller;
use crate::snapshot::Route;
use crate::snapshot::needs::Needs;

/// What is known of the grants that a request's route needs.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    /// What the route needs.
    pub(crate) needs: Arc<Needs>,
    /// Of this account and user.
    pub(crate) ids: (i64, i64),
    /// What there is.
    pub(crate) looked: Rc<Looked>,
}

/// What is known of the grants that the route needs; nothing if it needs none, or if nothing is known and none is required.
pub(crate) async fn granted(work: &Work<'_>, route: &Route, caller: &Caller) -> Result<Option<Granted>, Refusal> {
    tell_alive(work, route, caller);
    let Some(needs) = &route.needs else { return Ok(None) };
    let Some(ids) = caller.ids() else { return nobodys(needs) };
    let looked = match &work.worker.shared.grants {
        Some(port) => match copied(work, port, (needs, ids)) {
            Some(copied) => Ok(copied),
            // Boxed: what waits is large, and few requests do.
            None => Box::pin(look(work, port, (needs, ids))).await,
        },
        None => Err(Down::Store),
    };
    let worker = work.worker.id;
    let looked = match looked {
        Ok(looked) => looked,
        Err(down) => {
            needs.grants.iter().for_each(|need| need.counters.get(worker).came_to(UNKNOWN));
            return if needs.requires_any() { Err(Refusal::GrantsDown(down)) } else { Ok(None) };
        }
    };
    let mut needed = Vec::new();
    for (need, known) in needs.grants.iter().zip(&looked.grants) {
        need.counters.get(worker).came_to(known.standing.map_or(UNKNOWN, |standing| standing as usize));
        match known.standing {
            Err(down) if need.is_required => return Err(Refusal::GrantsDown(down)),
            Ok(standing) if need.is_required && !standing.is_usable() => needed.push((need, standing)),
            Ok(_) | Err(_) => {}
        }
    }
    if needed.is_empty() {
        return Ok(Some(Granted { needs: Arc::clone(needs), ids, looked }));
    }
    let grants = needed.into_iter().map(|(need, standing)| NeededGrant::new(&need.provider, standing));
    let mut refused = GrantsNeeded { grants: grants.collect(), link: None };
    refused.link = Box::pin(link(work, caller, (needs, ids), &refused)).await;
    Err(Refusal::Grants(Box::new(refused)))
}

/// An issuer's token that names no user of monday's: nobody has grants.
fn nobodys(needs: &Needs) -> Result<Option<Granted>, Refusal> {
    let required = needs.grants.iter().filter(|need| need.is_required);
    let grants: Vec<_> = required.map(|need| NeededGrant::new(&need.provider, Standing::Missing)).collect();
    if grants.is_empty() {
        return Ok(None);
    }
    Err(Refusal::Grants(Box::new(GrantsNeeded { grants, link: None })))
}

/// The number that metrics have for what nobody knows.
const UNKNOWN: usize = Standing::ALL.len();

/// From this core's copies.
fn copied(work: &Work<'_>, port: &Port, (needs, ids): (&Needs, (i64, i64))) -> Option<Rc<Looked>> {
    let now = work.worker.deadlines.now_millis();
    let copied = port.copied(&mut work.worker.copies.borrow_mut(), ids, (needs, now))?;
    work.worker.counters().grant_copy_hit();
    Some(copied)
}

/// From the control plane.
async fn look(work: &Work<'_>, port: &Port, (needs, ids): (&Arc<Needs>, (i64, i64))) -> Result<Rc<Looked>, Down> {
    work.worker.counters().grant_copy_miss();
    let deadlines = &work.worker.deadlines;
    let looked = port.look(needs, ids, deadlines).await?;
    let now = deadlines.now_millis();
    Ok(Port::keep(&mut work.worker.copies.borrow_mut(), (needs, ids), looked, now))
}

/// A link with which the user connects again, if the app has a flow and it answers soon.
async fn link(
    work: &Work<'_>,
    caller: &Caller,
    (needs, (account, user)): (&Needs, (i64, i64)),
    refused: &GrantsNeeded,
) -> Option<String> {
    let reconnect = Reconnect {
        app: needs.app.clone(),
        account,
        user,
        slug: caller
            .claims()
            .and_then(|claims| claims.account_slug.as_ref())
            .map(|slug: &Text| slug.as_str().to_owned()),
        providers: refused.grants.iter().map(|grant| grant.provider.clone()).collect(),
    };
    let asking = pin!(work.worker.shared.door.reconnect(reconnect));
    work.worker.deadlines.after(limits::LINK_WAIT).bound(asking).await?
}

/// Tells that monday sends an account's requests, while some account is said to have uninstalled its app.
fn tell_alive(work: &Work<'_>, route: &Route, caller: &Caller) {
    let Some(port) = work.worker.shared.grants.as_ref().filter(|port| port.wants_life()) else { return };
    let (Some(app), Some(claims)) = (&route.app, caller.claims()) else { return };
    if route.kind.row().signed_by == SignedBy::Signing {
        let who = Who { app: app.keys.name.clone(), account: claims.account_id, user: claims.user_id };
        // Lost if there is no room: there will be another request.
        let _told: bool = port.tell(News::Alive, who);
    }
}
