//! The backends, as one core sees them: connections that are made, lent to one request at a time, and kept.
//! Knows HTTP/1.1 and sockets; knows no route, no token and no monday.

pub(crate) mod answer_body;
pub(crate) mod connect;
pub(crate) mod link;
pub(crate) mod pool;
pub(crate) mod request_body;
pub(crate) mod stream;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;

use crate::jwt;
use crate::telemetry::counters::{Health, PerWorker};
use crate::telemetry::metrics::UpstreamCounters;

/// One `[upstreams.NAME]`, ready for use. Lives as long as the snapshot.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Its name: metrics' label, and what keeps its connections across snapshots.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) target: Target,
    /// For one TCP connect and TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// After it an unused connection is closed.
    pub(crate) idle_timeout: Duration,
    /// Open connections of the process, over all cores.
    pub(crate) max_connections: usize,
    /// How many of them are taken.
    pub(crate) places: Arc<Places>,
    /// The Host to send instead of the client's.
    pub(crate) own_host: Option<HeaderValue>,
    /// Signs what `authorization = "resign"` puts into `Authorization`.
    pub(crate) resign: Option<jwt::Key>,
    /// Whether the last connect succeeded.
    pub(crate) health: Arc<Health>,
    /// Its counters, one set a core.
    pub(crate) counters: Arc<PerWorker<UpstreamCounters>>,
}

/// The connections of the process to one upstream, over all cores and snapshots. Touched when one opens or closes, or is
/// waited for; not by a request on a kept one.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Open now.
    pub(crate) open: AtomicUsize,
    /// Requests that wait for one to become free.
    pub(crate) waiting: AtomicUsize,
}

/// Where a backend is.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Plain TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// TLS over TCP.
    Tls {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// The name that its certificate must bear.
        name: ServerName<'static>,
        /// Roots and client certificate.
        config: Arc<rustls::ClientConfig>,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
    },
}
