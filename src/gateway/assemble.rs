//! Makes a running gateway of a configuration, and ends it: files and sockets first, so that a start that fails has served
//! nobody; then the workers; and at the end a drain that loses no request within its deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

use crate::authorize::flow::FlowFault;
use crate::clock::Clock;
use crate::config::resolved::{self, Config};
use crate::gateway::connection::{Service, Tls};
use crate::gateway::control::Control;
use crate::gateway::granting::{Granting, GrantingFault};
use crate::gateway::internal::Api;
use crate::gateway::internal::listen::{Bound, ListenFault};
use crate::gateway::listener::{BindFault, Door, Listener, Loads};
use crate::gateway::pages;
use crate::gateway::readiness::{Readiness, StoreState};
use crate::gateway::worker::{self, Order, Start};
#[cfg(test)]
use crate::grants::Grants;
use crate::grants::standing::Standing;
use crate::headers::OMITTABLE;
use crate::issuers::Issuer;
use crate::limits;
use crate::monday::kinds::KIND_NAMES;
use crate::oauth::web::Web;
use crate::pipeline::lifetimes::Shared;
use crate::pipeline::refusal::Unauthorized;
use crate::pipeline::reply::facts::REASONS;
use crate::snapshot::Snapshot;
use crate::snapshot::build::{BuildFault, Lasting, OpenCounts, build, target};
use crate::telemetry::access_log::{AccessLog, Bounds, Destination, Format};
use crate::telemetry::metrics::{BuildInfo, Metrics, Tables};
use crate::tls::certificates::Certificates;
use crate::tls::files::TlsFault;
use crate::tls::{self, CertificatePaths, Tickets, Versions};

