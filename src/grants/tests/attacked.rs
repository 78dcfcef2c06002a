//! Grants under attack and in trouble: a store that takes half of a write, rows that nobody can open, users who say that their account is gone,
//! providers that grant less than was asked for.

use super::*;
use crate::oauth::provider::Connect;

/// Lets the store take no event, or take them again.
fn events_fail(bench: &Bench, how: Breaks) {
    let raw = rusqlite::Connection::open(bench.folder.path().join("vault.db")).unwrap();
    let sql = match how {
        Breaks::Now => {
            "CREATE TRIGGER no_events BEFORE INSERT ON records WHEN NEW.tbl = 'events' BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        Breaks::NoMore => "DROP TRIGGER no_events",
    };
    raw.execute_batch(sql).unwrap();
}

/// A gateway whose backend wants events.
fn telling(bench: &Bench, providers: &[Arc<Provider>]) -> Grants {
    let events = Events {
        url: "http://127.0.0.1:1/events".parse().unwrap(),
        keys: vec![Secret::new("a signing key that is long enough")],
    };
    let opening = Opening {
        audit: None,
        vault: bench.vault.clone(),
        events: BTreeMap::from([("planner".to_owned(), events)]),
        clock: bench.clock.clone(),
    };
    let mut grants = bench.gateway(providers);
    Arc::get_mut(&mut grants.0).unwrap().journal = Journal::open(opening).unwrap();
    grants
}

#[tokio::test]
async fn a_grant_and_the_event_that_tells_of_it_are_written_together_or_not_at_all() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let grants = telling(&bench, &[Arc::clone(&provider)]);
    let key = who(1).own("github");
    let events = async || bench.vault.count(Table::Events, "planner/").await.unwrap();
    events_fail(&bench, Breaks::Now);
    assert!(grants.keep(key.clone(), grant(3600)).await.is_err());
    assert_eq!(bench.kept(&key).await, None, "a grant of which nobody would be told");
    events_fail(&bench, Breaks::NoMore);
    grants.keep(key.clone(), grant(-60)).await.unwrap();
    assert_eq!(events().await, 1);
    assert_eq!(grants.fresh(&who(1), &provider).await.unwrap().access(), "a2");
    assert_eq!(events().await, 2, "renewed");
    events_fail(&bench, Breaks::Now);
    assert!(grants.take_back(&key, By::User(1)).await.is_err());
    assert_eq!(bench.kept(&key).await.unwrap().state, State::Ok);
    events_fail(&bench, Breaks::NoMore);
    assert!(grants.take_back(&key, By::User(1)).await.unwrap());
    assert_eq!(events().await, 3);
}

#[tokio::test]
async fn an_uninstall_is_acknowledged_only_once_it_is_durable() {
    let bench = Bench::new().await;
    let grants = bench.gateway(&[]);
    bench.breaks(Breaks::Now);
    let (heard, hearing) = tokio::sync::oneshot::channel();
    let going_on = tokio::spawn({
        let grants = grants.clone();
        async move { grants.uninstalled("planner", ACCOUNT, heard).await }
    });
    assert!(hearing.await.is_err(), "not written, and so not acknowledged");
    bench.breaks(Breaks::NoMore);
    going_on.await.unwrap();
    assert_eq!(bench.vault.count(Table::Installs, "").await.unwrap(), 1, "it was tried again");
    let (heard, hearing) = tokio::sync::oneshot::channel();
    grants.uninstalled("planner", ACCOUNT, heard).await;
    assert_eq!(hearing.await, Ok(()));
}

#[tokio::test]
async fn one_grant_that_monday_refuses_ends_no_account_whose_others_it_takes() {
    let provided = Provided::start(QUICK).await;
    let bench = Bench::new().await;
    let grants = bench.gateway(&[provided.provider("monday")]);
    // A user who has left, and one who works on.
    bench.keep(&who(1).own("monday"), &Grant { refresh: Some("r99".to_owned()), ..grant(3600) }).await;
    bench.keep(&who(2).own("monday"), &grant(3600)).await;
    grants.uninstalled("planner", ACCOUNT, heard()).await;
    assert_eq!(bench.kept(&who(1).own("monday")).await.unwrap().state, State::Expired);
    assert_eq!(bench.kept(&who(2).own("monday")).await.unwrap().access, "a2");
    // Three that are refused are enough, whatever a fourth would say.
    for user in 3..=5 {
        bench.keep(&who(user).own("monday"), &Grant { refresh: Some(format!("r{}", 90 + user)), ..grant(3600) }).await;
    }
    bench.keep(&who(2).own("monday"), &Grant { refresh: Some("r98".to_owned()), ..grant(3600) }).await;
    grants.uninstalled("planner", ACCOUNT, heard()).await;
    for user in 1..=5 {
        assert_eq!(bench.kept(&who(user).own("monday")).await, None, "{user}");
    }
    assert!(grants.0.marks.is_empty());
}

