//! Grants on a real vault, with a token endpoint in the test: how often it is asked, by whom, and what everybody gets. Two `Grants` on one
//! vault stand for two gateways that share a store.

mod attacked;
mod many;
mod provided;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use self::provided::{Behaviour, Provided, QUICK, Reuse};
use super::*;
use crate::config::resolved::grants::Events;
use crate::grants::journal::Opening;
use crate::grants::lease::{Lease, LeaseTerms};
use crate::oauth::web::Web;
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::telemetry::metrics::{BuildInfo, Tables};
use crate::vault::StoreAddress;

/// The time of all tests.
const NOW: i64 = 1_800_000_000;
const ACCOUNT: i64 = 1_825_529;

/// A folder with a vault.
struct Bench {
    folder: tempfile::TempDir,
    vault: Vault,
    clock: Clock,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = open(&folder).await;
        Self { folder, vault, clock: Clock::standing_at(NOW) }
    }

    fn gateway(&self, providers: &[Arc<Provider>]) -> Grants {
        self.gateway_with(providers, Terms::default())
    }

    fn gateway_with(&self, providers: &[Arc<Provider>], terms: Terms) -> Grants {
        gateway(self.vault.clone(), &self.clock, (providers, OnUninstall::Purge), terms)
    }

    async fn keep(&self, key: &GrantKey, grant: &Grant) {
        let bytes = encode(grant).unwrap();
        self.vault.put((Table::Grants, &key.row()), &bytes, None, Expected::Any).await.unwrap();
    }

    async fn kept(&self, key: &GrantKey) -> Option<Grant> {
        let record = self.vault.get(Table::Grants, &key.row()).await.unwrap()?;
        Some(decode(&record.plain).unwrap())
    }

    /// Makes the store refuse every read and write of grants, or accept them again.
    fn breaks(&self, how: Breaks) {
        let raw = rusqlite::Connection::open(self.folder.path().join("vault.db")).unwrap();
        let (from, to) = match how {
            Breaks::Now => ("records", "gone"),
            Breaks::NoMore => ("gone", "records"),
        };
        raw.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
    }
}

#[derive(Clone, Copy)]
enum Breaks {
    Now,
    NoMore,
}

async fn open(folder: &tempfile::TempDir) -> Vault {
    let keys = KeyRing::new(&[Secret::new([7; 32])]).unwrap();
    Vault::open(&StoreAddress::Sqlite(folder.path().join("vault.db")), keys).await.unwrap()
}

fn gateway(vault: Vault, clock: &Clock, apps: (&[Arc<Provider>], OnUninstall), terms: Terms) -> Grants {
    let web = Web::new(None).unwrap();
    let events: BTreeMap<String, Events> = BTreeMap::new();
    let opening = Opening { audit: None, vault: vault.clone(), events, clock: clock.clone() };
    let tables = Tables { kinds: &[], results: &[], reasons: &[], headers: &[], grants: &Standing::LABELS };
    let (providers, on_uninstall) = apps;
    Grants::new(Parts {
        vault,
        discovery: Discovery::new(web, clock.clone()),
        clock: clock.clone(),
        journal: Journal::open(opening).unwrap(),
        metrics: Metrics::new(1, BuildInfo { version: "0", revision: "0" }, tables).unwrap(),
        generations: Arc::default(),
        marks: Arc::default(),
        apps: vec![AppGrants { name: "planner".to_owned(), providers: providers.to_vec(), on_uninstall }],
        terms,
    })
}

fn who(user: i64) -> Who {
    Who { app: "planner".to_owned(), account: ACCOUNT, user }
}

/// A grant whose access token ends in so many seconds.
fn grant(left: i64) -> Grant {
    Grant {
        state: State::Ok,
        access: "a1".to_owned(),
        refresh: Some("r1".to_owned()),
        expires: Some(NOW + left),
        scopes: vec!["read".to_owned()],
        asked: vec!["read".to_owned()],
        values: BTreeMap::from([("cloud".to_owned(), "c1".to_owned())]),
        granted_at: NOW - 3600,
        renewed_at: NOW - 3600,
        granted_by: None,
    }
}

/// For an `uninstall` whose answer nobody waits for.
fn heard() -> tokio::sync::oneshot::Sender<()> {
    tokio::sync::oneshot::channel().0
}

