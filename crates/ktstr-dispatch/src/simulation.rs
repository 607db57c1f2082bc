//! What a simulated run is decided by, besides its kernel, binary and topology.

use ktstr_scenario::chaos::{Chaos, Level};
use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;
use std::path::PathBuf;

/// The seed and the perturbations that are drawn from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulation {
    seed: Option<u64>,
    level: Level,
    hotplug: bool,
    keep: Option<Vec<u32>>,
}

/// What a simulated run came from, for its record: who has the same of all gets the same digest.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The seed.
    pub seed: u64,
    /// The perturbations, in words.
    pub chaos: String,
    /// How many there would be with none left out.
    pub perturbations: usize,
    /// Those that are there, in words, when a person would read them.
    pub perturbed: Vec<String>,
    /// The image that was booted.
    pub kernel: PathBuf,
    /// The layer with the guest's files, named by their content.
    pub initramfs: PathBuf,
}

impl Simulation {
    /// From the values of `KTSTR_SEED`, `KTSTR_CHAOS` and `KTSTR_CHAOS_KEEP`.
    ///
    /// # Errors
    /// A value that means nothing, with what would.
    pub fn parse(seed: Option<&str>, level: Option<&str>, keep: Option<&str>) -> Result<Self, String> {
        let seed = seed.map(parse_seed).transpose()?;
        let (level, hotplug) = match level {
            None | Some("off") => (Level::Off, false),
            Some("low") => (Level::Low, false),
            Some("high") => (Level::High, false),
            Some("low+hotplug") => (Level::Low, true),
            Some("high+hotplug") => (Level::High, true),
            Some(other) => {
                return Err(format!(
                    "KTSTR_CHAOS={other} is not a level: use off, low, high, low+hotplug or high+hotplug"
                ));
            }
        };
        let keep = keep.map(parse_indices).transpose()?;
        Ok(Self { seed, level, hotplug, keep })
    }

    /// The seed of a test: what was asked for, else what its name hashes to (SipHash-1-3, keys 0).
    #[must_use]
    pub fn seed_for(&self, test: &str) -> u64 {
        self.seed.unwrap_or_else(|| hash(test.as_bytes()))
    }

    /// The perturbations of a test.
    #[must_use]
    pub fn chaos_for(&self, test: &str) -> Chaos {
        Chaos { seed: self.seed_for(test), level: self.level, hotplug: self.hotplug, keep: self.keep.clone() }
    }

    /// The nonce of a test's attempt: part of the stream, and so drawn from the seed as well.
    #[must_use]
    pub fn nonce_for(&self, test: &str) -> u64 {
        let mut bytes = self.seed_for(test).to_le_bytes().to_vec();
        bytes.extend_from_slice(test.as_bytes());
        hash(&bytes)
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(bytes);
    hasher.finish()
}

fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("KTSTR_SEED={text} is not a seed: use a number from 0 to 2^64-1, or 0x and hex digits"))
}

/// `0-3,7`; the empty list is `none`.
fn parse_indices(text: &str) -> Result<Vec<u32>, String> {
    let bad = || format!("KTSTR_CHAOS_KEEP={text} is not a list of perturbations: use `0-3,7`, or `none`");
    if text == "none" {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        if first > last || last - first > ktstr_scenario::chaos::MOST {
            return Err(bad());
        }
        out.extend(first..=last);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_decimal_or_hex_and_nothing_else() {
        let seed = |text| Simulation::parse(Some(text), None, None).map(|s| s.seed_for("t"));
        assert_eq!((seed("7"), seed("0xff"), seed("18446744073709551615")), (Ok(7), Ok(255), Ok(u64::MAX)));
        for bad in ["-1", "seven", "0x", "18446744073709551616", "1.0"] {
            assert!(seed(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn without_a_seed_each_test_has_its_own_and_keeps_it() {
        let plain = Simulation::default();
        assert_eq!(plain.seed_for("a"), plain.seed_for("a"));
        assert_ne!(plain.seed_for("a"), plain.seed_for("b"));
        assert_ne!(plain.nonce_for("a"), plain.nonce_for("b"));
    }

    #[test]
    fn a_list_names_each_perturbation() {
        let keep = |text| Simulation::parse(None, Some("low"), Some(text)).map(|s| s.keep);
        assert_eq!(keep("0-3,7"), Ok(Some(vec![0, 1, 2, 3, 7])));
        assert_eq!(keep("none"), Ok(Some(Vec::new())));
        for bad in ["3-1", "a", "1-", "0-4000000000", ","] {
            assert!(keep(bad).is_err(), "{bad}");
        }
    }
}
