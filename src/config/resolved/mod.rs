//! gateway.toml as the gateway uses it: every value typed, defaults filled in, secrets read, references resolved to indices.
//! Made by `load` only, and only from a file without mistakes. Knows nothing of text, spans or environment variables.

pub(crate) mod grants;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

use crate::config::resolved::grants::{AppAuthorization, Branding, Internal, Issuer, MondayHosts, VaultSettings};
pub(crate) use crate::monday::app_keys::Audience;
use crate::monday::kinds::Kind;
use crate::oauth::provider::{MondayGeneration, Provider};
use crate::secret::Secret;

/// The whole file.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `[server]`.
    pub(crate) server: Server,
    /// `[admin]`; without it there is no admin listener.
    pub(crate) admin: Option<SocketAddr>,
    /// `[log]`.
    pub(crate) log: Log,
    /// `[apps.*]`, in the file's order.
    pub(crate) apps: Vec<App>,
    /// `[upstreams.*]`, in the file's order.
    pub(crate) upstreams: Vec<Upstream>,
    /// `[[routes]]`, in the file's order, which means nothing.
    pub(crate) routes: Vec<Route>,
    /// `[providers.*]`, in the file's order, also those that nothing uses. Without "monday": each app has its own (`App::monday`).
    pub(crate) providers: Vec<Arc<Provider>>,
    /// `[monday]`, or monday's own hosts.
    pub(crate) monday: MondayHosts,
    /// `[issuers.*]`, in the file's order.
    pub(crate) issuers: Vec<Issuer>,
    /// `[vault]`; there if anything needs it.
    pub(crate) vault: Option<VaultSettings>,
    /// `[internal]`; without it there is no internal listener.
    pub(crate) internal: Option<Internal>,
    /// `[pages]`.
    pub(crate) branding: Branding,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Where the gateway listens; at least one.
    pub(crate) listen: Vec<SocketAddr>,
    /// How monday and browsers reach the gateway.
    pub(crate) public_urls: Vec<PublicUrl>,
    /// Worker threads; 0 means one per core.
    pub(crate) workers: usize,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed. Empty: nobody's.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// `[server.tls]`; without it the listener speaks plain HTTP.
    pub(crate) tls: Option<Tls>,
    /// `[server.limits]`.
    pub(crate) limits: Limits,
    /// `[server.drain]`.
    pub(crate) drain: Drain,
}

/// One entry of `public_url`, an https or http origin with an optional path prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    /// `https` or `http`.
    pub(crate) scheme: String,
    /// Lower-case host, without port.
    pub(crate) host: String,
    /// The port, also when it is the scheme's default.
    pub(crate) port: u16,
    /// The path without a trailing slash: "" for an origin.
    pub(crate) path: String,
}

/// `[server.tls]`.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// The first is given to clients that name no host, or one that no certificate covers.
    pub(crate) certificates: Vec<CertificateFiles>,
    /// `min_version = "1.3"` refuses TLS 1.2.
    pub(crate) only_1_3: bool,
}

/// One certificate chain and its key, both PEM files, resolved against the configuration file's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// The chain, leaf first.
    pub(crate) certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub(crate) private_key: PathBuf,
}

/// `[server.limits]`; sizes in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Request line and fields of one request.
    pub(crate) head: usize,
    /// Number of header fields.
    pub(crate) headers: usize,
    /// Body of a request, unless its route says otherwise.
    pub(crate) body: u64,
    /// Open client connections of the process.
    pub(crate) connections: usize,
    /// Concurrent HTTP/2 streams of one connection.
    pub(crate) streams: u32,
    /// From accept to the end of the TLS handshake.
    pub(crate) handshake_timeout: Duration,
    /// From the first byte of a head (or the handshake's end) to its last.
    pub(crate) head_timeout: Duration,
    /// Without a request in progress.
    pub(crate) idle_timeout: Duration,
    /// Between two pieces of a body, either way.
    pub(crate) body_idle_timeout: Duration,
}

/// `[server.drain]`.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    /// Readiness is off, connections still accepted.
    pub(crate) delay: Duration,
    /// After it, whatever is left is cut.
    pub(crate) deadline: Duration,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The lowest level written.
    pub(crate) level: Level,
    /// How a line looks.
    pub(crate) format: LogFormat,
    /// Where the access log goes.
    pub(crate) access: AccessLog,
}

/// `log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Only what needs a person.
    Error,
    /// And what may soon.
    Warn,
    /// And what happened.
    Info,
    /// And why.
    Debug,
}

/// `log.format`; absent in the file: text on a terminal, JSON elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `log.access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessLog {
    /// No access log.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

/// `[apps.NAME]`.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// The table's name; becomes `X-Monday-App`.
    pub(crate) name: String,
    /// As in monday's Developer Center; compared where a token names it.
    pub(crate) client_id: Option<String>,
    /// Signs session tokens and app lifecycle webhooks. Newest first; empty if no route needs it.
    pub(crate) client_secrets: Vec<Secret>,
    /// Signs integration requests. Newest first; empty if no route needs it.
    pub(crate) signing_secrets: Vec<Secret>,
    /// The numeric app id; compared where a token names it.
    pub(crate) app_id: Option<i64>,
    /// How `aud`, when present, is compared with `public_url`.
    pub(crate) audience: Audience,
    /// Seconds of tolerance for `exp`, `nbf` and `iat`.
    pub(crate) leeway: Duration,
    /// Which generation of monday's OAuth the app uses.
    pub(crate) oauth: MondayGeneration,
    /// The built-in provider as this app uses it; there where `client_id` and `client_secret` are.
    pub(crate) monday: Option<Arc<Provider>>,
    /// `[apps.NAME.authorization]`: the Authorization URL, if the gateway serves it.
    pub(crate) authorization: Option<AppAuthorization>,
}

