//! A backup of the vault in one file, sealed under a passphrase. The key is derived with PBKDF2-HMAC-SHA-256 (NIST SP 800-132), the records are
//! sealed in chunks with AES-256-GCM, each bound to its place, and the last one says that it is: a file that was cut, put together anew or
//! changed does not open.
//!
//! `mgwvault`, a byte of version, the rounds (4 bytes), the salt (16); then chunks: a byte that is 1 for the last, the length of what is
//! sealed (4 bytes), what is sealed. Inside are lines of JSON, one a record. Numbers are big-endian.

use std::io::{self, Read, Write};
use std::num::NonZeroU32;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::commands::vault::carry::Carried;
use crate::secret::Secret;
use crate::vault::Table;

/// How a backup begins.
pub(crate) const MAGIC: &[u8; 8] = b"mgwvault";
const VERSION: u8 = 1;
/// OWASP's number for PBKDF2-HMAC-SHA-256, doubled: it is derived once.
const ROUNDS: u32 = 1_200_000;
/// What is accepted of a file: fewer are no protection, more are an attack on whoever opens it.
const ROUNDS_ACCEPTED: std::ops::RangeInclusive<u32> = 100_000..=10_000_000;
const SALT: usize = 16;
const HEAD: usize = MAGIC.len() + 1 + 4 + SALT;
/// Bytes of a chunk before it is sealed; a record may go beyond it once.
const CHUNK: usize = 256 * 1024;
/// Bytes of a sealed chunk, at most.
const CHUNK_MAX: usize = 1024 * 1024;
/// Characters of a passphrase, at least.
pub(crate) const PASSPHRASE_MIN: usize = 12;

/// Why a backup was not written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveFault {
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("this is no backup of a vault")]
    Foreign,
    #[error("a newer gateway has written this backup (version {0})")]
    Newer(u8),
    #[error("the passphrase is another, or the file was changed")]
    Sealed,
    #[error("the file ends early: it is not whole")]
    Cut,
    #[error("the backup has a record that no gateway has written")]
    Record,
    #[error("this machine cannot seal")]
    System,
}

/// A record in a chunk.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    table: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    key: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    plain: String,
}

/// Writes one.
pub(crate) struct Writer<W> {
    out: W,
    key: LessSafeKey,
    head: [u8; HEAD],
    /// The chunk's place.
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
}

/// Reads one.
pub(crate) struct Reader<R> {
    from: R,
    key: LessSafeKey,
    head: [u8; HEAD],
    number: u64,
    is_over: bool,
}

impl<W: Write> Writer<W> {
    /// Begins with a new salt.
    pub(crate) fn new(mut out: W, passphrase: &Secret) -> Result<Self, ArchiveFault> {
        let mut head = [0; HEAD];
        let mut salt = [0; SALT];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_opaque| ArchiveFault::System)?;
        let parts: [&[u8]; 4] = [MAGIC, &[VERSION], &ROUNDS.to_be_bytes(), &salt];
        for (place, byte) in head.iter_mut().zip(parts.concat()) {
            *place = byte;
        }
        let key = key_of(passphrase, &salt, ROUNDS)?;
        out.write_all(&head)?;
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_MAX));
        Ok(Self { out, key, head, number: 0, chunk })
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, record: &Carried) -> Result<(), ArchiveFault> {
        let plain = STANDARD.encode(&record.plain[..]);
        let mut line =
            Line { table: record.table.name().into(), key: record.key.as_str().into(), expires: record.expires, plain };
        let written = serde_json::to_writer(&mut *self.chunk, &line);
        line.plain.zeroize();
        written.map_err(io::Error::from)?;
        self.chunk.push(b'\n');
        if self.chunk.len() >= CHUNK { self.flush(Last::No) } else { Ok(()) }
    }

    /// Ends it. Without this it is not whole.
    pub(crate) fn end(mut self) -> Result<W, ArchiveFault> {
        self.flush(Last::Yes)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn flush(&mut self, last: Last) -> Result<(), ArchiveFault> {
        let aad = Aad::from(place(&self.head, self.number, last));
        let sealed = self.key.seal_in_place_append_tag(nonce(self.number), aad, &mut *self.chunk);
        sealed.map_err(|_opaque| ArchiveFault::System)?;
        let length = u32::try_from(self.chunk.len()).map_err(|_long| ArchiveFault::System)?;
        self.out.write_all(&[last as u8])?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    pub(crate) fn new(mut from: R, passphrase: &Secret) -> Result<Self, ArchiveFault> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head).map_err(|_short| ArchiveFault::Foreign)?;
        let rest = head.strip_prefix(MAGIC).ok_or(ArchiveFault::Foreign)?;
        let (version, rest) = rest.split_first().ok_or(ArchiveFault::Foreign)?;
        if *version != VERSION {
            return Err(ArchiveFault::Newer(*version));
        }
        let (rounds, salt) = rest.split_first_chunk::<4>().ok_or(ArchiveFault::Foreign)?;
        let rounds = u32::from_be_bytes(*rounds);
        if !ROUNDS_ACCEPTED.contains(&rounds) {
            return Err(ArchiveFault::Foreign);
        }
        let key = key_of(passphrase, salt, rounds)?;
        Ok(Self { from, key, head, number: 0, is_over: false })
    }

    /// The records of the next chunk; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Carried>>, ArchiveFault> {
        if self.is_over {
            return Ok(None);
        }
        let mut begin = [0; 5];
        self.from.read_exact(&mut begin).map_err(cut)?;
        let [last, length @ ..] = begin;
        let last = if last == 0 { Last::No } else { Last::Yes };
        let length = u32::from_be_bytes(length) as usize;
        if length > CHUNK_MAX {
            return Err(ArchiveFault::Sealed);
        }
        let mut chunk = Zeroizing::new(vec![0; length]);
        self.from.read_exact(&mut chunk).map_err(cut)?;
        let aad = Aad::from(place(&self.head, self.number, last));
        let opened =
            self.key.open_in_place(nonce(self.number), aad, &mut chunk).map_err(|_opaque| ArchiveFault::Sealed)?;
        let lines = opened.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(record).collect::<Result<_, _>>()?;
        self.number += 1;
        self.is_over = last == Last::Yes;
        if self.is_over && self.from.read(&mut [0])? > 0 {
            return Err(ArchiveFault::Sealed);
        }
        Ok(Some(records))
    }
}

