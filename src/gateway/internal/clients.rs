//! Who asks the internal API: a client by its Bearer key. All keys of all clients are compared, each in constant time, so that the time of an
//! answer says nothing about any. Takes the `Authorization` fields. RFC 6750, section 2.1.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Semaphore;

use crate::config::resolved::grants::{Ability, InternalClient};
use crate::limits;

/// Every client.
#[derive(Debug)]
pub(super) struct Clients(Vec<Client>);

/// One client.
pub(super) struct Client {
    /// For the audit log.
    pub(super) name: String,
    /// Hashes of its keys: of one length, whatever the keys are.
    keys: Vec<[u8; 32]>,
    apps: Vec<usize>,
    grants: Vec<String>,
    can: Vec<Ability>,
    /// Its requests at work.
    pub(super) places: Arc<Semaphore>,
}

impl Clients {
    /// Of the configuration.
    pub(super) fn new(written: &[InternalClient]) -> Self {
        let client = |one: &InternalClient| Client {
            name: one.name.clone(),
            keys: one.keys.iter().map(|key| hash(key.expose())).collect(),
            apps: one.apps.clone(),
            grants: one.grants.clone(),
            can: one.can.clone(),
            places: Arc::new(Semaphore::new(limits::INTERNAL_REQUESTS)),
        };
        Self(written.iter().map(client).collect())
    }

    /// The client whose key this is.
    pub(super) fn find<'f>(&self, mut fields: impl Iterator<Item = &'f [u8]>) -> Option<&Client> {
        let (field, None) = (fields.next()?, fields.next()) else { return None };
        let (scheme, key) = field.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let came = hash(key.trim_ascii());
        let mut found = None;
        for client in &self.0 {
            for own in &client.keys {
                if verify_slices_are_equal(own, &came).is_ok() {
                    found = Some(client);
                }
            }
        }
        found
    }
}

impl Client {
    /// Whether it may do this at all.
    pub(super) fn can(&self, ability: Ability) -> bool {
        self.can.contains(&ability)
    }

    /// Whether it may know of this app.
    pub(super) fn knows_app(&self, app: usize) -> bool {
        self.apps.contains(&app)
    }

    /// Whether it may know of grants of this provider.
    pub(super) fn knows_grant(&self, provider: &str) -> bool {
        self.grants.iter().any(|own| own == provider)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

fn hash(key: &[u8]) -> [u8; 32] {
    let mut hashed = [0; 32];
    let digest = digest(&SHA256, key);
    for (into, byte) in hashed.iter_mut().zip(digest.as_ref()) {
        *into = *byte;
    }
    hashed
}
