//! The tables of gateway.toml that grants need: the Authorization URL, monday's hosts, issuers, the vault, the internal listener, pages.

use crate::config::address::InternalAddress;
use crate::config::endpoint::{Endpoint, IssuerText, ServedPath};
use crate::config::parameters::ClaimTest;
use crate::config::read::{Many, Named, OneOrMany, choice, table};
use crate::config::resolved::grants::{Ability, Identity, OnUninstall};
use crate::config::secret_source::SecretSource;
use crate::config::units::Span;

table! {
    /// The Authorization URL of an app, served by the gateway: the user connects what the app needs, and goes back to monday.
    AppAuthorization {
        /// Its path; callbacks and the other pages of the flow are below it.
        path: ServedPath = required,
        /// What a user must have granted, asked for in this order: "monday", and providers by name.
        grants: Many<String>,
        /// Where `backToUrl` may lead: hosts, or "*.suffix", and for tests "localhost:PORT" or "127.0.0.1:PORT"; always https.
        back_to: OneOrMany<String> = ["*.monday.com"],
        /// How the gateway learns who is in the browser: "monday" (its consent step), or "confirm" for an app that asks for no monday
        /// grant.
        identity: Identity,
        /// Instead of `grants`: the backend keeps its own flow, and says here who is authorized.
        status_url: Endpoint,
        /// With `status_url`: where the backend's pages are.
        upstream: String,
        /// What becomes of an account's grants when it uninstalls the app; by default they are taken back at the providers.
        on_uninstall: OnUninstall,
        /// Where the backend hears of grants.
        events: Events,
    }
    later {}
}

table! {
    /// Where the backend hears of grants: created, renewed, lost, ending, revoked. Signed as Standard Webhooks.
    Events {
        /// POST goes here.
        url: Endpoint = required,
        /// Signs them: "whsec_..." or 32 bytes and more. One, or a list while it changes, newest first.
        key: OneOrMany<SecretSource> = required,
    }
    later {}
}

table! {
    /// Other hosts than monday's own, for tests.
    Monday {
        /// Below it are `/oauth2/authorize` and `/oauth_ms/oauth/token`.
        auth_url: Endpoint = "https://auth.monday.com",
        /// The GraphQL API.
        api_url: Endpoint = "https://api.monday.com/v2",
    }
    later {}
}

table! {
    /// Who signs the tokens of the backend's other clients.
    Issuer {
        /// What `iss` must be, to the byte; its keys are found by discovery, or at `jwks_url`.
        issuer: IssuerText = required,
        /// The key set.
        jwks_url: Endpoint,
        /// One of these must be in `aud`.
        audience: OneOrMany<String> = required,
        /// The claim that makes `X-Monday-Account-Id`; none is made without.
        account: String,
        /// The claim that makes `X-Monday-User-Id`; none is made without.
        user: String,
        /// Claims that a token must have: with this text, or `true` for any value. Of a list one member is compared, of `scope` each word.
        require: Named<ClaimTest>,
    }
    later {}
}

table! {
    /// Where grants are kept, encrypted.
    Vault {
        /// "sqlite:PATH", "postgres://...", "redis://..." or "rediss://..."; or a secret with such a URL.
        store: SecretSource = required,
        /// 32 bytes in base64 each (`monday-gateway vault key` makes one), newest first.
        keys: OneOrMany<SecretSource> = required,
        /// How long answers are used again while the store is down.
        stale: Span = "5m",
        /// Grants that are kept in memory.
        cache_entries: i64 = 100000,
        /// A file that is only appended to: who granted, refreshed, read, revoked.
        audit: String,
    }
    later {}
}

table! {
    /// An API for backends that work in the background.
    Internal {
        /// Address and port, or `unix:/path`. Beyond loopback and Unix sockets, `tls` is required.
        listen: InternalAddress = "127.0.0.1:9465",
        /// Its certificate, and whose clients' certificates it believes.
        tls: InternalTls,
        /// Who may ask, by names of your choice; the audit log has them.
        clients: Named<InternalClient>,
    }
    later {}
}

table! {
    /// TLS of the internal listener: each side shows a certificate.
    InternalTls {
        /// PEM file of the certificate chain, leaf first.
        certificate: String = required,
        /// PEM file of its private key.
        private_key: String = required,
        /// PEM file of the authorities of its clients' certificates.
        client_ca: String = required,
    }
    later {}
}

table! {
    /// One backend, and what it may do.
    InternalClient {
        /// Sent as `Authorization: Bearer`. One, or a list while it changes, newest first.
        key: OneOrMany<SecretSource> = required,
        /// For these apps.
        apps: OneOrMany<String> = required,
        /// Grants at these providers.
        grants: Many<String>,
        /// "read" (a fresh token), "list", "revoke", "sign" (what the app sends to monday).
        can: Many<Ability> = ["read"],
    }
    later {}
}

table! {
    /// Whose pages these are that people see from the gateway.
    Pages {
        /// The team's or product's name.
        name: String,
        /// A picture of at most 32 KiB: SVG, PNG, WebP, JPEG or GIF.
        logo: String,
        /// "#rrggbb". Words on it become black or white, whichever is readable.
        color: String,
        /// Whom people ask for help: a mail address or an https URL.
        support: String,
        /// Folder with a file of words per language: `de.toml`.
        words: String,
    }
    later {}
}

choice!(Identity: "monday" => Self::Monday, "confirm" => Self::Confirm, ; later {});
choice!(OnUninstall: "revoke" => Self::Revoke, "purge" => Self::Purge, "keep" => Self::Keep, ; later {});
choice!(Ability: "read" => Self::Read, "list" => Self::List, "revoke" => Self::Revoke, "sign" => Self::Sign, ; later {});
