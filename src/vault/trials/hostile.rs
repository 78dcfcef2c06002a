//! Servers that are not what they seem: they say nothing, lie about lengths, never end, answer nonsense, or break off in the middle of a real
//! conversation. Each operation ends in time with a fault, in bounded memory, without a panic. security.md D6 of the project's catalogue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::secret::Secret;
use crate::vault::trials::servers::PASSWORD;
use crate::vault::trials::{Kind, Place, block_on, keys, put, text};
use crate::vault::{Expected, StoreAddress, Table, Vault};

/// A store's operation ends within a second; the rest is this machine's, which does other things besides.
const BOUND: Duration = Duration::from_millis(1600);
/// Opening asks several things.
const OPENING: Duration = Duration::from_secs(5);

/// What a false server says to whatever it is sent, and whether it then goes on for ever.
#[derive(Clone)]
struct Script {
    /// Said at once, in answer to the first bytes.
    says: Vec<u8>,
    /// Said again and again afterwards.
    repeats: Vec<u8>,
    /// Whether it closes then, or holds the connection.
    closes: bool,
}

async fn false_server(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let mut room = [0; 4096];
                drop(stream.read(&mut room).await);
                drop(stream.write_all(&script.says).await);
                while !script.repeats.is_empty() && stream.write_all(&script.repeats).await.is_ok() {}
                while !script.closes && stream.read(&mut room).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    port
}

fn address(kind: Kind, port: u16) -> StoreAddress {
    match kind {
        Kind::Postgres => StoreAddress::Postgres(Secret::new(format!("postgres://u:{PASSWORD}@127.0.0.1:{port}/d"))),
        _ => StoreAddress::Redis(Secret::new(format!("redis://:{PASSWORD}@127.0.0.1:{port}/0"))),
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Bytes without a pattern, the same in each run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn scripts(kind: Kind) -> Vec<Script> {
    let script = |says: Vec<u8>, repeats: Vec<u8>, closes| Script { says, repeats, closes };
    // A session that was let in, so that what follows is read by the code behind it.
    let inside: Vec<u8> = match kind {
        Kind::Postgres => b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec(),
        _ => b"+OK\r\n+OK\r\n".to_vec(),
    };
    let with = |more: &[u8]| [inside.as_slice(), more].concat();
    let mut all =
        vec![script(vec![], vec![], false), script(vec![], vec![], true), script(inside.clone(), vec![], false)];
    let lies: Vec<&[u8]> = match kind {
        Kind::Postgres => vec![
            b"D\xff\xff\xff\xff",
            b"D\x7f\xff\xff\xff",
            b"D\0\0\0\0",
            b"D\x80\0\0\0",
            b"T\x7f\xff\xff\xff\x7f\xff",
            b"E\x7f\xff\xff\xff",
            b"N\x7f\xff\xff\xff",
            b"D\0\0\0\x0a\xff\xff\x7f\xff\xff\xff",
        ],
        _ => vec![
            b"$4294967296\r\n",
            b"$9223372036854775807\r\n",
            b"$-2\r\n",
            b"*2147483647\r\n",
            b"*9223372036854775807\r\n",
            b"%9223372036854775807\r\n",
            b"~99999999999999999999\r\n",
            b">1\r\n",
            b"=5\r\n",
            b":99999999999999999999\r\n",
        ],
    };
    for lie in lies {
        for begin in [lie.to_vec(), with(lie)] {
            all.push(script(begin.clone(), vec![], false));
            all.push(script(begin.clone(), vec![], true));
            all.push(script(begin, vec![0; 1 << 20], false));
        }
    }
    if kind == Kind::Postgres {
        all.push(script(inside.clone(), b"N\0\0\0\x04".to_vec(), false));
    } else {
        all.push(script(vec![], b"*1\r\n".to_vec(), false)); // nested without an end
        all.push(script(vec![], b"+OK\r\n".to_vec(), false)); // answers that nobody asked for
    }
    all.extend((0..40).map(|seed| script(noise(seed, 3000), vec![], seed % 2 == 0)));
    all.extend((40..80).map(|seed| script(with(&noise(seed, 3000)), vec![], seed % 2 == 0)));
    all
}

fn false_servers(kind: Kind) {
    block_on(async move {
        let before = resident();
        let (mut cases, mut longest) = (0, Duration::ZERO);
        let mut waiting: Vec<tokio::task::JoinHandle<(Duration, Script)>> = Vec::new();
        for script in scripts(kind) {
            let port = false_server(script.clone()).await;
            let opening = async move {
                let began = Instant::now();
                let fault = Vault::open(&address(kind, port), keys(&[1])).await.unwrap_err().to_string();
                assert!(!fault.contains("CANARY") && fault.len() < 1000, "{fault}");
                (began.elapsed(), script)
            };
            if waiting.len() >= 8 {
                let (took, script) = waiting.remove(0).await.unwrap();
                assert!(took < OPENING, "{took:?} for {:?}", String::from_utf8_lossy(&script.says));
                longest = longest.max(took);
            }
            waiting.push(tokio::spawn(opening));
            cases += 1;
        }
        for one in waiting {
            let (took, script) = one.await.unwrap();
            assert!(took < OPENING, "{took:?} for {:?}", String::from_utf8_lossy(&script.says));
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 700 << 20, "{} MiB more", grown >> 20);
        println!("cases: {cases}, the longest {longest:?}, {} MiB more", grown >> 20);
    });
}

#[test]
fn a_false_postgresql_is_a_fault_in_time() {
    false_servers(Kind::Postgres);
}

#[test]
fn a_false_redis_is_a_fault_in_time() {
    false_servers(Kind::Redis);
}

/// PostgreSQL's password exchange lets the server say how much work it is (RUSTSEC-2026-0179).
#[test]
fn a_postgresql_that_asks_for_hours_of_work_is_refused_at_once() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut room = [0; 4096];
            let _startup = stream.read(&mut room).await.unwrap();
            stream.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await.unwrap();
            let read = stream.read(&mut room).await.unwrap();
            let said = String::from_utf8_lossy(&room[..read]).into_owned();
            let (_, nonce) = said.split_once("r=").unwrap();
            let asks = format!("r={nonce}x,s=QUFBQQ==,i=2147483647");
            let length = u32::try_from(asks.len() + 8).unwrap();
            let head = [&b"R"[..], &length.to_be_bytes(), &11_u32.to_be_bytes()].concat();
            stream.write_all(&[&head, asks.as_bytes()].concat()).await.unwrap();
            stream.read(&mut room).await.unwrap()
        });
        let began = Instant::now();
        let fault = Vault::open(&address(Kind::Postgres, port), keys(&[1])).await.unwrap_err().to_string();
        assert!(began.elapsed() < Duration::from_millis(800) && fault.contains("iteration"), "{fault}");
        assert_eq!(server.await.unwrap(), 0, "it was sent nothing more");
    });
}

