//! One HTTP/1.1 connection to a backend, driven by whoever uses it: no task of its own, so that an exchange wakes nobody
//! else. Sends one request at a time; says afterwards whether both sides ended cleanly.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use crate::limits;
use crate::upstream::pool::Slot;
use crate::upstream::request_body::RequestBody;
use crate::upstream::stream::Stream;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// A connection that is open, or was a moment ago.
#[derive(Debug)]
pub(crate) struct Link {
    sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<Stream>, RequestBody>,
    ended: bool,
    received: Rc<Cell<u64>>,
    /// How long it may wait for its next request.
    pub(crate) idle_limit: Duration,
    /// Counts it; given back when it closes.
    pub(crate) slot: Slot,
}

/// Why an exchange brought no answer.
#[derive(Debug)]
pub(crate) enum ExchangeFault {
    /// The connection had closed before a byte of the request was sent: here it is again.
    Unsent(Box<Request<RequestBody>>),
    /// It closed, or the request's body failed, before a head came.
    Closed,
    /// What came is no HTTP, or ambiguous.
    Broken,
}

impl Link {
    /// Starts HTTP/1.1 on a fresh stream.
    pub(crate) async fn start(stream: Stream, slot: Slot, idle_limit: Duration) -> Result<Self, hyper::Error> {
        let received = stream.received();
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(limits::CONNECTION_BUFFER)
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self { sender, connection, ended: false, received, idle_limit, slot })
    }

    /// Lets the connection read and write. Called by whoever waits for something that it brings.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended && self.connection.poll_without_shutdown(cx).is_ready() {
            self.ended = true;
        }
    }

    /// Whether it can take a request: both sides of the one before have ended cleanly, and nobody has closed it.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ended && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, ExchangeFault> {
        let before = self.received.get();
        let mut answer = pin!(self.sender.try_send_request(request));
        let (connection, ended, received) = (&mut self.connection, &mut self.ended, &self.received);
        let answer = poll_fn(|cx| {
            if !*ended && connection.poll_without_shutdown(cx).is_ready() {
                *ended = true;
            }
            // It is answered within the poll of the connection, or not at all: a waker would only poll this task again.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => Poll::Ready(Ok(answer)),
                Poll::Pending if *ended => Poll::Ready(Err(ExchangeFault::Closed)),
                Poll::Pending if received.get() - before > limits::BYTES_BEFORE_HEAD => {
                    Poll::Ready(Err(ExchangeFault::Broken))
                }
                Poll::Pending => Poll::Pending,
            }
        });
        match answer.await? {
            Ok(answer) => self.judge(answer),
            Err(mut fault) => Err(match fault.take_message() {
                Some(request) => ExchangeFault::Unsent(Box::new(request)),
                None if fault.error().is_parse() => ExchangeFault::Broken,
                None => ExchangeFault::Closed,
            }),
        }
    }

    fn judge(&mut self, answer: Response<Incoming>) -> Result<Response<Incoming>, ExchangeFault> {
        if !is_unambiguous(answer.headers()) {
            return Err(ExchangeFault::Broken);
        }
        if let Some(promised) = keep_alive(answer.headers()) {
            self.idle_limit = self.idle_limit.min(promised);
        }
        Ok(answer)
    }

    /// After a 101: the bare stream, what the backend has sent on it already, and its place among the connections.
    pub(crate) async fn into_stream(mut self) -> (Stream, Bytes, Slot) {
        poll_fn(|cx| {
            self.drive(cx);
            if self.ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf, self.slot)
    }

    /// Lets it see once what has happened, for nobody who waits: an idle connection wakes no task.
    pub(crate) fn look(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether nothing has happened on it since it became idle: one look at its socket.
    pub(crate) fn still_open(&mut self) -> bool {
        self.look();
        self.is_ready()
    }
}

/// Whether any two readers see the end of an answer with these fields in the same place (RFC 9112, section 6.3): one
/// length, or one `chunked`, or neither.
fn is_unambiguous(fields: &HeaderMap) -> bool {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let mut encodings = fields.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), encodings.next()) {
        (None, None) => true,
        (Some(length), None) => is_length(length.as_bytes()) && lengths.next().is_none(),
        (None, Some(encoding)) => encoding.as_bytes().eq_ignore_ascii_case(b"chunked") && encodings.next().is_none(),
        (Some(_), Some(_)) => false,
    }
}

/// Digits only: no sign, no space, no list (RFC 9110, section 8.6).
fn is_length(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_digit) && str::from_utf8(value).is_ok_and(|digits| digits.parse::<u64>().is_ok())
}

/// What a server's `Keep-Alive: timeout=5` leaves: a second less, since the request has to get there in time.
fn keep_alive(fields: &HeaderMap) -> Option<Duration> {
    let value = fields.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds: u64 =
        value.split(',').find_map(|parameter| parameter.trim().strip_prefix("timeout="))?.parse().ok()?;
    Some(Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_length_or_one_encoding() {
        let fields = |pairs: &[(HeaderName, &str)]| {
            pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect::<HeaderMap>()
        };
        for clear in [&[][..], &[(CONTENT_LENGTH, "0")], &[(CONTENT_LENGTH, "5")], &[(TRANSFER_ENCODING, "Chunked")]] {
            assert!(is_unambiguous(&fields(clear)), "{clear:?}");
        }
        for length in ["", "+5", "-5", "5, 5", "5 5", "0x5", "5.0", "18446744073709551616"] {
            assert!(!is_unambiguous(&fields(&[(CONTENT_LENGTH, length)])), "{length:?}");
        }
        let mut twice = fields(&[(CONTENT_LENGTH, "5")]);
        twice.append(CONTENT_LENGTH, "5".parse().unwrap());
        assert!(!is_unambiguous(&twice));
        assert!(!is_unambiguous(&fields(&[(TRANSFER_ENCODING, "gzip, chunked")])));
        assert!(!is_unambiguous(&fields(&[(CONTENT_LENGTH, "5"), (TRANSFER_ENCODING, "chunked")])));
    }

    #[test]
    fn a_servers_keep_alive_leaves_a_second_of_margin() {
        let mut fields = HeaderMap::new();
        assert_eq!(keep_alive(&fields), None);
        fields.insert(KEEP_ALIVE, "timeout=5, max=100".parse().unwrap());
        assert_eq!(keep_alive(&fields), Some(Duration::from_secs(4)));
        fields.insert(KEEP_ALIVE, "timeout=0".parse().unwrap());
        assert_eq!(keep_alive(&fields), Some(Duration::ZERO));
        fields.insert(KEEP_ALIVE, "max=1".parse().unwrap());
        assert_eq!(keep_alive(&fields), None);
    }
}
