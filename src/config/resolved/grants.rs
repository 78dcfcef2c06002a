//! The part of the resolved configuration that is about grants: the Authorization URL, the vault, issuers of other clients' tokens, the
//! internal listener, the hosts of monday.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::resolved::{CertificateFiles, PublicUrl};
use crate::oauth::provider::Provider;
use crate::secret::Secret;
use crate::vault::StoreAddress;

/// `[apps.NAME.authorization]`.
#[derive(Clone, Debug)]
pub(crate) struct AppAuthorization {
    /// The path of the Authorization URL; callbacks, `/connect` and `/connections` are below it.
    pub(crate) path: String,
    /// Who says whether a user is authorized.
    pub(crate) mode: Mode,
    /// Where `backToUrl` may lead: exact hosts, or `*.suffix`.
    pub(crate) back_to: Vec<BackTo>,
    /// How the gateway learns who is in the browser.
    pub(crate) identity: Identity,
    /// What becomes of the grants at an `uninstall`.
    pub(crate) on_uninstall: OnUninstall,
    /// Where grant events go: an upstream's index and a path, and the key that signs them (Standard Webhooks).
    pub(crate) events: Option<Events>,
}

/// Who says whether a user is authorized.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// The gateway: a user who has all of these, asked for in this order.
    Grants(Vec<Arc<Provider>>),
    /// The backend, at `status_url`; its own pages are behind `upstream`.
    Status {
        /// POST goes here.
        url: Url,
        /// Index into `upstreams`.
        upstream: usize,
    },
}

/// One entry of `back_to`; lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BackTo {
    /// This host.
    Host(String),
    /// This machine at this port, as it is written: `127.0.0.1:8443`. For trying things out; monday's URLs have no port.
    Port(String),
    /// Any host below: `.monday.com` of `*.monday.com`.
    Below(String),
}

/// `authorization.identity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// By monday's consent step.
    Monday,
    /// By a page that names account and user, for an app that asks for no monday grant.
    Confirm,
}

/// `authorization.on_uninstall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnUninstall {
    /// Taken back at the providers, then removed.
    Revoke,
    /// Removed.
    Purge,
    /// Left as they are.
    Keep,
}

/// `authorization.events`.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    /// POST goes here.
    pub(crate) url: Url,
    /// Newest first (Standard Webhooks: `whsec_...`, or 32 bytes and more).
    pub(crate) keys: Vec<Secret>,
}

/// `[vault]`.
#[derive(Clone, Debug)]
pub(crate) struct VaultSettings {
    /// Where.
    pub(crate) store: StoreAddress,
    /// 32 raw bytes each, newest first.
    pub(crate) keys: Vec<Secret>,
    /// How long answers of the cache are used while the store is down.
    pub(crate) stale: Duration,
    /// Entries of the cache before the store.
    pub(crate) cache_entries: u64,
    /// Append-only JSON lines of who did what with grants.
    pub(crate) audit: Option<PathBuf>,
}

/// `[monday]`: other hosts, for tests and the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MondayHosts {
    /// `https://auth.monday.com`.
    pub(crate) auth: Url,
    /// `https://api.monday.com/v2`.
    pub(crate) api: Url,
}

/// `[issuers.NAME]`.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// The table's name.
    pub(crate) name: String,
    /// `iss` must equal it.
    pub(crate) issuer: String,
    /// The key set, if not by discovery.
    pub(crate) jwks_url: Option<Url>,
    /// One of these must be in `aud`.
    pub(crate) audience: Vec<String>,
    /// The claim that makes `X-Monday-Account-Id`.
    pub(crate) account: Option<String>,
    /// The claim that makes `X-Monday-User-Id`.
    pub(crate) user: Option<String>,
    /// Claims that must be there: with this value, or any.
    pub(crate) required: Vec<(String, Option<String>)>,
}

/// `[internal]`.
#[derive(Clone, Debug)]
pub(crate) struct Internal {
    /// Where it listens.
    pub(crate) listen: InternalListen,
    /// Who may ask.
    pub(crate) clients: Vec<InternalClient>,
}

/// `internal.listen`.
#[derive(Clone, Debug)]
pub(crate) enum InternalListen {
    /// Plain HTTP on loopback; TLS with client certificates elsewhere.
    Tcp {
        /// Address and port.
        address: SocketAddr,
        /// Required beyond loopback.
        tls: Option<InternalTls>,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// `[internal.tls]`.
#[derive(Clone, Debug)]
pub(crate) struct InternalTls {
    /// What it shows.
    pub(crate) certificate: CertificateFiles,
    /// PEM file of the authorities of its clients.
    pub(crate) client_ca: PathBuf,
}

/// `[internal.clients.NAME]`.
#[derive(Clone, Debug)]
pub(crate) struct InternalClient {
    /// The table's name; for the audit log.
    pub(crate) name: String,
    /// Bearer keys, newest first; at least 32 bytes.
    pub(crate) keys: Vec<Secret>,
    /// Indices into `apps`.
    pub(crate) apps: Vec<usize>,
    /// Provider names.
    pub(crate) grants: Vec<String>,
    /// What it may do.
    pub(crate) can: Vec<Ability>,
}

/// One entry of `can`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// A fresh token of a grant.
    Read,
    /// Which grants there are.
    List,
    /// Take a grant back.
    Revoke,
    /// Sign what the app sends to monday.
    Sign,
}

/// `[pages]`: whose pages these are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Branding {
    /// The team's or product's name.
    pub(crate) name: Option<String>,
    /// A picture, read at start and put into the page; at most 32 KiB.
    pub(crate) logo: Option<PathBuf>,
    /// `#rrggbb`.
    pub(crate) color: Option<String>,
    /// Mail address or https URL.
    pub(crate) support: Option<String>,
    /// Folder with a file of words per language: `de.toml`.
    pub(crate) words: Option<PathBuf>,
}

/// What the gateway's own pages and callbacks need of `public_url`: the first one.
pub(crate) fn public_origin(urls: &[PublicUrl]) -> String {
    urls.first().map(|url| format!("{}{}", url.origin(), url.path)).unwrap_or_default()
}