/// As many requests at once at each gateway, and what they got.
async fn rush(gateways: &[Grants], provider: &Arc<Provider>, number: usize) -> Vec<Result<String, Unusable>> {
    let mut requests = JoinSet::new();
    for at in 0..number {
        let (grants, provider) = (gateways[at % gateways.len()].clone(), Arc::clone(provider));
        requests.spawn(async move { grants.fresh(&who(1), &provider).await.map(|fresh| fresh.access().to_owned()) });
    }
    requests.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_at_two_gateways_with_a_slow_provider_redeem_once() {
    let provided = Provided::start(Behaviour { takes: Duration::from_secs(10), ..QUICK }).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    bench.keep(&who(1).own("github"), &grant(-60)).await;
    let gateways = [bench.gateway(&[Arc::clone(&provider)]), bench.gateway(&[Arc::clone(&provider)])];
    let began = Instant::now();
    let tokens = rush(&gateways, &provider, 100).await;
    assert!(tokens.iter().all(|token| token.as_deref() == Ok("a2")), "{tokens:?}");
    assert_eq!(provided.calls(), 1);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let kept = bench.kept(&who(1).own("github")).await.unwrap();
    assert_eq!((kept.access.as_str(), kept.refresh.as_deref(), kept.expires), ("a2", Some("r2"), Some(NOW + 3600)));
    assert_eq!(kept.values["cloud"], "c1", "what the provider does not repeat stays");
}

#[tokio::test]
async fn a_token_with_less_than_five_minutes_is_used_while_a_new_one_is_fetched() {
    let provided = Provided::start(Behaviour { takes: Duration::from_millis(300), ..QUICK }).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    bench.keep(&who(1).own("github"), &grant(299)).await;
    let gateways = [bench.gateway(&[Arc::clone(&provider)])];
    let began = Instant::now();
    let tokens = rush(&gateways, &provider, 20).await;
    assert!(tokens.iter().all(|token| token.as_deref() == Ok("a1")), "{tokens:?}");
    assert!(began.elapsed() < Duration::from_millis(250), "nobody waits: {:?}", began.elapsed());
    gateways[0].settle(Duration::from_secs(5)).await;
    assert_eq!(rush(&gateways, &provider, 1).await, [Ok("a2".to_owned())]);
    assert_eq!(provided.calls(), 1);
}

#[tokio::test]
async fn a_token_with_five_minutes_is_left_alone() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    bench.keep(&who(1).own("github"), &grant(301)).await;
    let gateways = [bench.gateway(&[Arc::clone(&provider)])];
    assert_eq!(rush(&gateways, &provider, 1).await, [Ok("a1".to_owned())]);
    gateways[0].settle(Duration::from_secs(5)).await;
    assert_eq!(provided.calls(), 0);
}

#[tokio::test]
async fn a_lease_that_nobody_renews_lapses_and_whoever_waits_takes_over() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let key = who(1).own("github");
    bench.keep(&key, &grant(-60)).await;
    let row = key.row();
    let dead = bench.vault.put((Table::Leases, &row), b"{}", Some(Duration::from_secs(2)), Expected::Absent);
    assert_ne!(dead.await.unwrap(), Written::Conflict);
    let began = Instant::now();
    let tokens = rush(&[bench.gateway(&[Arc::clone(&provider)])], &provider, 10).await;
    assert!(tokens.iter().all(|token| token.as_deref() == Ok("a2")), "{tokens:?}");
    assert!(began.elapsed() > Duration::from_millis(1500), "the lease held: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(provided.calls(), 1);
}

