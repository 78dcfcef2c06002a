//! What the operator reads in the log about a refusal: the exact reason and, where there is one, what to look at.
//! Never in a body. Quotes no token; an `aud` is quoted escaped, so that it cannot forge a line.

use std::fmt;

use crate::jwt::Flaw;
use crate::pipeline::refusal::{Forbidden, GrantsNeeded, Malformed, Refusal, Unauthorized, UpstreamFault};

/// Shows a refusal to the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detail<'a>(&'a Refusal);

/// The exact reason, for the log only.
pub(crate) fn log_detail(refusal: &Refusal) -> Detail<'_> {
    Detail(refusal)
}

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::Malformed(what) => f.write_str(malformed(*what)),
            Refusal::HeadTooSlow => f.write_str("the head was not complete within head_timeout"),
            Refusal::HeadTooLarge => f.write_str("the head passes limits.head or limits.headers"),
            Refusal::BodyTooLarge { limit } => write!(f, "the body passes the limit of {limit} bytes"),
            Refusal::BodyTooSlow => f.write_str("the body paused for longer than body_idle_timeout"),
            Refusal::BodyBroken => f.write_str("the body ended early, or its chunks are malformed"),
            Refusal::MethodRefused => f.write_str("TRACE and CONNECT are never served"),
            Refusal::NoRoute => f.write_str("no route has this host and path"),
            Refusal::NoMethod { allow } => write!(f, "the routes of this host and path allow only: {allow}"),
            Refusal::Misdirected => f.write_str("the host is another certificate's than this connection was given"),
            Refusal::Unauthorized(why) => unauthorized(why, f),
            Refusal::Forbidden(why) => f.write_str(forbidden(*why)),
            Refusal::Grants(needed) => grants(needed, f),
            Refusal::GrantsDown(down) => write!(f, "a required grant is not known: {down}"),
            Refusal::OriginRefused => f.write_str("the Origin is not in the route's cors.origins"),
            Refusal::KeysDown => {
                f.write_str("the keys of the route's issuer cannot be fetched, and no usable set is left")
            }
            Refusal::Upstream(fault) => f.write_str(upstream(*fault)),
            Refusal::PageUnavailable => f.write_str("too many visits of pages wait, or the page took too long"),
            Refusal::Internal => f.write_str("a panic: a bug in the gateway, its message is in the log"),
        }
    }
}

fn malformed(what: Malformed) -> &'static str {
    match what {
        Malformed::RequestLine => "the request line is not `method target HTTP/1.x`",
        Malformed::ControlCharacter => "a bare CR or LF, NUL or another control character in the head",
        Malformed::ObsFold => "a folded header line",
        Malformed::FieldName => "a header name that is empty, has a space before its colon, or is no token",
        Malformed::BothLengths => "Transfer-Encoding beside Content-Length",
        Malformed::TransferEncoding => "a Transfer-Encoding that is not one `chunked`, or not in HTTP/1.1",
        Malformed::ContentLength => "a Content-Length that is not one number",
        Malformed::Host => "no Host, several, or one that is no host",
        Malformed::HostMismatch => "the target's authority is not the Host",
        Malformed::Target => "a target that is neither a path nor an absolute URI of this server",
        Malformed::Path => "a path with dot segments, empty segments, backslashes, or an encoding that hides one",
        Malformed::Query => "a query with a raw control character or `#`",
        Malformed::MaxForwards => "Max-Forwards on a method that has no use for it",
        Malformed::Upgrade => "an Upgrade that is no valid WebSocket handshake",
        Malformed::Chunk => "a malformed chunk",
    }
}

fn unauthorized(why: &Unauthorized, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match why {
        Unauthorized::Missing => f.write_str("no token where this kind has one"),
        Unauthorized::Multiple => f.write_str("more than one token"),
        Unauthorized::Token(flaw) => f.write_str(token(*flaw)),
        Unauthorized::OtherSecret { needs_client } => {
            let (needed, fits) =
                if *needs_client { ("client_secret", "signing_secret") } else { ("signing_secret", "client_secret") };
            write!(
                f,
                "the signature fits {fits}, but this kind is signed with {needed}: is the route's kind right, or were the two secrets swapped?"
            )
        }
        Unauthorized::Expired { seconds } => write!(f, "the token expired {seconds} s ago (leeway not counted)"),
        Unauthorized::NotYetValid { seconds } => {
            write!(f, "the token's nbf or iat is {seconds} s in the future: is this machine's clock right?")
        }
        Unauthorized::Audience { came } => {
            write!(
                f,
                "the token's aud is {came:?}, which is none that is expected: no public_url of gateway.toml, or none of the issuer's audience"
            )
        }
        Unauthorized::WrongApp { claim } => write!(f, "the token's {claim} names another app"),
        Unauthorized::WrongKind { why } => write!(f, "the token's claims are another kind's: {why}"),
    }
}

fn token(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::TooLong => "the token is too long",
        Flaw::Parts => "the token is not three parts separated by dots",
        Flaw::Base64 => "the token is not strict base64url",
        Flaw::Header => "the token's header is not the JSON object of a JWT",
        Flaw::Algorithm => "the token's alg is not the one that this kind is signed with",
        Flaw::Critical => "the token has a crit header",
        Flaw::Signature => "the signature fits no secret of the app: is it the one in monday's Developer Center?",
        Flaw::Claims => "the token's payload is no JSON object, or a claim has the wrong type",
        Flaw::NoExpiry => "the token has no exp",
    }
}

fn grants(needed: &GrantsNeeded, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the route requires grants:")?;
    needed.grants.iter().try_for_each(|grant| write!(f, " {}={}", grant.provider, grant.standing.word()))
}

fn forbidden(why: Forbidden) -> &'static str {
    match why {
        Forbidden::Guest => "allow.guests = false, and the token is a guest's or does not say",
        Forbidden::ViewOnly => "allow.view_only = false, and the token is a viewer's or does not say",
        Forbidden::NotAdmin => "allow.admin_only = true, and the token is not an admin's or does not say",
        Forbidden::Account => "the token's account is not in allow.accounts",
    }
}

fn upstream(fault: UpstreamFault) -> &'static str {
    match fault {
        UpstreamFault::Connect => {
            "the upstream refused the connection, is unreachable, or its certificate did not verify"
        }
        UpstreamFault::ConnectTimeout => "no connection to the upstream within connect_timeout",
        UpstreamFault::Exhausted => "all of the upstream's max_connections are in use",
        UpstreamFault::Closed => "the upstream closed the connection before it answered",
        UpstreamFault::Broken => "the upstream's answer is no HTTP, or an ambiguous one",
        UpstreamFault::Timeout => "the upstream did not answer within the route's timeout",
    }
}
