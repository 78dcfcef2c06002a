//! The connection that hears of other gateways' changes. While it is away nobody tells: when it is there, the first time too, anything may have
//! changed.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_postgres::AsyncMessage;

use crate::limits::VAULT_PATIENCE;
use crate::vault::postgres::connect::{Dial, Driver};
use crate::vault::{Change, change};

/// How often it is looked whether the server is still there, and how long to wait before it is tried again.
const LOOK: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(300);

/// Listens for as long as it is not aborted.
#[expect(clippy::infinite_loop, reason = "its owner aborts it")]
pub(crate) async fn run(dial: Dial, origin: String, changes: broadcast::Sender<Change>) {
    loop {
        let heard = changes.clone();
        let own = origin.clone();
        let drive = move |driver: Driver| tokio::spawn(hear(driver, own.clone(), heard.clone()));
        let connected = tokio::time::timeout(VAULT_PATIENCE, dial.connect(&drive)).await;
        if let Ok(Ok((client, task))) = connected {
            let listening = tokio::time::timeout(VAULT_PATIENCE, client.batch_execute("LISTEN monday_gateway")).await;
            if let Ok(Ok(())) = listening {
                let _listeners = changes.send(Change::Anything);
                while !task.is_finished() {
                    tokio::time::sleep(LOOK).await;
                    let there = tokio::time::timeout(VAULT_PATIENCE, client.batch_execute("SELECT 1")).await;
                    if !matches!(there, Ok(Ok(()))) {
                        break;
                    }
                }
            }
            task.abort();
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Drives the connection, and passes on what it is told.
async fn hear(mut driver: Driver, origin: String, changes: broadcast::Sender<Change>) {
    while let Some(Ok(message)) = poll_fn(|cx| driver.poll_message(cx)).await {
        if let AsyncMessage::Notification(note) = message
            && let Some(change) = change::read(note.payload(), &origin)
        {
            let _listeners = changes.send(change);
        }
    }
}
