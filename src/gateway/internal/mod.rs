//! The internal listener, for backends that work in the background: a fresh token of a grant, which grants there are, taking one back, and
//! tokens for what an app sends to monday. Never on the public address. `operations` lists what can be asked, `clients` says who may,
//! `answers` is what is answered, `openapi` describes it all from the same table and types.

pub(crate) mod answers;
pub(crate) mod clients;
pub(crate) mod listen;
pub(crate) mod openapi;
pub(crate) mod operations;
pub(crate) mod paging;
pub(crate) mod respond;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::resolved::Config;
use crate::config::resolved::grants::Internal;
use crate::gateway::internal::answers::Problem;
use crate::gateway::internal::clients::Clients;
use crate::grants::Grants;
use crate::jwt;
use crate::oauth::provider::Provider;
use crate::snapshot::served::providers;

/// What answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clients: Clients,
    apps: Vec<ApiApp>,
    /// Once the vault is open.
    grants: watch::Receiver<Option<Grants>>,
    has_vault: bool,
    clock: Clock,
}

/// An app, as the internal API knows it.
#[derive(Debug)]
struct ApiApp {
    name: String,
    providers: Vec<Arc<Provider>>,
    /// What signs for it, and its id at monday.
    signing: Option<(jwt::Key, i64)>,
}

impl Api {
    /// The API for these clients.
    pub(crate) fn new(
        config: &Config,
        internal: &Internal,
        grants: watch::Receiver<Option<Grants>>,
        clock: Clock,
    ) -> Self {
        let clients = Clients::new(&internal.clients);
        let apps = config.apps.iter().enumerate().map(|(at, app)| ApiApp {
            name: app.name.clone(),
            providers: own_providers(config, at),
            signing: app.signing_secrets.first().map(jwt::Key::new).zip(app.app_id),
        });
        let has_vault = config.vault.is_some();
        Self(Arc::new(Inner { clients, apps: apps.collect(), grants, has_vault, clock }))
    }

    /// The grants: not found without a vault, and not available before it is open.
    fn grants(&self) -> Result<Grants, Problem> {
        let missing = if self.0.has_vault { Problem::Unavailable } else { Problem::NotFound };
        self.0.grants.borrow().clone().ok_or(missing)
    }
}

/// Every provider of an app, also monday where only this API asks for it.
fn own_providers(config: &Config, at: usize) -> Vec<Arc<Provider>> {
    let mut own = providers(config, at);
    if let Some(monday) = config.apps.get(at).and_then(|app| app.monday.as_ref())
        && !own.iter().any(|one| one.name == monday.name)
    {
        own.push(Arc::clone(monday));
    }
    own
}
