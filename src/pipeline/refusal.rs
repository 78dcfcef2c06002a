//! Why a request goes no further: facts, no response. A step that refuses returns one; `reply` turns it into a status, a
//! body, a metric label and a log reason, by exhaustive matches. Nothing here is shown to a client.

use crate::grants::Down;
use crate::grants::standing::Standing;
use crate::jwt::Flaw;
use crate::oauth::provider::Provider;

/// A refusal, grouped by who is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request's form: framing, head, path, host.
    Malformed(Malformed),
    /// The head was not complete in time.
    HeadTooSlow,
    /// The head, or the number of its fields, passes the limit.
    HeadTooLarge,
    /// The body passes the route's limit.
    BodyTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The body came too slowly.
    BodyTooSlow,
    /// The body ended before its announced end, or its chunks are malformed.
    BodyBroken,
    /// TRACE or CONNECT, which no route can allow.
    MethodRefused,
    /// No route has this host and path.
    NoRoute,
    /// A route has this host and path, but not this method.
    NoMethod {
        /// What `Allow` says (RFC 9110, section 10.2.1).
        allow: String,
    },
    /// The host belongs to another certificate than the connection's (RFC 9110, section 15.5.20).
    Misdirected,
    /// The caller is not who the route needs.
    Unauthorized(Unauthorized),
    /// Verified, but `allow` says no.
    Forbidden(Forbidden),
    /// Verified, but grants that the route requires are missing or dead.
    Grants(Box<GrantsNeeded>),
    /// Nobody knows whether there are the grants that the route requires.
    GrantsDown(Down),
    /// A cross-origin WebSocket handshake, or a preflight, from an origin that is not listed.
    OriginRefused,
    /// The keys of the route's issuer cannot be had.
    KeysDown,
    /// The backend.
    Upstream(UpstreamFault),
    /// A page of the gateway's own: too many wait for theirs, or it took too long.
    PageUnavailable,
    /// A panic of our own.
    Internal,
}

/// Which grants a request lacks, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantsNeeded {
    /// In the route's order; at least one.
    pub(crate) grants: Vec<NeededGrant>,
    /// Where its user connects again; none if there is no flow, or none now.
    pub(crate) link: Option<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeededGrant {
    /// The provider's name.
    pub(crate) provider: String,
    /// What people call it.
    pub(crate) display: String,
    /// What became of it.
    pub(crate) standing: Standing,
}

/// What is wrong with the form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Malformed {
    /// The request line is not `method SP target SP HTTP/1.x CRLF`.
    RequestLine,
    /// A bare CR or LF, NUL or another control character.
    ControlCharacter,
    /// A folded line (RFC 9112, section 5.2).
    ObsFold,
    /// An empty field name, or one with a character that is no token character, or a space before its colon.
    FieldName,
    /// `Transfer-Encoding` beside `Content-Length`.
    BothLengths,
    /// `Transfer-Encoding` is anything but one `chunked`, or came in HTTP/1.0 or HTTP/2.
    TransferEncoding,
    /// `Content-Length` is not one number.
    ContentLength,
    /// No `Host`, two of them, or one that is no host.
    Host,
    /// The target's authority, or `:authority`, is not the `Host`.
    HostMismatch,
    /// The target is neither a path nor an absolute URI of this server.
    Target,
    /// Dot segments, empty segments, backslashes or an encoding that hides one.
    Path,
    /// The query has a raw control character or `#`.
    Query,
    /// `Max-Forwards`, for which only TRACE and OPTIONS have a use.
    MaxForwards,
    /// An `Upgrade` to anything but a WebSocket, or a handshake that is none.
    Upgrade,
    /// A chunk size, its extension or its line end.
    Chunk,
}

