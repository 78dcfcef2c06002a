//! More grants than the cache may hold, one after the other through it.

use super::*;

/// How many go through it: few in each run of the tests, a million in `make resilience`.
fn number() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    std::env::var("GRANTS_READ").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// Resident memory of the test, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_grants_than_the_cache_may_hold_go_through_it_within_its_limit() {
    let provided = Provided::start(QUICK).await;
    let (bench, provider) = (Bench::new().await, provided.provider("github"));
    let number = number();
    let limit = u64::try_from(number / 10).unwrap();
    // As large as a grant with a JWT is.
    let bytes = encode(&Grant { access: "x".repeat(600), ..grant(3600) }).unwrap();
    let users: Vec<i64> = (0..number).collect();
    for some in users.chunks(500) {
        let puts = some.iter().map(|user| {
            let row = who(*user).own("github").row();
            bench.vault.sealed((Table::Grants, &row), &bytes, None, Expected::Any).unwrap()
        });
        bench.vault.put_all(puts.collect()).await.unwrap();
    }
    let terms = Terms { cache_entries: limit, ..Terms::default() };
    let grants = bench.gateway_with(&[Arc::clone(&provider)], terms);
    let (before, began) = (memory(), Instant::now());
    let mut most = 0;
    for user in users {
        assert_eq!(grants.standing(&who(user), &provider).await, Ok(Standing::Ok), "{user}");
        if user % 1000 == 0 {
            most = most.max(grants.0.cache.entries());
        }
    }
    let (took, grown) = (began.elapsed(), memory().saturating_sub(before));
    let left = grants.0.cache.entries();
    println!(
        "figure: {number} grants through a cache of {limit} entries: never more than that | {most} entries at most, {left} at the end, \
         {} MiB more memory, {:.1?} each with the store's answer",
        grown >> 10,
        took / u32::try_from(number).unwrap()
    );
    assert!(most <= limit && left <= limit, "{most} {left}");
    // 4 KiB for each entry, and what SQLite and the allocator keep.
    assert!(grown < limit * 4 + 64 * 1024, "{grown} KiB");
}
