//! Stands between TLS and hyper, follows the boundaries of HTTP/1 messages and judges each head before hyper sees a byte of it.
//! A stream in, the same stream out, byte for byte, up to the first request that is refused: instead of its head hyper is
//! given a fixed one, and `Watch` says which request that is and why. So earlier requests are answered in order, and the
//! refusal takes the way of every other answer. Afterwards the client's bytes are thrown away. Knows neither TLS nor hyper.
//! RFC 9112.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::DRAINED;
use crate::pipeline::guard::chunked::{Chunked, Progress};
use crate::pipeline::guard::head::{self, Follows, Head, HeadLimits};
use crate::pipeline::guard::watch::{Phase, UpgradeOutcome, Watch};
use crate::pipeline::refusal::{Malformed, Refusal};

/// What hyper parses in place of a refused head. It closes after the answer.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// The same for HEAD, whose answer has no body.
const SUBSTITUTE_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// A stream of which hyper reads only what is clean. Writes pass through.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    /// TLS, or the socket.
    stream: S,
    /// What the connection is told.
    watch: Rc<Watch>,
    /// Where in a message the client is.
    scanner: Scanner,
    /// Bytes that have come and hyper has not been given: the beginning of a head, or what waits behind a handshake. Rarely
    /// anything: heads mostly come whole.
    held: BytesMut,
    /// How many of the first of them are judged and may go.
    cleared: usize,
    /// Whether the rest of them must be looked at (again).
    unjudged: bool,
    /// Bytes thrown away after a refusal.
    drained: usize,
    /// The client has closed its side.
    ended: bool,
    /// What that means while an answer is due.
    half_close: HalfClose,
}

/// What it means that a client has closed its side while an answer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfClose {
    /// It still reads: over TLS it has said so with a `close_notify`, and one that is gone says nothing.
    Served,
    /// It is gone: a plain connection's FIN does not tell the two apart, and the backend need not work for nobody.
    Gone,
}

/// Follows message boundaries.
#[derive(Debug)]
struct Scanner {
    /// What the next byte belongs to.
    state: State,
    /// For every head.
    limits: HeadLimits,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum State {
    /// A head.
    Head,
    /// A body with this many bytes left.
    Length(u64),
    /// A chunked body.
    Chunked(Chunked),
    /// Nobody knows: a handshake waits for its answer.
    Upgrade,
    /// A WebSocket.
    Tunnel,
    /// A request that was refused, or came after one.
    Refused,
    /// A malformed body.
    Broken,
}

/// Why the scanner went no further.
enum Stop {
    /// The rest, if any, is the beginning of a head.
    Wait,
    /// The rest waits for the answer to a handshake.
    Upgrade,
    /// The rest is not read.
    Over,
    /// At the rest begins a head that is refused.
    Refuse(Refusal),
}

impl<S> Wire<S> {
    /// Stands before `stream`, which is at the start of a head.
    pub(crate) fn new(stream: S, limits: HeadLimits, watch: Rc<Watch>, half_close: HalfClose) -> Self {
        let scanner = Scanner { state: State::Head, limits };
        Self {
            stream,
            watch,
            scanner,
            held: BytesMut::new(),
            cleared: 0,
            unjudged: false,
            drained: 0,
            ended: false,
            half_close,
        }
    }

    /// What the connection knows of this wire.
    pub(crate) fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// The stream, to look at.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream, for its own affairs: never to read from.
    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Judges what was read into `buf` from `start` on; leaves there what may go, holds the rest back.
    fn judge_in_place(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let fresh = buf.filled().get(start..).unwrap_or_default();
        let (passed, stop) = self.scanner.scan(fresh, &self.watch);
        if matches!(stop, Stop::Wait | Stop::Upgrade) {
            self.held.extend_from_slice(fresh.get(passed..).unwrap_or_default());
        }
        let is_head = is_head_method(fresh.get(passed..).unwrap_or_default());
        buf.set_filled(start.saturating_add(passed));
        if let Stop::Refuse(refusal) = stop {
            self.refuse(refusal, is_head);
        }
    }

