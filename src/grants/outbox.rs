//! Events about grants on their way to backends: kept in the vault until they are taken, so at least once; sent as Standard Webhooks.
//! Of several gateways with one store, one delivers an app's events at a time; a failure is tried again after a growing pause.
//! An event names a grant and has no token. Knows nothing of why it happened. <https://www.standardwebhooks.com>, version 1.0.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use url::Url;

use crate::clock::Clock;
use crate::config::resolved::grants::Events;
use crate::grants::record::GrantKey;
use crate::limits;
use crate::oauth::reach::Reach;
use crate::oauth::web::{Question, Web};
use crate::secret::Secret;
use crate::vault::{Change, Expected, Put, Record, Table, Vault, VaultFault, Written};

/// What sends a message, and says how it was received or why it was not.
pub(crate) trait Post: Send + Sync {
    /// Sends it once.
    fn post(
        &self,
        url: &Url,
        fields: HeaderMap,
        body: Bytes,
    ) -> impl Future<Output = Result<StatusCode, String>> + Send;
}

impl Post for Web {
    async fn post(&self, url: &Url, fields: HeaderMap, body: Bytes) -> Result<StatusCode, String> {
        let mut question = Question::post(url.clone(), "application/json", body);
        for (name, value) in &fields {
            question = question.with(name.clone(), value.clone());
        }
        self.ask(question, Reach::Configured).await.map(|answer| answer.status).map_err(|fault| fault.to_string())
    }
}

/// The events of all apps that want them.
#[derive(Debug)]
pub(super) struct Outbox {
    vault: Vault,
    backends: BTreeMap<String, Backend>,
    clock: Clock,
}

/// Who is told.
#[derive(Debug)]
struct Backend {
    url: Url,
    keys: Vec<hmac::Key>,
    more: Notify,
}

/// Something to be told.
#[derive(Debug)]
pub(super) struct Event<'a> {
    /// `grant.created` and its like.
    pub(super) kind: &'static str,
    /// RFC 3339.
    pub(super) time: &'a str,
    /// Which grant.
    pub(super) key: &'a GrantKey,
}

/// The body of a message.
#[derive(Serialize)]
struct Message<'a> {
    r#type: &'a str,
    timestamp: &'a str,
    #[serde(rename = "data")]
    about: About<'a>,
}

/// Which grant it is about.
#[derive(Serialize)]
struct About<'a> {
    app: &'a str,
    account_id: i64,
    /// Null for a grant that is the account's.
    user_id: Option<i64>,
    provider: &'a str,
}

/// An event in the vault.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    /// `webhook-id`: the same in every attempt.
    id: String,
    body: String,
    attempts: u32,
    /// Unix milliseconds, as `next` is by the gateway's clock.
    created: u64,
    /// Unix milliseconds of the next attempt.
    next: u64,
}

/// What became of one look at an app's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// What was due was sent, well or not.
    Through,
    /// Another gateway delivers this app's.
    Others,
}

impl Outbox {
    /// An outbox of these apps.
    pub(super) fn new(vault: Vault, events: BTreeMap<String, Events>, clock: Clock) -> Self {
        let backends = events.into_iter().map(|(app, events)| (app, Backend::new(events))).collect();
        Self { vault, backends, clock }
    }

    /// The apps that want any.
    pub(super) fn apps(&self) -> Vec<String> {
        self.backends.keys().cloned().collect()
    }

    /// Keeps an event. It is durable when this returns.
    pub(super) async fn put(&self, event: Option<Put>) -> Result<(), VaultFault> {
        if let Some(event) = event {
            let _new: Written = self.vault.put_with(event, None).await?;
            self.wake();
        }
        Ok(())
    }

