//! Values that say nothing and cannot be guessed: 256 random bits in base64url. What is kept of one is its hash, so that whoever reads
//! the store cannot use it. RFC 9700, section 2.1.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Bytes of one.
const BYTES: usize = 32;
/// Characters of one.
const CHARACTERS: usize = 43;

/// One such value, as it is in a URL or a cookie. Not comparable: what is compared is its hash.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) struct Opaque(String);

/// The hash of one (SHA-256).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hash(String);

/// The system has no randomness.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system has no randomness")]
pub(crate) struct NoRandomness;

impl Opaque {
    /// A new one.
    pub(crate) fn fresh() -> Result<Self, NoRandomness> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).map_err(|_unspecified| NoRandomness)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// One that came from outside, if it has the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let has_form = text.len() == CHARACTERS && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == BYTES);
        has_form.then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> Hash {
        Hash(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes())))
    }
}

impl std::fmt::Debug for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opaque")
    }
}

impl Hash {
    /// As a part of a record's key.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two are the same; takes the same time wherever they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "statistics")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_has_256_bits_and_none_comes_twice() {
        let (first, second) = (Opaque::fresh().unwrap(), Opaque::fresh().unwrap());
        assert_ne!(first, second);
        assert_eq!(URL_SAFE_NO_PAD.decode(first.as_str()).unwrap().len(), 32);
        assert_eq!(Opaque::parse(first.as_str()), Some(first.clone()));
        assert!(first.hash().is(&first.hash()) && !first.hash().is(&second.hash()));
        assert!(!first.hash().as_str().contains(first.as_str()));
    }

    #[test]
    fn what_has_not_the_form_is_none() {
        let good = Opaque::fresh().unwrap().0;
        let longer = format!("{good}A");
        let padded = format!("{}=", good.get(..42).unwrap());
        for text in ["", "A", good.get(1..).unwrap(), &longer, &padded, &good.replace(|_| true, "+"), "ä"] {
            assert_eq!(Opaque::parse(text), None, "{text}");
        }
    }

    #[test]
    fn r16_comparing_takes_the_same_time_wherever_two_differ() {
        let ours = include_str!("opaque.rs").split("#[expect(clippy::cast_precision").next().unwrap();
        assert_eq!(ours.matches("verify_slices_are_equal(self.0").count(), 1, "one way to compare");
        assert!(!ours.contains("derive(Clone, Debug, PartialEq"), "no other way");
        let known = Opaque::fresh().unwrap().hash();
        let differing_at = |place: usize| {
            let mut text = known.0.clone().into_bytes();
            text[place] = if text[place] == b'A' { b'B' } else { b'A' };
            Hash(String::from_utf8(text).unwrap())
        };
        let others = [differing_at(0), differing_at(42)];
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..1_000_000_usize {
            let class = (round.wrapping_mul(0x9e37_79b9) >> 13) % 2;
            let began = std::time::Instant::now();
            let is_same = std::hint::black_box(&known).is(std::hint::black_box(&others[class]));
            times[class].push(began.elapsed().as_nanos());
            assert!(!is_same);
        }
        // Dudect's statistic, without the slowest hundredth, which is the system's.
        let [first, last] = times.map(|mut times| {
            times.sort_unstable();
            times.truncate(times.len() * 99 / 100);
            let count = times.len() as f64;
            let mean = times.iter().sum::<u128>() as f64 / count;
            let variance = times.iter().map(|time| (*time as f64 - mean).powi(2)).sum::<f64>() / (count - 1.0);
            (mean, variance / count, times[times.len() / 2])
        });
        let t = (first.0 - last.0) / (first.1 + last.1).sqrt();
        println!("cases: 1000000 (R16); t = {t:.2}, medians {} ns and {} ns", first.2, last.2);
        assert!(first.2.abs_diff(last.2) <= 20, "medians {} ns and {} ns", first.2, last.2);
    }

    proptest! {
        #[test]
        fn whatever_is_taken_for_one_is_written_as_it_came(text in "[A-Za-z0-9_=+/-]{40,46}|.{0,50}") {
            if let Some(opaque) = Opaque::parse(&text) {
                prop_assert_eq!(opaque.as_str(), text.as_str());
                prop_assert_eq!(text.len(), 43);
            }
        }
    }
}
