//! AEAD under a key ring (AES-256-GCM, NIST SP 800-38D): seals what the vault and cookies keep, bound to what it is the value of. The newest
//! key seals; every key of the ring opens. Takes bytes, knows no store.

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Keys, newest first. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing {}

/// What was sealed, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The bytes.
    pub(crate) plain: Zeroizing<Vec<u8>>,
    /// Whether the newest key had sealed it; if not, it is worth sealing again.
    pub(crate) is_current: bool,
}

/// Why nothing was sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealFault {
    /// A key is not 32 bytes.
    #[error("a vault key is 32 bytes in base64")]
    Key,
    /// No key of the ring has this id.
    #[error("sealed under a key that is not in the ring")]
    UnknownKey,
    /// Not what was sealed, or not here.
    #[error("altered, or moved from another place")]
    Altered,
    /// The system has no randomness, or the key was used too often.
    #[error("cannot seal")]
    Exhausted,
}

impl KeyRing {
    /// A ring of these keys (32 raw bytes each), newest first; at least one.
    pub(crate) fn new(_keys: &[Secret]) -> Result<Self, SealFault> {
        unimplemented!()
    }

    /// A ring for another purpose, derived of this one (HKDF, RFC 5869): what one seals the other cannot open.
    pub(crate) fn for_purpose(&self, _purpose: &'static str) -> Self {
        unimplemented!()
    }

    /// Seals. `identity` says what it is the value of (table, row); its parts are told apart, whatever they contain.
    pub(crate) fn seal(&self, _identity: &[&[u8]], _plain: &[u8]) -> Result<Vec<u8>, SealFault> {
        unimplemented!()
    }

    /// Opens what was sealed under the same identity.
    pub(crate) fn open(&self, _identity: &[&[u8]], _sealed: &[u8]) -> Result<Opened, SealFault> {
        unimplemented!()
    }
}
