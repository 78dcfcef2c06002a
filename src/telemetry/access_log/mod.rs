//! One line for each request that was answered, or that nobody waited for any more.
//! A worker formats a line into its own buffer and hands full buffers to one writer thread, so that no request waits for a
//! disk or a pipe; when the writer cannot follow, lines are dropped and counted. Buffers come back and are used again.
//! What a line holds, and never holds, is said at [`Record`].

mod line;
mod record;
mod writer;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

pub use record::Record;

use crate::telemetry::access_log::line::Stamp;
use crate::telemetry::access_log::writer::{Batch, Message, Writer};
use crate::telemetry::counters::Tally;

/// How long [`AccessLog::finish`] waits for the writer: a reader that stopped reading must not keep the process alive.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// Rights of a new file: it names accounts and users, which are not for everybody on the machine.
const FILE_MODE: u32 = 0o640;
/// Empty buffers that a worker keeps.
const SPARE_BUFFERS: usize = 4;
/// Room beyond the limit, so that the line that passes it does not make the buffer grow.
const LINE_ROOM: usize = 4 * 1024;

/// A moment as the access log writes it: RFC 3339, UTC, milliseconds.
pub(crate) fn timestamp(unix_millis: u64) -> String {
    Stamp::default().whole(unix_millis)
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere; nothing is formatted.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file, which is created if absent.
    File(PathBuf),
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// The same fields in the same order, separated by spaces; quoted where a value needs it.
    Text,
}

/// How much is kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a worker's buffer after which it is handed over.
    pub buffer: usize,
    /// Buffers that wait for the writer; beyond them lines are dropped and counted.
    pub queue: usize,
}

/// The writer of the process. Dropping it writes what was handed over; workers flush theirs before.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    bounds: Bounds,
    dropped: Arc<Tally>,
    running: Option<Running>,
}

/// The handle on the writer's thread.
#[derive(Debug)]
struct Running {
    queue: SyncSender<Message>,
    orders: Arc<Orders>,
    /// Closed when the thread ends.
    ended: Receiver<()>,
}

/// What the writer is asked beside writing. Not in the queue, which may be full.
#[derive(Debug, Default)]
struct Orders {
    reopen: AtomicBool,
    finish: AtomicBool,
}

impl AccessLog {
    /// Opens the destination and starts the thread. Lost lines are added to `dropped`.
    pub fn start(destination: &Destination, format: Format, bounds: Bounds, dropped: Arc<Tally>) -> io::Result<Self> {
        let mut log = Self { format, bounds, dropped, running: None };
        match destination {
            Destination::Off => {}
            // a file of its own: std's would hold back what has no line end yet
            Destination::Stdout => {
                log.run(File::from(io::stdout().as_fd().try_clone_to_owned()?), None)?;
            }
            Destination::File(path) => log.run(open(path)?, Some(path.clone()))?,
        }
        Ok(log)
    }

    /// Starts the thread.
    fn run(&mut self, file: File, path: Option<PathBuf>) -> io::Result<()> {
        let (queue, messages) = sync_channel(self.bounds.queue);
        let (alive, ended) = sync_channel(0);
        let orders = Arc::new(Orders::default());
        let mut writer = Writer::new(file, path);
        let asked = Arc::clone(&orders);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            writer.work(&messages, &asked);
            // first what was sent too late, so that it is counted when `finish` returns
            drop::<Receiver<Message>>(messages);
            drop::<SyncSender<()>>(alive);
        })?;
        self.running = Some(Running { queue, orders, ended });
        Ok(())
    }

    /// The buffer of one worker.
    pub fn lines(&self) -> Lines {
        let out = self.running.as_ref().map(|running| {
            let (returns, spares) = sync_channel(SPARE_BUFFERS);
            Out { queue: running.queue.clone(), returns, spares, spare: None }
        });
        Lines {
            format: self.format,
            limit: self.bounds.buffer,
            buffer: Vec::new(),
            number: 0,
            stamp: Stamp::default(),
            dropped: Arc::clone(&self.dropped),
            out,
        }
    }

    /// Opens the file again by its name, after somebody moved the old one away. Standard output stays.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            running.orders.reopen.store(true, Ordering::Release);
            running.wake();
        }
    }

    /// Writes what was handed over and ends the thread; gives up after a few seconds.
    pub fn finish(self) {
        drop(self);
    }
}

