//! Doors for `fuzz/`, `benches/` and the examples of what must not compile; for nobody else, and with no promise of stability.
//! Each door for `fuzz/` runs one part on hostile input and says what came of it, in plain types. Holds no logic.

pub mod flow;
pub mod measured;
pub mod proofs;

use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderName};
use tokio::io::{AsyncRead, ReadBuf};

use crate::config::{self, Secrets};
use crate::headers::{self, Removal, Sender};
use crate::jwt::{Compact, Key};
use crate::oauth::{answer, presets};
use crate::pipeline::guard::head::HeadLimits;
use crate::pipeline::guard::path;
use crate::pipeline::guard::watch::{Phase, Watch};
use crate::pipeline::guard::wire::{HalfClose, Wire};
use crate::secret::Secret;

/// What the guard made of a client's bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Guarded {
    /// What hyper would read.
    pub passed: Vec<u8>,
    /// How many requests that is.
    pub requests: u64,
    /// How it ends.
    pub end: End,
}

/// How a stream that was judged ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Between two messages, or within a head.
    Whole,
    /// Within a body.
    Body,
    /// With a WebSocket handshake, perhaps with bytes behind it.
    Upgrade,
    /// With a malformed body.
    Broken,
    /// With a substitute for a request that was refused.
    Refused,
}

/// The guard on a stream that comes in pieces of `piece` bytes.
pub fn guard(mut stream: &[u8], piece: usize) -> Guarded {
    let watch = Rc::new(Watch::default());
    let pieces = Pieces { stream: &mut stream, piece: piece.max(1) };
    let mut wire = Wire::new(pieces, HeadLimits { bytes: 32 * 1024, fields: 100 }, Rc::clone(&watch), HalfClose::Gone);
    let mut passed = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let mut room = [0; 8192];
        let mut buf = ReadBuf::new(&mut room);
        match Pin::new(&mut wire).poll_read(&mut cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => passed.extend_from_slice(buf.filled()),
            Poll::Ready(_) | Poll::Pending => break,
        }
    }
    let end = match watch.phase() {
        Phase::Idle | Phase::Head | Phase::Tunnel => End::Whole,
        Phase::Body => End::Body,
        Phase::Upgrade => End::Upgrade,
        Phase::Over if watch.broken().is_some() => End::Broken,
        Phase::Over => End::Refused,
    };
    Guarded { passed, requests: watch.heads_delivered(), end }
}

/// A client whose bytes come in pieces, and who then waits.
struct Pieces<'s, 'b> {
    /// What has not come yet.
    stream: &'s mut &'b [u8],
    /// Bytes of a read.
    piece: usize,
}

impl AsyncRead for Pieces<'_, '_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let count = self.piece.min(buf.remaining()).min(self.stream.len());
        let Some((piece, rest)) = self.stream.split_at_checked(count).filter(|_| count > 0) else {
            return Poll::Pending;
        };
        buf.put_slice(piece);
        *self.stream = rest;
        Poll::Ready(Ok(()))
    }
}

/// Whether a path is routed and forwarded at all.
pub fn path_passes(path: &str) -> bool {
    path::judge(path).is_ok()
}

/// The names that are left of a request's, where routes inject `injected`.
pub fn strip_names(fields: &mut HeaderMap, injected: &[HeaderName]) {
    headers::strip_request(fields, &Removal::new(injected.iter().cloned()), Sender::Untrusted);
}

/// The payload of a token, if it is well-formed and `secret` signed it.
pub fn verified_payload(token: &str, secret: &str) -> Option<Vec<u8>> {
    let key = Key::new(&Secret::new(secret.to_owned()));
    let compact = Compact::split(token).ok()?;
    compact.verify(&[key]).ok()?;
    let mut payload = Vec::new();
    compact.payload(&mut payload).ok()?;
    Some(payload)
}

/// A configuration file: its mistakes as `check` shows them, if there are any.
pub fn mistakes(text: &str) -> Option<String> {
    config::load::load_text("gateway.toml", text, Path::new("/nonexistent"), Secrets::Assume)
        .err()
        .map(|mistakes| mistakes.to_string())
}

/// What a preset's client makes of a token endpoint's answer: the access token, or why there is none as the log shows it.
pub fn token_answer(preset: &str, status: u16, body: &[u8], sent: &str) -> Option<Result<String, String>> {
    let (_, client) = presets::preset(preset)?;
    let answer = crate::oauth::web::Answer {
        status: http::StatusCode::from_u16(status).ok()?,
        fields: HeaderMap::new(),
        body: bytes::Bytes::copy_from_slice(body),
    };
    let asked = answer::Asked { at: 0, refresh: None, sent: &[sent] };
    let judged = answer::tokens(&answer, &client, asked);
    Some(judged.map(|tokens| tokens.access).map_err(|flaw| format!("{flaw:?}")))
}