    /// Judges what is held back.
    fn judge_held(&mut self) {
        self.unjudged = false;
        let rest = self.held.get(self.cleared..).unwrap_or_default();
        let (passed, stop) = self.scanner.scan(rest, &self.watch);
        match stop {
            Stop::Wait | Stop::Upgrade => self.cleared = self.cleared.saturating_add(passed),
            Stop::Over => {
                self.cleared = self.cleared.saturating_add(passed);
                self.held.truncate(self.cleared);
            }
            Stop::Refuse(refusal) => {
                let is_head = is_head_method(rest.get(passed..).unwrap_or_default());
                self.cleared = self.cleared.saturating_add(passed);
                self.refuse(refusal, is_head);
            }
        }
    }

    /// Puts a substitute behind what is cleared, in place of everything else.
    fn refuse(&mut self, refusal: Refusal, is_head: IsHead) {
        let substitute = match is_head {
            IsHead::Yes => SUBSTITUTE_HEAD,
            IsHead::No => SUBSTITUTE,
        };
        self.held.truncate(self.cleared);
        self.held.extend_from_slice(substitute);
        self.cleared = self.held.len();
        self.scanner.state = State::Refused;
        self.watch.refuse(refusal);
    }

    /// Gives hyper what is cleared, as far as it fits.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.cleared.min(buf.remaining());
        buf.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.advance(count);
        self.cleared = self.cleared.saturating_sub(count);
        if self.held.is_empty() {
            self.held = BytesMut::new(); // an idle connection keeps no buffer
        }
    }

    /// Does what the connection has said since the last read.
    fn obey(&mut self) {
        if matches!(self.scanner.state, State::Head) && self.watch.take_expired() {
            let is_head = is_head_method(self.held.get(self.cleared..).unwrap_or_default());
            self.refuse(Refusal::HeadTooSlow, is_head);
        }
        if !matches!(self.scanner.state, State::Upgrade) {
            return;
        }
        match self.watch.take_upgrade() {
            Some(UpgradeOutcome::Accepted) => self.scanner.state = State::Tunnel,
            Some(UpgradeOutcome::Refused) => self.scanner.state = State::Head,
            None => return,
        }
        self.unjudged = true;
    }