/// A gateway that dies in the middle of a redemption, and what the other one gets.
async fn survive(reuse: Reuse) -> (Result<String, Unusable>, Provided, Duration) {
    let takes = Duration::from_secs(3);
    let provided = Provided::start(Behaviour { takes, reuse, ..QUICK }).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    bench.keep(&who(1).own("github"), &grant(-60)).await;
    // In a runtime of its own, which ends at once, with all its tasks.
    let victim = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (folder, clock, other) = (bench.folder.path().to_owned(), bench.clock.clone(), Arc::clone(&provider));
    victim.spawn(async move {
        let keys = KeyRing::new(&[Secret::new([7; 32])]).unwrap();
        let vault = Vault::open(&StoreAddress::Sqlite(folder.join("vault.db")), keys).await.unwrap();
        let grants = gateway(vault, &clock, (&[Arc::clone(&other)], OnUninstall::Purge), Terms::default());
        drop(grants.fresh(&who(1), &other).await);
    });
    while provided.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    victim.shutdown_background();
    let began = Instant::now();
    let outcome = bench.gateway(&[Arc::clone(&provider)]).fresh(&who(1), &provider).await;
    (outcome.map(|fresh| fresh.access().to_owned()), provided, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_death_the_survivor_redeems_the_old_token_once_and_gets_a_new_one() {
    let (outcome, provided, took) = survive(Reuse::Allowed).await;
    assert_eq!(outcome.as_deref(), Ok("a2"));
    assert_eq!(provided.calls(), 2);
    assert_eq!(provided.most_under_way.load(Ordering::SeqCst), 1, "redemptions overlapped");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_death_a_provider_that_allows_no_reuse_ends_the_grant() {
    let (outcome, provided, took) = survive(Reuse::Refused).await;
    assert_eq!(outcome, Err(Unusable::Expired));
    assert_eq!(provided.calls(), 2);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_grant_that_is_taken_back_during_a_refresh_stays_taken_back() {
    let provided = Provided::start(Behaviour { takes: Duration::from_millis(800), ..QUICK }).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let key = who(1).own("github");
    bench.keep(&key, &grant(-60)).await;
    let gateways = [bench.gateway(&[Arc::clone(&provider)]), bench.gateway(&[Arc::clone(&provider)])];
    let waiting = rush(&gateways[..1], &provider, 5);
    let taking = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        gateways[1].take_back(&key, By::User(1)).await.unwrap()
    };
    let (tokens, taken) = tokio::join!(waiting, taking);
    assert!(taken);
    assert!(tokens.iter().all(|token| *token == Err(Unusable::Revoked)), "{tokens:?}");
    let kept = bench.kept(&key).await.unwrap();
    assert_eq!((kept.state, kept.access.as_str(), kept.refresh), (State::Revoked, "", None));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(provided.revoked.load(Ordering::SeqCst) >= 2, "the old and the new tokens are revoked there");
}

#[tokio::test]
async fn a_new_consent_during_a_refresh_is_not_written_over() {
    let provided = Provided::start(Behaviour { takes: Duration::from_millis(800), ..QUICK }).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let key = who(1).own("github");
    bench.keep(&key, &grant(-60)).await;
    let grants = bench.gateway(&[Arc::clone(&provider)]);
    let consent = Grant { access: "consented".to_owned(), refresh: Some("fresh".to_owned()), ..grant(3600) };
    let other = bench.gateway(&[Arc::clone(&provider)]);
    let consenting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.keep(key.clone(), consent.clone()).await.unwrap();
    };
    let gateways = [grants];
    let (tokens, ()) = tokio::join!(rush(&gateways, &provider, 5), consenting);
    assert!(tokens.iter().all(|token| token.as_deref() == Ok("consented")), "{tokens:?}");
    assert_eq!(bench.kept(&key).await.unwrap().access, "consented");
}

#[tokio::test]
async fn a_final_refusal_makes_the_grant_expired_for_everybody() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let key = who(1).own("github");
    bench.keep(&key, &Grant { refresh: Some("r99".to_owned()), ..grant(-60) }).await;
    let gateways = [bench.gateway(&[Arc::clone(&provider)]), bench.gateway(&[Arc::clone(&provider)])];
    let tokens = rush(&gateways, &provider, 50).await;
    assert!(tokens.iter().all(|token| *token == Err(Unusable::Expired)), "{tokens:?}");
    assert_eq!(provided.calls(), 1);
    assert_eq!(gateways[1].standing(&who(1), &provider).await, Ok(Standing::Expired));
    assert_eq!(bench.kept(&key).await.unwrap().refresh, None, "no token is kept of it");
}

#[tokio::test]
async fn a_provider_in_trouble_is_asked_again_later_and_ends_no_grant() {
    let provided = Provided::start(Behaviour { status: 503, ..QUICK }).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    bench.keep(&who(1).own("github"), &grant(-60)).await;
    let gateways = [bench.gateway(&[Arc::clone(&provider)])];
    for _ in 0..5 {
        let tokens = rush(&gateways, &provider, 20).await;
        assert!(tokens.iter().all(|token| *token == Err(Unusable::Down(Down::Provider))), "{tokens:?}");
    }
    assert_eq!(provided.calls(), 1, "not hammered");
    assert_eq!(gateways[0].standing(&who(1), &provider).await, Ok(Standing::Ok));
}

#[tokio::test]
async fn that_there_is_no_grant_is_known_for_a_short_time_and_a_new_one_is_seen_at_once() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let grants = bench.gateway_with(
        &[Arc::clone(&provider)],
        Terms { absence_believed: Duration::from_millis(400), ..Terms::default() },
    );
    let counters = grants.0.metrics.cache("grants");
    for _ in 0..10 {
        assert_eq!(grants.standing(&who(1), &provider).await, Ok(Standing::Missing));
    }
    assert_eq!((counters.miss.value(), counters.hit.value()), (1, 9));
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(grants.standing(&who(1), &provider).await, Ok(Standing::Missing));
    assert_eq!(counters.miss.value(), 2);
    let generation = grants.0.cache.generations().of((ACCOUNT, 1));
    grants.keep(who(1).own("github"), grant(3600)).await.unwrap();
    assert_eq!(grants.standing(&who(1), &provider).await, Ok(Standing::Ok));
    assert_ne!(grants.0.cache.generations().of((ACCOUNT, 1)), generation, "the workers' copies are void");
}