/// Why a caller is not who the route needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unauthorized {
    /// No token where this kind has one.
    Missing,
    /// More than one token.
    Multiple,
    /// The token itself.
    Token(Flaw),
    /// The signature fits the app's *other* secret: the two were swapped in gateway.toml or at monday.
    OtherSecret {
        /// The kind needs the client secret, and the signing secret fits; otherwise the reverse.
        needs_client: bool,
    },
    /// Past `exp`.
    Expired {
        /// Seconds since then, leeway not counted.
        seconds: i64,
    },
    /// Before `nbf`, or `iat` in the future: is this machine's clock right?
    NotYetValid {
        /// Seconds until then, leeway not counted.
        seconds: i64,
    },
    /// `aud` is not this gateway's.
    Audience {
        /// What came; cut to 200 characters for the log.
        came: String,
    },
    /// The token names another `client_id`, `app_id` or `platformAppId`.
    WrongApp {
        /// The claim that does.
        claim: &'static str,
    },
    /// The claims are another kind's: `backToUrl` where there must be none, none where there must be one, ids absent.
    WrongKind {
        /// What gave it away.
        why: &'static str,
    },
}

/// Which part of `allow` refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// A guest, or a token that does not say.
    Guest,
    /// A viewer, or a token that does not say.
    ViewOnly,
    /// Not an admin, or a token that does not say.
    NotAdmin,
    /// Another account.
    Account,
}

/// What the backend did, or failed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    /// Refused, unreachable, or its certificate did not verify.
    Connect,
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// All of `max_connections` are in use.
    Exhausted,
    /// Closed before a head.
    Closed,
    /// An answer that is no HTTP, or an ambiguous one.
    Broken,
    /// No head within the route's `timeout`.
    Timeout,
}

impl NeededGrant {
    /// A grant at this provider.
    pub(crate) fn new(provider: &Provider, standing: Standing) -> Self {
        Self { provider: provider.name.clone(), display: provider.display.clone(), standing }
    }
}

impl Unauthorized {
    /// What a verification can come to, as metrics call it; [`Unauthorized::result`] points into it, and 0 is success.
    pub(crate) const RESULTS: [&'static str; 12] = [
        "ok",
        "missing",
        "multiple",
        "malformed",
        "algorithm",
        "signature",
        "other_secret",
        "expired",
        "not_yet_valid",
        "audience",
        "wrong_app",
        "wrong_kind",
    ];

    /// Its place in [`Unauthorized::RESULTS`].
    pub(crate) const fn result(&self) -> usize {
        match self {
            Self::Missing => 1,
            Self::Multiple => 2,
            Self::Token(
                Flaw::TooLong
                | Flaw::Parts
                | Flaw::Base64
                | Flaw::Header
                | Flaw::Critical
                | Flaw::Claims
                | Flaw::NoExpiry,
            ) => 3,
            Self::Token(Flaw::Algorithm) => 4,
            Self::Token(Flaw::Signature) => 5,
            Self::OtherSecret { .. } => 6,
            Self::Expired { .. } => 7,
            Self::NotYetValid { .. } => 8,
            Self::Audience { .. } => 9,
            Self::WrongApp { .. } => 10,
            Self::WrongKind { .. } => 11,
        }
    }

    /// What metrics call it.
    #[expect(clippy::indexing_slicing, reason = "a test holds every result to the table")]
    pub(crate) const fn label(&self) -> &'static str {
        Self::RESULTS[self.result()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place_among_the_results() {
        let reasons = [
            (Unauthorized::Missing, "missing"),
            (Unauthorized::Multiple, "multiple"),
            (Unauthorized::Token(Flaw::TooLong), "malformed"),
            (Unauthorized::Token(Flaw::NoExpiry), "malformed"),
            (Unauthorized::Token(Flaw::Algorithm), "algorithm"),
            (Unauthorized::Token(Flaw::Signature), "signature"),
            (Unauthorized::OtherSecret { needs_client: true }, "other_secret"),
            (Unauthorized::Expired { seconds: 1 }, "expired"),
            (Unauthorized::NotYetValid { seconds: 1 }, "not_yet_valid"),
            (Unauthorized::Audience { came: String::new() }, "audience"),
            (Unauthorized::WrongApp { claim: "app_id" }, "wrong_app"),
            (Unauthorized::WrongKind { why: "" }, "wrong_kind"),
        ];
        for (reason, label) in reasons {
            assert_eq!(reason.label(), label);
        }
    }
}