/// Whether more follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    No = 0,
    Yes = 1,
}

fn record(line: &[u8]) -> Result<Carried, ArchiveFault> {
    let mut line: Line<'_> = serde_json::from_slice(line).map_err(|_quotes| ArchiveFault::Record)?;
    let table = Table::of_name(&line.table).ok_or(ArchiveFault::Record)?;
    let plain = STANDARD.decode(&line.plain).map_err(|_quotes| ArchiveFault::Record)?;
    line.plain.zeroize();
    Ok(Carried { table, key: line.key.into_owned(), expires: line.expires, plain: Zeroizing::new(plain) })
}

fn cut(fault: io::Error) -> ArchiveFault {
    if fault.kind() == io::ErrorKind::UnexpectedEof { ArchiveFault::Cut } else { ArchiveFault::File(fault) }
}

fn key_of(passphrase: &Secret, salt: &[u8], rounds: u32) -> Result<LessSafeKey, ArchiveFault> {
    let rounds = NonZeroU32::new(rounds).ok_or(ArchiveFault::Foreign)?;
    let mut key = Zeroizing::new([0; 32]);
    derive(PBKDF2_HMAC_SHA256, rounds, salt, passphrase.expose(), &mut key[..]);
    let key = UnboundKey::new(&AES_256_GCM, &key[..]).map_err(|_opaque| ArchiveFault::System)?;
    Ok(LessSafeKey::new(key))
}

/// The salt makes the key this file's alone, so that counting is enough.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    for (place, byte) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
        *place = byte;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// What a chunk is bound to.
fn place(head: &[u8; HEAD], number: u64, last: Last) -> Vec<u8> {
    [head.as_slice(), &number.to_be_bytes(), &[last as u8]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(passphrase: &str, count: usize) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &Secret::new(passphrase)).unwrap();
        for index in 0..count {
            writer
                .add(&Carried {
                    table: Table::Grants,
                    key: format!("a/1/{index}/github"),
                    expires: None,
                    plain: Zeroizing::new(format!("CANARY {index}").repeat(100).into_bytes()),
                })
                .unwrap();
        }
        writer.end().unwrap()
    }

    fn read(bytes: &[u8], passphrase: &str) -> Result<usize, ArchiveFault> {
        let mut reader = Reader::new(bytes, &Secret::new(passphrase))?;
        let mut count = 0;
        while let Some(records) = reader.next()? {
            count += records.len();
        }
        Ok(count)
    }

    #[test]
    fn a_backup_opens_with_its_passphrase_only_and_only_whole() {
        let whole = written("correct horse battery", 800);
        assert!(memchr::memmem::find(&whole, b"CANARY").is_none() && memchr::memmem::find(&whole, b"github").is_none());
        assert_eq!(read(&whole, "correct horse battery").unwrap(), 800);
        assert!(matches!(read(&whole, "correct horse batterz"), Err(ArchiveFault::Sealed)));
        let mut cases = 2;
        for length in [0, 7, HEAD - 1, HEAD, HEAD + 3, HEAD + 5, HEAD + 1000, whole.len() / 2, whole.len() - 1] {
            assert!(read(&whole[..length], "correct horse battery").is_err(), "{length} bytes");
            cases += 1;
        }
        for place in [0, 8, 9, 12, HEAD - 1, HEAD, HEAD + 1, HEAD + 4, HEAD + 5, HEAD + 500, whole.len() - 1] {
            let mut altered = whole.clone();
            altered[place] ^= 1;
            assert!(read(&altered, "correct horse battery").is_err(), "byte {place}");
            cases += 1;
        }
        // Without its last chunk but one, and with something behind the end.
        let first = HEAD + 5 + u32::from_be_bytes(whole[HEAD + 1..HEAD + 5].try_into().unwrap()) as usize;
        assert!(first < whole.len(), "there are several chunks");
        assert!(matches!(read(&whole[..first], "correct horse battery"), Err(ArchiveFault::Cut)));
        let without = [&whole[..HEAD], &whole[first..]].concat();
        assert!(matches!(read(&without, "correct horse battery"), Err(ArchiveFault::Sealed)));
        assert!(matches!(read(&[&whole[..], b"x"].concat(), "correct horse battery"), Err(ArchiveFault::Sealed)));
        println!("cases: {}", cases + 3);
    }

    #[test]
    fn a_file_that_asks_for_absurd_work_or_none_is_refused() {
        let whole = written("correct horse battery", 1);
        for rounds in [0_u32, 1, 1000, 10_000_001, u32::MAX] {
            let mut altered = whole.clone();
            altered[9..13].copy_from_slice(&rounds.to_be_bytes());
            assert!(matches!(read(&altered, "x"), Err(ArchiveFault::Foreign)), "{rounds}");
        }
        let mut newer = whole;
        newer[8] = 2;
        assert!(matches!(read(&newer, "x"), Err(ArchiveFault::Newer(2))));
    }
}
