//! The event log: what the operator should know, on standard error, as JSON or for people.
//! One filter for the whole process, decided once per place that logs, so that a disabled event costs a load; libraries
//! are heard from `warn` upwards. Panics are events too. No secret, token, query value or body comes here.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::telemetry::metrics::Metrics;

/// This crate's name in the targets of its events.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");
/// Target of panics' events.
const PANIC_TARGET: &str = "panic";
/// Characters of a panic's message that are logged.
const PANIC_MESSAGE: usize = 500;

/// How an event looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line.
    Json,
    /// For people; coloured on a terminal.
    Text,
}

/// Starts logging for the whole process. Fails if something did before.
pub(crate) fn start(level: LevelFilter, format: Format) -> Result<(), TryInitError> {
    let filtered = tracing_subscriber::registry().with(targets(level));
    let to_stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        Format::Json => filtered.with(to_stderr.json().flatten_event(true)).try_init(),
        Format::Text => filtered.with(to_stderr.with_ansi(std::io::stderr().is_terminal())).try_init(),
    }
}

/// Our own events from `level` upwards; those of hyper, h2, rustls and all other libraries from `warn` at most.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(OWN_TARGET, level)
        .with_target(PANIC_TARGET, LevelFilter::ERROR)
}

/// Makes every panic an event and a count, in place of the words that Rust writes to standard error.
pub(crate) fn catch_panics(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panicked();
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(target: PANIC_TARGET, location, thread, message = message(panic));
    }));
}

/// What the panic said, cut. A payload that is no text is not shown.
fn message(panic: &PanicHookInfo<'_>) -> String {
    panic.payload_as_str().unwrap_or("a panic without a message").chars().take(PANIC_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_heard_from_warn_upwards_and_never_more_than_we_are() {
        let debug = targets(LevelFilter::DEBUG);
        assert!(debug.would_enable(&format!("{OWN_TARGET}::pipeline"), &Level::DEBUG));
        for library in ["hyper::proto::h1", "h2::codec", "rustls::conn", "tokio"] {
            assert!(debug.would_enable(library, &Level::WARN));
            assert!(!debug.would_enable(library, &Level::INFO));
        }
        let error = targets(LevelFilter::ERROR);
        assert!(!error.would_enable("rustls", &Level::WARN));
        assert!(error.would_enable(PANIC_TARGET, &Level::ERROR));
    }
}