/// What the wire to a real server does.
const PASSES: u8 = 0;
const SWALLOWS: u8 = 1;
const BREAKS: u8 = 2;
const GARBLES: u8 = 3;
const HALVES: u8 = 4;

/// Passes everything on, until it is told not to.
async fn proxy(target: u16, mode: Arc<AtomicU8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let mode = Arc::clone(&mode);
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                let up = tokio::spawn(async move { drop(tokio::io::copy(&mut from_client, &mut to_server).await) });
                let mut room = vec![0; 65536];
                while let Ok(read @ 1..) = from_server.read(&mut room).await {
                    let bytes = &mut room[..read];
                    match mode.load(Ordering::Relaxed) {
                        SWALLOWS => continue,
                        BREAKS => break,
                        GARBLES => bytes.iter_mut().for_each(|byte| *byte ^= 0x55),
                        HALVES => {
                            drop(to_client.write_all(&bytes[..read / 2]).await);
                            break;
                        }
                        _ => {}
                    }
                    if to_client.write_all(bytes).await.is_err() {
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    port
}

fn a_wire_that_breaks(kind: Kind) {
    block_on(async move {
        let place = Place::new(kind);
        let mode = Arc::new(AtomicU8::new(PASSES));
        let port = proxy(place.port, Arc::clone(&mode)).await;
        let through = Place { port, kind, settings: vec![], server: None, folder: tempfile::tempdir().unwrap() };
        let vault = through.open(keys(&[1])).await;
        put(&vault, "kept", "x").await;
        let (mut cases, mut longest) = (0, Duration::ZERO);
        for fault in [SWALLOWS, BREAKS, GARBLES, HALVES] {
            for round in 0..4 {
                mode.store(fault, Ordering::Relaxed);
                let key = format!("k{fault}{round}");
                let place = (Table::Grants, key.as_str());
                let tried = Instant::now();
                let answers = tokio::join!(
                    async { vault.get(Table::Grants, "kept").await.is_err() },
                    async { vault.put(place, b"y", None, Expected::Any).await.is_err() },
                    async { vault.take(Table::States, "none").await.is_err() },
                );
                assert_eq!(answers, (true, true, true), "mode {fault}");
                longest = longest.max(tried.elapsed());
                assert!(tried.elapsed() < BOUND, "{:?} in mode {fault}", tried.elapsed());
                mode.store(PASSES, Ordering::Relaxed);
                let back = Instant::now();
                while vault.get(Table::Grants, "kept").await.is_err() {
                    assert!(back.elapsed() < Duration::from_secs(2), "mode {fault}: not back");
                }
                assert_eq!(text(&vault, Table::Grants, "kept").await.as_deref(), Some("x"));
                cases += 3;
            }
        }
        println!("cases: {cases}, the longest {longest:?}");
    });
}

#[test]
fn a_wire_to_postgresql_that_breaks_is_a_fault_in_time_and_heals() {
    a_wire_that_breaks(Kind::Postgres);
}

#[test]
fn a_wire_to_redis_that_breaks_is_a_fault_in_time_and_heals() {
    a_wire_that_breaks(Kind::Redis);
}