    /// An event that is to be written; none if its app wants none.
    pub(super) fn sealed(&self, event: &Event<'_>) -> Result<Option<Put>, VaultFault> {
        let GrantKey { app, account, user, provider } = event.key;
        if !self.backends.contains_key(app) {
            return Ok(None);
        }
        let about = About { app, account_id: *account, user_id: *user, provider };
        let message = Message { r#type: event.kind, timestamp: event.time, about };
        let now = self.clock.unix_millis();
        let id = identifier();
        let row = format!("{app}/{now:015}-{id}");
        let waiting = Waiting {
            id,
            body: serde_json::to_string(&message).unwrap_or_default(),
            attempts: 0,
            created: now,
            next: now,
        };
        let lifetime = Some(limits::EVENT_KEPT);
        self.vault.sealed((Table::Events, &row), &waiting.bytes(), lifetime, Expected::Any).map(Some)
    }

    /// Looks at once for what is due.
    pub(super) fn wake(&self) {
        self.backends.values().for_each(|backend| backend.more.notify_one());
    }

    /// Delivers an app's for as long as it is polled.
    pub(super) async fn deliver(&self, app: &str, post: &impl Post) {
        let Some(backend) = self.backends.get(app) else { return };
        let mut changes = self.vault.changes();
        let mut lease = None;
        loop {
            if let Err(fault) = self.look((app, backend), post, &mut lease).await {
                tracing::warn!(app, %fault, "events wait: the vault does not answer");
            }
            let told = async {
                loop {
                    match changes.recv().await {
                        Ok(Change::Row(Table::Events, _) | Change::Anything) | Err(RecvError::Lagged(_)) => break,
                        Ok(Change::Row(..)) => {}
                        // Nobody tells any more; the clock does.
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            tokio::select! {
                () = backend.more.notified() => {}
                () = told => tokio::time::sleep(limits::TICK).await,
                () = tokio::time::sleep(limits::EVENT_LOOK) => {}
            }
        }
    }

    /// Sends what is due of one app.
    async fn look(
        &self,
        (app, backend): (&str, &Backend),
        post: &impl Post,
        lease: &mut Option<u64>,
    ) -> Result<Looked, VaultFault> {
        let mut after: Option<String> = None;
        loop {
            let prefix = format!("{app}/");
            let page = self.vault.list_readable(Table::Events, &prefix, after.as_deref(), limits::EVENT_PAGE).await?;
            let Some(last) = page.last() else { return Ok(Looked::Through) };
            after = Some(last.key.clone());
            for record in &page {
                let Some(waiting) = Waiting::of(record) else { continue };
                if waiting.next > self.clock.unix_millis() {
                    continue;
                }
                if !self.holds(app, lease).await? {
                    return Ok(Looked::Others);
                }
                self.attempt(record, waiting, backend, post).await?;
            }
        }
    }

    /// Takes or renews the right to deliver an app's events.
    async fn holds(&self, app: &str, lease: &mut Option<u64>) -> Result<bool, VaultFault> {
        let row = format!("events/{app}");
        let expected = lease.take().map_or(Expected::Absent, Expected::Version);
        let place = (Table::Leases, row.as_str());
        let mut written = self.vault.put(place, b"", Some(limits::EVENT_LEASE), expected).await?;
        if written == Written::Conflict && expected != Expected::Absent {
            written = self.vault.put(place, b"", Some(limits::EVENT_LEASE), Expected::Absent).await?;
        }
        match written {
            Written::Version(version) => {
                *lease = Some(version);
                Ok(true)
            }
            Written::Conflict => Ok(false),
        }
    }

    /// Sends one event, and forgets it or says when it is tried again.
    async fn attempt(
        &self,
        record: &Record,
        mut waiting: Waiting,
        backend: &Backend,
        post: &impl Post,
    ) -> Result<(), VaultFault> {
        let now = self.clock.unix_seconds();
        let fields = backend.fields(&waiting, now);
        let why = match post.post(&backend.url, fields, Bytes::from(waiting.body.clone())).await {
            Ok(status) if status.is_success() => {
                self.vault.remove(Table::Events, &record.key, Expected::Any).await?;
                return Ok(());
            }
            Ok(status) => format!("it answered {status}"),
            Err(fault) => fault,
        };
        waiting.attempts = waiting.attempts.saturating_add(1);
        let pause = pause(waiting.attempts);
        waiting.next = self.clock.unix_millis().saturating_add(millis(pause));
        tracing::warn!(event = waiting.id, attempts = waiting.attempts, pause = pause.as_secs(), %why, "an event was not taken");
        let age = Duration::from_millis(self.clock.unix_millis().saturating_sub(waiting.created));
        let Some(left) = limits::EVENT_KEPT.checked_sub(age).filter(|left| !left.is_zero()) else {
            tracing::error!(event = waiting.id, "an event is given up: its backend has not taken it for a week");
            self.vault.remove(Table::Events, &record.key, Expected::Any).await?;
            return Ok(());
        };
        let place = (Table::Events, record.key.as_str());
        // Whoever has changed it meanwhile has sent it too.
        let expected = Expected::Version(record.version);
        let _conflict: Written = self.vault.put(place, &waiting.bytes(), Some(left), expected).await?;
        Ok(())
    }
}

impl Backend {
    fn new(events: Events) -> Self {
        Self { url: events.url, keys: events.keys.iter().map(key).collect(), more: Notify::new() }
    }

    /// The fields of an attempt: one signature for each key.
    fn fields(&self, waiting: &Waiting, now: i64) -> HeaderMap {
        let Waiting { id, body, .. } = waiting;
        let signed = format!("{id}.{now}.{body}");
        let signatures: Vec<String> =
            self.keys.iter().map(|key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())))).collect();
        let mut fields = HeaderMap::new();
        fields.insert("webhook-timestamp", HeaderValue::from(now));
        for (name, value) in [("webhook-id", id), ("webhook-signature", &signatures.join(" "))] {
            if let Ok(value) = HeaderValue::from_str(value) {
                fields.insert(name, value);
            }
        }
        fields
    }
}

impl Waiting {
    fn of(record: &Record) -> Option<Self> {
        serde_json::from_slice(&record.plain).ok()
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// `whsec_` and base64, as the specification serialises keys, or the bytes as they are.
fn key(secret: &Secret) -> hmac::Key {
    let decoded = secret.expose().strip_prefix(b"whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
    hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or_else(|| secret.expose()))
}

/// A new `webhook-id`.
fn identifier() -> String {
    let mut random = [0; 18];
    // Without randomness the millisecond in the row's key still tells most apart, and `Absent` the rest.
    let filled = rand::fill(&mut random);
    debug_assert!(filled.is_ok(), "the system has no randomness");
    format!("msg_{}", URL_SAFE_NO_PAD.encode(random))
}

/// The pause after so many failed attempts.
fn pause(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    limits::EVENT_BACKOFF.saturating_mul(1 << doublings).min(limits::EVENT_BACKOFF_MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(keys: &[&str]) -> Backend {
        Backend::new(Events {
            url: "http://127.0.0.1:1/events".parse().unwrap(),
            keys: keys.iter().map(|key| Secret::new(*key)).collect(),
        })
    }

    #[test]
    fn a_message_is_signed_as_the_specification_s_example_is() {
        let backend = backend(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let waiting = Waiting {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            body: r#"{"test": 2432232314}"#.to_owned(),
            attempts: 0,
            created: 0,
            next: 0,
        };
        let fields = backend.fields(&waiting, 1_614_265_330);
        assert_eq!(fields["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(fields["webhook-timestamp"], "1614265330");
        assert_eq!(fields["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_of_a_rotation_signs() {
        let backend = backend(&["the newer key, which is long enough!", "the older key, which is long enough!"]);
        let waiting = Waiting { id: "msg_1".to_owned(), body: "{}".to_owned(), attempts: 0, created: 0, next: 0 };
        let fields = backend.fields(&waiting, 1);
        let signatures: Vec<_> = fields["webhook-signature"].to_str().unwrap().split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert!(signatures[0] != signatures[1] && signatures.iter().all(|one| one.starts_with("v1,")));
    }

    #[test]
    fn pauses_double_up_to_their_end() {
        let seconds: Vec<_> = [1, 2, 3, 10, 11, 40, u32::MAX].map(|n| pause(n).as_secs()).into();
        assert_eq!(seconds, [5, 10, 20, 2560, 3600, 3600, 3600]);
    }
}