#[tokio::test]
async fn a_row_that_no_key_opens_keeps_nobody_elses_grant_from_being_looked_after() {
    const DAY: i64 = 24 * 3600;
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let grants = bench.gateway(&[Arc::clone(&provider)]);
    let strange = KeyRing::new(&[Secret::new([9; 32])]).unwrap();
    let strange = Vault::open(&StoreAddress::Sqlite(bench.folder.path().join("vault.db")), strange).await.unwrap();
    for row in [who(1).own("github").row(), who(3).own("github").row()] {
        strange.put((Table::Grants, &row), b"?", None, Expected::Any).await.unwrap();
    }
    strange.put((Table::Installs, "planner/7"), b"?", None, Expected::Any).await.unwrap();
    let idle = Grant { renewed_at: NOW - 31 * DAY, granted_at: NOW - 31 * DAY, ..grant(-60) };
    bench.keep(&who(2).own("github"), &idle).await;
    grants.look_at_all().await.unwrap();
    assert_eq!(bench.kept(&who(2).own("github")).await.unwrap().access, "a2", "its chain does not lapse");
    for limit in [1, 2, 10] {
        let listed = grants.list("planner", Some(ACCOUNT), None, limit).await.unwrap();
        assert_eq!(listed.len(), 1, "{limit}");
    }
    bench
        .vault
        .put((Table::Installs, "planner/8"), br#"{"uninstalled":1,"alive":1}"#, None, Expected::Any)
        .await
        .unwrap();
    grants.0.marks.reread_all(&bench.vault).await;
    assert!(!grants.0.marks.is_empty());
}

#[tokio::test]
async fn a_grant_of_less_than_was_asked_for_is_insufficient_where_the_provider_says_so_in_the_same_words() {
    let provided = Provided::start(QUICK).await;
    let mut provider = Provider::clone(&provided.provider("github"));
    for (asked, said, standing) in [
        ("read write", "read", Standing::Insufficient),
        ("read write", "read write", Standing::Ok),
        ("read write", "write read", Standing::Ok),
        ("read write", "", Standing::Ok),
        ("read write", "https://x.example/read", Standing::Ok),
        ("read write", "read https://x.example/write", Standing::Ok),
        ("openid offline_access calendar", "calendar", Standing::Ok),
        ("openid calendar drive", "openid calendar", Standing::Insufficient),
        // As GitHub leaves out what a wider one contains.
        ("user read:user user:email", "user", Standing::Ok),
        ("repo public_repo repo:status", "repo", Standing::Ok),
        ("admin:org read:org", "admin:org", Standing::Ok),
        ("admin:org read:user", "admin:org", Standing::Insufficient),
        ("read:org admin:org", "read:org", Standing::Insufficient),
        ("repo user", "user", Standing::Insufficient),
        ("boards:read boards:write", "boards:read", Standing::Insufficient),
    ] {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let Connect::Oauth(client) = &mut provider.connect else { panic!("OAuth") };
        client.scopes = words(asked);
        let kept = Grant { asked: words(asked), scopes: words(said), ..grant(3600) };
        assert_eq!(standing::judge(Some(&kept), &provider, NOW), standing, "{asked} -> {said}");
        let Connect::Oauth(client) = &mut provider.connect else { panic!("OAuth") };
        client.monday = Some(crate::oauth::provider::MondayGeneration::V21);
        assert_eq!(standing::judge(Some(&kept), &provider, NOW), Standing::Ok, "monday asks for all or nothing");
        let Connect::Oauth(client) = &mut provider.connect else { panic!("OAuth") };
        client.monday = None;
    }
}
