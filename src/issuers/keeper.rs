//! Keeps one issuer's keys: fetches its set before it lapses, and for requests that wait for one. It is one task that answers one question
//! after another, so that many who wait cause one fetch; what an unknown `kid` can cause is bounded by time, whoever sends it. Runs on the
//! control plane. While the issuer is down the last set goes on being used, for `limits::KEYS_STALE`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::issuers::Issuer;
use crate::issuers::fetch::{Fetch, FetchFault, fetch};
use crate::issuers::key_set::KeySet;
use crate::limits;

/// A request waits for a key that the set of `generation` does not have.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The set that it has looked at.
    pub(crate) generation: u64,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Learnt>,
}

/// What came of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// There is a newer set.
    Newer,
    /// The newest set is new enough, and this is it.
    Nothing,
    /// The issuer does not answer.
    Down,
}

/// Keeps one issuer's keys.
#[derive(Debug)]
pub(crate) struct Keeper {
    issuer: Arc<Issuer>,
    asked: mpsc::Receiver<Ask>,
    clock: Clock,
    /// Unix milliseconds of the last set.
    fetched: Option<u64>,
    /// Unix milliseconds of the last attempt that failed after it.
    failed: Option<u64>,
    /// Unix milliseconds of the last attempt that an unknown `kid` caused.
    unknown: Option<u64>,
    /// Where the set is, once discovery has said it.
    discovered: Option<url::Url>,
}

impl Keeper {
    /// Keeps the keys of this issuer, which asks here.
    pub(crate) fn new(issuer: Arc<Issuer>, asked: mpsc::Receiver<Ask>, clock: Clock) -> Self {
        Self { issuer, asked, clock, fetched: None, failed: None, unknown: None, discovered: None }
    }

    /// Runs until nobody can ask any more, or it is dropped.
    pub(crate) async fn run(mut self, web: impl Fetch) {
        loop {
            if self.is_due() {
                self.fetch(&web).await;
            }
            tokio::select! {
                ask = self.asked.recv() => match ask {
                    Some(ask) => self.answer(ask, &web).await,
                    None => return,
                },
                () = sleep(limits::TICK) => {}
            }
        }
    }

    /// Whether it is time to fetch although nobody asks.
    fn is_due(&self) -> bool {
        let old = self.fetched.is_none_or(|at| self.since(at) >= limits::KEYS_FRESH);
        old && !self.failed_lately()
    }

    async fn answer(&mut self, ask: Ask, web: &impl Fetch) {
        let learnt = self.learn(ask.generation, web).await;
        // Who asked may have gone.
        let _gone: Result<(), Learnt> = ask.answer.send(learnt);
    }

    async fn learn(&mut self, generation: u64, web: &impl Fetch) -> Learnt {
        if self.issuer.generation() > generation {
            return Learnt::Newer;
        }
        if self.failed_lately() {
            return Learnt::Down;
        }
        let has_set = self.fetched.is_some_and(|at| self.since(at) < limits::KEYS_STALE);
        if has_set {
            if self.unknown.is_some_and(|at| self.since(at) < limits::KEYS_UNKNOWN_PAUSE) {
                return Learnt::Nothing;
            }
            self.unknown = Some(self.clock.unix_millis());
        }
        if self.fetch(web).await { Learnt::Newer } else { Learnt::Down }
    }

    /// Fetches the set once; whether there is a newer one now.
    async fn fetch(&mut self, web: &impl Fetch) -> bool {
        let rules = &self.issuer.rules;
        let fetching = fetch(web, rules, &mut self.discovered);
        let fetched = timeout(limits::KEYS_FETCH_TIME, fetching).await.unwrap_or(Err(FetchFault::Late));
        let stale = i64::try_from(limits::KEYS_STALE.as_secs()).unwrap_or(i64::MAX);
        let usable_until = self.clock.unix_seconds().saturating_add(stale);
        let set = fetched.and_then(|text| KeySet::parse(&text, usable_until).map_err(FetchFault::Flaw));
        let now = self.clock.unix_millis();
        match set {
            Ok(set) => {
                tracing::debug!(issuer = rules.name, keys = set.len(), "fetched an issuer's keys");
                self.issuer.publish(set);
                (self.fetched, self.failed) = (Some(now), None);
                true
            }
            Err(fault) => {
                let stale_until_s = self.fetched.map(|at| limits::KEYS_STALE.saturating_sub(self.since(at)).as_secs());
                tracing::warn!(issuer = rules.name, %fault, stale_until_s, "cannot fetch an issuer's keys");
                self.failed = Some(now);
                // It may have moved.
                self.discovered = None;
                false
            }
        }
    }

    /// Whether an attempt failed that short a time ago.
    fn failed_lately(&self) -> bool {
        self.failed.is_some_and(|at| self.since(at) < limits::KEYS_FAILED_PAUSE)
    }

    /// A clock that was set back makes everything long ago: better a fetch too many.
    fn since(&self, unix_millis: u64) -> Duration {
        self.clock.unix_millis().checked_sub(unix_millis).map_or(Duration::MAX, Duration::from_millis)
    }
}
