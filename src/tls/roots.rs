//! TLS towards https backends: whom the gateway believes, and what it shows when asked for a certificate.
//! Takes paths, returns a rustls configuration; names are always verified against the certificate, there is no switch to skip it.
//! Knows no upstream: who connects says which name is expected.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::tls::files::{self, FileFlaw, TlsFault};
use crate::tls::{CertificatePaths, provider};

/// For connections to backends. With `ca`, only the authorities of that file are believed, otherwise the machine's.
/// Sessions are resumed; clones of the returned value share them.
pub(crate) fn client_config(
    ca: Option<&Path>,
    client_certificate: Option<CertificatePaths<'_>>,
) -> Result<Arc<ClientConfig>, TlsFault> {
    let roots = match ca {
        Some(file) => own_roots(file)?,
        None => machine_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match client_certificate {
        Some(paths) => {
            let chain = files::certificates(paths.certificate)?;
            let key = files::private_key(paths.private_key)?;
            builder.with_client_auth_cert(chain, key).map_err(|fault| refused_pair(&fault, paths))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()]; // backends are spoken to in HTTP/1.1
    Ok(Arc::new(config))
}

fn refused_pair(fault: &rustls::Error, paths: CertificatePaths<'_>) -> TlsFault {
    match fault {
        rustls::Error::InconsistentKeys(_) => FileFlaw::Mismatch(paths.private_key.into()).of(paths.certificate),
        rustls::Error::InvalidCertificate(_) => FileFlaw::Unparsable.of(paths.certificate),
        _ => FileFlaw::UnusableKey.of(paths.private_key),
    }
}

fn own_roots(file: &Path) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for authority in files::certificates(file)? {
        roots.add(authority).map_err(|_detail| FileFlaw::Unparsable.of(file))?;
    }
    Ok(roots)
}

/// A machine's bundle may hold a certificate or two that rustls cannot parse; those are left out.
fn machine_roots() -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 { Err(TlsFault::NoRoots) } else { Ok(roots) }
}
