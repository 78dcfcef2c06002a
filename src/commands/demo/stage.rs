//! Everybody of the demo, running: the backend, who plays monday.com and a provider, the board, and a gateway among them. Whoever is asked
//! listens before the gateway's configuration is written, which names them.

use std::rc::{Rc, Weak};

use crate::clock::Clock;
use crate::commands::demo::backend::{self, Seen};
use crate::commands::demo::fakes::{Fake, Role};
use crate::commands::demo::gateway_toml::Players;
use crate::commands::demo::scene::Scene;
use crate::commands::demo::story::Cast;
use crate::commands::demo::{DemoFault, board, site};
use crate::gateway::assemble::{Gateway, metrics};
use crate::seal::KeyRing;
use crate::vault::{StoreAddress, Vault};

/// A running demo.
#[derive(Debug)]
pub(super) struct Stage {
    /// Who plays.
    pub(super) cast: Rc<Cast>,
    gateway: Gateway,
}

impl Stage {
    /// Starts everybody, with the gateway on this port.
    pub(super) async fn set(port: u16, clock: &Clock) -> Result<Self, DemoFault> {
        let (at_backend, backend) = site::bind().await?;
        let (at_monday, monday) = site::bind().await?;
        let (at_provider, provider) = site::bind().await?;
        let (at_board, board) = site::bind().await?;
        let scene = Scene::set(port, Players { backend, monday, provider, board }, clock)?;

        let seen = Seen::default();
        let remembering = seen.clone();
        site::serve(at_backend, move |asked| {
            let seen = remembering.clone();
            async move { backend::answer(asked, &seen) }
        });
        let monday = Fake::new(Role::Monday, scene.at_monday(), clock.clone());
        let provider = Fake::new(Role::Provider, scene.at_provider(), clock.clone());
        for (listener, fake) in [(at_monday, &monday), (at_provider, &provider)] {
            let fake = fake.clone();
            site::serve(listener, move |asked| {
                let fake = fake.clone();
                async move { fake.answer(&asked) }
            });
        }
        let gateway = Gateway::start(&scene.config, metrics(&scene.config, clock)?, clock.clone()).await?;
        let vault = looking_into(&scene).await?;
        let cast = Rc::new(Cast { scene, seen, monday, provider, vault, clock: clock.clone() });
        // The board ends with the stage, whoever is still looking at it.
        let weak = Rc::downgrade(&cast);
        site::serve(at_board, move |asked| {
            let weak = Weak::clone(&weak);
            async move { board::answer(asked, &weak).await }
        });
        Ok(Self { cast, gateway })
    }

    /// Ends the gateway, and removes the files.
    pub(super) async fn clear(self) {
        self.gateway.stop().await;
    }
}

/// The gateway's vault, opened a second time: commands may look into a vault that a gateway serves.
async fn looking_into(scene: &Scene) -> Result<Vault, DemoFault> {
    let (store, keys) = match &scene.config.vault {
        Some(settings) => (settings.store.clone(), settings.keys.clone()),
        None => (StoreAddress::Sqlite(scene.file("vault.db")), Vec::new()),
    };
    Ok(Vault::open(&store, KeyRing::new(&keys)?).await?)
}
