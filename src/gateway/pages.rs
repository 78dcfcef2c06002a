//! The pages that the gateway serves: made at start and carried by the control plane. What needs the vault says so until it is there.

use tokio::sync::watch;

use crate::authorize::door::{self, Door};
use crate::authorize::flow::{Flow, Parts};
use crate::clock::Clock;
use crate::config::resolved::Config;
use crate::gateway::assemble::StartFault;
use crate::gateway::control::Control;
use crate::grants::Grants;
use crate::oauth::discovery::Discovery;
use crate::oauth::web::Web;

/// Starts the pages of a configuration, if any app has some. Returns the workers' side.
pub(crate) fn start(
    control: &Control,
    config: &Config,
    clock: &Clock,
    grants: watch::Receiver<Option<Grants>>,
) -> Result<Door, StartFault> {
    if config.apps.iter().all(|app| app.authorization.is_none()) {
        return Ok(Door::shut());
    }
    let web = Web::new(None)?;
    let discovery = Discovery::new(web.clone(), clock.clone());
    let flow = Flow::new(config, Parts { web, discovery, clock: clock.clone() })?;
    let (door, waiting) = door::open();
    let there = grants.borrow().clone();
    match there {
        Some(grants) => flow.open(grants.vault(), grants),
        None => control.run(open_later(flow.clone(), grants)),
    }
    control.run(door::serve(waiting, flow));
    Ok(door)
}

/// Waits until there are grants; for ever, where there is no vault.
async fn open_later(flow: Flow, mut grants: watch::Receiver<Option<Grants>>) {
    let there = grants.wait_for(Option::is_some).await.ok().and_then(|grants| grants.clone());
    if let Some(grants) = there {
        flow.open(grants.vault(), grants);
    }
}
