//! Certificates for trying things out on one's own machine: an authority that signs exactly one certificate, and whose key is
//! then forgotten, so that trusting it trusts nothing else. Takes names, returns PEM; writes no file.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use crate::clock::Clock;
use crate::secret::Secret;

/// Names that every development certificate has.
pub(crate) const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Days that a development certificate lives: the most that Mozilla's "modern" guidelines allow.
pub(crate) const DAYS: u64 = 90;
/// Seconds of a day.
const DAY: u64 = 86_400;

/// A certificate, its key and its authority, all PEM.
#[derive(Debug)]
pub(crate) struct Generated {
    /// The server's certificate.
    pub(crate) chain_pem: String,
    /// Its key, PKCS#8.
    pub(crate) key_pem: Secret,
    /// What clients must trust. Its key exists nowhere any more.
    pub(crate) ca_pem: String,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevelopmentFault {
    /// A name that is neither an address nor a DNS name.
    #[error(
        "{0:?} is no host name: write one as in a URL, without scheme and port, such as gw.example.test or *.example.test"
    )]
    Name(String),
    /// The library could not make a key or sign.
    #[error("no certificate could be made: {0}")]
    Library(#[from] rcgen::Error),
}

/// An ECDSA P-256 certificate for the local names and these, valid from yesterday (clocks differ) for 90 days in all.
pub(crate) fn generate(names: &[String], clock: &Clock) -> Result<Generated, DevelopmentFault> {
    let mut all: Vec<String> = LOCAL_NAMES.map(str::to_owned).into();
    for name in names {
        let name = name.to_ascii_lowercase();
        if !is_host(&name) {
            return Err(DevelopmentFault::Name(name));
        }
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let authority = CertifiedIssuer::self_signed(authority_params(clock), authority_key)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let leaf = leaf_params(all, clock)?.signed_by(&key, &authority)?;
    Ok(Generated { chain_pem: leaf.pem(), key_pem: Secret::new(key.serialize_pem()), ca_pem: authority.pem() })
}

fn authority_params(clock: &Clock) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("monday-gateway development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live_its_days(&mut params, clock);
    params
}

fn leaf_params(names: Vec<String>, clock: &Clock) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("monday-gateway development certificate");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    live_its_days(&mut params, clock);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn live_its_days(params: &mut CertificateParams, clock: &Clock) {
    let now = Duration::from_secs(clock.unix_millis() / 1000);
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(Duration::from_secs(DAY));
    params.not_after = epoch + now.saturating_add(Duration::from_secs(DAY * (DAYS - 1)));
}

/// An address, or labels of letters, digits, `-` and `_` (RFC 1123, section 2.1, and what people do), the first perhaps `*`.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let rest = name.strip_prefix("*.").unwrap_or(name);
    name.parse::<std::net::IpAddr>().is_ok() || (name.len() <= 253 && rest.split('.').all(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_url_is_refused_with_advice() {
        for name in ["https://gw.example.test", "gw.example.test:8443", "", "a b", "*"] {
            let fault = generate(&[name.to_owned()], &Clock::system()).expect_err(name).to_string();
            assert!(fault.contains("without scheme and port"), "{fault}");
        }
    }

    #[test]
    fn the_authority_is_another_certificate_than_the_servers_and_the_key_is_not_shown() {
        let made = generate(&["*.apps.example.test".into()], &Clock::system()).expect("certificate");
        assert_ne!(made.chain_pem, made.ca_pem);
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }
}
