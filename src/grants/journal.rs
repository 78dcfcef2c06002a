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

use crate::clock::Clock;
use crate::config::resolved::grants::Events;
use crate::grants::outbox::{Event, Outbox, Post};
use crate::grants::record::GrantKey;
use crate::telemetry::access_log::timestamp;
use crate::vault::{Vault, VaultFault};

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
        let Happening { what, key, by } = happening;
        let time = timestamp(self.0.clock.unix_millis());
        let (app, provider) = (key.app.as_str(), key.provider.as_str());
        let line = Line { time: &time, what, app, account: key.account, user: key.user, provider, by };
        let audited = self.audit(&line);
        // A full disk under the audit log is no reason to keep the event from the backend.
        if let Some(kind) = what.event() {
            self.0.outbox.put(&Event { kind, time: &time, key }).await?;
        }
        Ok(audited?)
    }

    fn audit(&self, line: &Line<'_>) -> io::Result<()> {
        let Some(mut file) = self.0.audit.as_ref() else { return Ok(()) };
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        // One write, so that lines of several processes do not mix.
        file.write_all(&line)
    }

    /// Delivers events, also those that earlier processes left, until it is dropped. One of several gateways does at a time.
    pub(crate) async fn deliver(self, post: impl Post) {
        self.0.outbox.deliver(post).await;
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
