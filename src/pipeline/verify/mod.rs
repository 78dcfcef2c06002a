//! Says who calls. Takes the request's credentials and what its route and app ask for; returns a `Caller`, which nothing
//! else can make, or why there is none. The signature is judged first, and claims only after it; nothing is remembered
//! from one request to the next. Knows no body and no backend. RFC 7519, section 7.2; RFC 8725.

mod audience;
mod find;
pub(crate) mod issued;

use std::fmt;

use bytes::Bytes;

use crate::config::resolved::PublicUrl;
use crate::issuers::claims::Issued;
use crate::json;
use crate::jwt::{Compact, Flaw, Key};
use crate::monday::app_keys::AppKeys;
use crate::monday::claims::{Claims, ClaimsFlaw, Text};
use crate::monday::kinds::{Row, SignedBy};
use crate::pipeline::refusal::Unauthorized;

use find::Found;
pub(crate) use find::query_without;

/// Characters of an audience that did not fit that are kept for the log.
const AUDIENCE_SHOWN: usize = 200;

/// The proof that a request was verified, or that its route asks for nobody. Made by [`judge`] and, for
/// the kind `jwt`, by [`issued::judge_issued`] only.
#[derive(Clone)]
pub struct Caller(Who);

#[derive(Clone)]
enum Who {
    Monday { claims: Box<Claims>, query_token: Option<Box<str>> },
    Issuer(Box<Issued>),
    Anonymous,
}

/// What was verified about the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'c> {
    /// By monday.
    Monday(&'c Claims),
    /// By the route's issuer.
    Issuer(&'c Issued),
}

/// What a request is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The kind of the route.
    pub(crate) row: &'a Row,
    /// The app of the route; every kind but `public` has one.
    pub(crate) app: Option<&'a AppKeys>,
    /// How monday reaches the gateway.
    pub(crate) public_urls: &'a [PublicUrl],
    /// The request's path, without query.
    pub(crate) path: &'a str,
    /// The time, in Unix seconds.
    pub(crate) now: i64,
}

impl Caller {
    /// What monday says about the caller; none for `jwt` and `public`.
    pub(crate) fn claims(&self) -> Option<&Claims> {
        match &self.0 {
            Who::Monday { claims, .. } => Some(claims),
            Who::Issuer(_) | Who::Anonymous => None,
        }
    }

    /// What monday or an issuer says about the caller; none for `public`.
    pub(crate) fn said(&self) -> Option<Said<'_>> {
        match &self.0 {
            Who::Monday { claims, .. } => Some(Said::Monday(claims)),
            Who::Issuer(issued) => Some(Said::Issuer(issued)),
            Who::Anonymous => None,
        }
    }

    /// monday's account and user, where both are known.
    pub(crate) fn ids(&self) -> Option<(i64, i64)> {
        match &self.0 {
            Who::Monday { claims, .. } => Some((claims.account_id, claims.user_id)),
            Who::Issuer(issued) => issued.ids(),
            Who::Anonymous => None,
        }
    }

    /// monday's account, where it is known: an issuer may name one without a user.
    pub(crate) fn account_id(&self) -> Option<i64> {
        match &self.0 {
            Who::Monday { claims, .. } => Some(claims.account_id),
            Who::Issuer(issued) => issued.account.as_ref()?.parse().ok(),
            Who::Anonymous => None,
        }
    }

    /// The token, if it came in the query: with `authorization = "keep"` it goes on as the `Authorization` field.
    pub(crate) fn query_token(&self) -> Option<&str> {
        match &self.0 {
            Who::Monday { query_token, .. } => query_token.as_deref(),
            Who::Issuer(_) | Who::Anonymous => None,
        }
    }
}

