//! D6 and R13: a store that lies, stalls, resets, is slow or promises four gigabytes costs only those who need it, and neither memory nor the
//! process; when it is itself again, so is the gateway.

use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::mint::{ACCOUNT, USER};
use crate::support::relay::{Mode, Relay};
use crate::support::scene::{Scene, action_token_of, call};
use crate::support::stores::{Kind, Store};

/// A PostgreSQL message.
fn message(kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn lies(store: Kind) -> Vec<(&'static str, Mode)> {
    let once = |bytes: Vec<u8>| Mode::Lie(bytes, 1);
    let mut all = vec![
        ("silence", Mode::Silent),
        ("reset", Mode::Reset),
        ("two seconds late", Mode::Slow(Duration::from_secs(2))),
        ("zeros", once(vec![0; 4096])),
        ("noise", once((0..=255).cycle().take(8192).collect())),
        ("an HTTP server", once(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec())),
        ("a flood", Mode::Lie(vec![b'x'; 65536], 256)),
    ];
    match store {
        Kind::Postgres => all.extend([
            ("four gigabytes of a row", once(message(b'D', u32::MAX, &[0, 1]))),
            ("two gigabytes of an error", once(message(b'E', 0x7fff_ffff, b"S"))),
            ("a length below its own", once(message(b'D', 1, &[]))),
            ("a row with 65535 columns", once(message(b'D', 6, &[0xff, 0xff]))),
            ("a column of negative length", once(message(b'D', 10, &[0, 1, 0xff, 0xff, 0xff, 0xf0]))),
            ("SCRAM of two billion rounds", {
                let challenge = b"r=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,s=AAAA,i=2147483647";
                let mut body = 11_u32.to_be_bytes().to_vec();
                body.extend(challenge);
                once(message(b'R', u32::try_from(body.len() + 4).unwrap(), &body))
            }),
            ("a flood of notices", Mode::Lie(message(b'N', 1028, &[0; 1024]), 60_000)),
            ("a flood of notifications", Mode::Lie(message(b'A', 12, b"\0\0\0\x01x\0y\0"), 200_000)),
        ]),
        Kind::Redis => all.extend([
            ("four gigabytes of a string", once(b"$4294967296\r\nx".to_vec())),
            ("a billion elements", once(b"*1000000000\r\n".to_vec())),
            ("a million levels", Mode::Lie(b"*1\r\n".repeat(1000), 1000)),
            ("a negative length", once(b"$-7\r\n".to_vec())),
            ("a length that is none", once(b"$99999999999999999999999\r\n".to_vec())),
            ("an answer to nobody", Mode::Lie(b"+OK\r\n".to_vec(), 50)),
            ("read only", once(b"-READONLY You can't write against a read only replica.\r\n".to_vec())),
            ("loading", once(b"-LOADING Redis is loading the dataset in memory\r\n".to_vec())),
            ("a wrong password", once(b"-NOAUTH Authentication required.\r\n".to_vec())),
            ("no room", once(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n".to_vec())),
        ]),
    }
    all
}

async fn costs_only_those_who_need_it(gateway: &Gateway, what: &str, user: i64) {
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(call(gateway, "public", "").await.status, 200, "{what}");
        assert!(begun.elapsed() < Duration::from_millis(900), "{what}: {:?}", begun.elapsed());
        let begun = Instant::now();
        let answer = call(gateway, "needs", &action_token_of(ACCOUNT, user)).await;
        assert!(matches!(answer.status, 503 | 403), "{what}: {} {}", answer.status, answer.text());
        assert!(begun.elapsed() < Duration::from_millis(1900), "{what}: {:?}", begun.elapsed());
    }
}

async fn hostile(kind_of_store: Kind) {
    let store = Store::start(kind_of_store);
    let relay = Relay::to(store.address());
    let mut scene = Scene::usual();
    scene.store = store.url().replace(&store.address().to_string(), &relay.address.to_string());
    let gateway = scene.start();
    let before = gateway.memory();
    let mut slowest = Duration::ZERO;
    let lies = lies(kind_of_store);
    for (n, (what, mode)) in lies.iter().enumerate() {
        relay.set(mode.clone());
        costs_only_those_who_need_it(&gateway, what, USER + 100 + i64::try_from(n).unwrap()).await;
        relay.set(Mode::Pass);
        let back = Instant::now();
        loop {
            // Somebody whom no cache knows: 403 means that the store has said that there is nothing.
            let stranger = action_token_of(ACCOUNT, USER + 10_000 + i64::try_from(n).unwrap());
            let answer = call(&gateway, "needs", &stranger).await;
            if answer.status == 403 {
                break;
            }
            assert!(back.elapsed() < Duration::from_secs(12), "{what}: {} {}", answer.status, answer.text());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        slowest = slowest.max(back.elapsed());
    }
    let grown = gateway.peak_memory().saturating_sub(before) >> 10;
    println!(
        "cases: {} kinds of a hostile {kind_of_store:?} (D6), {grown} MiB at most, back after {slowest:?} at most",
        lies.len()
    );
    assert!(grown < 96, "{grown} MiB");
}

#[tokio::test]
async fn d6_a_hostile_postgresql_costs_only_those_who_need_it() {
    hostile(Kind::Postgres).await;
}

#[tokio::test]
async fn d6_a_hostile_redis_costs_only_those_who_need_it() {
    hostile(Kind::Redis).await;
}
