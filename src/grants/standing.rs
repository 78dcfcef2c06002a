//! What a grant is worth at a moment: pure, from the record, the provider as it is configured now, and the time.

use std::time::Duration;

use crate::grants::record::{Grant, State};
use crate::limits;
use crate::oauth::provider::Provider;

/// What became of a grant, as `X-Monday-Grants` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// There is a token, or one can be had.
    Ok,
    /// Never given, or gone.
    Missing,
    /// Dead, and the provider gives no new one.
    Expired,
    /// Taken back.
    Revoked,
    /// There is a token, but the configuration has asked for more scopes since. It is used as it is, and asked for again in
    /// the flow.
    Insufficient,
}

impl Standing {
    /// All of them, in the order of their indices.
    pub(crate) const ALL: [Self; 5] = [Self::Ok, Self::Missing, Self::Expired, Self::Revoked, Self::Insufficient];
    /// Their words, as metrics number them; the last is for what nobody knows.
    pub(crate) const LABELS: [&'static str; 6] = ["ok", "missing", "expired", "revoked", "insufficient", "unknown"];

    /// The word in `X-Monday-Grants`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Insufficient => "insufficient",
        }
    }

    /// Whether there is a token to use.
    pub(crate) const fn is_usable(self) -> bool {
        match self {
            Self::Ok | Self::Insufficient => true,
            Self::Missing | Self::Expired | Self::Revoked => false,
        }
    }
}

/// How an access token stands to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Long enough.
    Long,
    /// It works, and is worth refreshing now.
    Short,
    /// Over.
    Over,
}

/// What became of a grant.
pub(crate) fn judge(grant: Option<&Grant>, provider: &Provider, now: i64) -> Standing {
    let Some(grant) = grant else { return Standing::Missing };
    match grant.state {
        State::Expired => Standing::Expired,
        State::Revoked => Standing::Revoked,
        State::Ok if life(grant, now) == Life::Over && grant.refresh.is_none() => Standing::Expired,
        State::Ok if grew(grant, provider) || was_cut(grant, provider) => Standing::Insufficient,
        State::Ok => Standing::Ok,
    }
}

/// How its access token stands to its end. One that was renewed a moment ago is not renewed again, short as it may be.
pub(crate) fn life(grant: &Grant, now: i64) -> Life {
    let Some(expires) = grant.expires else { return Life::Long };
    let left = expires.saturating_sub(now);
    if left <= seconds(limits::TOKEN_ON_ITS_WAY).min(expires.saturating_sub(grant.renewed_at) / 2) {
        return Life::Over;
    }
    let is_recent = now.saturating_sub(grant.renewed_at) < seconds(limits::REFRESH_PAUSE);
    if left < seconds(limits::TOKEN_REFRESHED_BEFORE) && !is_recent { Life::Short } else { Life::Long }
}

/// Whether the configuration asks for more than was asked for when it was granted.
fn grew(grant: &Grant, provider: &Provider) -> bool {
    let wanted = provider.client().map(|client| client.scopes.as_slice()).unwrap_or_default();
    wanted.iter().any(|scope| !grant.asked.contains(scope))
}

/// Scopes that are asked for and that providers leave out of what they say was granted, or call by other names.
const UNSAID: [&str; 5] = ["openid", "profile", "email", "offline_access", "refresh_token"];

/// Whether the provider says that it granted less than was asked for. Said only of an answer in the words of the question: one that has other
/// words too, or none, cannot be compared, and a grant that is fine would be asked for again and again. monday.com's consent is for all or
/// nothing.
fn was_cut(grant: &Grant, provider: &Provider) -> bool {
    let said = &grant.scopes;
    let is_monday = provider.client().is_some_and(|client| client.monday.is_some());
    let is_comparable = !is_monday && !said.is_empty() && said.iter().all(|scope| grant.asked.contains(scope));
    let is_covered = |scope: &String| UNSAID.contains(&scope.as_str()) || said.iter().any(|wide| covers(wide, scope));
    is_comparable && !grant.asked.iter().all(is_covered)
}

/// Whether one scope is, or contains, another, as GitHub leaves out what a wider scope contains: `user` has `read:user`, `repo` has
/// `public_repo`, `admin:org` has `read:org`.
fn covers(wide: &str, scope: &str) -> bool {
    const RANKS: [&str; 3] = ["admin", "write", "read"];
    let rank = |scope: &str| RANKS.iter().position(|rank| scope.split_once(':').is_some_and(|(verb, _)| verb == *rank));
    let noun = |scope: &str| scope.split_once(':').map(|(_, noun)| noun.to_owned());
    let is_wider = matches!((rank(wide), rank(scope)), (Some(one), Some(other)) if one < other);
    let is_part = !wide.contains(':') && scope.split([':', '_']).any(|word| word == wide);
    wide == scope || is_part || is_wider && noun(wide) == noun(scope)
}

/// Whole seconds.
pub(crate) fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}
