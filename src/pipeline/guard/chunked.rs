//! Follows a chunked body to its end, byte by byte over any cuts, and refuses every form that some recipient reads otherwise.
//! Takes what was read, says how much of it belongs to the body. Accepts a part of what hyper's decoder accepts, so both see
//! the same end. Keeps nothing but the line of a trailer. RFC 9112, section 7.1.

use crate::limits::CHUNK_OVERHEAD;
use crate::pipeline::guard::field::{resembles_length, split_field};

/// Hexadecimal digits of a chunk size: as many as fit 64 bits.
const SIZE_DIGITS: u8 = 16;
/// Trailer fields of one message; below hyper's limit of 100.
const TRAILERS: u8 = 64;
/// Bytes of extensions and of trailer lines, whose ends are not counted: hyper counts them, up to `CHUNK_OVERHEAD`, and the
/// guard must be the first to refuse.
const OVERHEAD: usize = CHUNK_OVERHEAD - 2 * (TRAILERS as usize + 2);

/// Trailer fields that a recipient might merge into the head (RFC 9110, section 6.5.1): framing, routing, authentication,
/// and how to read the content.
const FORBIDDEN: [&[u8]; 20] = [
    b"transfer-encoding",
    b"content-length",
    b"host",
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"set-cookie",
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"connection",
    b"keep-alive",
    b"upgrade",
    b"te",
    b"trailer",
    b"expect",
    b"max-forwards",
    b"cache-control",
    b"range",
    b"forwarded",
];

/// Where in a chunked body we are.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    /// The next byte's meaning.
    state: State,
    /// Bytes left of the current chunk; while its size is read, what the digits so far say.
    size: u64,
    /// Digits of the current size.
    digits: u8,
    /// Bytes of extensions and trailers so far.
    overhead: usize,
    /// Trailer fields so far.
    trailers: u8,
    /// The trailer line so far.
    line: Vec<u8>,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A digit of a chunk's size, or what ends it.
    #[default]
    Size,
    /// Part of an extension, which is passed over.
    Extension,
    /// The LF after a size.
    SizeLf,
    /// Part of a chunk.
    Data,
    /// The CR after a chunk.
    DataCr,
    /// The LF after a chunk.
    DataLf,
    /// Part of a trailer line, or the CR of the last line.
    Trailer,
    /// The LF after a trailer line.
    TrailerLf,
    /// Nothing: the body has ended.
    End,
}

/// How far a read reached into the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All of it belongs to the body, which goes on.
    All,
    /// The body ends after this many bytes.
    Ended(usize),
    /// The body is malformed; this many bytes before that were not.
    Broken(usize),
}

