//! TLS on both sides: what clients of the gateway meet, and how the gateway meets https backends.
//! Takes paths of PEM files, returns rustls configurations that every worker shares. Knows no gateway.toml, no route and no
//! socket. RFC 9325; Mozilla's "intermediate" guidelines 5.7, or "modern" where only TLS 1.3 is spoken.

pub(crate) mod certificates;
pub(crate) mod development;
pub(crate) mod files;
pub(crate) mod mutual;
pub(crate) mod roots;

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite, kx_group};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::clock::Clock;
use crate::tls::certificates::Certificates;
use crate::tls::files::TlsFault;

/// What a client may choose by ALPN, in the order the gateway likes it.
const SERVER_ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS 1.3 session tickets after one handshake. One is enough for a client that keeps its newest (Node, monday's side); a second
/// would cost a key derivation and an encryption on every handshake, resumed ones included.
const TICKETS: usize = 1;

/// The files of one certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CertificatePaths<'a> {
    /// PEM: the chain, leaf first.
    pub(crate) certificate: &'a Path,
    /// PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub(crate) private_key: &'a Path,
}

/// Which versions of TLS clients may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    /// TLS 1.2 and 1.3.
    From12,
    /// TLS 1.3 only.
    Only13,
}

/// What a TLS listener needs.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Shared by all workers.
    pub(crate) config: Arc<ServerConfig>,
    /// Which certificate a connection was given, and which hosts it covers.
    pub(crate) certificates: Arc<Certificates>,
}

/// Seals session tickets: resumption without state. Made once a process and kept over reloads, so that a reload costs nobody a
/// full handshake. Its keys are random, change every 6 hours, and open tickets for 12.
#[derive(Clone, Debug)]
pub(crate) struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    /// New random keys.
    pub(crate) fn new() -> Result<Self, TlsFault> {
        Ok(Self(Ticketer::new()?))
    }
}

/// A listener's TLS. The first certificate is shown to clients that name no host, or one that no certificate covers. Fails with
/// the name of the file that is wrong.
pub(crate) fn server_config(
    paths: &[CertificatePaths<'_>],
    versions: Versions,
    tickets: &Tickets,
    clock: &Clock,
) -> Result<Server, TlsFault> {
    let provider = Arc::new(provider());
    let certificates = Arc::new(Certificates::load(paths, &provider, clock)?);
    let resolver = Arc::<Certificates>::clone(&certificates) as Arc<dyn ResolvesServerCert>;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions.as_rustls())?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = SERVER_ALPN.map(<[u8]>::to_vec).into();
    config.ticketer = Arc::<dyn ProducesTickets>::clone(&tickets.0);
    config.session_storage = Arc::new(NoServerSessionStorage {}); // the default is one locked map of 256 sessions
    config.send_tls13_tickets = TICKETS;
    config.max_early_data_size = 0; // early data can be replayed
    // Servers, monday's among them, offer AES-256 first, whose SHA-384 costs a handshake a tenth more than SHA-256 does here.
    config.ignore_client_order = true;
    Ok(Server { config: Arc::new(config), certificates })
}

impl Versions {
    fn as_rustls(self) -> &'static [&'static SupportedProtocolVersion] {
        static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];
        match self {
            Self::From12 => &FROM_12,
            Self::Only13 => &ONLY_13,
        }
    }
}

/// The algorithms: those of Mozilla's "intermediate", in its order, and the post-quantum hybrid X25519MLKEM768 before them.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

/// Makes these algorithms the process's default, for code that asks rustls for one. May be called any number of times.
pub(crate) fn install_default_provider() {
    if CryptoProvider::get_default().is_none() {
        drop(provider().install_default()); // an error only says that another thread was first
    }
}

#[cfg(test)]
mod tests;
