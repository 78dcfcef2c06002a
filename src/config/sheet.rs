//! What is known about one reading of gateway.toml: every mistake and warning with its place, which values may be shown, and
//! which key a place belongs to. Readers and checks write here and go on; the only way out returns all mistakes.

use std::path::PathBuf;

use crate::config::mask::quotable;
use crate::config::mistake::{Finding, Severity};

/// Where in the text: byte offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// First byte.
    pub(crate) start: usize,
    /// After the last byte.
    pub(crate) end: usize,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    /// The value.
    pub(crate) is: T,
    /// Where; for a default, the table that would have it.
    pub(crate) place: Place,
}

/// Whether secrets are read, or taken as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// From the environment and from files, as a running gateway does.
    Read,
    /// Each is taken to be there and valid: for machines without them.
    Assume,
}

/// What a reading depends on beside the text.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The configuration file's folder: relative paths start there.
    pub(crate) base_dir: PathBuf,
    /// Whether secrets are read.
    pub(crate) secrets: Secrets,
    /// The environment; tests have their own.
    pub(crate) environment: fn(&str) -> Option<Vec<u8>>,
}

/// One reading.
#[derive(Debug)]
pub(crate) struct Sheet<'a> {
    around: &'a Surroundings,
    findings: Vec<Finding>,
    shown: Vec<Place>,
    keys: Vec<(Place, String)>,
    here: Vec<String>,
    broken: bool,
}

impl From<std::ops::Range<usize>> for Place {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl<T> At<T> {
    /// A value and where it was written.
    pub(crate) const fn new(is: T, place: Place) -> Self {
        Self { is, place }
    }
}

impl<'a> Sheet<'a> {
    /// An empty one.
    pub(crate) const fn new(around: &'a Surroundings) -> Self {
        Self { around, findings: Vec::new(), shown: Vec::new(), keys: Vec::new(), here: Vec::new(), broken: false }
    }

    /// What the reading depends on beside the text.
    pub(crate) const fn around(&self) -> &'a Surroundings {
        self.around
    }

    /// Records a mistake: what is wrong, and what would be right. Always `None`, so that it can stand where a value is missing.
    pub(crate) fn refuse<T>(&mut self, place: Place, what: impl Into<String>, right: impl Into<String>) -> Option<T> {
        self.record(Finding::new(Severity::Mistake, place, what.into(), right.into()));
        None
    }

    /// Records that something is not there. In a file with syntax errors it may only not have been understood: nothing is said.
    pub(crate) fn absent<T>(&mut self, place: Place, what: impl Into<String>, right: impl Into<String>) -> Option<T> {
        if self.broken { None } else { self.refuse(place, what, right) }
    }

    /// Records a mistake that lies in two places; `there` says what the other is.
    pub(crate) fn refuse_pair(
        &mut self,
        places: [Place; 2],
        there: &str,
        what: impl Into<String>,
        right: impl Into<String>,
    ) {
        let [place, other] = places;
        let mut finding = Finding::new(Severity::Mistake, place, what.into(), right.into());
        finding.other = Some((other, there.to_owned()));
        self.record(finding);
    }

    /// Records something that works and is probably not meant.
    pub(crate) fn warn(&mut self, place: Place, what: impl Into<String>, right: impl Into<String>) {
        self.record(Finding::new(Severity::Warning, place, what.into(), right.into()));
    }

    /// A syntax error. What is not there afterwards may only not have been understood.
    pub(crate) fn syntax(&mut self, place: Place, what: impl Into<String>, right: impl Into<String>) {
        self.record(Finding::new(Severity::Mistake, place, what.into(), right.into()));
        self.broken = true;
    }

    /// Whether there was a syntax error.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether any mistake was recorded.
    pub(crate) fn has_mistakes(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Mistake)
    }

    /// The value at that place cannot be a secret: lines that are quoted may show it.
    pub(crate) fn show(&mut self, place: Place) {
        self.shown.push(place);
    }

    /// Reads something below `key`, so that mistakes in it know their key.
    pub(crate) fn below<T>(&mut self, key: &str, place: Place, read: impl FnOnce(&mut Self) -> T) -> T {
        self.here.push(quotable(key));
        self.keys.push((place, self.here.join(".")));
        let read = read(self);
        self.here.pop();
        read
    }

    /// The innermost key that has this place.
    pub(crate) fn key_at(&self, place: Place) -> &str {
        self.keys
            .iter()
            .filter(|(at, _)| at.start <= place.start && place.end <= at.end)
            .min_by_key(|(at, _)| at.end - at.start)
            .map_or("", |(_, key)| key)
    }

    /// Places whose values may be shown.
    pub(crate) fn shown(&self) -> &[Place] {
        &self.shown
    }

    /// Everything recorded: mistakes, then warnings, each in the order of the text.
    pub(crate) fn into_findings(mut self) -> Vec<Finding> {
        for index in 0..self.findings.len() {
            let place = self.findings.get(index).map(|finding| finding.place);
            let key = place.map(|place| self.key_at(place).to_owned());
            if let (Some(finding), Some(key)) = (self.findings.get_mut(index), key) {
                finding.key = key;
            }
        }
        self.findings.sort_by_key(|finding| (finding.severity == Severity::Warning, finding.place));
        self.findings
    }

    fn record(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}
