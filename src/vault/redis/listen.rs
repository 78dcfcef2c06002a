//! The connection that hears of other gateways' changes. While it is away nobody tells: when it is there, the first time too, anything may have
//! changed.

use std::time::Duration;

use ::redis::{PushInfo, PushKind, Value};
use tokio::sync::broadcast;

use crate::limits::VAULT_PATIENCE;
use crate::vault::redis::dial::{self, Dial};
use crate::vault::redis::scripts::CHANNEL;
use crate::vault::{Change, change};

/// How often it is looked whether the server is still there, and how long to wait before it is tried again.
const LOOK: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(300);

/// Listens for as long as it is not aborted.
#[expect(clippy::infinite_loop, reason = "its owner aborts it")]
pub(crate) async fn run(dial: Dial, origin: String, changes: broadcast::Sender<Change>) {
    loop {
        let (own, heard) = (origin.clone(), changes.clone());
        let hear = move |push: PushInfo| {
            if let Some(change) = told(&push, &own) {
                let _listeners = heard.send(change);
            }
            Ok(())
        };
        let subscribing = async {
            let mut connection = dial.listen(hear).await.ok()?;
            connection.subscribe(CHANNEL).await.ok()?;
            Some(connection)
        };
        if let Ok(Some(mut connection)) = tokio::time::timeout(VAULT_PATIENCE, subscribing).await {
            let _listeners = changes.send(Change::Anything);
            loop {
                tokio::time::sleep(LOOK).await;
                let there = tokio::time::timeout(VAULT_PATIENCE, dial::ask::<String>(&mut connection, &["PING"])).await;
                if !matches!(there, Ok(Ok(_))) {
                    break;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What a message of the channel says: its data are the channel and the message.
fn told(push: &PushInfo, origin: &str) -> Option<Change> {
    match (&push.kind, push.data.get(1)) {
        (PushKind::Message, Some(Value::BulkString(message))) => {
            change::read(&String::from_utf8_lossy(message), origin)
        }
        _ => None,
    }
}
