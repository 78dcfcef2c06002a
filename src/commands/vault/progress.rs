//! How far a long command is, on standard error: one line that changes on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often it is told on a terminal, and elsewhere.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Tells how far something is.
#[derive(Debug)]
pub(crate) struct Progress {
    /// What is done, as in "sealed again".
    what: &'static str,
    /// How much there is, if that is known.
    total: Option<u64>,
    began: Instant,
    told: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Begins.
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { what, total, began: Instant::now(), told: None, is_terminal }
    }

    /// So much is done. Tells it if it is time to.
    pub(crate) fn at(&mut self, done: u64) {
        let pause = if self.is_terminal { PAUSES.0 } else { PAUSES.1 };
        if self.told.unwrap_or(self.began).elapsed() < pause {
            return;
        }
        self.told = Some(Instant::now());
        let begin = if self.is_terminal { "\r\x1b[K" } else { "" };
        let end = if self.is_terminal { "" } else { "\n" };
        let mut out = std::io::stderr().lock();
        let _told = write!(out, "{begin}{}{end}", self.line(done)).and_then(|()| out.flush());
    }

    fn line(&self, done: u64) -> String {
        let seconds = self.began.elapsed().as_secs().max(1);
        match self.total.filter(|total| *total >= done && *total > 0) {
            Some(total) => {
                let left = (total - done) * seconds / done.max(1);
                format!("{done} of {total} {} ({} %), about {left} s left", self.what, done * 100 / total)
            }
            None => format!("{done} {} ({} a second)", self.what, done / seconds),
        }
    }
}

/// Clears the line, so that what is said next stands alone.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal && self.told.is_some() {
            let _cleared = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_has_a_share_and_a_time_where_the_end_is_known() {
        let known = Progress::new("copied", Some(200));
        assert_eq!(known.line(50), "50 of 200 copied (25 %), about 3 s left");
        assert_eq!(known.line(0), "0 of 200 copied (0 %), about 200 s left");
        assert!(Progress::new("copied", None).line(50).starts_with("50 copied ("));
        assert!(known.line(300).starts_with("300 copied ("), "more than there was at the beginning");
    }
}
