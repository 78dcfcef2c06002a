//! The body of a backend's answer. Drives the connection that it comes over, and gives it back to the pool at its clean
//! end; a body that is dropped before, stalls or breaks closes the connection.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::deadline::{Deadline, Deadlines};
use crate::upstream::link::Link;
use crate::upstream::pool::Pool;

/// Why an answer's body stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerCut {
    /// The backend closed, or its framing is wrong.
    #[error("the backend's answer broke off")]
    Broken,
    /// Nothing came for `body_idle_timeout`.
    #[error("the backend's answer stalled")]
    Stalled,
}

/// What comes behind the head of an answer.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    incoming: Incoming,
    link: Option<Box<Link>>,
    pool: Rc<Pool>,
    deadlines: Deadlines,
    patience: Duration,
    /// Made when the backend first keeps us waiting.
    deadline: Option<Deadline>,
    /// Taken already, by a look ahead.
    first: Option<Result<Frame<Bytes>, AnswerCut>>,
}

impl AnswerBody {
    /// The body of an answer that came over `link`. `patience` is the longest pause between two pieces.
    pub(crate) fn new(
        incoming: Incoming,
        link: Box<Link>,
        pool: Rc<Pool>,
        deadlines: &Deadlines,
        patience: Duration,
    ) -> Self {
        Self { incoming, link: Some(link), pool, deadlines: deadlines.clone(), patience, deadline: None, first: None }
    }

    /// Gives the connection back if the answer has already ended, as an answer without a body has.
    pub(crate) fn settle(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    /// Puts a piece back that was taken to see whether it was the last.
    pub(crate) fn with_first(mut self, first: Result<Frame<Bytes>, AnswerCut>) -> Self {
        self.first = Some(first);
        self
    }

    fn release(&mut self) {
        self.deadline = None;
        if let Some(mut link) = self.link.take() {
            // Once more, so that it sees the end on both sides.
            link.look();
            self.pool.put_back(link);
        }
    }

    fn wait(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerCut>>> {
        let (deadlines, patience) = (&self.deadlines, self.patience);
        let deadline = self.deadline.get_or_insert_with(|| deadlines.after(patience));
        if deadline.poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.link = None;
        Poll::Ready(Some(Err(AnswerCut::Stalled)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerCut>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => self.wait(cx),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(deadline) = &self.deadline {
                    deadline.reset(self.patience);
                }
                self.settle();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                self.link = None;
                Poll::Ready(Some(Err(AnswerCut::Broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.first.is_some() {
            // Less than the truth is no lie, and the head has the length.
            return SizeHint::default();
        }
        self.incoming.size_hint()
    }
}
