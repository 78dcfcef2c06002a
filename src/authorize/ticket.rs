//! One-time links: a view's front end asks for one to open in a new tab (60 seconds), and a refused request's answer carries one
//! (10 minutes). A link says who is to connect; it never proves who clicks it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::authorize::opaque::Opaque;
use crate::authorize::rows::{RowFault, Rows, Sort};

/// The row of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// `apps.NAME`.
    pub(crate) app: String,
    /// monday's account id.
    pub(crate) account: i64,
    /// monday's user id.
    pub(crate) user: i64,
    /// The account's name in monday's URLs, where it is known.
    pub(crate) slug: Option<String>,
    /// What has to be granted.
    pub(crate) wanted: Vec<String>,
    /// Of these, what is asked for again although it is there.
    pub(crate) again: Vec<String>,
}

impl Ticket {
    /// Writes it down and returns what its link carries.
    pub(crate) async fn issue(&self, rows: &Rows, lifetime: Duration) -> Result<Opaque, RowFault> {
        let id = Opaque::fresh()?;
        rows.keep((Sort::Ticket, &id), self, lifetime).await?;
        Ok(id)
    }

    /// The ticket of a link, once.
    pub(crate) async fn redeem(rows: &Rows, text: &str) -> Result<Option<Self>, RowFault> {
        match Opaque::parse(text) {
            Some(id) => rows.take(Sort::Ticket, &id).await,
            None => Ok(None),
        }
    }
}
