//! What a user goes through: each visit of a page, and what comes of it.

use std::sync::Arc;

use crate::authorize::door::{Admission, Reconnect, Visit};

/// The pages of all apps. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow(Arc<()>);

impl Flow {
    /// What becomes of a visit.
    pub(crate) async fn visit(&self, _visit: &Visit) -> Admission {
        let _ = &self.0;
        Admission::Onwards
    }

    /// A one-time link with which a user connects again.
    pub(crate) async fn reconnect_link(&self, _reconnect: &Reconnect) -> Option<String> {
        None
    }
}
