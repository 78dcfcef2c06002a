//! Writes one record as one line, into a buffer that is there already.
//! Every value a caller chose is escaped to visible ASCII, so that no value ends a line, quotes itself out of its field,
//! or moves the cursor of whoever reads the log on a terminal (bidirectional controls and C1 among them).

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::Duration;

use crate::telemetry::access_log::{Format, Record};

/// Bytes of a value that are written; a longer one ends with `...`.
const VALUE_BYTES: usize = 1024;

/// Appends the line and its end.
pub(super) fn write(out: &mut Vec<u8>, format: Format, stamp: &mut Stamp, record: &Record<'_>) {
    let mut line = Line { begin: out.len(), out, format };
    line.time(stamp, record.unix_millis);
    line.shown("client", record.client.map(|address| address.to_canonical()));
    line.word("method", Some(record.method.as_bytes()));
    line.word("host", Some(record.host));
    line.word("path", Some(record.path));
    line.text("protocol", Some(record.protocol));
    line.text("tls", record.tls);
    line.number("status", Some(record.status));
    line.millis("duration_ms", Some(record.duration));
    line.number("bytes_in", Some(record.bytes_in));
    line.number("bytes_out", Some(record.bytes_out));
    line.text("route", record.route);
    line.text("app", record.app);
    line.text("kind", record.kind);
    line.number("account", record.account);
    line.number("user", record.user);
    line.text("upstream", record.upstream);
    line.millis("upstream_ms", record.upstream_time);
    line.text("reason", record.reason);
    line.sentence("detail", record.detail);
    line.text("request_id", Some(record.request_id));
    line.end();
}

/// The line being written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    /// Where in the buffer it begins.
    begin: usize,
    format: Format,
}

impl Line<'_> {
    /// What stands before a value that is there.
    fn open(&mut self, name: &str) {
        let first = self.out.len() == self.begin;
        match self.format {
            Format::Json => {
                self.out.extend_from_slice(if first { b"{\"" } else { b",\"" });
                self.out.extend_from_slice(name.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            Format::Text if first => {}
            Format::Text => self.out.push(b' '),
        }
    }

    /// A value that is not there.
    fn absent(&mut self) {
        if self.format == Format::Text {
            self.out.extend_from_slice(b" -");
        }
    }

    /// A text, escaped and cut.
    fn text(&mut self, name: &str, text: Option<&str>) {
        self.word(name, text.map(str::as_bytes));
    }

    /// Bytes, escaped and cut. The text format quotes them only where a reader would misunderstand them otherwise.
    fn word(&mut self, name: &str, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else {
            return self.absent();
        };
        self.open(name);
        let bare = self.format == Format::Text
            && !matches!(bytes, b"" | b"-")
            && bytes.len() <= VALUE_BYTES
            && bytes.iter().all(|byte| plain(*byte) && *byte != b' ');
        if bare {
            self.out.extend_from_slice(bytes);
            return;
        }
        self.out.push(b'"');
        match bytes.get(..VALUE_BYTES).filter(|cut| cut.len() < bytes.len()) {
            Some(cut) => {
                escape(self.out, cut);
                self.out.extend_from_slice(b"...");
            }
            None => escape(self.out, bytes),
        }
        self.out.push(b'"');
    }

    /// What displays itself in a few ASCII characters, as an address does.
    fn shown(&mut self, name: &str, shown: Option<impl fmt::Display>) {
        let Some(shown) = shown else {
            return self.absent();
        };
        self.open(name);
        let quote: &[u8] = if self.format == Format::Json { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        write!(self.out, "{shown}").unwrap_or_default(); // a Vec takes every byte
        self.out.extend_from_slice(quote);
    }

    /// What displays itself in words; always quoted.
    fn sentence(&mut self, name: &str, sentence: Option<&dyn fmt::Display>) {
        let Some(sentence) = sentence else {
            return self.absent();
        };
        self.open(name);
        self.out.push(b'"');
        let mut escaping = Escaping { out: self.out, left: VALUE_BYTES };
        if write!(escaping, "{sentence}").is_err() {
            self.out.extend_from_slice(b"...");
        }
        self.out.push(b'"');
    }

    /// An integer.
    fn number(&mut self, name: &str, number: Option<impl itoa::Integer>) {
        let Some(number) = number else {
            return self.absent();
        };
        self.open(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Milliseconds with three decimals.
    fn millis(&mut self, name: &str, elapsed: Option<Duration>) {
        let Some(elapsed) = elapsed else {
            return self.absent();
        };
        self.open(name);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.out.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
        self.out.push(b'.');
        self.out.extend_from_slice(&three_digits(micros % 1000));
    }

    /// When it was.
    fn time(&mut self, stamp: &mut Stamp, unix_millis: u64) {
        self.open("time");
        let quote: &[u8] = if self.format == Format::Json { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        self.out.extend_from_slice(stamp.second(unix_millis / 1000));
        self.out.push(b'.');
        self.out.extend_from_slice(&three_digits(unix_millis % 1000));
        self.out.push(b'Z');
        self.out.extend_from_slice(quote);
    }

    /// The end of the line.
    fn end(self) {
        self.out.extend_from_slice(if self.format == Format::Json { b"}\n" } else { b"\n" });
    }
}

/// Lets what displays itself be escaped while it does; refuses what passes the limit.
struct Escaping<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let bytes = text.as_bytes();
        escape(self.out, bytes.get(..self.left).unwrap_or(bytes));
        self.left = self.left.checked_sub(bytes.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Whether a byte stands for itself in both formats.
fn plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// Appends bytes as the inside of a JSON string of visible ASCII. What is no UTF-8 becomes U+FFFD.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| !plain(*byte)) {
        let (clean, odd) = rest.split_at(at);
        out.extend_from_slice(clean);
        rest = escape_first(out, odd);
    }
    out.extend_from_slice(rest);
}

/// Escapes the first character; returns what follows it.
fn escape_first<'a>(out: &mut Vec<u8>, odd: &'a [u8]) -> &'a [u8] {
    let Some((first, after)) = odd.split_first() else {
        return odd;
    };
    match *first {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x80.. => return escape_beyond_ascii(out, odd),
        control => unit(out, u16::from(control)),
    }
    after
}

/// Escapes a character beyond ASCII, or the bytes that fail to be one; returns what follows.
fn escape_beyond_ascii<'a>(out: &mut Vec<u8>, odd: &'a [u8]) -> &'a [u8] {
    let window = odd.get(..4).unwrap_or(odd);
    let Some(chunk) = window.utf8_chunks().next() else {
        return &[];
    };
    let length = if let Some(character) = chunk.valid().chars().next() {
        for code in character.encode_utf16(&mut [0; 2]) {
            unit(out, *code);
        }
        character.len_utf8()
    } else {
        unit(out, 0xfffd);
        chunk.invalid().len()
    };
    odd.get(length..).unwrap_or_default()
}

