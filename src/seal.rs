//! AEAD under a key ring (AES-256-GCM, NIST SP 800-38D): seals what the vault and cookies keep, bound to what it is the value of. The newest
//! key seals; every key of the ring opens. Takes bytes, knows no store.
//!
//! What is sealed: a byte of version, the key's id, a random nonce, the ciphertext, the tag. The version, the id and the identity are
//! authenticated with it. A random nonce bounds a key to 2^32 seals (SP 800-38D, section 8.3). Each process counts its own for each
//! derived key and refuses beyond; the vault's store counts the writes of all gateways together, which `vault status` shows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Seals under one key with random nonces, at most (SP 800-38D, section 8.3).
pub(crate) const SEALS_MAX: u64 = 1 << 32;
/// How what is sealed begins: a later format has another number.
const FORMAT: u8 = 1;
/// Bytes of the nonce: 96 bits.
const NONCE: usize = 12;
/// Bytes of the tag.
const TAG: usize = 16;
/// Bytes of version and key id.
const HEAD: usize = 1 + KeyId::BYTES;

/// Which key sealed something. It is derived from the key and says nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyId([u8; Self::BYTES]);

/// Keys, newest first. Cheap to clone; clones count their seals together.
#[derive(Clone)]
pub(crate) struct KeyRing(Arc<[Key]>);

/// One key of a ring.
struct Key {
    /// Which.
    id: KeyId,
    /// The bytes that everything else is derived from.
    root: Zeroizing<[u8; KEY_BYTES]>,
    /// Seals and opens. None where the library would not take the key: then nothing is sealed and nothing opened.
    aead: Option<RandomizedNonceKey>,
    /// How often it sealed.
    seals: AtomicU64,
}

/// What was sealed, opened. A type of its own, whose `Debug` shows nothing.
pub(crate) struct Opened {
    /// The bytes.
    pub(crate) plain: Zeroizing<Vec<u8>>,
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
    #[error("cannot seal: the newest key was used 2^32 times, or this machine has no randomness")]
    Exhausted,
}

impl KeyRing {
    /// A ring of these keys (32 raw bytes each), newest first; at least one. One that is there twice counts once.
    pub(crate) fn new(keys: &[Secret]) -> Result<Self, SealFault> {
        let mut ring: Vec<Key> = Vec::with_capacity(keys.len());
        for key in keys {
            let raw: [u8; KEY_BYTES] = key.expose().try_into().map_err(|_size| SealFault::Key)?;
            let key = Key::new(Zeroizing::new(raw));
            if !ring.iter().any(|other| other.id == key.id) {
                ring.push(key);
            }
        }
        if ring.is_empty() { Err(SealFault::Key) } else { Ok(Self(ring.into())) }
    }

    /// A ring for another purpose, derived of this one (HKDF, RFC 5869): what one seals the other cannot open.
    pub(crate) fn for_purpose(&self, purpose: &'static str) -> Self {
        let derived = |key: &Key| Key::new(derive(&key.root, b"purpose", purpose.as_bytes()));
        Self(self.0.iter().map(derived).collect())
    }

    /// The id of the key that seals.
    pub(crate) fn newest(&self) -> Option<KeyId> {
        self.0.first().map(|key| key.id)
    }

