//! The control plane's part in grants: opens the vault, answers the workers' questions, and keeps grants alive. A store that refuses, or
//! that another key sealed, fails the start; one that only cannot be reached does not: what needs no grant is served at once, and the
//! rest as soon as the store is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::resolved::Config;
use crate::config::resolved::grants::{OnUninstall, VaultSettings};
use crate::gateway::assemble::StartFault;
use crate::gateway::control::Control;
use crate::gateway::readiness::StoreState;
use crate::grants::cache::Generations;
use crate::grants::journal::{Journal, JournalFault, Opening};
use crate::grants::port::{self, Port};
use crate::grants::uninstall::Marks;
use crate::grants::{AppGrants, Grants, Parts, Terms};
use crate::limits;
use crate::oauth::discovery::Discovery;
use crate::oauth::web::Web;
use crate::seal::{KeyRing, SealFault};
use crate::snapshot::served::providers;
use crate::telemetry::metrics::Metrics;
use crate::vault::{Table, Vault, VaultFault};

/// How long a start waits for the store; after that it goes on without.
const FIRST_ATTEMPT: Duration = Duration::from_secs(5);
/// Between two later attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at the store, for `/readyz`.
const LOOK_PAUSE: Duration = Duration::from_secs(2);
/// The record that is looked for, and that nobody writes.
const LOOKED_FOR: &str = "readyz";

/// What the control plane has of grants.
#[derive(Debug)]
pub(crate) struct Granting {
    /// The workers' side; none without a vault.
    pub(crate) port: Option<Port>,
    /// The grants, once the store is open.
    pub(crate) grants: watch::Receiver<Option<Grants>>,
    /// The store, for `/readyz`; none without a vault.
    pub(crate) store: Option<StoreState>,
    tasks: JoinSet<()>,
}