/// `[upstreams.NAME]`.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// The table's name; metrics' label.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) server: UpstreamServer,
    /// For one TCP connect and TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// After it an unused connection is closed.
    pub(crate) idle_timeout: Duration,
    /// Of the process.
    pub(crate) max_connections: usize,
    /// Whose Host the backend sees.
    pub(crate) host: HostHeader,
    /// For `authorization = "resign"`.
    pub(crate) signing_secret: Option<Secret>,
}

/// One entry of `servers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamServer {
    /// `http://host:port`.
    Http {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `https://host:port`.
    Https {
        /// Name or address to connect to.
        host: String,
        /// Port.
        port: u16,
        /// Verified against the certificate; `server_name`, by default the host.
        server_name: String,
        /// PEM file of the only authorities believed; the machine's, if absent.
        ca: Option<PathBuf>,
        /// What the gateway shows when asked for a certificate.
        client_certificate: Option<CertificateFiles>,
    },
    /// `unix:/path`.
    Unix {
        /// The socket.
        path: PathBuf,
    },
}

/// `upstreams.NAME.host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostHeader {
    /// As the client sent it (default).
    Client,
    /// The upstream's own `host:port`.
    Upstream,
}

/// `[[routes]]`.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Metrics' label; the path unless named.
    pub(crate) name: String,
    /// As written, for `explain` and `check`.
    pub(crate) path: String,
    /// `path` for the index: literal segments, then perhaps everything below.
    pub(crate) pattern: Pattern,
    /// Lower-case host, or `*.suffix`; any if absent.
    pub(crate) host: Option<String>,
    /// Any if empty.
    pub(crate) methods: Vec<Method>,
    /// Index into `apps`; present for every kind but `public`, where it is optional.
    pub(crate) app: Option<usize>,
    /// What the request is.
    pub(crate) kind: Kind,
    /// Index into `upstreams`.
    pub(crate) upstream: usize,
    /// A prefix taken off the path before it is forwarded; ends at a segment.
    pub(crate) strip_prefix: Option<String>,
    /// To the head of the answer.
    pub(crate) timeout: Duration,
    /// Bytes; the route's own or the server's.
    pub(crate) max_body: u64,
    /// What the backend finds in `Authorization`.
    pub(crate) authorization: Authorization,
    /// `query_token = "keep"`.
    pub(crate) keep_query_token: bool,
    /// Who of the verified may pass.
    pub(crate) allow: Allow,
    /// Cross-origin rules.
    pub(crate) cors: Option<Cors>,
    /// `inject.claims`.
    pub(crate) inject_claims: bool,
    /// `inject.headers`.
    pub(crate) inject_headers: Vec<InjectHeader>,
    /// Whose tokens go into headers, `require` among them; by default the app's grants on kinds that only monday's servers call.
    pub(crate) grants: Vec<Arc<Provider>>,
    /// Those without which a request is not forwarded: a part of `grants`.
    pub(crate) require: Vec<Arc<Provider>>,
    /// Index into `issuers`; present for kind `jwt`, and for no other.
    pub(crate) issuer: Option<usize>,
}

/// The path of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pattern {
    /// Literal text from the first slash on, or `{name}` for one segment, without the rest and
    /// without a trailing slash before it.
    pub(crate) base: String,
    /// Whether `/{*rest}` followed: also everything below `base`, and `base` itself.
    pub(crate) rest: bool,
}

/// `routes.authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// As it came (default); a query token becomes one.
    Keep,
    /// None.
    Strip,
    /// A new token with the same claims, signed with the upstream's `signing_secret`.
    Resign,
}

/// `routes.allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "three questions that a route may ask")]
pub(crate) struct Allow {
    /// `guests = false`.
    pub(crate) no_guests: bool,
    /// `view_only = false`.
    pub(crate) no_view_only: bool,
    /// `admin_only = true`.
    pub(crate) admin_only: bool,
    /// Only these accounts; any if empty.
    pub(crate) accounts: Vec<i64>,
}

/// `routes.cors`.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    /// Who may read the answers.
    pub(crate) origins: Vec<Origin>,
    /// What a preflight allows beside the safelisted ones.
    pub(crate) headers: Vec<HeaderName>,
    /// How long a browser may remember a preflight.
    pub(crate) max_age: Duration,
}

/// One entry of `cors.origins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Equal to the byte, as browsers serialise it.
    Exact(String),
    /// `https://*.label.suffix`: the part after `*`, with its dot.
    AnySubdomain(String),
}

/// One entry of `inject.headers`.
#[derive(Clone, Debug)]
pub(crate) struct InjectHeader {
    /// Its name.
    pub(crate) name: HeaderName,
    /// Its value.
    pub(crate) value: InjectValue,
}

/// What an injected header says.
#[derive(Clone, Debug)]
pub(crate) enum InjectValue {
    /// The same for every request; sensitive, since it may be a key.
    Fixed(HeaderValue),
    /// Literal text and claims; if one claim is missing, no header.
    Template(Vec<Piece>),
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As written.
    Text(String),
    /// `{account_id}`.
    AccountId,
    /// `{user_id}`.
    UserId,
    /// `{claims.dat.user_kind}`: the path below `claims`.
    Claim(Vec<String>),
}

impl PublicUrl {
    /// `https://gw.example.com`, without the port if it is the scheme's default.
    pub(crate) fn origin(&self) -> String {
        let default = if self.scheme == "https" { 443 } else { 80 };
        if self.port == default {
            format!("{}://{}", self.scheme, self.host)
        } else {
            format!("{}://{}:{}", self.scheme, self.host, self.port)
        }
    }
}
