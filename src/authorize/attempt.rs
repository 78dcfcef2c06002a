//! An attempt: one user's way through the providers, from a verified token or a link to where it ends. It can be gone on with for an hour,
//! in as many tabs as one likes, and only in the browser that began it; the token that began it may expire meanwhile.

use serde::{Deserialize, Serialize};

use crate::authorize::opaque::Hash;

/// The row of an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// `apps.NAME`.
    pub(crate) app: String,
    /// monday's account id.
    pub(crate) account: i64,
    /// monday's user id.
    pub(crate) user: i64,
    /// The account's name in monday's URLs, where it is known.
    pub(crate) slug: Option<String>,
    /// What has to be granted, in order.
    pub(crate) wanted: Vec<String>,
    /// Of these, what is asked for again although it is there.
    pub(crate) again: Vec<String>,
    /// What was granted on the way, in order.
    pub(crate) done: Vec<String>,
    /// Where it leads in the end.
    pub(crate) end: End,
    /// Which browser began it.
    pub(crate) browser: Hash,
}

/// Where an attempt leads in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// Back to monday: a URL that was judged.
    BackTo(String),
    /// To a page that says that all is well.
    Done,
    /// To the page of connections.
    Connections,
}

impl Attempt {
    /// Notes that something was granted on the way.
    pub(crate) fn did(&mut self, provider: &str) {
        if !self.done.iter().any(|known| known == provider) {
            self.done.push(provider.to_owned());
        }
    }

    /// Whether something is still asked for, although it is there.
    pub(crate) fn asks_again(&self, provider: &str) -> bool {
        self.again.iter().any(|name| name == provider) && !self.done.iter().any(|name| name == provider)
    }
}
