//! What one line of the access log says.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// One request. The fields in the order in which they are written; in JSON, what is absent is left out, in text it is `-`.
///
/// | name | meaning |
/// |---|---|
/// | `time` | when the answer ended: RFC 3339, UTC, milliseconds |
/// | `client` | the caller's address, as far as trusted proxies tell it |
/// | `method`, `host`, `path` | as the caller sent them; never the query, which may hold a token |
/// | `protocol`, `tls` | `HTTP/1.1`, `HTTP/2`; `TLSv1.2`, `TLSv1.3` |
/// | `status` | what was answered; 499 when the caller left before |
/// | `duration_ms` | from the request's head to the end of the answer |
/// | `bytes_in`, `bytes_out` | of the bodies |
/// | `route`, `app`, `kind` | names of the configuration |
/// | `account`, `user` | monday's ids, once a token was verified |
/// | `upstream`, `upstream_ms` | the server asked, and the time to the head of its answer |
/// | `reason`, `detail` | why the gateway refused: the metrics' label, and the exact words |
/// | `request_id` | the `X-Request-Id` |
///
/// Values are escaped to visible ASCII and cut at 1 KiB: a line is always one line, and harmless on a terminal.
#[derive(Clone, Copy, Default)]
pub struct Record<'a> {
    /// Milliseconds since 1970.
    pub unix_millis: u64,
    /// Absent for a Unix socket.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'a str,
    /// The host.
    pub host: &'a [u8],
    /// The path without its query.
    pub path: &'a [u8],
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: &'a str,
    /// Absent for plain HTTP.
    pub tls: Option<&'a str>,
    /// What was answered.
    pub status: u16,
    /// From the request's head to the end of the answer.
    pub duration: Duration,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Absent when none matched.
    pub route: Option<&'a str>,
    /// Absent for routes without an app.
    pub app: Option<&'a str>,
    /// The route's kind.
    pub kind: Option<&'a str>,
    /// monday's account id.
    pub account: Option<i64>,
    /// monday's user id.
    pub user: Option<i64>,
    /// The server that was asked.
    pub upstream: Option<&'a str>,
    /// The time to the head of its answer.
    pub upstream_time: Option<Duration>,
    /// Why it was refused, of a closed set.
    pub reason: Option<&'a str>,
    /// Why it was refused, in words that hold no secret.
    pub detail: Option<&'a dyn fmt::Display>,
    /// The request's id.
    pub request_id: &'a str,
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}
