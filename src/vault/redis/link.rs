//! One connection to Redis that is made when it is needed, and again after it failed or hung. One at a time makes it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::RedisError;
use ::redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use crate::limits::{VAULT_HANGS, VAULT_PATIENCE};
use crate::vault::VaultFault;
use crate::vault::redis::dial::{self, Dial, Durable};
use crate::vault::redis::{fault_of, is_lost, late};

#[expect(
    clippy::disallowed_types,
    reason = "the control plane: held while a connection is made, so that one is made and not many"
)]
type Slot = tokio::sync::Mutex<Option<Made>>;

/// After so much rest a connection is asked whether it is still there: a server, or something between, may have closed it, and whoever
/// only then finds out cannot tell whether his write was done.
const RESTED: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Link {
    dial: Dial,
    slot: Slot,
    /// The number of a connection on which somebody has given up waiting, plus one; 0: none.
    hung: AtomicU64,
}

/// Somebody waits for an answer on a connection. If they give up, which drops this before it is told of an answer, the connection hangs.
struct Waiting<'l> {
    hung: &'l AtomicU64,
    number: u64,
    began: Instant,
    is_answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_answered && self.began.elapsed() >= VAULT_HANGS {
            self.hung.store(self.number.saturating_add(1), Ordering::Relaxed);
        }
    }
}

/// A connection that was made.
#[derive(Clone)]
struct Made {
    /// Tells it from the one before.
    number: u64,
    connection: MultiplexedConnection,
    durable: Durable,
    /// When it was given to somebody last.
    used: Instant,
}

impl Link {
    pub(crate) fn new(dial: Dial) -> Self {
        Self { dial, slot: Slot::new(None), hung: AtomicU64::new(0) }
    }

    /// Asks, within `patience`, connecting included, which for its part has the usual one.
    pub(crate) async fn ask<T>(
        &self,
        patience: Duration,
        question: impl AsyncFnOnce(MultiplexedConnection, Durable) -> Result<T, RedisError>,
    ) -> Result<T, VaultFault> {
        let began = Instant::now();
        let connecting = tokio::time::timeout(patience.min(VAULT_PATIENCE), self.connection());
        let made = connecting.await.map_err(|_late| late())??;
        let mut waiting = Waiting { hung: &self.hung, number: made.number, began, is_answered: false };
        let answer = tokio::time::timeout_at(began + patience, question(made.connection, made.durable)).await;
        waiting.is_answered = true;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => {
                if is_lost(&fault) {
                    self.lose(made.number).await;
                }
                Err(fault_of(&fault))
            }
            Err(_late) => {
                self.lose(made.number).await;
                Err(late())
            }
        }
    }

    async fn connection(&self) -> Result<Made, VaultFault> {
        let mut slot = self.slot.lock().await;
        let hung = self.hung.load(Ordering::Relaxed);
        if let Some(made) = slot.as_mut().filter(|made| made.number.saturating_add(1) != hung)
            && (made.used.elapsed() < RESTED || answers(&mut made.connection).await)
        {
            made.used = Instant::now();
            return Ok(made.clone());
        }
        *slot = None;
        let (connection, durable) = self.dial.connect().await?;
        let made = Made { number: next(), connection, durable, used: Instant::now() };
        *slot = Some(made.clone());
        Ok(made)
    }

    /// Drops a connection, unless another has its place already.
    async fn lose(&self, number: u64) {
        let mut slot = self.slot.lock().await;
        if slot.as_ref().is_some_and(|made| made.number == number) {
            *slot = None;
        }
    }

    /// Drops whatever there is: the server is not what it was.
    pub(crate) async fn lose_any(&self) {
        *self.slot.lock().await = None;
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

async fn answers(connection: &mut MultiplexedConnection) -> bool {
    let asked = tokio::time::timeout(VAULT_PATIENCE / 3, dial::ask::<String>(connection, &["PING"])).await;
    matches!(asked, Ok(Ok(_)))
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
