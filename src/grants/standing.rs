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
        State::Ok if grew(grant, provider) => Standing::Insufficient,
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

/// Whole seconds.
pub(crate) fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}
