//! What the tests share: a running gateway, scripted and real backends, tokens, and clients that need not be polite.

pub(crate) mod answer;
pub(crate) mod backend;
pub(crate) mod certificates;
pub(crate) mod fake_monday;
pub(crate) mod fake_provider;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod html;
pub(crate) mod http2;
pub(crate) mod hyper;
pub(crate) mod mint;
pub(crate) mod oauth_server;
pub(crate) mod peers;
pub(crate) mod raw;
pub(crate) mod relay;
pub(crate) mod scene;
pub(crate) mod setup;
pub(crate) mod site;
pub(crate) mod stock;
pub(crate) mod stores;
pub(crate) mod visitor;

use std::time::{Duration, Instant};

/// How long anything that should happen at once may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// Asks `look` until it has an answer; panics with `what` when `limit` has passed. Never blocks the runtime.
pub(crate) async fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// As `within`, where there is no runtime.
pub(crate) fn within_blocking<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// SHA-256 as lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hex(digest.as_ref())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
