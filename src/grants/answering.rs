//! Makes the answer to a worker's question: which headers a user's grants become, and what became of each. Waits for a token only where
//! the old one is dead. A value that does not fit a header is left out, never altered.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::grants::fresh::{AtOnce, Fresh, Refresh};
use crate::grants::port::{Asked, Known, Looked};
use crate::grants::standing::{Standing, seconds};
use crate::grants::{Down, Grants, Reach, Unusable};
use crate::headers::X_MONDAY_GRANTS;
use crate::limits;
use crate::oauth::provider::Provider;
use crate::snapshot::needs::Needs;

/// An answer to a worker.
#[derive(Debug)]
pub(super) enum Answer {
    /// This is known.
    Now(Box<Looked>),
    /// It will be, once a token is refreshed.
    Soon(oneshot::Receiver<Box<Looked>>),
    /// Nothing is known.
    Down(Down),
}

/// What one grant came to.
enum Part {
    Fresh(Fresh),
    Not(Standing, Duration),
    Down(Down),
}

/// Says what is known of the grants that are asked for.
pub(super) async fn answer(grants: &Grants, asked: &Asked, reply: oneshot::Sender<Answer>) {
    let reach = reach(&asked.needs);
    let mut parts = Vec::with_capacity(asked.needs.grants.len());
    for need in &asked.needs.grants {
        parts.push(grants.at_once(&asked.who, &need.provider, reach).await);
    }
    let is_waiting = parts.iter().any(|part| matches!(part, Ok(AtOnce::Soon(_))));
    let (later, soon) = oneshot::channel();
    // A worker that has given up needs no answer; a refresh goes on without it.
    let reply = if is_waiting {
        drop(reply.send(Answer::Soon(soon)));
        None
    } else {
        Some(reply)
    };
    let mut done = Vec::with_capacity(parts.len());
    for (part, need) in parts.into_iter().zip(&asked.needs.grants) {
        done.push(match part {
            Ok(AtOnce::Fresh(fresh)) => Part::Fresh(fresh),
            Ok(AtOnce::Not(standing, keeps)) => Part::Not(standing, keeps),
            Ok(AtOnce::Soon(refresh)) => wait(grants, refresh, &need.provider).await,
            Err(down) => Part::Down(down),
        });
    }
    let looked = Box::new(looked(asked, done));
    match reply {
        Some(reply) => drop(reply.send(Answer::Now(looked))),
        None => drop(later.send(looked)),
    }
}

/// Finds a newer token than the one that a backend says was refused: in the vault, or by a refresh, at most once a minute.
pub(super) async fn answer_again(grants: &Grants, asked: &Asked, token: (usize, u64), reply: oneshot::Sender<Answer>) {
    let (later, soon) = oneshot::channel();
    drop(reply.send(Answer::Soon(soon)));
    let (at, version) = token;
    let Some(need) = asked.needs.grants.get(at) else { return };
    if let Ok(true) = grants.renew_rejected(&asked.who, &need.provider, (reach(&asked.needs), version)).await {
        let (reply, answered) = oneshot::channel();
        Box::pin(answer(grants, asked, reply)).await;
        match answered.await {
            Ok(Answer::Now(looked)) => drop(later.send(looked)),
            Ok(Answer::Soon(looked)) => drop(looked.await.map(|looked| later.send(looked))),
            Ok(Answer::Down(_)) | Err(_) => {}
        }
    }
}

impl Grants {
    /// Whether there is a newer token than that of `version`, after a refresh if it may be refreshed.
    async fn renew_rejected(
        &self,
        who: &super::Who,
        provider: &Provider,
        (reach, version): (Reach, u64),
    ) -> Result<bool, Unusable> {
        let found = self.find(who, provider, reach).await?;
        let Some(known) = found.held else { return Ok(false) };
        // The cache may not have heard of a change yet.
        let held = self.reread(&known.key).await.map_err(|_fault| Down::Store)?;
        let Some(held) = held else { return Ok(false) };
        if held.version != version {
            self.forget(&held.key);
            return Ok(true);
        }
        let since = self.now().saturating_sub(held.grant.renewed_at);
        if held.grant.refresh.is_none() || since < seconds(limits::REFRESH_PAUSE) {
            return Ok(false);
        }
        self.refresh(&held, provider).outcome().await.map(|_held| true)
    }
}

/// Whose grants a route may use.
fn reach(needs: &Needs) -> Reach {
    if needs.takes_shared { Reach::Shared } else { Reach::Own }
}

async fn wait(grants: &Grants, refresh: Refresh, provider: &Arc<Provider>) -> Part {
    let fresh = match refresh.outcome().await {
        Ok(held) => grants.refreshed(held, provider),
        Err(unusable) => Err(unusable),
    };
    match fresh {
        Ok(fresh) => Part::Fresh(fresh),
        Err(Unusable::Down(down)) => Part::Down(down),
        Err(Unusable::Missing) => Part::Not(Standing::Missing, limits::ABSENCE_BELIEVED),
        Err(Unusable::Expired) => Part::Not(Standing::Expired, limits::ABSENCE_BELIEVED),
        Err(Unusable::Revoked) => Part::Not(Standing::Revoked, limits::ABSENCE_BELIEVED),
    }
}

/// Puts an answer together.
fn looked(asked: &Asked, parts: Vec<Part>) -> Looked {
    let mut looked = Looked {
        headers: Vec::with_capacity(parts.len() + 1),
        omitted: SmallVec::new(),
        grants: SmallVec::new(),
        generation: asked.generation,
        keeps: limits::GRANT_BELIEVED,
    };
    let mut words: Vec<String> = Vec::with_capacity(parts.len());
    for (part, need) in parts.into_iter().zip(&asked.needs.grants) {
        let (standing, keeps, version) = match part {
            Part::Fresh(fresh) => {
                looked.tell(&need.provider, &fresh);
                (Ok(fresh.standing), fresh.keeps, fresh.held.version)
            }
            Part::Not(standing, keeps) => (Ok(standing), keeps, 0),
            Part::Down(down) => (Err(down), Duration::ZERO, 0),
        };
        // What nobody knows is not told.
        if let Ok(standing) = standing {
            words.push(format!("{}={}", need.provider.name, standing.word()));
        }
        looked.keeps = looked.keeps.min(keeps);
        looked.grants.push(Known { standing, version });
    }
    if !words.is_empty() {
        looked.set(X_MONDAY_GRANTS, &words.join(", "), Says::Nothing);
    }
    looked
}

/// Whether a value is a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Secret,
    Nothing,
}

impl Looked {
    /// The headers of one grant.
    fn tell(&mut self, provider: &Provider, fresh: &Fresh) {
        self.set(provider.header.clone(), fresh.access(), Says::Secret);
        for (name, header) in &provider.values {
            if let Some(text) = fresh.values().get(name) {
                self.set(header.clone(), text, Says::Secret);
            }
        }
    }

    /// Visible ASCII, and spaces inside; or nothing.
    fn set(&mut self, name: HeaderName, text: &str, says: Says) {
        let fits =
            !text.is_empty() && text.trim() == text && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        match HeaderValue::from_str(text) {
            Ok(mut header) if fits => {
                header.set_sensitive(says == Says::Secret);
                self.headers.push((name, header));
            }
            _ => self.omitted.push(name),
        }
    }
}