    /// The ids of its keys, newest first.
    pub(crate) fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|key| key.id).collect()
    }

    /// Whether the newest key has sealed this. Says nothing of whether it can be opened.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        KeyId::of(sealed).is_some_and(|id| Some(id) == self.newest())
    }

    /// Seals. `identity` says what it is the value of (table, row); its parts are told apart, whatever they contain.
    pub(crate) fn seal(&self, identity: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, SealFault> {
        let key = self.0.first().ok_or(SealFault::Key)?;
        let aead = key.aead.as_ref().ok_or(SealFault::Exhausted)?;
        if key.seals.fetch_add(1, Ordering::Relaxed) >= SEALS_MAX {
            key.seals.fetch_sub(1, Ordering::Relaxed);
            return Err(SealFault::Exhausted);
        }
        let mut sealed = Vec::with_capacity(HEAD + NONCE + plain.len() + TAG); // never grows: no copy of the plaintext is left behind
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.id.0);
        sealed.extend_from_slice(&[0; NONCE]);
        sealed.extend_from_slice(plain);
        let aad = associated(key.id, identity);
        let (front, text) = sealed.split_at_mut(HEAD + NONCE);
        let (nonce, tag) =
            aead.seal_in_place_separate_tag(Aad::from(aad), text).map_err(|_opaque| SealFault::Exhausted)?;
        for (place, byte) in front.iter_mut().skip(HEAD).zip(nonce.as_ref()) {
            *place = *byte;
        }
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed under the same identity.
    pub(crate) fn open(&self, identity: &[&[u8]], sealed: &[u8]) -> Result<Opened, SealFault> {
        let id = KeyId::of(sealed).ok_or(SealFault::Altered)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or(SealFault::UnknownKey)?;
        let aead = key.aead.as_ref().ok_or(SealFault::UnknownKey)?;
        let rest = sealed.get(HEAD..).ok_or(SealFault::Altered)?;
        let (nonce, text) = rest.split_at_checked(NONCE).ok_or(SealFault::Altered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_opaque| SealFault::Altered)?;
        let mut plain = Zeroizing::new(text.to_vec());
        let length = aead
            .open_in_place(nonce, Aad::from(associated(id, identity)), &mut plain)
            .map_err(|_opaque| SealFault::Altered)?
            .len();
        plain.truncate(length);
        Ok(Opened { plain })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.ids()).finish()
    }
}

impl Key {
    fn new(root: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut id = [0; KeyId::BYTES];
        for (place, byte) in id.iter_mut().zip(derive(&root, b"id", b"").iter()) {
            *place = *byte;
        }
        let aead = RandomizedNonceKey::new(&AES_256_GCM, &derive(&root, b"seal", b"")[..]).ok();
        Self { id: KeyId(id), root, aead, seals: AtomicU64::new(0) }
    }
}

/// HKDF-SHA-256 for one block of output (RFC 5869, sections 2.2 and 2.3 with L = 32): HMAC(HMAC(salt, root), info | 0x01).
fn derive(root: &[u8; KEY_BYTES], what: &[u8], purpose: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"monday-gateway"), root);
    let mut expand = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()));
    expand.update(what);
    expand.update(b"\0"); // `what` is one of three words without a NUL
    expand.update(purpose);
    expand.update(&[1]);
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    for (place, byte) in derived.iter_mut().zip(expand.sign().as_ref()) {
        *place = *byte;
    }
    derived
}

