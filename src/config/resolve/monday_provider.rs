//! The built-in provider: monday itself, as one app uses it. Both generations of its OAuth; monday's pages "OAuth and permissions".

use url::Url;

use crate::oauth::monday::{self, MondayApp};
use crate::oauth::provider::{MondayGeneration, Provider};
use crate::secret::Secret;

/// What an app says of its monday provider.
#[derive(Debug)]
pub(crate) struct Registered {
    /// `client_id`.
    pub(crate) id: String,
    /// `client_secret`, newest first.
    pub(crate) secrets: Vec<Secret>,
    /// `oauth`.
    pub(crate) generation: MondayGeneration,
    /// `scopes` with `me:read`.
    pub(crate) scopes: Vec<String>,
}

/// monday, for one app.
pub(crate) fn monday_provider(auth: &Url, app: Registered) -> Provider {
    let Registered { id, secrets, generation, scopes } = app;
    monday::provider(MondayApp { auth, generation, id, secrets, scopes })
}
