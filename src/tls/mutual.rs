//! TLS where both sides show certificates: for listeners on which nobody unknown has anything to ask. HTTP/1.1 only; no tickets, so that an
//! authority that was taken away counts at the next connection. RFC 8446, section 4.3.2.

use std::path::Path;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::tls::files::{self, FileFlaw, TlsFault};
use crate::tls::{CertificatePaths, provider};

/// A listener that shows the certificate of `paths`, and believes clients whose certificates the authorities in `client_ca` have signed.
pub(crate) fn mutual_config(paths: CertificatePaths<'_>, client_ca: &Path) -> Result<Arc<ServerConfig>, TlsFault> {
    let provider = Arc::new(provider());
    let mut roots = RootCertStore::empty();
    for authority in files::certificates(client_ca)? {
        roots.add(authority).map_err(|_detail| FileFlaw::Unparsable.of(client_ca))?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|_detail| FileFlaw::NoCertificate.of(client_ca))?;
    let chain = files::certificates(paths.certificate)?;
    let key = files::private_key(paths.private_key)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(|fault| match fault {
            rustls::Error::InconsistentKeys(_) => FileFlaw::Mismatch(paths.private_key.into()).of(paths.certificate),
            other => other.into(),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
