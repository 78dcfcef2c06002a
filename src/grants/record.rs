//! A grant: what a user (or an account) has allowed one app at one provider. The key says whose it is; the record is what the vault seals.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose grant, and at which provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GrantKey {
    /// `apps.NAME`.
    pub(crate) app: String,
    /// monday's account id.
    pub(crate) account: i64,
    /// monday's user id; none for a grant that is the account's.
    pub(crate) user: Option<i64>,
    /// The provider's name.
    pub(crate) provider: String,
}

/// What is kept of a grant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// What became of it.
    pub(crate) state: State,
    /// The access token, or the first field of an API key.
    pub(crate) access: String,
    /// The refresh token, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<String>,
    /// Unix seconds at which the access token ends; none: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<i64>,
    /// What was granted, as far as the provider said.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// What was asked for when it was granted: scopes that grew are asked for again.
    #[serde(default)]
    pub(crate) asked: Vec<String>,
    /// What else the provider gave: `instance_url`, a cloud id, further fields of an API key.
    #[serde(default)]
    pub(crate) values: BTreeMap<String, String>,
    /// Unix seconds of the consent that began this chain of refresh tokens.
    pub(crate) granted_at: i64,
    /// Unix seconds of the last exchange or refresh.
    pub(crate) renewed_at: i64,
    /// The user who connected, for a grant that is the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) granted_by: Option<i64>,
}

/// What became of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Usable, or refreshable.
    Ok,
    /// The provider refused its refresh token.
    Expired,
    /// Taken back: by the user, an admin, or an uninstall.
    Revoked,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("state", &self.state).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Grant {
    /// What is remembered of it after it was taken back: no token.
    pub(crate) fn revoked(&self, now: i64) -> Self {
        Self {
            state: State::Revoked,
            access: String::new(),
            refresh: None,
            expires: None,
            scopes: Vec::new(),
            asked: Vec::new(),
            values: BTreeMap::new(),
            granted_at: self.granted_at,
            renewed_at: now,
            granted_by: self.granted_by,
        }
    }

    /// What is left of it once its provider refuses it: it can be connected again, and nothing else.
    pub(crate) fn expired(&self, now: i64) -> Self {
        Self { state: State::Expired, ..self.revoked(now) }
    }
}

impl GrantKey {
    /// The key of its row: `app/account/user/provider`, where `-` stands for the account's own. Names have no slash.
    pub(crate) fn row(&self) -> String {
        match self.user {
            Some(user) => format!("{}/{}/{user}/{}", self.app, self.account, self.provider),
            None => format!("{}/{}/-/{}", self.app, self.account, self.provider),
        }
    }

    /// The key of a row, read back.
    pub(crate) fn of_row(row: &str) -> Option<Self> {
        let mut parts = row.split('/');
        let (app, account, user, provider) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let user = match user {
            "-" => None,
            id => Some(id.parse().ok()?),
        };
        let key = Self { app: app.to_owned(), account: account.parse().ok()?, user, provider: provider.to_owned() };
        parts.next().is_none().then_some(key)
    }
}
