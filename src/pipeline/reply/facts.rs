//! What a refusal is to HTTP and to the metrics: a status, a label, and whether the connection can go on.
//! Every match names every variant: a new refusal does not compile until it has its row here.

use http::StatusCode;

use crate::jwt::Flaw;
use crate::pipeline::refusal::{Forbidden, Malformed, Refusal, Unauthorized, UpstreamFault};

/// All of a refusal that does not depend on who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// For everybody but those who would not come again after it (see `Retry`).
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
        Refusal::OriginRefused => (StatusCode::FORBIDDEN, "origin_refused", Keep),
        Refusal::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many", Keep),
        Refusal::Upstream(fault) => {
            let (status, reason) = upstream(*fault);
            (status, reason, Keep)
        }
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
            Flaw::TooLong | Flaw::Parts | Flaw::Base64 | Flaw::Header | Flaw::Critical | Flaw::Claims | Flaw::NoExpiry => {
                "token_malformed"
            }
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

/// The `result` of `token_verifications_total`: the label without its prefix.
pub(crate) fn verification(why: &Unauthorized) -> &'static str {
    let label = unauthorized(why);
    label.strip_prefix("token_").unwrap_or(label)
}

fn forbidden(why: Forbidden) -> &'static str {
    match why {
        Forbidden::Guest => "forbidden_guest",
        Forbidden::ViewOnly => "forbidden_view_only",
        Forbidden::NotAdmin => "forbidden_not_admin",
        Forbidden::Account => "forbidden_account",
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
