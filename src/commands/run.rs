//! `run`: the gateway itself. Reads the configuration, starts, and serves until it is told to end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;

use crate::clock::Clock;
use crate::commands::FAILED;
use crate::config::resolved::grants::InternalListen;
use crate::config::resolved::{Config, Level, LogFormat};
use crate::config::{self, Secrets};
use crate::gateway::admin::{self, Shown};
use crate::gateway::assemble::{Drained, Gateway, Patience, StartFault, metrics};
use crate::telemetry::log;

/// How often it is looked whether all workers are alive.
const LOOK: Duration = Duration::from_secs(1);

/// Why `run` ended before it served.
#[derive(Debug, thiserror::Error)]
enum RunFault {
    #[error(transparent)]
    Start(#[from] StartFault),
    #[error("the admin listener cannot use {address}: {source}")]
    Admin { address: SocketAddr, source: io::Error },
    #[error("no signals, no runtime: {0}")]
    System(#[from] io::Error),
}

/// How a process that served ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Told to.
    Told,
    /// A worker ended by itself.
    Broken,
}

/// Runs the gateway of a configuration file.
#[expect(clippy::print_stderr, reason = "mistakes in the file are for whoever started the program")]
pub(crate) fn run(path: &Path) -> ExitCode {
    let loaded = match config::load(path, Secrets::Read) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            eprint!("{mistakes}");
            return FAILED;
        }
    };
    if let Err(fault) = log::start(level(&loaded.config), format(&loaded.config)) {
        eprintln!("cannot log: {fault}");
        return FAILED;
    }
    for warning in &loaded.warnings {
        tracing::warn!(file = %warning.file, line = warning.at.line, key = warning.key, "{}", warning.what);
    }
    match serve(&loaded.config) {
        Ok(Ended::Told) => ExitCode::SUCCESS,
        Ok(Ended::Broken) => FAILED,
        Err(fault) => {
            tracing::error!(%fault, "cannot start");
            FAILED
        }
    }
}

fn serve(config: &Config) -> Result<Ended, RunFault> {
    let clock = Clock::system();
    let metrics = metrics(config, &clock)?;
    log::catch_panics(Arc::clone(&metrics));
    // One thread is enough for signals, health and scrapes; the workers have their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let admin = match config.admin {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let gateway = Gateway::start(config, metrics, clock).await?;
        let (stop, stopped) = watch::channel(());
        if let Some((listener, address)) = admin {
            tracing::info!(listener = "admin", %address, "listening");
            let shown = Shown {
                metrics: Arc::clone(&gateway.metrics),
                readiness: gateway.readiness.clone(),
                vault: gateway.store(),
            };
            let mut stopped = stopped.clone();
            tokio::spawn(async move {
                let until = async move { drop(stopped.changed().await) };
                if let Err(fault) = admin::serve(listener, shown, until).await {
                    tracing::error!(%fault, "the admin listener ended");
                }
            });
        }
        match (gateway.internal, config.internal.as_ref().map(|internal| &internal.listen)) {
            (Some(address), _) => tracing::info!(listener = "internal", %address, "listening"),
            (None, Some(InternalListen::Unix(path))) => {
                tracing::info!(listener = "internal", address = format!("unix:{}", path.display()), "listening");
            }
            (None, _) => {}
        }
        for address in &gateway.addresses {
            tracing::info!(listener = "public", %address, "listening");
        }
        let ended = until_told(&gateway).await?;
        gateway.stop().await;
        drop(stop);
        Ok(ended)
    })
}

async fn listen(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), RunFault> {
    let fault = |source| RunFault::Admin { address, source };
    let listener = TcpListener::bind(address).await.and_then(TcpListener::into_std).map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    Ok((listener, address))
}

/// Serves until a signal, then drains. A second signal ends at once.
async fn until_told(gateway: &Gateway) -> io::Result<Ended> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut looking = tokio::time::interval(LOOK);
    let patience = loop {
        tokio::select! {
            _ = terminate.recv() => break Patience::Full,
            _ = interrupt.recv() => break Patience::None,
            _ = looking.tick() => if gateway.is_broken() {
                tracing::error!("a worker ended by itself");
                return Ok(Ended::Broken);
            },
        }
    };
    tracing::info!("draining");
    let drained = tokio::select! {
        drained = gateway.drain(patience) => drained,
        _ = terminate.recv() => Drained::Cut(gateway.connections()),
        _ = interrupt.recv() => Drained::Cut(gateway.connections()),
    };
    match drained {
        Drained::Clean => tracing::info!("drained"),
        Drained::Cut(connections) => tracing::warn!(connections, "connections were cut"),
    }
    Ok(Ended::Told)
}

fn level(config: &Config) -> LevelFilter {
    match config.log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

fn format(config: &Config) -> log::Format {
    match config.log.format {
        LogFormat::Json => log::Format::Json,
        LogFormat::Text => log::Format::Text,
    }
}
