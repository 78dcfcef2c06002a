//! The thread that writes the access log. Takes batches of whole lines, writes each with one call, gives the buffer back.
//! A failure (disk full, reader gone) costs lines, which are counted, and never ends the thread: the disk may get room.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError};
use std::time::{Duration, Instant};

use crate::telemetry::access_log::{Orders, open};
use crate::telemetry::counters::Tally;

/// How long a pipe that takes nothing now (somebody made it non-blocking) is waited for.
const WOULD_BLOCK_FOR: Duration = Duration::from_secs(1);
/// How often it is looked at meanwhile.
const WOULD_BLOCK_POLL: Duration = Duration::from_millis(5);

/// How often the queue is looked at when it is empty.
const LOOK: Duration = Duration::from_millis(20);

/// Waits without being waited for: a receiver that blocks costs the worker that sends a system call to wake it.
#[expect(clippy::disallowed_methods, reason = "the deadline is the next look, and the thread has nothing else to do")]
fn rest() {
    std::thread::sleep(LOOK);
}

/// What the thread is sent.
pub(super) enum Message {
    /// Something to write.
    Lines(Batch),
    /// Only a reason to wake up and look at the orders.
    Orders,
}

impl Message {
    /// The buffer of a message that could not be sent, emptied.
    pub(super) fn into_buffer(self) -> Option<Vec<u8>> {
        match self {
            Self::Lines(mut batch) => {
                let mut bytes = std::mem::take(&mut batch.bytes);
                bytes.clear();
                Some(bytes)
            }
            Self::Orders => None,
        }
    }
}

/// Whole lines of one worker. Those that it still has when it is dropped, wherever that is, are counted as lost.
pub(super) struct Batch {
    /// The lines, each with its end.
    pub(super) bytes: Vec<u8>,
    /// How many.
    pub(super) number: u64,
    /// Where the buffer goes back to.
    pub(super) returns: SyncSender<Vec<u8>>,
    /// Counts what is lost.
    pub(super) dropped: Arc<Tally>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.number > 0 {
            self.dropped.add(self.number);
        }
    }
}

/// The thread's state.
pub(super) struct Writer {
    file: File,
    /// By which the file is opened again; absent for standard output.
    path: Option<PathBuf>,
    /// The last write ended within a line, which has to be ended before the next.
    torn: bool,
    /// The last write failed; the event log was told.
    failing: bool,
}

impl Writer {
    /// A writer to a file that is open.
    pub(super) fn new(file: File, path: Option<PathBuf>) -> Self {
        Self { file, path, torn: false, failing: false }
    }

    /// Writes until it is told to finish and nothing is left, or until nobody can send any more.
    pub(super) fn work(&mut self, messages: &Receiver<Message>, orders: &Orders) {
        loop {
            // Asked before the queue: what was sent before the order is then still found.
            let finish = orders.finish.load(Ordering::Acquire);
            let message = messages.try_recv();
            if orders.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            match message {
                Ok(Message::Lines(batch)) => self.take(batch),
                Ok(Message::Orders) => {}
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) if finish => return,
                Err(TryRecvError::Empty) => rest(),
            }
        }
    }

    /// Opens the file by its name; the old one stays when that fails.
    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "cannot open the access log again");
            }
        }
    }

    /// Writes one batch and gives its buffer back.
    fn take(&mut self, mut batch: Batch) {
        let mut bytes = std::mem::take(&mut batch.bytes);
        if let Err((written, error)) = self.write(&bytes) {
            let whole = memchr::memchr_iter(b'\n', bytes.get(..written).unwrap_or_default()).count();
            batch.number = batch.number.saturating_sub(u64::try_from(whole).unwrap_or(u64::MAX));
            self.torn |= written > 0 && bytes.get(written - 1) != Some(&b'\n');
            if !self.failing {
                tracing::error!(%error, "cannot write the access log: lines are lost");
            }
            self.failing = true;
        } else {
            batch.number = 0;
            if self.failing {
                tracing::warn!("the access log can be written again");
            }
            self.failing = false;
        }
        bytes.clear();
        match batch.returns.try_send(bytes) {
            // a worker that has enough of them, or is gone
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Writes all, or says how much was written before what went wrong.
    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            self.push(b"\n").map_err(|(_, error)| (0, error))?;
            self.torn = false;
        }
        self.push(bytes)
    }

    /// As `write_all`, but says how far it came.
    fn push(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        let mut stuck_since: Option<Instant> = None;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(number) => {
                    written += number;
                    stuck_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock
                        && stuck_since.get_or_insert_with(Instant::now).elapsed() < WOULD_BLOCK_FOR =>
                {
                    std::thread::park_timeout(WOULD_BLOCK_POLL);
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}
