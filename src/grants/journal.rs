//! What happened to grants, for people and for backends: one audit line each, and an event in the outbox where the app wants them.
//! Takes happenings, never a token. What `note` acknowledges is written: the line to an append-only file, the event to the vault.
//! Knows no provider. Events: Standard Webhooks 1.0, in `outbox`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::resolved::grants::Events;
use crate::grants::outbox::{Event, Outbox, Post};
use crate::grants::record::GrantKey;
use crate::telemetry::access_log::timestamp;
use crate::vault::{Put, Vault, VaultFault};

/// Rights of a new audit file: it names accounts and users.
const FILE_MODE: u32 = 0o600;

/// Writes down what happens to grants. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    audit: Option<File>,
    outbox: Outbox,
    clock: Clock,
}

/// What a journal writes to.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    /// Audit lines are appended here.
    pub(crate) audit: Option<&'a Path>,
    /// Events wait here until a backend has taken them.
    pub(crate) vault: Vault,
    /// The apps whose backends want events, by name.
    pub(crate) events: BTreeMap<String, Events>,
    /// The time.
    pub(crate) clock: Clock,
}

/// Something that happened to a grant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happening<'a> {
    /// What.
    pub(crate) what: What,
    /// To which grant.
    pub(crate) key: &'a GrantKey,
    /// By whom.
    pub(crate) by: By<'a>,
}

/// What happens to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// A user connected.
    Granted,
    /// New tokens took the place of old ones.
    Refreshed,
    /// A client of the internal API was given a token.
    Read,
    /// The provider refuses to refresh it.
    Lost,
    /// It was taken back.
    Revoked,
    /// Its chain of refresh tokens ends soon, whatever is done.
    Ending,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", content = "who", rename_all = "lowercase")]
pub(crate) enum By<'a> {
    /// This user, in a browser.
    User(i64),
    /// The gateway, by itself.
    Gateway,
    /// The provider.
    Provider,
    /// monday, with a lifecycle webhook.
    Monday,
    /// This client of the internal API.
    Client(&'a str),
    /// Whoever runs the gateway's commands.
    Operator,
}

/// Why something was not written down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalFault {
    /// The audit file cannot be opened or written.
    #[error("cannot write the audit log: {0}")]
    Audit(#[from] io::Error),
    /// The event cannot be kept.
    #[error(transparent)]
    Outbox(#[from] VaultFault),
}

/// A line of the audit log.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    what: What,
    app: &'a str,
    account: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<i64>,
    provider: &'a str,
    #[serde(flatten)]
    by: By<'a>,
}

impl Journal {
    /// Opens the audit file, which it makes if it is not there.
    pub(crate) fn open(opening: Opening<'_>) -> Result<Self, JournalFault> {
        let audit = match opening.audit {
            Some(path) => Some(OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)?),
            None => None,
        };
        let outbox = Outbox::new(opening.vault, opening.events, opening.clock.clone());
        Ok(Self(Arc::new(Inner { audit, outbox, clock: opening.clock })))
    }

    /// Writes down what happened. Without a fault it is written: the audit line, and the event where the app wants it.
    pub(crate) async fn note(&self, happening: Happening<'_>) -> Result<(), JournalFault> {
        let audited = self.audit(happening);
        // A full disk under the audit log is no reason to keep the event from the backend.
        self.0.outbox.put(self.event(happening)?).await?;
        Ok(audited?)
    }

    /// The event of something that is about to be written, so that both are written in one step; none where no backend is told.
    pub(crate) fn event(&self, happening: Happening<'_>) -> Result<Option<Put>, VaultFault> {
        let Some(kind) = happening.what.event() else { return Ok(None) };
        let time = timestamp(self.0.clock.unix_millis());
        self.0.outbox.sealed(&Event { kind, time: &time, key: happening.key })
    }

    /// It has happened, and its event is written. Without a fault the audit line is, too.
    pub(crate) fn happened(&self, happening: Happening<'_>) -> Result<(), JournalFault> {
        self.0.outbox.wake();
        Ok(self.audit(happening)?)
    }

    fn audit(&self, happening: Happening<'_>) -> io::Result<()> {
        let Some(mut file) = self.0.audit.as_ref() else { return Ok(()) };
        let Happening { what, key, by } = happening;
        let time = timestamp(self.0.clock.unix_millis());
        let (app, provider) = (key.app.as_str(), key.provider.as_str());
        let line = Line { time: &time, what, app, account: key.account, user: key.user, provider, by };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        // One write, so that lines of several processes do not mix.
        file.write_all(&line)
    }

    /// Delivers events, also those that earlier processes left, until it is dropped. One of several gateways does at a time. A backend that
    /// hangs keeps no other app's from being told.
    pub(crate) async fn deliver(self, post: impl Post + 'static) {
        let post = Arc::new(post);
        let mut apps = JoinSet::new();
        for app in self.0.outbox.apps() {
            let (journal, post) = (self.clone(), Arc::clone(&post));
            apps.spawn(async move { journal.0.outbox.deliver(&app, post.as_ref()).await });
        }
        while apps.join_next().await.is_some() {}
    }
}

impl What {
    /// The type of its event, if backends are told of it.
    const fn event(self) -> Option<&'static str> {
        match self {
            Self::Granted => Some("grant.created"),
            Self::Refreshed => Some("grant.renewed"),
            Self::Read => None,
            Self::Lost => Some("grant.lost"),
            Self::Revoked => Some("grant.revoked"),
            Self::Ending => Some("grant.ending"),
        }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
