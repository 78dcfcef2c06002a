//! The server's certificates, by the name a client asks for (SNI), and the hosts each may speak for.
//! Takes PEM files, returns a resolver for rustls; every certificate in it belongs to its key and is valid today. Knows no route.
//! RFC 6066, section 3 (SNI); RFC 9525, section 6.3 (one label for a `*`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::clock::Clock;
use crate::tls::CertificatePaths;
use crate::tls::files::{self, FileFlaw, TlsFault};

/// Bits of an RSA modulus below which a key is refused (RFC 9325, section 4.5).
const RSA_BITS_MIN: usize = 2048;

/// One certificate and what is known of it.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// Lower-case DNS names, `*.suffix` among them, and addresses, as the certificate lists them. Empty for one that only has a
    /// common name, which no client of today accepts.
    pub(crate) names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// All certificates of a listener, in the configuration's order. Lives in a snapshot; never empty.
#[derive(Debug)]
pub(crate) struct Certificates {
    list: Vec<Certificate>,
    first: Arc<CertifiedKey>,
    /// Names as in `Certificate::names`; of two certificates with the same name, the first.
    by_name: HashMap<String, usize>,
}

impl Certificates {
    /// Reads and judges all of them.
    pub(crate) fn load(
        paths: &[CertificatePaths<'_>],
        provider: &CryptoProvider,
        clock: &Clock,
    ) -> Result<Self, TlsFault> {
        let list: Vec<_> =
            paths.iter().map(|paths| Certificate::load(*paths, provider, clock)).collect::<Result<_, _>>()?;
        let first = list.first().map(|first| Arc::clone(&first.key)).ok_or(TlsFault::NoCertificates)?;
        let mut by_name = HashMap::new();
        for (index, certificate) in list.iter().enumerate() {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_insert(index);
            }
        }
        Ok(Self { list, first, by_name })
    }

    /// Which certificate is for this host (no port; brackets, case and one trailing dot do not matter): by its exact name, else by
    /// a `*` for its first label.
    pub(crate) fn index_for(&self, host: &str) -> Option<usize> {
        let host = canonical(host);
        self.by_name.get(&host).or_else(|| self.by_name.get(&wildcard(&host)?)).copied()
    }

    /// Which certificate a client that asked for `sni` was given.
    pub(crate) fn presented(&self, sni: Option<&str>) -> usize {
        sni.and_then(|name| self.index_for(name)).unwrap_or(0)
    }

    /// Whether that certificate speaks for that host.
    pub(crate) fn covers(&self, index: usize, host: &str) -> bool {
        let host = canonical(host);
        let star = wildcard(&host);
        self.list.get(index).is_some_and(|certificate| {
            certificate.names.iter().any(|name| *name == host || star.as_ref() == Some(name))
        })
    }

    /// Whether a request for `host` came over a connection that was given the certificate `presented`, while only another one is
    /// for that host: the answer is 421 (RFC 9110, section 7.4). A host of no certificate at all is the router's to judge.
    pub(crate) fn misdirected(&self, presented: usize, host: &str) -> bool {
        self.list.len() > 1 && !self.covers(presented, host) && self.index_for(host).is_some()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let index = self.presented(hello.server_name());
        Some(Arc::clone(self.list.get(index).map_or(&self.first, |certificate| &certificate.key)))
    }
}

impl Certificate {
    fn load(paths: CertificatePaths<'_>, provider: &CryptoProvider, clock: &Clock) -> Result<Self, TlsFault> {
        let file = paths.certificate;
        let chain = files::certificates(file)?;
        let leaf = chain.first().ok_or_else(|| FileFlaw::NoCertificate.of(file))?;
        let facts = Facts::of(leaf, file)?;
        facts.judge(file, clock.unix_seconds())?;
        let key = certified(chain, paths, provider)?;
        Ok(Self { names: facts.names, key: Arc::new(key) })
    }
}

/// What the gateway reads in a leaf certificate.
struct Facts {
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
    not_before_text: String,
    not_after_text: String,
    rsa_bits: Option<usize>,
}

impl Facts {
    fn of(leaf: &CertificateDer<'_>, file: &Path) -> Result<Self, TlsFault> {
        let unparsable = || FileFlaw::Unparsable.of(file);
        let (_rest, parsed) = X509Certificate::from_der(leaf).map_err(|_detail| unparsable())?;
        let validity = parsed.validity();
        let rsa_bits = match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(key.key_size()),
            Ok(_) | Err(_) => None, // rustls judges the others
        };
        Ok(Self {
            names: names(&parsed),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            not_before_text: validity.not_before.to_string(),
            not_after_text: validity.not_after.to_string(),
            rsa_bits,
        })
    }

    fn judge(&self, file: &Path, now: i64) -> Result<(), TlsFault> {
        if now > self.not_after {
            return Err(FileFlaw::Expired(self.not_after_text.as_str().into()).of(file));
        }
        if now < self.not_before {
            return Err(FileFlaw::NotYetValid(self.not_before_text.as_str().into()).of(file));
        }
        match self.rsa_bits {
            Some(bits) if bits < RSA_BITS_MIN => Err(FileFlaw::WeakRsa(bits).of(file)),
            _ => Ok(()),
        }
    }
}

/// Joins chain and key, which must belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    paths: CertificatePaths<'_>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFault> {
    let key = provider
        .key_provider
        .load_private_key(files::private_key(paths.private_key)?)
        .map_err(|_detail| FileFlaw::UnusableKey.of(paths.private_key))?;
    let issuers: Vec<_> = chain.iter().skip(1).cloned().collect();
    let certified = CertifiedKey::new(chain, Arc::clone(&key));
    let flaw = match certified.keys_match() {
        Ok(()) => return Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) if issuers.is_empty() => FileFlaw::Mismatch(paths.private_key.into()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let fits = |other| CertifiedKey::new(vec![other], Arc::clone(&key)).keys_match().is_ok();
            if issuers.into_iter().any(fits) {
                FileFlaw::LeafNotFirst
            } else {
                FileFlaw::Mismatch(paths.private_key.into())
            }
        }
        Err(_) => FileFlaw::Unparsable,
    };
    Err(flaw.of(paths.certificate))
}

/// The subject's alternative names. The common name counts for no client any more (RFC 9525, section 2).
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(canonical(name)),
        GeneralName::IPAddress(octets) => <[u8; 4]>::try_from(*octets)
            .map(IpAddr::from)
            .or_else(|_length| <[u8; 16]>::try_from(*octets).map(IpAddr::from))
            .ok()
            .map(|address| address.to_string()),
        _ => None,
    }
}

/// Lower case, without a trailing dot or an address' brackets; addresses in their one spelling.
fn canonical(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_string();
    }
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

/// `*.example.com` for `a.example.com`; none for a host of one label.
fn wildcard(host: &str) -> Option<String> {
    host.split_once('.')
        .filter(|(label, rest)| !label.is_empty() && !rest.is_empty())
        .map(|(_, rest)| format!("*.{rest}"))
}