/// `\uXXXX`.
fn unit(out: &mut Vec<u8>, code: u16) {
    write!(out, "\\u{code:04x}").unwrap_or_default(); // a Vec takes every byte
}

/// The last three digits of a number.
fn three_digits(number: u64) -> [u8; 3] {
    [number / 100, number / 10, number].map(|number| b'0' + u8::try_from(number % 10).unwrap_or_default())
}

/// The time of day in words, made once a second.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: u64,
    /// `2026-01-31T23:59:59`; empty before the first.
    text: Vec<u8>,
}

impl Stamp {
    /// Date and time in UTC (RFC 3339), without a fraction.
    fn second(&mut self, unix: u64) -> &[u8] {
        if self.second != unix || self.text.is_empty() {
            self.second = unix;
            self.text.clear();
            let (year, month, day) = civil(unix / 86_400);
            let (hour, minute, second) = (unix / 3600 % 24, unix / 60 % 60, unix % 60);
            write!(self.text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}").unwrap_or_default();
        }
        &self.text
    }

    /// The same with milliseconds and `Z`.
    pub(super) fn whole(&mut self, unix_millis: u64) -> String {
        let second = String::from_utf8_lossy(self.second(unix_millis / 1000));
        format!("{second}.{:03}Z", unix_millis % 1000)
    }
}

