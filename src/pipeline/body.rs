//! The bodies of a request and of its answer. A request's body is empty, collected up to a size, or passed on piece by
//! piece under the route's limit; each piece has its time. An answer's body tells its connection when it has ended.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::deadline::{Deadline, Deadlines};
use crate::headers::strip_trailers;
use crate::limits;
use crate::pipeline::lifetimes::{Answering, Installed, Progress};
use crate::pipeline::observe::Observation;
use crate::pipeline::refusal::Refusal;
use crate::upstream::answer_body::{AnswerBody, AnswerCut};
use crate::upstream::request_body::{BodyCut, RequestBody};

/// How a route takes the bodies of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    /// Bytes at most.
    pub(crate) limit: u64,
    /// The longest pause between two pieces.
    pub(crate) patience: Duration,
    /// The longest that a body may take which is read whole before anything is sent on.
    pub(crate) whole_within: Duration,
    /// The core's deadlines.
    pub(crate) deadlines: Deadlines,
    /// The snapshot, which knows what trailers must not say.
    pub(crate) installed: Rc<Installed>,
}

/// Why a body that was being passed on stopped; empty while all is well. Shared with the step that waits for the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Rc<Cell<Option<BodyRefusal>>>);

#[derive(Clone, Copy, Debug)]
enum BodyRefusal {
    TooLarge(u64),
    TooSlow,
    Broken,
}

impl Trouble {
    /// What to answer instead of the backend, if the request's body failed.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.0.get().map(Refusal::from)
    }

    fn cut(&self, why: BodyRefusal) -> BodyCut {
        self.0.set(Some(why));
        BodyCut
    }
}

impl From<BodyRefusal> for Refusal {
    fn from(refusal: BodyRefusal) -> Self {
        match refusal {
            BodyRefusal::TooLarge(limit) => Self::BodyTooLarge { limit },
            BodyRefusal::TooSlow => Self::BodyTooSlow,
            BodyRefusal::Broken => Self::BodyBroken,
        }
    }
}

/// Takes in a request's body: at once if it is small and its size is known, otherwise as a stream.
pub(crate) async fn take_in(
    mut incoming: Incoming,
    intake: &Intake,
    trouble: &Trouble,
) -> Result<RequestBody, Refusal> {
    if incoming.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    match incoming.size_hint().exact() {
        Some(size) if size > intake.limit => Err(Refusal::BodyTooLarge { limit: intake.limit }),
        Some(size) if size <= limits::COLLECTED_BODY => collect(&mut incoming, intake).await.map(RequestBody::Whole),
        _ => Ok(RequestBody::Stream(Box::pin(Upload::new(incoming, intake, trouble)))),
    }
}