impl Said<'_> {
    /// All verified claims: one JSON object, as it came.
    pub(crate) fn raw(&self) -> &Bytes {
        match self {
            Self::Monday(claims) => &claims.raw,
            Self::Issuer(issued) => &issued.raw,
        }
    }

    /// The account, as a header says it.
    pub(crate) fn account(&self) -> Option<Bytes> {
        match self {
            Self::Monday(claims) => Some(digits(claims.account_id)),
            Self::Issuer(issued) => issued.account.as_deref().map(|text| Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    /// The user, as a header says it.
    pub(crate) fn user(&self) -> Option<Bytes> {
        match self {
            Self::Monday(claims) => Some(digits(claims.user_id)),
            Self::Issuer(issued) => issued.user.as_deref().map(|text| Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    /// The claim below these names, for a header: text and integers as they are, booleans as `true` and `false`. Reads all claims again.
    pub(crate) fn lookup(&self, path: &[String]) -> Option<String> {
        json::member(self.raw(), path)
    }
}

fn digits(number: i64) -> Bytes {
    Bytes::copy_from_slice(itoa::Buffer::new().format(number).as_bytes())
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Who::Monday { claims, .. } => claims.fmt(f),
            Who::Issuer(issued) => issued.fmt(f),
            Who::Anonymous => f.write_str("Anonymous"),
        }
    }
}

/// Judges one request by its `Authorization` fields and its raw query.
pub(crate) fn judge<'r>(
    fields: impl Iterator<Item = &'r [u8]>,
    query: Option<&'r str>,
    asked: &Asked<'_>,
) -> Result<Caller, Unauthorized> {
    if asked.row.signed_by == SignedBy::Nobody {
        return Ok(Caller(Who::Anonymous));
    }
    let found = find::find(asked.row.token, fields, query)?;
    let claims = Box::new(judge_token(found.token(), asked)?);
    let query_token = match found {
        Found::Header(_) => None,
        Found::Query(token) => Some(token.into()),
    };
    Ok(Caller(Who::Monday { claims, query_token }))
}

/// Judges one token: its form, its signature, and then its claims.
fn judge_token(token: &str, asked: &Asked<'_>) -> Result<Claims, Unauthorized> {
    // A route without an app would be a fault of the configuration; no key fits then.
    let app = asked.app.ok_or(Unauthorized::Token(Flaw::Signature))?;
    let compact = Compact::split(token).map_err(Unauthorized::Token)?;
    check_signature(&compact, asked.row.signed_by, app)?;
    let mut payload = Vec::new();
    compact.payload(&mut payload).map_err(Unauthorized::Token)?;
    let claims = Claims::parse(Bytes::from(payload), asked.row.shape)?;
    check_times(&claims, asked.now, app.leeway)?;
    check_audience(&claims, app, asked)?;
    check_app(&claims, app)?;
    Ok(claims)
}

fn check_signature(compact: &Compact<'_>, signed_by: SignedBy, app: &AppKeys) -> Result<(), Unauthorized> {
    let (right, other): (&[Key], &[Key]) = match signed_by {
        SignedBy::Signing => (&app.signing, &app.client),
        SignedBy::Client => (&app.client, &app.signing),
        SignedBy::SigningThenClient if compact.verify(&app.signing).is_ok() => return Ok(()),
        SignedBy::SigningThenClient => (&app.client, &[]),
        SignedBy::Issuer | SignedBy::Nobody => (&[], &[]),
    };
    match compact.verify(right) {
        Ok(_) => Ok(()),
        Err(Flaw::Signature) if compact.verify(other).is_ok() => {
            Err(Unauthorized::OtherSecret { needs_client: signed_by == SignedBy::Client })
        }
        Err(flaw) => Err(Unauthorized::Token(flaw)),
    }
}

/// A token is good from `nbf` (or `iat`) minus the leeway, that second included, until `exp` plus the leeway, that second
/// excluded (RFC 7519, sections 4.1.4 and 4.1.5).
fn check_times(claims: &Claims, now: i64, leeway: i64) -> Result<(), Unauthorized> {
    if now >= claims.expires.saturating_add(leeway) {
        return Err(Unauthorized::Expired { seconds: now.saturating_sub(claims.expires) });
    }
    for from in [claims.not_before, claims.issued_at].into_iter().flatten() {
        if now.saturating_add(leeway) < from {
            return Err(Unauthorized::NotYetValid { seconds: from.saturating_sub(now) });
        }
    }
    Ok(())
}

fn check_audience(claims: &Claims, app: &AppKeys, asked: &Asked<'_>) -> Result<(), Unauthorized> {
    let came = claims.audience.iter().map(Text::as_str);
    let Some(first) = claims.audience.first() else { return Ok(()) };
    if audience::fits(app.audience, came, asked.public_urls, asked.path) {
        return Ok(());
    }
    Err(Unauthorized::Audience { came: first.as_str().chars().take(AUDIENCE_SHOWN).collect() })
}

fn check_app(claims: &Claims, app: &AppKeys) -> Result<(), Unauthorized> {
    let differ = |named: Option<i64>| named.is_some_and(|id| app.app_id.is_some_and(|own| own != id));
    if let (Some(named), Some(own)) = (&claims.client_id, &app.client_id)
        && named.as_str() != own
    {
        return Err(Unauthorized::WrongApp { claim: "client_id" });
    }
    if differ(claims.app_id) {
        return Err(Unauthorized::WrongApp { claim: "app_id" });
    }
    if differ(claims.platform_app_id) {
        return Err(Unauthorized::WrongApp { claim: "platformAppId" });
    }
    Ok(())
}

impl From<ClaimsFlaw> for Unauthorized {
    fn from(flaw: ClaimsFlaw) -> Self {
        match flaw {
            ClaimsFlaw::Malformed(_) => Self::Token(Flaw::Claims),
            ClaimsFlaw::NoExpiry => Self::Token(Flaw::NoExpiry),
            ClaimsFlaw::Shape(why) => Self::WrongKind { why },
        }
    }
}

#[cfg(test)]
mod tests;
