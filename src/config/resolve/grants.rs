//! Hosts.
use crate::config::resolved::grants::MondayHosts;
use url::Url;

/// monday's own.
#[expect(clippy::unwrap_used, reason = "a constant")]
pub(crate) fn monday_hosts() -> MondayHosts {
    MondayHosts {
        auth: Url::parse("https://auth.monday.com").unwrap(),
        api: Url::parse("https://api.monday.com/v2").unwrap(),
    }
}