/// Year, month and day of the day that lies so many days after 1970-01-01. Source: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`: years begin in March, so that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn line(format: Format, record: &Record<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, format, &mut Stamp::default(), record);
        String::from_utf8(out).unwrap()
    }

    fn full() -> Record<'static> {
        Record {
            unix_millis: 1_798_761_599_007,
            client: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
            method: "POST",
            host: b"gw.example.com",
            path: b"/planner/actions/run",
            protocol: "HTTP/2",
            tls: Some("TLSv1.3"),
            status: 401,
            duration: Duration::from_micros(12_045),
            bytes_in: 12,
            bytes_out: 345,
            route: Some("/planner/actions/{*rest}"),
            app: Some("planner"),
            kind: Some("action"),
            account: Some(1_825_529),
            user: Some(-4),
            upstream: Some("http://127.0.0.1:3000"),
            upstream_time: Some(Duration::from_millis(9)),
            reason: Some("other_secret"),
            detail: Some(&"the client secret fits"),
            request_id: "01hf",
        }
    }

    #[test]
    fn all_fields_in_json() {
        assert_eq!(
            line(Format::Json, &full()),
            concat!(
                r#"{"time":"2026-12-31T23:59:59.007Z","client":"2001:db8::1","method":"POST","host":"gw.example.com","#,
                r#""path":"/planner/actions/run","protocol":"HTTP/2","tls":"TLSv1.3","status":401,"duration_ms":12.045,"#,
                r#""bytes_in":12,"bytes_out":345,"route":"/planner/actions/{*rest}","app":"planner","kind":"action","#,
                r#""account":1825529,"user":-4,"upstream":"http://127.0.0.1:3000","upstream_ms":9.000,"#,
                r#""reason":"other_secret","detail":"the client secret fits","request_id":"01hf"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn all_fields_in_text() {
        assert_eq!(
            line(Format::Text, &full()),
            "2026-12-31T23:59:59.007Z 2001:db8::1 POST gw.example.com /planner/actions/run HTTP/2 TLSv1.3 401 12.045 12 345 \
             /planner/actions/{*rest} planner action 1825529 -4 http://127.0.0.1:3000 9.000 other_secret \
             \"the client secret fits\" 01hf\n"
        );
    }

    #[test]
    fn what_is_absent_is_left_out_of_json_and_a_dash_in_text() {
        let record = Record {
            method: "GET",
            host: b"h",
            path: b"/",
            protocol: "HTTP/1.1",
            request_id: "1",
            ..Record::default()
        };
        assert_eq!(
            line(Format::Json, &record),
            concat!(
                r#"{"time":"1970-01-01T00:00:00.000Z","method":"GET","host":"h","path":"/","protocol":"HTTP/1.1","#,
                r#""status":0,"duration_ms":0.000,"bytes_in":0,"bytes_out":0,"request_id":"1"}"#,
                "\n"
            )
        );
        let text = line(Format::Text, &record);
        assert_eq!(text, "1970-01-01T00:00:00.000Z - GET h / HTTP/1.1 - 0 0.000 0 0 - - - - - - - - - 1\n");
        assert_eq!(text.split(' ').count(), 21);
    }

    #[test]
    fn no_value_ends_a_line_leaves_its_quotes_or_colours_a_terminal() {
        let path = b"/\x1b[31m\n\"\\ \x7f\xc2\x9b\xe2\x80\xae\xf0\x9f\x8e\x89\xff\xf0\x9f";
        let record = Record { path, host: b"-", method: "", ..Record::default() };
        for format in [Format::Json, Format::Text] {
            let text = line(format, &record);
            assert!(text.contains(r#""/\u001b[31m\n\"\\ \u007f\u009b\u202e\ud83c\udf89\ufffd\ufffd""#), "{text}");
        }
        assert!(line(Format::Text, &record).contains(r#" "" "-" "/"#));
    }

    #[test]
    fn a_long_value_is_cut() {
        let path = vec![b'a'; VALUE_BYTES + 1];
        let detail = String::from_utf8(path.clone()).unwrap();
        let record = Record { path: &path, detail: Some(&detail), ..Record::default() };
        for format in [Format::Json, Format::Text] {
            let text = line(format, &record);
            assert_eq!(text.matches(&format!("{}...\"", "a".repeat(VALUE_BYTES))).count(), 2);
        }
        let fits = Record { path: path.split_at(1).1, detail: Some(&detail.split_at(1).1), ..Record::default() };
        assert!(!line(Format::Json, &fits).contains("..."));
    }

    #[test]
    fn dates_over_leap_years_are_right() {
        let day = |unix: u64| String::from_utf8(Stamp::default().second(unix).to_vec()).unwrap();
        assert_eq!(day(0), "1970-01-01T00:00:00");
        assert_eq!(day(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(day(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(day(1_709_251_199), "2024-02-29T23:59:59");
        assert_eq!(day(4_107_542_400), "2100-03-01T00:00:00");
        let mut stamp = Stamp::default();
        assert_ne!(stamp.second(1).to_vec(), stamp.second(2).to_vec());
    }

    proptest! {
        #[test]
        fn every_json_line_is_one_line_of_visible_ascii_that_says_what_it_was_given(
            path in proptest::collection::vec(any::<u8>(), 0..64), detail in ".{0,64}",
        ) {
            let record = Record { path: &path, detail: Some(&detail), ..Record::default() };
            let text = line(Format::Json, &record);
            prop_assert!(text.trim_end_matches('\n').bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            let expected = String::from_utf8_lossy(&path);
            prop_assert_eq!(read["path"].as_str(), Some(expected.as_ref()));
            prop_assert_eq!(read["detail"].as_str(), Some(detail.as_str()));
        }
    }
}
