//! gateway.toml as written: every table, every key, its type and default, with places and without opinions. The doc comments are
//! what editors show (JSON Schema). What the values mean together is `resolve`'s business.

pub(crate) mod grants;
pub(crate) mod providers;

use std::net::SocketAddr;

use crate::config::access_log::Access;
use crate::config::address::{Proxies, ServerUrl};
use crate::config::headers::HeaderTexts;
use crate::config::read::{Many, Named, OneOrMany, choice, table};
use crate::config::resolved::{Audience, Authorization, HostHeader, Level, LogFormat, PublicUrl};
use crate::config::secret_source::SecretSource;
use crate::config::units::{Size, Span};
pub(crate) use crate::config::written::grants::{
    AppAuthorization, Events, Internal, InternalClient, InternalTls, Issuer, Monday, Pages, Vault,
};
#[cfg(test)]
pub(crate) use crate::config::written::providers::{After, KeyBasic, KeyField};
pub(crate) use crate::config::written::providers::{KeyTest, Provider, ProviderType};
use crate::monday::kinds::Kind;
use crate::oauth::provider::MondayGeneration;

table! {
    /// gateway.toml of monday-gateway.
    File {
        /// Where the gateway listens and how it is reached.
        server: Server = required,
        /// Metrics and health, on a listener of their own; without this table there is none.
        admin: Admin,
        /// What is logged, and how.
        log: Log = table,
        /// monday apps, by names of your choice.
        apps: Named<App>,
        /// Backends, by names of your choice.
        upstreams: Named<Upstream>,
        /// Which requests are let through, as what, and to where. Their order never matters.
        routes: Many<Route>,
        /// Services that users connect, by names of your choice; "monday" is built in.
        providers: Named<Provider>,
        /// Other hosts than monday's own, for tests.
        monday: Monday = table,
        /// Who signs the tokens of kind "jwt", by names of your choice.
        issuers: Named<Issuer>,
        /// Where grants are kept, encrypted.
        vault: Vault,
        /// An API for backends that work in the background; without this table there is none.
        internal: Internal,
        /// Whose pages these are that people see from the gateway.
        pages: Pages = table,
    }
    later {}
}

table! {
    /// Where the gateway listens and how it is reached.
    Server {
        /// Address and port, or a list of them.
        listen: OneOrMany<SocketAddr> = required,
        /// How monday and browsers reach the gateway; may be a list.
        public_url: OneOrMany<PublicUrl> = required,
        /// Worker threads; 0 means one per core. Fixed at start.
        workers: i64 = 0,
        /// Peers whose `Forwarded` and `X-Forwarded-*` are believed: load balancers, tunnels. None by default.
        trusted_proxies: Many<Proxies>,
        /// Certificates; without this table the listener speaks plain HTTP: on loopback freely, elsewhere only with `trusted_proxies`.
        tls: Tls,
        /// Bounds on what a client may do.
        limits: Limits = table,
        /// How the gateway stops.
        drain: Drain = table,
    }
    later {
        "proxies": "name load balancers in `trusted_proxies`",
        "proxy_protocol": "it does not read the PROXY protocol yet",
    }
}

table! {
    /// Certificates.
    Tls {
        /// PEM file of the certificate chain, leaf first.
        certificate: String,
        /// PEM file of its private key.
        private_key: String,
        /// More certificates, chosen by the host that the client names (SNI).
        certificates: Many<Certificate>,
        /// The oldest TLS version that is accepted.
        min_version: TlsVersion = "1.2",
    }
    later {
        "client_ca": "it does not ask clients for certificates yet",
    }
}

table! {
    /// A certificate and its key.
    Certificate {
        /// PEM file of the certificate chain, leaf first.
        certificate: String = required,
        /// PEM file of its private key.
        private_key: String = required,
    }
    later {}
}

table! {
    /// Bounds on what a client may do.
    Limits {
        /// Request line and header fields of one request.
        head: Size = "32KiB",
        /// Number of header fields.
        headers: i64 = 100,
        /// Body of a request; a route's `max_body` overrides it.
        body: Size = "10MiB",
        /// Open client connections.
        connections: i64 = 8000,
        /// Concurrent HTTP/2 streams of one connection.
        streams: i64 = 100,
        /// From accept to the end of the TLS handshake.
        handshake_timeout: Span = "10s",
        /// From a head's first byte to its last.
        head_timeout: Span = "10s",
        /// How long a connection may be without a request.
        idle_timeout: Span = "75s",
        /// Between two pieces of a body, either way.
        body_idle_timeout: Span = "30s",
    }
    later {}
}

table! {
    /// How the gateway stops.
    Drain {
        /// Readiness is off, connections are still accepted.
        delay: Span = "5s",
        /// After it whatever is left is cut; longer than an action may take.
        deadline: Span = "60s",
    }
    later {}
}

table! {
    /// Metrics and health, never on the public listener.
    Admin {
        /// Address and port.
        listen: SocketAddr = "127.0.0.1:9464",
    }
    later {}
}

table! {
    /// What is logged, and how.
    Log {
        /// The lowest level that is written.
        level: Level = "info",
        /// How a line looks; by default "text" on a terminal, else "json".
        format: LogFormat,
        /// Where the access log goes: "stdout", "off" or { file = "..." }.
        access: Access = "stdout",
    }
    later {}
}