    /// Tells the connection where the client is.
    fn report(&self) {
        let phase = match self.scanner.state {
            State::Head if self.held.len() > self.cleared => Phase::Head,
            State::Head => Phase::Idle,
            State::Length(_) | State::Chunked(_) => Phase::Body,
            State::Upgrade => Phase::Upgrade,
            State::Tunnel => Phase::Tunnel,
            State::Refused | State::Broken => Phase::Over,
        };
        self.watch.report(phase, self.held.len());
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// `poll_read` without the report.
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        loop {
            self.obey();
            if self.unjudged {
                self.judge_held();
            }
            if self.cleared > 0 {
                self.deliver(buf);
            }
            if buf.filled().len() > start || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if matches!(self.scanner.state, State::Broken) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "malformed chunk")));
            }
            if self.is_full() {
                return Poll::Pending;
            }
            if self.ended {
                return self.end(cx);
            }
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let count = buf.filled().len().saturating_sub(start);
            if count == 0 && matches!(self.scanner.state, State::Refused) {
                self.drained = DRAINED; // whoever stops sending may still read the answer
                return Poll::Pending;
            }
            if count == 0 {
                self.ended = true;
                return self.end(cx);
            }
            self.take_in(buf, start);
        }
    }

    /// The client has closed its side in order. hyper hears of it once no answer is due: to it, a half-closed client is one
    /// that has gone (RFC 9112, section 9.6).
    fn end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.half_close == HalfClose::Served
            && matches!(self.scanner.state, State::Head)
            && self.watch.is_answering()
        {
            self.watch.sleep(cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether nothing more is read for now: too much waits behind a handshake, or was thrown away already.
    fn is_full(&self) -> bool {
        match self.scanner.state {
            State::Upgrade => self.held.len() >= self.scanner.limits.bytes,
            State::Refused => self.drained >= DRAINED,
            State::Head | State::Length(_) | State::Chunked(_) | State::Tunnel | State::Broken => false,
        }
    }

    /// Takes in what was just read into `buf` from `start` on.
    fn take_in(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let fresh = buf.filled().get(start..).unwrap_or_default();
        match self.scanner.state {
            State::Refused | State::Broken => {
                self.drained = self.drained.saturating_add(fresh.len());
                buf.set_filled(start);
            }
            State::Head if !self.held.is_empty() => {
                // Only a new line, or too many bytes, can change the judgement: a head that comes byte by byte costs no
                // more than its lines.
                self.unjudged =
                    memchr(b'\n', fresh).is_some() || self.held.len() + fresh.len() > self.scanner.limits.bytes;
                self.held.extend_from_slice(fresh);
                buf.set_filled(start);
            }
            State::Upgrade => {
                self.held.extend_from_slice(fresh);
                buf.set_filled(start);
            }
            State::Head | State::Length(_) | State::Chunked(_) | State::Tunnel => self.judge_in_place(buf, start),
        }
    }
}

impl Scanner {
    /// Follows messages through `bytes`: how many may go, and why no more.
    fn scan(&mut self, bytes: &[u8], watch: &Watch) -> (usize, Stop) {
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            if rest.is_empty() {
                return (passed, Stop::Wait);
            }
            let taken = match &mut self.state {
                State::Head => match head::judge(rest, self.limits) {
                    Ok(None) => return (passed, Stop::Wait),
                    Ok(Some(head)) => self.begin(head, watch),
                    Err(refusal) => return (passed, Stop::Refuse(refusal)),
                },
                &mut State::Length(left) => self.pass_over(left, rest.len()),
                State::Chunked(chunked) => match chunked.advance(rest) {
                    Progress::All => rest.len(),
                    Progress::Ended(count) => {
                        self.state = State::Head;
                        count
                    }
                    Progress::Broken(count) => {
                        self.state = State::Broken;
                        watch.break_body(Malformed::Chunk);
                        return (passed.saturating_add(count), Stop::Over);
                    }
                },
                State::Upgrade => return (passed, Stop::Upgrade),
                State::Tunnel => rest.len(),
                State::Refused | State::Broken => return (passed, Stop::Over),
            };
            passed = passed.saturating_add(taken);
        }
    }

    /// Goes on behind the part that has come of a body with this many bytes `left`; returns the part's length.
    fn pass_over(&mut self, left: u64, available: usize) -> usize {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        let left = left.saturating_sub(count as u64);
        self.state = if left > 0 { State::Length(left) } else { State::Head };
        count
    }

    /// Goes on behind a clean head; returns its length.
    fn begin(&mut self, head: Head, watch: &Watch) -> usize {
        watch.count_head();
        self.state = match head.follows {
            Follows::Head => State::Head,
            Follows::Length(length) => State::Length(length),
            Follows::Chunked => State::Chunked(Chunked::default()),
            Follows::Upgrade => State::Upgrade,
        };
        head.length
    }
}

/// Whether a refused request was a HEAD, as far as one can tell.
#[derive(Clone, Copy)]
enum IsHead {
    /// Its answer has no body.
    Yes,
    /// Its answer may have one.
    No,
}

/// Looks at the first bytes of a head.
fn is_head_method(head: &[u8]) -> IsHead {
    if head.strip_prefix(b"\r\n").unwrap_or(head).starts_with(b"HEAD ") { IsHead::Yes } else { IsHead::No }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let polled = wire.read(cx, buf);
        wire.report();
        if polled.is_pending() {
            wire.watch.sleep(cx);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper is done, but the connection may not be: it parts by itself, once the client has had the chance to read.
        if matches!(self.scanner.state, State::Tunnel) {
            return Pin::new(&mut self.stream).poll_shutdown(cx);
        }
        self.poll_flush(cx)
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
