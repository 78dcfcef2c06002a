//! Judges the token of an issuer, for the kind `jwt`: with the worker's own copy of the issuer's keys, and only for a key that it does not
//! have by asking the control plane. Takes the request's credentials, returns a `Caller`, or a refusal. RFC 8725.

use crate::issuers::claims::{Issued, IssuedFlaw, When};
use crate::issuers::copies::Copies;
use crate::issuers::key_set::KeySet;
use crate::issuers::token::{Token, Verdict};
use crate::issuers::{Issuer, NoKey};
use crate::jwt::Flaw;
use crate::monday::kinds::TokenPlace;
use crate::pipeline::refusal::{Refusal, Unauthorized};
use crate::pipeline::verify::find::{self, Found};
use crate::pipeline::verify::{Caller, Who};

/// Sets that one request looks at: its worker's, and newer ones that were fetched while it waited.
const SETS: usize = 3;

/// What a request on a route of kind `jwt` is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedOfIssuer<'a> {
    /// Whose token it must have.
    pub(crate) issuer: &'a Issuer,
    /// The worker's copies of key sets.
    pub(crate) copies: &'a Copies,
    /// The time.
    pub(crate) when: When,
}

/// Judges one request by its `Authorization` fields and its raw query.
pub(crate) async fn judge_issued<'r>(
    fields: impl Iterator<Item = &'r [u8]>,
    query: Option<&'r str>,
    asked: &AskedOfIssuer<'_>,
) -> Result<Caller, Refusal> {
    let refuse = |why| Refusal::Unauthorized(Unauthorized::Token(why));
    let found = find::find(TokenPlace::Header, fields, query).map_err(Refusal::Unauthorized)?;
    let (Found::Header(text), AskedOfIssuer { issuer, copies, when }) = (found, *asked) else {
        return Err(Refusal::Unauthorized(Unauthorized::Missing));
    };
    let token = Token::read(text).map_err(refuse)?;
    for _set in 0..SETS {
        let look = |set: Option<&KeySet>, generation| (set.map(|set| token.judge(set)), generation);
        let (verdict, generation) = copies.with(issuer, when.now, look);
        match verdict {
            Some(Verdict::Signed(payload)) => {
                let claims = Issued::parse(payload, &issuer.rules, when).map_err(Unauthorized::from);
                return claims.map(|claims| Caller(Who::Issuer(Box::new(claims)))).map_err(Refusal::Unauthorized);
            }
            Some(Verdict::Refused(flaw)) => return Err(refuse(flaw)),
            Some(Verdict::UnknownKey) | None => {}
        }
        match issuer.learn(token.header.kid.as_deref(), generation).await {
            Ok(()) => {}
            Err(NoKey::Unknown) => return Err(refuse(Flaw::Signature)),
            Err(NoKey::Down) => return Err(Refusal::KeysDown),
        }
    }
    Err(refuse(Flaw::Signature))
}

impl From<IssuedFlaw> for Unauthorized {
    fn from(flaw: IssuedFlaw) -> Self {
        match flaw {
            IssuedFlaw::Malformed => Self::Token(Flaw::Claims),
            IssuedFlaw::NoExpiry => Self::Token(Flaw::NoExpiry),
            IssuedFlaw::Expired(seconds) => Self::Expired { seconds },
            IssuedFlaw::NotYetValid(seconds) => Self::NotYetValid { seconds },
            IssuedFlaw::Issuer => Self::WrongApp { claim: "iss" },
            IssuedFlaw::Audience(came) => Self::Audience { came },
            IssuedFlaw::Required => {
                Self::WrongKind { why: "a claim that the issuer's table requires is missing, or says something else" }
            }
        }
    }
}

#[cfg(test)]
mod tests;
