//! What one worker counts of one route, app or upstream, and of the process.
//! Takes indices into the tables of `metrics`, returns nothing: no lock, no lookup, and no allocation after a route's first
//! answer of a class. Knows no names but those of the closed sets here.

use std::sync::OnceLock;
use std::time::Duration;

use crate::telemetry::counters::{Counter, Gauge, Histogram};

/// What a connection speaks, as `gateway_connections` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Accepted, and neither the TLS handshake nor the first byte is through.
    Handshake,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// A WebSocket, after its handshake.
    WebSocket,
}

impl Protocol {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 4] = [Self::Handshake, Self::Http1, Self::Http2, Self::WebSocket];

    /// The label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
            Self::WebSocket => "websocket",
        }
    }
}

/// The TLS version of a handshake, as far as it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
    /// None was agreed on.
    None,
}

impl TlsVersion {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 3] = [Self::V12, Self::V13, Self::None];

    /// The label.
    pub fn label(self) -> &'static str {
        match self {
            Self::V12 => "TLSv1.2",
            Self::V13 => "TLSv1.3",
            Self::None => "none",
        }
    }
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Complete.
    Ok,
    /// Not complete within `handshake_timeout`.
    Timeout,
    /// One side refused: no version, cipher, name or certificate in common, or no TLS at all.
    Failed,
    /// The client hung up.
    Closed,
    /// Too many at once; the connection was closed unanswered.
    Overload,
}

impl Handshake {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Timeout, Self::Failed, Self::Closed, Self::Overload];

    /// The label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Overload => "overload",
        }
    }
}

/// One worker's counters of one route.
#[derive(Debug)]
pub struct RouteCounters {
    /// Answers by status code, a hundred a class: most routes never see most classes, so each is made at its first answer.
    classes: [OnceLock<Box<[Counter; 100]>>; 5],
    /// Answers with a code beyond 599.
    other: Counter,
    /// From the request's head to the end of the answer.
    durations: Histogram,
    /// By `Tables::reasons`.
    refusals: Box<[Counter]>,
}

impl RouteCounters {
    /// Zeros, for the reasons of a table of this length.
    pub(super) fn new(reasons: usize) -> Self {
        Self {
            classes: Default::default(),
            other: Counter::default(),
            durations: Histogram::default(),
            refusals: zeros(reasons),
        }
    }

    /// Counts one answered request by its status code.
    #[inline]
    pub fn requests(&self, code: u16) {
        let class = usize::from(code / 100).checked_sub(1).and_then(|index| self.classes.get(index));
        let counter = class.map_or(Some(&self.other), |class| {
            let codes = class.get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())));
            codes.get(usize::from(code % 100))
        });
        if let Some(counter) = counter {
            counter.add(1);
        }
    }

    /// Counts how long one request took, from its head to the end of its answer.
    #[inline]
    pub fn duration(&self, elapsed: Duration) {
        self.durations.observe(elapsed);
    }

    /// Counts one refusal, by its index in `Tables::reasons`.
    #[inline]
    pub fn refused(&self, reason: usize) {
        count(&self.refusals, reason);
    }

    /// The codes that occurred, with their number; `None` are those beyond 599.
    pub(super) fn codes(&self) -> impl Iterator<Item = (Option<u16>, u64)> {
        let known = (1_u16..).zip(&self.classes).filter_map(|(class, codes)| Some((class, codes.get()?)));
        known
            .flat_map(|(class, codes)| (class * 100..).zip(codes.iter()))
            .map(|(code, counter)| (Some(code), counter.value()))
            .chain([(None, self.other.value())])
            .filter(|(_, number)| *number > 0)
    }

    /// The durations.
    pub(super) fn durations(&self) -> &Histogram {
        &self.durations
    }

    /// By `Tables::reasons`.
    pub(super) fn refusals(&self) -> &[Counter] {
        &self.refusals
    }
}

/// One worker's counters of one app.
#[derive(Debug)]
pub struct AppCounters {
    /// Row by row: all results of the first kind, then of the second.
    verifications: Box<[Counter]>,
    results: usize,
}

impl AppCounters {
    /// Zeros, for all kinds and results of tables of these lengths.
    pub(super) fn new(kinds: usize, results: usize) -> Self {
        Self { verifications: zeros(kinds * results), results }
    }