/// Reads a body whole, within the route's limit and its time: one piece a while would hold a request for hours.
pub(crate) async fn collect(incoming: &mut Incoming, intake: &Intake) -> Result<Bytes, Refusal> {
    let size = incoming.size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let mut deadline: Option<(Deadline, Instant)> = None;
    let mut pieces: Option<BytesMut> = None;
    let mut first = Bytes::new();
    loop {
        let frame = poll_fn(|cx| match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => {
                let (waits, _since) = deadline.get_or_insert_with(|| {
                    (intake.deadlines.after(intake.patience.min(intake.whole_within)), Instant::now())
                });
                waits.poll(cx).map(|()| Err(Refusal::BodyTooSlow))
            }
        });
        let Some(frame) = frame.await? else {
            return Ok(pieces.map_or(first, BytesMut::freeze));
        };
        let Ok(more) = frame.map_err(|_hyper| Refusal::BodyBroken)?.into_data() else {
            continue;
        };
        if let Some((deadline, since)) = &deadline {
            deadline.reset(intake.patience.min(intake.whole_within.saturating_sub(since.elapsed())));
        }
        let so_far = first.len() + pieces.as_ref().map_or(0, BytesMut::len);
        if (so_far + more.len()) as u64 > intake.limit {
            return Err(Refusal::BodyTooLarge { limit: intake.limit });
        }
        // Most bodies are one piece, which is then not copied.
        if so_far == 0 {
            first = more;
            continue;
        }
        let whole = pieces.get_or_insert_with(|| {
            let mut whole = BytesMut::with_capacity(size.unwrap_or(so_far + more.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole
        });
        whole.extend_from_slice(&more);
    }
}

/// A body that is passed on as it comes.
struct Upload {
    incoming: Incoming,
    left: u64,
    limit: u64,
    patience: Duration,
    deadline: Deadline,
    installed: Rc<Installed>,
    trouble: Trouble,
}

impl Upload {
    fn new(incoming: Incoming, intake: &Intake, trouble: &Trouble) -> Self {
        Self {
            incoming,
            left: intake.limit,
            limit: intake.limit,
            patience: intake.patience,
            deadline: intake.deadlines.after(intake.patience),
            installed: Rc::clone(&intake.installed),
            trouble: trouble.clone(),
        }
    }

    fn judge(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyCut> {
        if let Some(trailers) = frame.trailers_mut() {
            strip_trailers(trailers, &self.installed.snapshot.removal);
        }
        let size = frame.data_ref().map_or(0, |piece| piece.len() as u64);
        self.left = self.left.checked_sub(size).ok_or_else(|| self.trouble.cut(BodyRefusal::TooLarge(self.limit)))?;
        self.deadline.reset(self.patience);
        Ok(frame)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.judge(frame))),
            Poll::Ready(Some(Err(_hyper))) => Poll::Ready(Some(Err(self.trouble.cut(BodyRefusal::Broken)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self.deadline.poll(cx).map(|()| Some(Err(self.trouble.cut(BodyRefusal::TooSlow)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What is behind the head of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    /// All of it: the gateway's own words, a small answer of the backend, or nothing.
    Whole(Bytes),
    /// As the backend sends it.
    Backend(AnswerBody, Rc<Installed>),
}

/// An answer's body on its way to the client.
#[derive(Debug)]
pub(crate) struct AnswerOut {
    content: Content,
    /// Tells its story when it is dropped, after the last byte.
    seen: Option<Box<Observation>>,
    /// Of an HTTP/2 stream.
    progress: Option<Rc<Progress>>,
    /// Until it is dropped, the client's request is being answered.
    _answering: Answering,
}

impl Content {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self::Whole(Bytes::new())
    }

    /// Turns a backend's body that has come whole with its head into bytes: most have.
    pub(crate) async fn gathered(mut body: AnswerBody, installed: &Rc<Installed>) -> Self {
        if body.is_end_stream() {
            return Self::none();
        }
        let first = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => Poll::Ready(None),
        });
        match first.await {
            Some(Some(Ok(frame))) if body.is_end_stream() && frame.is_data() => {
                Self::Whole(frame.into_data().unwrap_or_default())
            }
            Some(Some(frame)) => Self::Backend(body.with_first(frame), Rc::clone(installed)),
            Some(None) => Self::none(),
            None => Self::Backend(body, Rc::clone(installed)),
        }
    }
}

impl AnswerOut {
    /// The body of an answer. What is whole is told of at once; the rest when it has ended.
    pub(crate) fn new(
        content: Content,
        mut seen: Observation,
        answering: Answering,
        progress: Option<Rc<Progress>>,
    ) -> Self {
        let seen = match &content {
            Content::Whole(bytes) => {
                seen.bytes_out = bytes.len() as u64;
                None
            }
            Content::Backend(..) => Some(Box::new(seen)),
        };
        if let Some(progress) = &progress {
            progress.advance();
        }
        Self { content, seen, progress, _answering: answering }
    }
}

impl Body for AnswerOut {
    type Data = Bytes;
    type Error = AnswerCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerCut>>> {
        let this = &mut *self;
        if let Some(progress) = &this.progress {
            progress.advance();
        }
        match &mut this.content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Backend(body, installed) => {
                let mut polled = Pin::new(body).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &mut polled {
                    if let Some(trailers) = frame.trailers_mut() {
                        strip_trailers(trailers, &installed.snapshot.removal);
                    }
                    if let (Some(seen), Some(piece)) = (&mut this.seen, frame.data_ref()) {
                        seen.bytes_out += piece.len() as u64;
                    }
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Backend(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Backend(body, _) => body.size_hint(),
        }
    }
}