#[tokio::test]
async fn what_another_gateway_changes_is_seen_at_once() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let (one, other) = (bench.gateway(&[Arc::clone(&provider)]), bench.gateway(&[Arc::clone(&provider)]));
    let following = tokio::spawn(one.clone().follow());
    tokio::task::yield_now().await;
    assert_eq!(one.standing(&who(1), &provider).await, Ok(Standing::Missing));
    other.keep(who(1).own("github"), grant(3600)).await.unwrap();
    let began = Instant::now();
    while one.standing(&who(1), &provider).await != Ok(Standing::Ok) {
        assert!(began.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    other.take_back(&who(1).own("github"), By::User(1)).await.unwrap();
    while one.standing(&who(1), &provider).await != Ok(Standing::Revoked) {
        assert!(began.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    following.abort();
}

#[tokio::test]
async fn while_the_store_is_down_what_was_known_is_used_up_to_the_limit_and_nothing_else() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    bench.keep(&who(1).own("github"), &grant(3600)).await;
    let terms = Terms { believed: Duration::from_millis(50), stale: Duration::from_millis(600), ..Terms::default() };
    let grants = bench.gateway_with(&[Arc::clone(&provider)], terms);
    assert_eq!(grants.standing(&who(1), &provider).await, Ok(Standing::Ok));
    assert_eq!(grants.standing(&who(2), &provider).await, Ok(Standing::Missing));
    bench.breaks(Breaks::Now);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(grants.standing(&who(1), &provider).await, Ok(Standing::Ok), "known, and used");
    assert_eq!(grants.standing(&who(3), &provider).await, Err(Down::Store), "not known");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(grants.standing(&who(1), &provider).await, Err(Down::Store), "known for too long");
    bench.breaks(Breaks::NoMore);
    tokio::time::sleep(limits::STORE_PAUSE).await;
    assert_eq!(grants.standing(&who(1), &provider).await, Ok(Standing::Ok));
}

#[tokio::test]
async fn a_users_own_grant_comes_before_the_accounts() {
    let provided = Provided::start(QUICK).await;
    let mut shared = Provider::clone(&provided.provider("github"));
    shared.per = Per::Account;
    let (bench, provider) = (Bench::new().await, Arc::new(shared));
    let grants = bench.gateway(&[Arc::clone(&provider)]);
    let named = |access: &str| Grant { access: access.to_owned(), ..grant(3600) };
    grants.keep(who(1).shared("github"), named("shared")).await.unwrap();
    let token = |user: i64| {
        let (grants, provider) = (grants.clone(), Arc::clone(&provider));
        async move { grants.fresh(&who(user), &provider).await.map(|fresh| fresh.access().to_owned()) }
    };
    assert_eq!(token(1).await.as_deref(), Ok("shared"));
    grants.keep(who(1).own("github"), named("own")).await.unwrap();
    assert_eq!(token(1).await.as_deref(), Ok("own"));
    assert_eq!(token(2).await.as_deref(), Ok("shared"));
    grants.take_back(&who(1).own("github"), By::User(1)).await.unwrap();
    assert_eq!(token(1).await.as_deref(), Ok("shared"));
    assert_eq!(
        grants.fresh_within(&who(2), &provider, Reach::Own).await.map(drop),
        Err(Unusable::Missing),
        "not where guests are let in"
    );
}

#[tokio::test]
async fn scopes_that_grew_are_insufficient_and_the_token_is_still_used() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    bench.keep(&who(1).own("github"), &Grant { asked: Vec::new(), ..grant(3600) }).await;
    let grants = bench.gateway(&[Arc::clone(&provider)]);
    assert_eq!(grants.standing(&who(1), &provider).await, Ok(Standing::Insufficient));
    assert_eq!(grants.fresh(&who(1), &provider).await.unwrap().access(), "a1");
}

#[tokio::test]
async fn a_lease_is_held_while_it_is_renewed_and_free_once_it_is_released() {
    let bench = Bench::new().await;
    let terms = LeaseTerms { lasts: Duration::from_secs(1), renewed: Duration::from_millis(250) };
    let lease = Lease::take(&bench.vault, "x", terms).await.unwrap().unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(Lease::take(&bench.vault, "x", terms).await.unwrap().is_none(), "held");
    }
    lease.release().await;
    assert!(Lease::take(&bench.vault, "x", terms).await.unwrap().is_some());
}

