//! PEM files: a certificate chain, a private key, a list of authorities. Takes a path, returns what rustls wants, or a fault that
//! names the file and says what to do. Quotes nothing of a file's contents. RFC 7468.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Why TLS cannot be had as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFault {
    /// A file is not what it should be.
    #[error("{}: {flaw}", file.display())]
    File {
        /// As it was given.
        file: PathBuf,
        /// What is wrong, and what to do.
        flaw: FileFlaw,
    },
    /// The machine has no authorities, and no `ca` was given.
    #[error(
        "this machine has no certificate authorities: install them (Debian: ca-certificates), or name a file by `ca`"
    )]
    NoRoots,
    /// A listener without a single certificate.
    #[error("no certificate is configured")]
    NoCertificates,
    /// The TLS library refused what was put together.
    #[error("TLS cannot be set up: {0}")]
    Library(Box<rustls::Error>),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileFlaw {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is no PEM.
    #[error("is no valid PEM: copy it again, with its BEGIN and END lines")]
    NotPem,
    /// No `BEGIN CERTIFICATE`.
    #[error("has no certificate: it needs the chain in PEM, the server's own certificate first")]
    NoCertificate,
    /// No private key.
    #[error("has no private key: it needs a `BEGIN PRIVATE KEY` block (or `RSA PRIVATE KEY`, `EC PRIVATE KEY`)")]
    NoKey,
    /// More than one private key.
    #[error("has {0} private keys: leave the one that belongs to the certificate")]
    SeveralKeys(usize),
    /// The key is protected by a passphrase.
    #[error(
        "is encrypted with a passphrase, which nobody could type at start: decrypt it with `openssl pkey -in FILE -out NEW`"
    )]
    EncryptedKey,
    /// A key that rustls cannot sign with.
    #[error("has a key that cannot be used: make an ECDSA P-256 or P-384, Ed25519 or RSA key (2048 bits or more)")]
    UnusableKey,
    /// The certificate is not this key's.
    #[error("does not belong to the key in {}: they must be made together", .0.display())]
    Mismatch(Box<Path>),
    /// The key's certificate is there, further down.
    #[error("has the certificates in the wrong order: the server's own must be first, then its issuers")]
    LeafNotFirst,
    /// The certificate cannot be parsed.
    #[error("has a certificate that cannot be parsed as X.509 version 3")]
    Unparsable,
    /// A short RSA key.
    #[error("has an RSA key of {0} bits: 2048 are the least")]
    WeakRsa(usize),
    /// Past its last day.
    #[error("has expired ({0}): renew it")]
    Expired(Box<str>),
    /// Before its first day.
    #[error("is not valid before {0}: is this machine's clock right?")]
    NotYetValid(Box<str>),
}

impl From<rustls::Error> for TlsFault {
    fn from(fault: rustls::Error) -> Self {
        Self::Library(Box::new(fault))
    }
}

impl FileFlaw {
    /// The fault of that file.
    pub(crate) fn of(self, file: &Path) -> TlsFault {
        TlsFault::File { file: file.to_owned(), flaw: self }
    }
}

/// All certificates of a file, in its order; at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let pem = read(file)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_syntax| FileFlaw::NotPem.of(file))?;
    if chain.is_empty() { Err(FileFlaw::NoCertificate.of(file)) } else { Ok(chain) }
}

/// The one private key of a file. Other blocks, as `EC PARAMETERS` or the certificate, may stand beside it.
pub(crate) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let pem = read(file)?;
    if is_encrypted(&pem) {
        return Err(FileFlaw::EncryptedKey.of(file));
    }
    let mut keys: Vec<_> =
        PrivateKeyDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_syntax| FileFlaw::NotPem.of(file))?;
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), others) => Err(FileFlaw::SeveralKeys(others.saturating_add(1)).of(file)),
        (None, _) => Err(FileFlaw::NoKey.of(file)),
    }
}

/// The file's bytes, wiped when dropped: they may hold a key.
fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, TlsFault> {
    std::fs::read(file).map(Zeroizing::new).map_err(|fault| FileFlaw::Unreadable(fault).of(file))
}

/// PKCS#8 says so in its label, the older forms in a header line (RFC 1421, section 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| memchr::memmem::find(pem, mark.as_bytes()).is_some())
}