    /// Counts one verification, by its indices in `Tables::kinds` and `Tables::results`.
    #[inline]
    pub fn verified(&self, kind: usize, result: usize) {
        debug_assert!(result < self.results, "no result has the number {result}");
        count(&self.verifications, kind * self.results + result);
    }

    /// Row by row: all results of the first kind, then of the second.
    pub(super) fn verifications(&self) -> &[Counter] {
        &self.verifications
    }
}

/// One worker's counters of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamCounters {
    /// Connections that wait for a request.
    pub idle: Gauge,
    /// Connections that carry one.
    pub active: Gauge,
    /// From sending a request to the head of its answer.
    pub durations: Histogram,
}

/// One worker's counters that belong to no name.
#[derive(Debug)]
pub struct ProcessCounters {
    connections: [Gauge; Protocol::ALL.len()],
    handshakes: [[Counter; Handshake::ALL.len()]; TlsVersion::ALL.len()],
    /// By `Tables::headers`, and the odd names last.
    headers: Box<[Counter]>,
    /// Answers about grants that this core had kept, and that it had to ask for.
    copies: [Counter; 2],
}

impl ProcessCounters {
    /// Zeros, for the headers of a table of this length.
    pub(super) fn new(headers: usize) -> Self {
        Self {
            connections: Default::default(),
            handshakes: Default::default(),
            headers: zeros(headers + 1),
            copies: Default::default(),
        }
    }

    /// The client connections that speak this protocol.
    #[inline]
    pub fn connections(&self, protocol: Protocol) -> &Gauge {
        let [handshake, http1, http2, websocket] = &self.connections;
        match protocol {
            Protocol::Handshake => handshake,
            Protocol::Http1 => http1,
            Protocol::Http2 => http2,
            Protocol::WebSocket => websocket,
        }
    }

    /// Counts one TLS handshake.
    #[inline]
    pub fn handshake(&self, version: TlsVersion, result: Handshake) {
        let [v12, v13, none] = &self.handshakes;
        let [ok, timeout, failed, closed, overload] = match version {
            TlsVersion::V12 => v12,
            TlsVersion::V13 => v13,
            TlsVersion::None => none,
        };
        let counter = match result {
            Handshake::Ok => ok,
            Handshake::Timeout => timeout,
            Handshake::Failed => failed,
            Handshake::Closed => closed,
            Handshake::Overload => overload,
        };
        counter.add(1);
    }

    /// Counts a request for grants that this core had kept an answer to.
    #[inline]
    pub fn grant_copy_hit(&self) {
        let [hit, _miss] = &self.copies;
        hit.add(1);
    }

    /// Counts one that it had to ask for.
    #[inline]
    pub fn grant_copy_miss(&self) {
        let [_hit, miss] = &self.copies;
        miss.add(1);
    }

    /// Hits and misses.
    pub(super) fn grant_copies(&self) -> [u64; 2] {
        let [hit, miss] = &self.copies;
        [hit.value(), miss.value()]
    }

    /// Counts one header that was left out, by its index in `Tables::headers`.
    #[inline]
    pub fn header_omitted(&self, header: usize) {
        debug_assert!(header + 1 < self.headers.len(), "no header has the number {header}");
        count(&self.headers, header);
    }

    /// Counts headers that were left out for the characters in their names, or that are in no table.
    #[inline]
    pub fn odd_names_omitted(&self, number: u64) {
        if let Some(counter) = self.headers.last() {
            counter.add(number);
        }
    }

    /// By `Tables::headers`, and the odd names last.
    pub(super) fn headers(&self) -> &[Counter] {
        &self.headers
    }

    /// All handshakes with their labels.
    pub(super) fn handshakes(&self) -> impl Iterator<Item = (TlsVersion, Handshake, u64)> {
        TlsVersion::ALL.into_iter().zip(&self.handshakes).flat_map(|(version, results)| {
            let results = Handshake::ALL.into_iter().zip(results);
            results.map(move |(result, counter)| (version, result, counter.value()))
        })
    }
}

/// As many zeros.
fn zeros(number: usize) -> Box<[Counter]> {
    (0..number).map(|_| Counter::default()).collect()
}

/// Adds one to the counter at `index`. An index beyond the table is a mistake of the caller, found by tests.
#[inline]
fn count(counters: &[Counter], index: usize) {
    debug_assert!(index < counters.len(), "no label has the number {index}");
    if let Some(counter) = counters.get(index) {
        counter.add(1);
    }
}