#[tokio::test]
async fn an_uninstalled_account_loses_its_grants_when_monday_refuses_one() {
    let provided = Provided::start(QUICK).await;
    let (monday, github) = (provided.provider("monday"), provided.provider("github"));
    let bench = Bench::new().await;
    let grants = bench.gateway(&[monday, github]);
    // monday has ended its tokens: this one is not the newest.
    bench.keep(&who(1).own("monday"), &Grant { refresh: Some("r99".to_owned()), ..grant(3600) }).await;
    bench.keep(&who(2).own("github"), &grant(3600)).await;
    let elsewhere = GrantKey { account: 7, ..who(1).own("github") };
    bench.keep(&elsewhere, &grant(3600)).await;
    grants.uninstalled("planner", ACCOUNT, heard()).await;
    assert_eq!(bench.kept(&who(1).own("monday")).await, None);
    assert_eq!(bench.kept(&who(2).own("github")).await, None);
    assert!(bench.kept(&elsewhere).await.is_some(), "another account's");
    assert!(grants.0.marks.is_empty());
}

#[tokio::test]
async fn an_uninstalled_account_that_shows_life_keeps_its_grants_and_a_silent_one_loses_them() {
    const HOUR: i64 = 3600;
    let provided = Provided::start(QUICK).await;
    let bench = Bench::new().await;
    let grants = bench.gateway(&[provided.provider("github")]);
    let key = who(1).own("github");
    bench.keep(&key, &grant(3600)).await;
    grants.uninstalled("planner", ACCOUNT, heard()).await;
    assert!(!grants.0.marks.is_empty());
    let at = |hours: i64| bench.clock.set(NOW + hours * HOUR);
    at(23);
    grants.look_at_uninstalled().await;
    assert!(bench.kept(&key).await.is_some(), "not yet a day");
    grants.alive("planner", ACCOUNT).await;
    at(46);
    grants.look_at_uninstalled().await;
    assert!(bench.kept(&key).await.is_some(), "a request came after 23 hours");
    at(48);
    grants.look_at_uninstalled().await;
    assert_eq!(bench.kept(&key).await, None, "then a day of silence");
    assert!(grants.0.marks.is_empty());
}

#[tokio::test]
async fn an_install_ends_the_mark_of_an_uninstall_and_keep_makes_none() {
    let bench = Bench::new().await;
    let grants = bench.gateway(&[]);
    grants.uninstalled("planner", ACCOUNT, heard()).await;
    assert!(!grants.0.marks.is_empty());
    grants.installed("planner", ACCOUNT).await;
    assert!(grants.0.marks.is_empty());
    let keeping = gateway(bench.vault.clone(), &bench.clock, (&[], OnUninstall::Keep), Terms::default());
    keeping.uninstalled("planner", ACCOUNT, heard()).await;
    assert!(keeping.0.marks.is_empty());
}

#[tokio::test]
async fn an_idle_chain_is_used_once_in_its_keepalive_and_its_end_is_told_once() {
    const DAY: i64 = 24 * 3600;
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let grants = bench.gateway(&[Arc::clone(&provider)]);
    let aged = |renewed: i64, granted: i64| Grant {
        renewed_at: NOW - renewed * DAY,
        granted_at: NOW - granted * DAY,
        ..grant(-60)
    };
    bench.keep(&who(1).own("github"), &aged(31, 31)).await;
    bench.keep(&who(2).own("github"), &aged(26, 26)).await;
    bench.keep(&who(3).own("github"), &aged(1, 170)).await;
    for _ in 0..2 {
        grants.look_at_all().await.unwrap();
    }
    assert_eq!(provided.calls(), 1);
    assert_eq!(bench.kept(&who(1).own("github")).await.unwrap().access, "a2");
    assert_eq!(bench.kept(&who(2).own("github")).await.unwrap().access, "a1");
    assert_eq!(grants.0.metrics.grant("planner", "github").ending.value(), 1);
    let told = bench.vault.list(Table::Leases, "ending/", None, 10).await.unwrap();
    assert_eq!(told.len(), 1);
}
