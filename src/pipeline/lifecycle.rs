//! Hears what monday tells of an app's installation: `install` and `uninstall`, on verified requests of kind `app-lifecycle`. The type is the
//! body's; the account is the token's, never the body's. monday's page "App lifecycle webhooks".

use serde::Deserialize;

use crate::grants::port::News;
use crate::grants::{Down, Who};
use crate::monday::kinds::Kind;
use crate::pipeline::Work;
use crate::pipeline::admit::Admitted;
use crate::pipeline::refusal::Refusal;

/// Of the body, its type alone.
#[derive(Deserialize)]
struct Lifecycle {
    r#type: String,
}

/// Whose installation a request may tell about; none for every other kind, and where nothing is kept of grants.
pub(crate) fn told_of(work: &Work<'_>, admitted: &Admitted<'_>) -> Option<Who> {
    let route = admitted.routed().route();
    if route.kind != Kind::AppLifecycle || work.worker.shared.grants.is_none() {
        return None;
    }
    let claims = admitted.caller().claims()?;
    Some(Who { app: route.app.as_ref()?.keys.name.clone(), account: claims.account_id, user: claims.user_id })
}

/// Passes on what the body says, before the backend hears it. An `uninstall` that cannot be written down is refused: monday is asked to tell
/// it again.
pub(crate) async fn hear(work: &Work<'_>, who: Who, body: &[u8]) -> Result<(), Refusal> {
    let Some(port) = &work.worker.shared.grants else { return Ok(()) };
    let Ok(lifecycle) = serde_json::from_slice::<Lifecycle>(body) else { return Ok(()) };
    match lifecycle.r#type.as_str() {
        "uninstall" => port.uninstalled(who, &work.worker.deadlines).await.map_err(Refusal::GrantsDown),
        "install" if !port.tell(News::Installed, who) => Err(Refusal::GrantsDown(Down::Busy)),
        _ => Ok(()),
    }
}