/// Version, key id, and each part of the identity after its length: no two identities are the same bytes.
fn associated(id: KeyId, identity: &[&[u8]]) -> Vec<u8> {
    let size: usize = identity.iter().map(|part| part.len() + 8).sum();
    let mut bytes = Vec::with_capacity(HEAD + size);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&id.0);
    for part in identity {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

impl KeyId {
    /// Its size.
    pub(crate) const BYTES: usize = 8;

    /// Which key sealed this, by its own words.
    pub(crate) fn of(sealed: &[u8]) -> Option<Self> {
        let (format, rest) = sealed.split_first()?;
        let id = rest.first_chunk::<{ Self::BYTES }>()?;
        (*format == FORMAT).then_some(Self(*id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes)", self.plain.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Secret {
        Secret::new([byte; KEY_BYTES])
    }

    fn ring(bytes: &[u8]) -> KeyRing {
        KeyRing::new(&bytes.iter().map(|byte| key(*byte)).collect::<Vec<_>>()).unwrap()
    }

    fn opened(ring: &KeyRing, identity: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, SealFault> {
        ring.open(identity, sealed).map(|opened| opened.plain.to_vec())
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let ring = ring(&[1]);
        let sealed = ring.seal(&[b"grants", b"a/1/2/github"], b"a token").unwrap();
        let mut cases = 0;
        for place in 0..sealed.len() {
            for bit in 0..8 {
                let mut altered = sealed.clone();
                altered[place] ^= 1 << bit;
                assert!(ring.open(&[b"grants", b"a/1/2/github"], &altered).is_err(), "byte {place}, bit {bit}");
                cases += 1;
            }
        }
        for length in 0..sealed.len() {
            assert!(ring.open(&[b"grants", b"a/1/2/github"], &sealed[..length]).is_err(), "{length} bytes");
            cases += 1;
        }
        println!("cases: {cases}");
    }

    #[test]
    fn a_record_of_another_row_table_or_purpose_does_not_open() {
        let ring = ring(&[1]);
        let sealed = ring.seal(&[b"grants", b"a/1/2/github"], b"x").unwrap();
        let others: [&[&[u8]]; 8] = [
            &[b"grants", b"a/1/3/github"],
            &[b"states", b"a/1/2/github"],
            &[b"grantsa", b"/1/2/github"],
            &[b"grants", b"a/1/2/github", b""],
            &[b"grants"],
            &[b"grantsa/1/2/github"],
            &[b"", b"grants", b"a/1/2/github"],
            &[],
        ];
        for other in others {
            assert_eq!(opened(&ring, other, &sealed), Err(SealFault::Altered), "{other:?}");
        }
        let cookies = ring.for_purpose("cookies");
        assert_eq!(opened(&cookies, &[b"grants", b"a/1/2/github"], &sealed), Err(SealFault::UnknownKey));
        assert_ne!(cookies.newest(), ring.for_purpose("pages").newest());
        println!("cases: {}", others.len() + 1);
    }

    #[test]
    fn an_older_key_still_opens_and_a_removed_one_does_not() {
        let sealed = ring(&[1]).seal(&[b"t"], b"x").unwrap();
        let rotated = ring(&[2, 1]);
        let both = rotated.open(&[b"t"], &sealed).unwrap();
        assert!(!rotated.is_current(&sealed));
        let again = rotated.seal(&[b"t"], &both.plain).unwrap();
        assert!(rotated.is_current(&again));
        assert_eq!(opened(&ring(&[2]), &[b"t"], &again), Ok(b"x".to_vec()));
        assert_eq!(opened(&ring(&[2]), &[b"t"], &sealed), Err(SealFault::UnknownKey));
        assert_eq!(
            opened(&ring(&[1]).for_purpose("c"), &[b"t"], &ring(&[1]).for_purpose("c").seal(&[b"t"], b"y").unwrap()),
            Ok(b"y".to_vec())
        );
    }

    #[test]
    fn a_key_is_32_bytes_and_a_ring_has_one() {
        for length in [0, 1, 31, 33, 64] {
            assert_eq!(KeyRing::new(&[Secret::new(vec![7; length])]).unwrap_err(), SealFault::Key, "{length}");
        }
        assert_eq!(KeyRing::new(&[]).unwrap_err(), SealFault::Key);
        assert_eq!(ring(&[1, 1, 2]).ids().len(), 2);
    }

    #[test]
    fn a_key_that_sealed_too_often_seals_no_more_but_opens() {
        let ring = ring(&[1]);
        let sealed = ring.seal(&[b"t"], b"x").unwrap();
        ring.0[0].seals.store(SEALS_MAX, Ordering::Relaxed);
        assert_eq!(ring.seal(&[b"t"], b"x").unwrap_err(), SealFault::Exhausted);
        assert_eq!(opened(&ring, &[b"t"], &sealed), Ok(b"x".to_vec()));
    }

    #[test]
    fn derivation_is_hkdf() {
        use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
        let okm = Salt::new(HKDF_SHA256, b"monday-gateway").extract(&[9; 32]);
        let mut expected = [0; 32];
        okm.expand(&[b"purpose\0cookies"], HKDF_SHA256).unwrap().fill(&mut expected).unwrap();
        assert_eq!(*derive(&[9; 32], b"purpose", b"cookies"), expected);
    }

    #[test]
    fn debug_shows_no_key_and_no_plaintext() {
        let ring = ring(&[0x41]);
        let sealed = ring.seal(&[b"t"], b"CANARY").unwrap();
        let shown = format!("{ring:?} {:?}", ring.open(&[b"t"], &sealed).unwrap());
        assert!(!shown.contains("AAAA") && !shown.contains("4141") && !shown.contains("CANARY"), "{shown}");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_only_as_what_it_was(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..4),
            other in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..4),
            plain in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let ring = ring(&[3, 4]);
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let other: Vec<&[u8]> = other.iter().map(Vec::as_slice).collect();
            let sealed = ring.seal(&parts, &plain).unwrap();
            prop_assert_eq!(opened(&ring, &parts, &sealed), Ok(plain.clone()));
            prop_assert_ne!(&ring.seal(&parts, &plain).unwrap(), &sealed);
            prop_assert_eq!(opened(&ring, &other, &sealed).is_ok(), parts == other);
        }

        #[test]
        fn arbitrary_bytes_do_not_open(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(ring(&[3]).open(&[b"t"], &bytes).is_err());
        }
    }
}