impl Running {
    /// Makes the thread look at its orders. When the queue is full, it is awake.
    fn wake(&self) {
        match self.queue.try_send(Message::Orders) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.orders.finish.store(true, Ordering::Release);
        running.wake();
        if running.ended.recv_timeout(FINISH_WITHIN) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the access log's reader is stuck: what it has not taken is lost");
        }
    }
}

/// Opens a log file for appending.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)
}

/// One worker's lines. What is left is handed over when it is dropped.
#[derive(Debug)]
pub struct Lines {
    format: Format,
    limit: usize,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    number: u64,
    stamp: Stamp,
    dropped: Arc<Tally>,
    /// Absent when the log is off.
    out: Option<Out>,
}

/// The way to the writer and back.
#[derive(Debug)]
struct Out {
    queue: SyncSender<Message>,
    returns: SyncSender<Vec<u8>>,
    spares: Receiver<Vec<u8>>,
    /// A buffer that a full queue left over.
    spare: Option<Vec<u8>>,
}

impl Lines {
    /// Whether anything becomes of a record; building one can be spared otherwise.
    pub fn enabled(&self) -> bool {
        self.out.is_some()
    }

    /// Adds a line. Allocates only until enough buffers go round.
    pub fn record(&mut self, record: &Record<'_>) {
        if self.out.is_none() {
            return;
        }
        line::write(&mut self.buffer, self.format, &mut self.stamp, record);
        self.number += 1;
        if self.buffer.len() >= self.limit {
            self.flush();
        }
    }

    /// Hands over what there is; for the worker's tick. When the writer cannot follow, the lines are dropped and counted.
    pub fn flush(&mut self) {
        let Some(out) = &mut self.out else { return };
        if self.buffer.is_empty() {
            return;
        }
        let next = out.spare.take().or_else(|| out.spares.try_recv().ok());
        let next = next.unwrap_or_else(|| Vec::with_capacity(self.limit + LINE_ROOM));
        let bytes = std::mem::replace(&mut self.buffer, next);
        let batch =
            Batch { bytes, number: self.number, returns: out.returns.clone(), dropped: Arc::clone(&self.dropped) };
        if let Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) =
            out.queue.try_send(Message::Lines(batch))
        {
            out.spare = back.into_buffer();
        }
        self.number = 0;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::Ipv4Addr;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use super::*;

    const BOUNDS: Bounds = Bounds { buffer: 1024, queue: 2 };