/// A gateway that serves.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Where it listens, in the configuration's order, with the ports that the system chose.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Where the internal API listens, unless on a Unix socket.
    pub(crate) internal: Option<SocketAddr>,
    /// Its state, for `/readyz`.
    pub(crate) readiness: Readiness,
    /// Its counters.
    pub(crate) metrics: Arc<Metrics>,
    drain: resolved::Drain,
    loads: Loads,
    orders: Vec<mpsc::Sender<Order>>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    access_log: AccessLog,
    granting: Granting,
    _control: Control,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartFault {
    /// A certificate, key or CA file.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// A file or name that the snapshot needs.
    #[error(transparent)]
    Build(#[from] BuildFault),
    /// A listening socket.
    #[error(transparent)]
    Bind(#[from] BindFault),
    /// What grants are kept with.
    #[error(transparent)]
    Granting(#[from] GrantingFault),
    /// The internal API's listener.
    #[error(transparent)]
    Internal(#[from] ListenFault),
    /// The access log's file.
    #[error("cannot write the access log: {0}")]
    AccessLog(io::Error),
    /// The pages that the gateway serves.
    #[error(transparent)]
    Pages(#[from] FlowFault),
    /// The metrics' registry.
    #[error("cannot count: {0}")]
    Metrics(String),
    /// A thread.
    #[error("cannot start a worker: {0}")]
    Thread(io::Error),
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Every connection ended by itself.
    Clean,
    /// The deadline cut this many.
    Cut(usize),
}

impl Gateway {
    /// Starts a gateway. When it returns, connections are being accepted.
    pub(crate) async fn start(config: &Config, metrics: Arc<Metrics>, clock: Clock) -> Result<Self, StartFault> {
        let (service, certificates) = service(config, &clock)?;
        let control = Control::start().map_err(StartFault::Thread)?;
        let issuers = issuers(config, &control, &clock)?;
        let snapshot = snapshot(config, certificates, &metrics, &issuers)?;
        let access_log = access_log(config, &metrics)?;
        let listeners = config.server.listen.iter().map(|&address| Listener::bind(address));
        let listeners: Vec<Listener> = listeners.collect::<Result<_, _>>()?;
        let internal = config.internal.as_ref().map(|internal| Ok::<_, ListenFault>((Bound::new(internal)?, internal)));
        let internal = internal.transpose()?;
        let granting = Granting::start(&control, config, (&metrics, &clock)).await?;
        let pages = pages::start(&control, config, &clock, granting.grants.clone())?;
        let internal_address = internal.as_ref().and_then(|(bound, _)| bound.address());
        if let Some((bound, internal)) = internal {
            control.run(bound.serve(Api::new(config, internal, granting.grants.clone(), clock.clone())));
        }
        let count = worker_count(config);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(limits::ACCEPT_QUEUE)).unzip();
        let mut gateway = Self {
            addresses: listeners.iter().map(|listener| listener.address).collect(),
            internal: internal_address,
            readiness: Readiness::default(),
            metrics: Arc::clone(&metrics),
            drain: config.server.drain.clone(),
            loads: Loads::new(count),
            orders: senders,
            workers: Vec::with_capacity(count),
            access_log,
            granting,
            _control: control,
        };
        let door = Door {
            permits: Arc::new(Semaphore::new(config.server.limits.connections)),
            loads: gateway.loads.clone(),
            workers: gateway.orders.clone(),
            service: service.clone(),
        };
        let mut doors: Vec<_> = listeners.into_iter().map(|listener| (listener, door.clone())).collect();
        let shared = Arc::new(Shared { clock, metrics, door: pages, grants: gateway.granting.port.clone() });
        for (id, orders) in receivers.into_iter().enumerate() {
            let start = Start {
                id,
                shared: Arc::clone(&shared),
                lines: gateway.access_log.lines(),
                snapshot: Arc::clone(&snapshot),
                service: service.clone(),
                orders,
                readiness: gateway.readiness.clone(),
                listeners: std::mem::take(&mut doors),
            };
            gateway.workers.push(worker::start(start).map_err(StartFault::Thread)?);
        }
        gateway.readiness.ready();
        Ok(gateway)
    }

    /// Whether a worker has ended by itself: without it the gateway is not whole, and better restarted.
    pub(crate) fn is_broken(&self) -> bool {
        self.workers.iter().any(JoinHandle::is_finished)
    }

    /// Readiness off and still accepting for `delay`; then nothing new is accepted, and what is under way finishes, within
    /// `deadline`.
    pub(crate) async fn drain(&self, patience: Patience) -> Drained {
        self.readiness.drain();
        if patience == Patience::Full {
            tokio::time::sleep(self.drain.delay).await;
        }
        self.tell(|| Order::Drain).await;
        let began = Instant::now();
        while self.loads.sum() > 0 && began.elapsed() < self.drain.deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        match self.loads.sum() {
            0 => Drained::Clean,
            left => Drained::Cut(left),
        }
    }

    /// The vault's store, for `/readyz`.
    pub(crate) fn store(&self) -> Option<StoreState> {
        self.granting.store.clone()
    }

    /// The grants, once the vault is open.
    #[cfg(test)]
    pub(crate) fn grants(&self) -> Option<Grants> {
        self.granting.grants.borrow().clone()
    }

    /// Open client connections.
    pub(crate) fn connections(&self) -> usize {
        self.loads.sum()
    }

    /// Ends the workers and writes what is left of the access log.
    pub(crate) async fn stop(self) {
        self.tell(|| Order::Stop).await;
        drop(self.orders);
        for worker in self.workers {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => tracing::error!(%fault, "a worker ended"),
                Err(_panic) => tracing::error!("a worker panicked"),
            }
        }
        self.access_log.finish();
        self.granting.stop().await;
    }

    async fn tell(&self, order: impl Fn() -> Order) {
        for worker in &self.orders {
            // A worker that has ended needs no order.
            let _gone: Result<(), _> = worker.send(order()).await;
        }
    }
}

/// Whether a drain waits for load balancers to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// `drain.delay` first: for SIGTERM.
    Full,
    /// At once: for a person's Ctrl-C.
    None,
}

/// Loads every certificate, key and authority that a start would, and forgets them: for `check`. Returns what is wrong, with
/// the table of gateway.toml that names it.
pub(crate) fn rehearse(config: &Config, clock: &Clock) -> Vec<(String, StartFault)> {
    let mut faults = Vec::new();
    for pair in config.server.tls.iter().flat_map(|tls| &tls.certificates) {
        let tls = resolved::Tls { certificates: vec![pair.clone()], only_1_3: false };
        if let Err(fault) = listener_tls(&tls, clock) {
            faults.push(("server.tls".to_owned(), fault));
        }
    }
    for upstream in &config.upstreams {
        if let Err(fault) = target(upstream) {
            faults.push((format!("upstreams.{}", upstream.name), fault.into()));
        }
    }
    faults
}

/// The counters of a process with this configuration.
pub(crate) fn metrics(config: &Config, clock: &Clock) -> Result<Arc<Metrics>, StartFault> {
    let build = BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        revision: option_env!("GATEWAY_REVISION").unwrap_or("unknown"),
    };
    let tables = Tables {
        kinds: &KIND_NAMES,
        results: &Unauthorized::RESULTS,
        reasons: &REASONS,
        headers: &OMITTABLE,
        grants: &Standing::LABELS,
    };
    let metrics =
        Metrics::new(worker_count(config), build, tables).map_err(|fault| StartFault::Metrics(fault.to_string()))?;
    metrics.config_loaded(clock.unix_seconds());
    Ok(metrics)
}

fn worker_count(config: &Config) -> usize {
    match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn service(config: &Config, clock: &Clock) -> Result<(Service, Option<Arc<Certificates>>), StartFault> {
    let Some(files) = &config.server.tls else {
        return Ok((Service { tls: None }, None));
    };
    let server = listener_tls(files, clock)?;
    let service = Service {
        tls: Some(Tls {
            acceptor: TlsAcceptor::from(server.config),
            certificates: Arc::clone(&server.certificates),
            handshakes: Arc::new(Semaphore::new(limits::HANDSHAKES)),
        }),
    };
    Ok((service, Some(server.certificates)))
}

fn listener_tls(files: &resolved::Tls, clock: &Clock) -> Result<tls::Server, StartFault> {
    let paths: Vec<_> = files
        .certificates
        .iter()
        .map(|pair| CertificatePaths { certificate: &pair.certificate, private_key: &pair.private_key })
        .collect();
    let versions = if files.only_1_3 { Versions::Only13 } else { Versions::From12 };
    Ok(tls::server_config(&paths, versions, &Tickets::new()?, clock)?)
}

/// The issuers of other clients' tokens; their keys are kept on the control plane.
fn issuers(config: &Config, control: &Control, clock: &Clock) -> Result<Vec<Arc<Issuer>>, StartFault> {
    let (issuers, keepers): (Vec<_>, Vec<_>) = Issuer::all(&config.issuers, clock).into_iter().unzip();
    if !keepers.is_empty() {
        let web = Web::new(None)?;
        for keeper in keepers {
            control.run(keeper.run(web.clone()));
        }
    }
    Ok(issuers)
}

fn snapshot(
    config: &Config,
    certificates: Option<Arc<Certificates>>,
    metrics: &Metrics,
    issuers: &[Arc<Issuer>],
) -> Result<Arc<Snapshot>, StartFault> {
    let mut open = OpenCounts::new();
    let mut lasting = Lasting { metrics, open: &mut open, issuers };
    Ok(Arc::new(build(config, certificates, &mut lasting)?))
}

fn access_log(config: &Config, metrics: &Metrics) -> Result<AccessLog, StartFault> {
    let destination = match &config.log.access {
        resolved::AccessLog::Off => Destination::Off,
        resolved::AccessLog::Stdout => Destination::Stdout,
        resolved::AccessLog::File(path) => Destination::File(path.clone()),
    };
    let format = match config.log.format {
        resolved::LogFormat::Json => Format::Json,
        resolved::LogFormat::Text => Format::Text,
    };
    let bounds = Bounds { buffer: limits::LOG_BUFFER, queue: limits::LOG_QUEUE };
    AccessLog::start(&destination, format, bounds, metrics.lines_dropped()).map_err(StartFault::AccessLog)
}