impl Chunked {
    /// Follows the body through `bytes`.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Progress {
        let mut taken = 0;
        while let Some((&byte, _)) = bytes.get(taken..).and_then(<[u8]>::split_first) {
            if self.state == State::Data {
                taken += self.skip(bytes.len().saturating_sub(taken));
                continue;
            }
            match self.step(byte) {
                Some(State::End) => {
                    self.state = State::End;
                    return Progress::Ended(taken.saturating_add(1));
                }
                Some(state) => self.state = state,
                None => return Progress::Broken(taken),
            }
            taken += 1;
        }
        Progress::All
    }

    /// Passes over data; returns how many of the `available` bytes it is.
    fn skip(&mut self, available: usize) -> usize {
        let count = usize::try_from(self.size).unwrap_or(usize::MAX).min(available);
        self.size = self.size.saturating_sub(count as u64);
        if self.size == 0 {
            self.state = State::DataCr;
        }
        count
    }

    /// The state after this byte; `None` if it cannot be there.
    fn step(&mut self, byte: u8) -> Option<State> {
        match (self.state, byte) {
            (State::Size, _) => self.size_byte(byte),
            (State::Extension, b'\r') => Some(State::SizeLf),
            (State::Extension, b'\t' | b' '..=b'~') => self.spend().then_some(State::Extension),
            (State::SizeLf, b'\n') if self.size == 0 => Some(State::Trailer),
            (State::SizeLf, b'\n') => Some(State::Data),
            (State::DataCr, b'\r') => Some(State::DataLf),
            (State::DataLf, b'\n') => {
                self.digits = 0;
                Some(State::Size)
            }
            (State::Trailer, b'\r') => Some(State::TrailerLf),
            (State::Trailer, b'\t' | b' '..) => {
                self.line.push(byte);
                self.spend().then_some(State::Trailer)
            }
            (State::TrailerLf, b'\n') if self.line.is_empty() => Some(State::End),
            (State::TrailerLf, b'\n') => self.trailer(),
            (
                State::Extension
                | State::SizeLf
                | State::Data
                | State::DataCr
                | State::DataLf
                | State::Trailer
                | State::TrailerLf
                | State::End,
                _,
            ) => None,
        }
    }

    /// A byte of a size: a digit, or after at least one what ends it. No space: RFC 9112 knows none without an extension.
    fn size_byte(&mut self, byte: u8) -> Option<State> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Some(State::SizeLf),
            b';' if self.digits > 0 => return self.spend().then_some(State::Extension),
            _ => return None,
        };
        if self.digits >= SIZE_DIGITS {
            return None;
        }
        self.digits += 1;
        self.size = self.size.checked_mul(16)?.checked_add(u64::from(digit))?;
        Some(State::Size)
    }

    /// Counts a byte that is no content; false when there were too many.
    fn spend(&mut self) -> bool {
        self.overhead = self.overhead.saturating_add(1);
        self.overhead < OVERHEAD
    }

    /// Judges a trailer line as a field of a head.
    fn trailer(&mut self) -> Option<State> {
        self.trailers = self.trailers.saturating_add(1);
        let (name, _) = split_field(&self.line).ok()?;
        let forbidden =
            FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) || resembles_length(name);
        if forbidden || self.trailers > TRAILERS {
            return None;
        }
        self.line.clear();
        Some(State::Trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(body: &[u8]) -> Progress {
        Chunked::default().advance(body)
    }

    #[test]
    fn a_body_ends_where_its_last_line_ends_however_it_is_cut() {
        let body = b"4\r\nwiki\r\n00A;name=\"v\" ;x\r\n0123456789\r\n0\r\nDigest: a\r\nX-Sum:\tb\r\n\r\n";
        assert_eq!(follow(body), Progress::Ended(body.len()));
        let mut longer = body.to_vec();
        longer.extend_from_slice(b"GET /");
        assert_eq!(follow(&longer), Progress::Ended(body.len()));
        for cut in 0..body.len() {
            let mut chunked = Chunked::default();
            assert_eq!(chunked.advance(&body[..cut]), Progress::All, "{cut}");
            assert_eq!(chunked.advance(&body[cut..]), Progress::Ended(body.len() - cut), "{cut}");
        }
    }

    #[test]
    fn forms_that_others_read_otherwise_are_broken() {
        for body in [
            "\r\n",
            " 1\r\na",
            "+1\r\na",
            "-1\r\n",
            "0x1\r\na",
            "1 \r\na",
            "1\t;a\r\na",
            "g\r\n",
            "1\na\r\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n",
            "1\r\na\r0\r\n",
            "1;a\nb\r\na",
            "1;a\rb\r\na",
            "1;a\0\r\na",
            "10000000000000000\r\n",
            "00000000000000001\r\na",
            "0\r\n\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\n a\r\n\r\n",
            "0\r\nA: b\nB: c\r\n\r\n",
            "0\r\nHost: h\r\n\r\n",
            "0\r\nContent-Length: 1\r\n\r\n",
            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0\r\nauthorization: a\r\n\r\n",
            "0\r\nContent_Length: 1\r\n\r\n",
            "0\r\n\r\r\n",
        ] {
            assert!(matches!(follow(body.as_bytes()), Progress::Broken(_)), "{body:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = "a".repeat(CHUNK_OVERHEAD);
        assert!(matches!(follow(format!("1;{long}\r\na").as_bytes()), Progress::Broken(_)));
        assert!(matches!(follow(format!("0\r\nA: {long}\r\n\r\n").as_bytes()), Progress::Broken(_)));
        assert!(matches!(follow("1;aa\r\na\r\n".repeat(CHUNK_OVERHEAD).as_bytes()), Progress::Broken(_)));
        assert!(matches!(follow(format!("0\r\n{}\r\n", "A: b\r\n".repeat(65)).as_bytes()), Progress::Broken(_)));
        assert_eq!(follow("1\r\na\r\n".repeat(CHUNK_OVERHEAD).as_bytes()), Progress::All);
    }
}