/// Why there are no grants.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantingFault {
    /// A key of `vault.keys`.
    #[error("vault.keys: {0}")]
    Keys(#[from] SealFault),
    /// The store.
    #[error("vault.store: {0}")]
    Vault(#[from] VaultFault),
    /// The audit log.
    #[error("vault.audit: {0}")]
    Journal(#[from] JournalFault),
    /// The authorities that vouch for providers.
    #[error("cannot ask providers: {0}")]
    Web(#[from] crate::tls::files::TlsFault),
}

/// What grants are made with, once there is a vault.
#[derive(Debug)]
struct Making {
    settings: VaultSettings,
    store: StoreState,
    keys: KeyRing,
    web: Web,
    clock: Clock,
    metrics: Arc<Metrics>,
    generations: Arc<Generations>,
    marks: Arc<Marks>,
    apps: Vec<AppGrants>,
    events: BTreeMap<String, crate::config::resolved::grants::Events>,
}

impl Granting {
    /// Opens the vault, if there is one, on the control plane.
    pub(crate) async fn start(
        control: &Control,
        config: &Config,
        (metrics, clock): (&Arc<Metrics>, &Clock),
    ) -> Result<Self, StartFault> {
        let Some(settings) = &config.vault else {
            return Ok(Self { port: None, grants: watch::channel(None).1, store: None, tasks: JoinSet::new() });
        };
        let making = Making::new(config, settings, (metrics, clock))?;
        // The store's tasks live where it is opened.
        Ok(control.carry(Self::begin(making)).await.map_err(StartFault::Thread)??)
    }

    async fn begin(making: Making) -> Result<Self, GrantingFault> {
        let (tell, grants) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let store = making.store.clone();
        let (port, questions) = port::open(Arc::clone(&making.generations), Arc::clone(&making.marks));
        tasks.spawn(port::serve(questions, grants.clone()));
        match tokio::time::timeout(FIRST_ATTEMPT, making.open()).await {
            Ok(Ok(vault)) => {
                tasks.spawn(vault.clone().keep_sealed());
                tasks.spawn(look(vault.clone(), store.clone()));
                run(making.grants(vault)?, &making.web, &tell, &mut tasks);
            }
            Ok(Err(fault)) if !is_unreachable(&fault) => return Err(fault),
            unreachable => {
                let why = unreachable.map_or_else(|_| "no answer in time".to_owned(), |fault| words(&fault));
                tracing::error!(
                    why,
                    "started without the vault: routes that require a grant answer 503 until it is there"
                );
                tasks.spawn(open_later(making, tell));
            }
        }
        Ok(Self { port: Some(port), grants, store: Some(store), tasks })
    }

    /// Ends the tasks, after the refreshes that are under way: a provider that has given a new token out gives it once.
    pub(crate) async fn stop(mut self) {
        let grants = self.grants.borrow().clone();
        if let Some(grants) = grants {
            grants.settle(limits::REFRESHES_SETTLE).await;
        }
        self.tasks.shutdown().await;
    }
}

fn words(opened: &Result<Vault, GrantingFault>) -> String {
    opened.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

fn is_unreachable(fault: &GrantingFault) -> bool {
    matches!(fault, GrantingFault::Vault(VaultFault::Unreachable(_)))
}

/// Spawns what keeps grants.
fn run(grants: Grants, web: &Web, tell: &watch::Sender<Option<Grants>>, tasks: &mut JoinSet<()>) {
    tasks.spawn(grants.clone().follow());
    tasks.spawn(grants.clone().keep_alive());
    tasks.spawn(grants.clone().deliver_events(web.clone()));
    tasks.spawn(grants.clone().watch_uninstalled());
    tell.send_replace(Some(grants));
}

/// Asks the store now and then whether it is there: `/readyz` says what it said, and waits for nothing.
#[expect(clippy::infinite_loop, reason = "ends with its task")]
async fn look(vault: Vault, state: StoreState) {
    loop {
        let answer = vault.get(Table::Leases, LOOKED_FOR).await;
        match answer {
            Err(VaultFault::Unreachable(_)) => state.down(),
            Ok(_) | Err(_) => state.up(),
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// Tries until the store is there.
async fn open_later(making: Making, tell: watch::Sender<Option<Grants>>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::time::sleep(ATTEMPT_PAUSE).await;
        match making.open().await.and_then(|vault| Ok((vault.clone(), making.grants(vault)?))) {
            Ok((vault, grants)) => {
                tracing::info!("the vault is open");
                tasks.spawn(look(vault.clone(), making.store.clone()));
                tasks.spawn(vault.keep_sealed());
                run(grants, &making.web, &tell, &mut tasks);
                break;
            }
            Err(fault) if is_unreachable(&fault) => {}
            Err(fault) => tracing::error!(%fault, "the vault cannot be used"),
        }
    }
    while tasks.join_next().await.is_some() {}
}

impl Making {
    fn new(
        config: &Config,
        settings: &VaultSettings,
        (metrics, clock): (&Arc<Metrics>, &Clock),
    ) -> Result<Self, GrantingFault> {
        let apps = config.apps.iter().enumerate().map(|(at, app)| {
            let mut providers = providers(config, at);
            if let Some(monday) =
                app.monday.as_ref().filter(|monday| !providers.iter().any(|one| one.name == monday.name))
            {
                providers.push(Arc::clone(monday));
            }
            let on_uninstall = app.authorization.as_ref().map_or(OnUninstall::Revoke, |one| one.on_uninstall);
            AppGrants { name: app.name.clone(), providers, on_uninstall }
        });
        let events =
            config.apps.iter().filter_map(|app| Some((app.name.clone(), app.authorization.as_ref()?.events.clone()?)));
        Ok(Self {
            settings: settings.clone(),
            store: StoreState::new(settings.store.kind()),
            keys: KeyRing::new(&settings.keys)?,
            web: Web::new(None)?,
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            generations: Arc::default(),
            marks: Arc::default(),
            apps: apps.collect(),
            events: events.collect(),
        })
    }

    async fn open(&self) -> Result<Vault, GrantingFault> {
        let vault = Vault::open(&self.settings.store, self.keys.clone()).await?;
        vault.serve()?;
        Ok(vault)
    }

    fn grants(&self, vault: Vault) -> Result<Grants, GrantingFault> {
        let journal = Journal::open(Opening {
            audit: self.settings.audit.as_deref(),
            vault: vault.clone(),
            events: self.events.clone(),
            clock: self.clock.clone(),
        })?;
        Ok(Grants::new(Parts {
            vault,
            discovery: Discovery::new(self.web.clone(), self.clock.clone()),
            clock: self.clock.clone(),
            journal,
            metrics: Arc::clone(&self.metrics),
            generations: Arc::clone(&self.generations),
            marks: Arc::clone(&self.marks),
            apps: self.apps.clone(),
            terms: Terms { stale: self.settings.stale, cache_entries: self.settings.cache_entries, ..Terms::default() },
        }))
    }
}