    fn record(path: &[u8]) -> Record<'_> {
        Record {
            unix_millis: 1_700_000_000_042,
            request_id: "01hf",
            client: Some(Ipv4Addr::LOCALHOST.into()),
            method: "POST",
            host: b"gw.example.com",
            path,
            protocol: "HTTP/1.1",
            status: 200,
            ..Record::default()
        }
    }

    fn started(path: &Path) -> (AccessLog, Arc<Tally>) {
        let dropped = Arc::new(Tally::default());
        let destination = Destination::File(path.to_owned());
        let log = AccessLog::start(&destination, Format::Json, BOUNDS, Arc::clone(&dropped)).unwrap();
        (log, dropped)
    }

    /// A log whose reader is the test.
    fn piped() -> (AccessLog, Arc<Tally>, io::PipeReader) {
        let (reader, pipe) = io::pipe().unwrap();
        let dropped = Arc::new(Tally::default());
        let mut log = AccessLog { format: Format::Json, bounds: BOUNDS, dropped: Arc::clone(&dropped), running: None };
        log.run(File::from(OwnedFd::from(pipe)), None).unwrap();
        (log, dropped, reader)
    }

    fn until(mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < deadline, "not within 10 s");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    #[test]
    fn lines_of_two_workers_reach_the_file_whole_and_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        // room for every buffer: nothing may be dropped here
        let bounds = Bounds { queue: 1024, ..BOUNDS };
        let dropped = Arc::new(Tally::default());
        let destination = Destination::File(path.clone());
        let log = AccessLog::start(&destination, Format::Json, bounds, Arc::clone(&dropped)).unwrap();
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let mut lines = log.lines();
                std::thread::spawn(move || {
                    for number in 0..200 {
                        lines.record(&record(format!("/{worker}/{number}").as_bytes()));
                        if number % 3 == 0 {
                            lines.flush();
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        log.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        assert_eq!((text.lines().count(), dropped.value()), (400, 0));
        assert!(text.contains("\"/1/0\""));
    }

    #[test]
    fn a_writer_that_is_stuck_costs_lines_and_never_the_worker() {
        let (log, dropped, mut reader) = piped();
        let mut lines = log.lines();
        let begun = Instant::now();
        for number in 0..20_000 {
            lines.record(&record(format!("/{number}").as_bytes()));
        }
        lines.flush();
        assert!(begun.elapsed() < Duration::from_secs(5), "the worker waited");
        assert!(dropped.value() > 10_000, "{} lines dropped", dropped.value());
        drop(lines);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        log.finish();
        let text = reading.join().unwrap();
        assert_eq!(text.lines().count() as u64 + dropped.value(), 20_000);
    }

    #[test]
    fn a_full_disk_is_counted_and_writing_goes_on() {
        let (log, dropped) = started(Path::new("/dev/full"));
        let mut lines = log.lines();
        for round in 1..=3 {
            lines.record(&record(b"/a"));
            lines.record(&record(b"/b"));
            lines.flush();
            until(|| dropped.value() == round * 2);
        }
    }

    #[test]
    fn a_reader_that_hung_up_is_counted_and_ends_nothing() {
        let (log, dropped, reader) = piped();
        drop(reader);
        let mut lines = log.lines();
        lines.record(&record(b"/"));
        lines.flush();
        until(|| dropped.value() == 1);
        lines.record(&record(b"/"));
        lines.flush();
        until(|| dropped.value() == 2);
    }

    #[test]
    fn after_a_reopen_lines_go_to_a_new_file_of_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
        let (log, _dropped) = started(&path);
        let mut lines = log.lines();
        lines.record(&record(b"/old"));
        lines.flush();
        until(|| std::fs::read_to_string(&path).unwrap().contains("/old"));
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        until(|| path.exists());
        lines.record(&record(b"/new"));
        drop(lines);
        log.finish();
        assert!(std::fs::read_to_string(&path).unwrap().contains("/new"));
        assert!(!std::fs::read_to_string(&moved).unwrap().contains("/new"));
    }

    #[test]
    fn buffers_go_round() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let (log, dropped) = started(&path);
        let mut lines = log.lines();
        let mut buffers = std::collections::BTreeSet::new();
        for round in 1..50 {
            lines.record(&record(b"/"));
            buffers.insert(lines.buffer.as_ptr().addr());
            lines.flush();
            until(|| std::fs::read(&path).unwrap().split(|byte| *byte == b'\n').count() == round + 1);
        }
        assert!(buffers.len() <= SPARE_BUFFERS + 1, "{} buffers", buffers.len());
        assert_eq!(dropped.value(), 0);
    }

    #[test]
    fn a_log_that_is_off_formats_nothing() {
        let dropped = Arc::new(Tally::default());
        let log = AccessLog::start(&Destination::Off, Format::Json, BOUNDS, Arc::clone(&dropped)).unwrap();
        let mut lines = log.lines();
        lines.record(&record(b"/"));
        assert!(!lines.enabled() && lines.buffer.is_empty());
        log.reopen();
        log.finish();
        assert_eq!(dropped.value(), 0);
    }

    #[test]
    fn lines_after_the_end_are_counted_as_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let (log, dropped) = started(&dir.path().join("access.log"));
        let mut lines = log.lines();
        log.finish();
        lines.record(&record(b"/"));
        drop(lines);
        assert_eq!(dropped.value(), 1);
    }
}
