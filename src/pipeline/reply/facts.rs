//! What a refusal is to HTTP and to the metrics: a status, a label, and whether the connection can go on.
//! Every match names every variant: a new refusal does not compile until it has its row here.

use http::StatusCode;

use crate::grants::Down;
use crate::jwt::Flaw;
use crate::pipeline::refusal::{Forbidden, Malformed, Refusal, Unauthorized, UpstreamFault};

/// All of a refusal that does not depend on who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The same for everybody who asks.
    pub(crate) status: StatusCode,
    /// Label of the access log and the metrics: `snake_case`, one of a closed set.
    pub(crate) reason: &'static str,
    /// What becomes of an HTTP/1 connection. In HTTP/2 only the stream ends.
    pub(crate) connection: Connection,
}

/// What becomes of an HTTP/1 connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// Where the next request begins is known; it may be read once the body has been.
    Keep,
    /// Where the next request begins is in doubt: `Connection: close`, and no byte more is read.
    Close,
}

/// Every reason, as metrics number them. A test holds each refusal to it.
pub(crate) const REASONS: [&str; 54] = [
    "malformed_request_line",
    "malformed_control_character",
    "malformed_obs_fold",
    "malformed_field_name",
    "malformed_both_lengths",
    "malformed_transfer_encoding",
    "malformed_content_length",
    "malformed_host",
    "malformed_host_mismatch",
    "malformed_target",
    "malformed_path",
    "malformed_query",
    "malformed_max_forwards",
    "malformed_upgrade",
    "malformed_chunk",
    "head_too_slow",
    "head_too_large",
    "body_too_large",
    "body_too_slow",
    "body_broken",
    "method_refused",
    "no_route",
    "no_method",
    "misdirected",
    "token_missing",
    "token_multiple",
    "token_malformed",
    "token_algorithm",
    "token_signature",
    "token_other_secret",
    "token_expired",
    "token_not_yet_valid",
    "token_audience",
    "token_wrong_app",
    "token_wrong_kind",
    "forbidden_guest",
    "forbidden_view_only",
    "forbidden_not_admin",
    "forbidden_account",
    "grant_required",
    "grants_store_down",
    "grants_provider_down",
    "grants_overload",
    "origin_refused",
    "keys_down",
    "upstream_connect",
    "upstream_connect_timeout",
    "upstream_exhausted",
    "upstream_closed",
    "upstream_broken",
    "upstream_timeout",
    "page_unavailable",
    "internal",
    "other",
];

/// A reason's place in [`REASONS`]. Refusals are rare: a search will do.
pub(crate) fn reason_index(reason: &str) -> usize {
    REASONS.iter().position(|known| *known == reason).unwrap_or(REASONS.len() - 1)
}

/// The row of a refusal.
pub(crate) fn facts(refusal: &Refusal) -> Facts {
    use Connection::{Close, Keep};
    let (status, reason, connection) = match refusal {
        Refusal::Malformed(what) => (StatusCode::BAD_REQUEST, malformed(*what), Close),
        Refusal::HeadTooSlow => (StatusCode::REQUEST_TIMEOUT, "head_too_slow", Close),
        Refusal::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", Close),
        Refusal::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", Close),
        Refusal::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow", Close),
        Refusal::BodyBroken => (StatusCode::BAD_REQUEST, "body_broken", Close),
        Refusal::MethodRefused => (StatusCode::METHOD_NOT_ALLOWED, "method_refused", Close), // after CONNECT a tunnel may follow
        Refusal::NoRoute => (StatusCode::NOT_FOUND, "no_route", Keep),
        Refusal::NoMethod { .. } => (StatusCode::METHOD_NOT_ALLOWED, "no_method", Keep),
        Refusal::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected", Keep),
        Refusal::Unauthorized(why) => (StatusCode::UNAUTHORIZED, unauthorized(why), Keep),
        Refusal::Forbidden(why) => (StatusCode::FORBIDDEN, forbidden(*why), Keep),
        Refusal::Grants(_) => (StatusCode::FORBIDDEN, "grant_required", Keep),
        Refusal::GrantsDown(down) => (StatusCode::SERVICE_UNAVAILABLE, grants_down(*down), Keep),
        Refusal::OriginRefused => (StatusCode::FORBIDDEN, "origin_refused", Keep),
        Refusal::KeysDown => (StatusCode::SERVICE_UNAVAILABLE, "keys_down", Keep),
        Refusal::Upstream(fault) => {
            let (status, reason) = upstream(*fault);
            (status, reason, Keep)
        }
        Refusal::PageUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "page_unavailable", Keep),
        Refusal::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", Close),
    };
    Facts { status, reason, connection }
}

fn malformed(what: Malformed) -> &'static str {
    match what {
        Malformed::RequestLine => "malformed_request_line",
        Malformed::ControlCharacter => "malformed_control_character",
        Malformed::ObsFold => "malformed_obs_fold",
        Malformed::FieldName => "malformed_field_name",
        Malformed::BothLengths => "malformed_both_lengths",
        Malformed::TransferEncoding => "malformed_transfer_encoding",
        Malformed::ContentLength => "malformed_content_length",
        Malformed::Host => "malformed_host",
        Malformed::HostMismatch => "malformed_host_mismatch",
        Malformed::Target => "malformed_target",
        Malformed::Path => "malformed_path",
        Malformed::Query => "malformed_query",
        Malformed::MaxForwards => "malformed_max_forwards",
        Malformed::Upgrade => "malformed_upgrade",
        Malformed::Chunk => "malformed_chunk",
    }
}

fn unauthorized(why: &Unauthorized) -> &'static str {
    match why {
        Unauthorized::Missing => "token_missing",
        Unauthorized::Multiple => "token_multiple",
        Unauthorized::Token(flaw) => match flaw {
            Flaw::TooLong
            | Flaw::Parts
            | Flaw::Base64
            | Flaw::Header
            | Flaw::Critical
            | Flaw::Claims
            | Flaw::NoExpiry => "token_malformed",
            Flaw::Algorithm => "token_algorithm",
            Flaw::Signature => "token_signature",
        },
        Unauthorized::OtherSecret { .. } => "token_other_secret",
        Unauthorized::Expired { .. } => "token_expired",
        Unauthorized::NotYetValid { .. } => "token_not_yet_valid",
        Unauthorized::Audience { .. } => "token_audience",
        Unauthorized::WrongApp { .. } => "token_wrong_app",
        Unauthorized::WrongKind { .. } => "token_wrong_kind",
    }
}

fn forbidden(why: Forbidden) -> &'static str {
    match why {
        Forbidden::Guest => "forbidden_guest",
        Forbidden::ViewOnly => "forbidden_view_only",
        Forbidden::NotAdmin => "forbidden_not_admin",
        Forbidden::Account => "forbidden_account",
    }
}

fn grants_down(down: Down) -> &'static str {
    match down {
        Down::Store => "grants_store_down",
        Down::Provider => "grants_provider_down",
        Down::Busy | Down::Late => "grants_overload",
    }
}

fn upstream(fault: UpstreamFault) -> (StatusCode, &'static str) {
    match fault {
        UpstreamFault::Connect => (StatusCode::BAD_GATEWAY, "upstream_connect"),
        UpstreamFault::ConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, "upstream_connect_timeout"),
        UpstreamFault::Exhausted => (StatusCode::SERVICE_UNAVAILABLE, "upstream_exhausted"),
        UpstreamFault::Closed => (StatusCode::BAD_GATEWAY, "upstream_closed"),
        UpstreamFault::Broken => (StatusCode::BAD_GATEWAY, "upstream_broken"),
        UpstreamFault::Timeout => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
    }
}