table! {
    /// One monday app. The Developer Center shows its ids and secrets under Basic information.
    App {
        /// The app's client id; compared where a token names it.
        client_id: String,
        /// Signs session tokens of views and app lifecycle webhooks. One, or a list while it changes, newest first.
        client_secret: OneOrMany<SecretSource>,
        /// Signs what monday's servers send: actions, triggers, fields, webhooks. One, or a list while it changes, newest first.
        signing_secret: OneOrMany<SecretSource>,
        /// The app's number; compared where a token names it.
        app_id: i64,
        /// How a token's aud, when present, is compared with `public_url`.
        audience: Audience = "origin",
        /// Tolerance for a token's times.
        leeway: Span = "30s",
        /// Which of monday's OAuth: "2.1", whose tokens are refreshed, or "legacy".
        oauth: MondayGeneration = "2.1",
        /// What a monday grant may do; `me:read` is always among them.
        scopes: Many<String>,
        /// The Authorization URL, served by the gateway.
        authorization: AppAuthorization,
    }
    later {}
}

table! {
    /// A backend.
    Upstream {
        /// Its URL: http, https or `unix:/path`.
        servers: OneOrMany<ServerUrl> = required,
        /// For one connect, TLS handshake included.
        connect_timeout: Span = "1s",
        /// After it an unused connection is closed. Keep it below the backend's own (Node and uvicorn: 5 s).
        idle_timeout: Span = "4s",
        /// Connections to it at most.
        max_connections: i64 = 1024,
        /// For https: PEM file of the only authorities that are believed.
        ca: String,
        /// For https: the name that its certificate must have; by default the URL's host.
        server_name: String,
        /// For https: what the gateway shows when asked for a certificate.
        client_certificate: Certificate,
        /// Whose Host the backend sees.
        host: HostHeader = "client",
        /// Signs the tokens of `authorization = "resign"`.
        signing_secret: SecretSource,
    }
    later {
        "health": "it does not check backends yet",
    }
}

table! {
    /// Which requests are let through, as what, and to where.
    Route {
        /// What the metrics call it; by default the path.
        name: String,
        /// The path: literal segments, {name} for any one segment, and at the end perhaps {*rest} for everything below.
        path: String = required,
        /// Only requests to this host, or to any below it: "*.example.com".
        host: String,
        /// Only these methods.
        methods: OneOrMany<String>,
        /// The app that the token is for. Required for every kind but "public".
        app: String,
        /// What the request is: decides where the token is, which secret signs it and what a failure looks like.
        kind: Kind = required,
        /// The backend.
        upstream: String = required,
        /// Taken off the path before it is forwarded.
        strip_prefix: String,
        /// To the head of the answer; by default 55s for actions and 60s for the rest.
        timeout: Span,
        /// Body of a request; by default `server.limits.body`.
        max_body: Size,
        /// What the backend finds in Authorization: what came, nothing, or a new token signed with the upstream's `signing_secret`.
        authorization: Authorization = "keep",
        /// Whether a token in the query stays there.
        query_token: QueryToken = "strip",
        /// Who of the verified may pass.
        allow: Allow,
        /// Which web pages may read the answers.
        cors: Cors,
        /// What is added to the request.
        inject: Inject = table,
        /// Whose tokens go into headers: providers by name. By default the app's, on kinds that only monday's servers call.
        grants: Many<String>,
        /// The providers without whose grant a request is not forwarded; implies `grants`.
        require: Many<String>,
        /// For kind "jwt": who signs the tokens.
        issuer: String,
    }
    later {
        "once": "it does not recognise repeated requests yet",
    }
}

table! {
    /// Who of the verified may pass.
    Allow {
        /// Whether guests of the account may.
        guests: bool,
        /// Whether viewers may.
        view_only: bool,
        /// Whether only admins may.
        admin_only: bool,
        /// Only these accounts.
        accounts: Many<i64>,
    }
    later {}
}

table! {
    /// Which web pages may read the answers.
    Cors {
        /// Origins, exact or `https://*.label.suffix`.
        origins: OneOrMany<String> = required,
        /// Request headers that a page may set.
        headers: Many<String>,
        /// How long a browser may remember the permission; at most 24h.
        max_age: Span = "10m",
    }
    later {}
}

table! {
    /// What is added to the request.
    Inject {
        /// Whether `X-Monday-Claims` has all verified claims.
        claims: bool = false,
        /// Headers by name: text with `{account_id}`, `{user_id}` and `{claims.a.b}`, or a secret.
        headers: HeaderTexts,
    }
    later {}
}

/// `min_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    /// 1.2 and 1.3.
    V12,
    /// 1.3 only.
    V13,
}

/// `query_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryToken {
    /// Stays in the URL.
    Keep,
    /// Leaves the URL.
    Strip,
}

choice!(TlsVersion: "1.2" => Self::V12, "1.3" => Self::V13, ; later {});
choice!(QueryToken: "keep" => Self::Keep, "strip" => Self::Strip, ; later {});
choice!(MondayGeneration: "2.1" => Self::V21, "legacy" => Self::Legacy, ; later {});
choice!(Level: "error" => Self::Error, "warn" => Self::Warn, "info" => Self::Info, "debug" => Self::Debug, ; later {});
choice!(LogFormat: "json" => Self::Json, "text" => Self::Text, ; later {});
choice!(Audience: "off" => Self::Off, "origin" => Self::Origin, "exact" => Self::Exact, ; later {});
choice!(HostHeader: "client" => Self::Client, "upstream" => Self::Upstream, ; later {});
choice!(Authorization: "keep" => Self::Keep, "strip" => Self::Strip, "resign" => Self::Resign, ; later {});
