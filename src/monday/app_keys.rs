//! What the tokens of one monday app are verified with. Made from the configuration once per snapshot.

use crate::jwt::Key;

/// One app's keys, and what its tokens may say about themselves.
#[derive(Clone, Debug)]
pub(crate) struct AppKeys {
    /// The table's name in gateway.toml.
    pub(crate) name: String,
    /// Compared where a token names it.
    pub(crate) client_id: Option<String>,
    /// Compared where a token names it.
    pub(crate) app_id: Option<i64>,
    /// The Signing Secret; newest first while rotating.
    pub(crate) signing: Vec<Key>,
    /// The Client Secret; newest first while rotating.
    pub(crate) client: Vec<Key>,
    /// How `aud`, when present, is compared.
    pub(crate) audience: Audience,
    /// Seconds by which this machine's clock and monday's may differ.
    pub(crate) leeway: i64,
}

/// `apps.NAME.audience`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Not compared.
    Off,
    /// Scheme, host and port must be those of a `public_url` (default).
    Origin,
    /// Also the path must be the request's, without query and trailing slash.
    Exact,
}
