//! Which variant of a test a record is of.

use serde::Serialize;
use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;

/// What makes a variant; commits, host and CPU budget stay out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VariantKey {
    // In alphabetical order: serde keeps it, and canonical JSON wants it.
    /// Words for the kernel's command line, sorted.
    pub kargs: Vec<String>,
    /// Name of the payload.
    pub payload: Option<String>,
    /// Name of the scheduler.
    pub scheduler: String,
    /// `name=value`, sorted.
    pub sysctls: Vec<String>,
    /// The machine.
    pub topology: String,
    /// Name of the work type.
    pub work_type: Option<String>,
}

/// SipHash-1-3 with keys 0, 0 over the canonical JSON of the key.
#[must_use]
pub fn variant_hash(key: &VariantKey) -> u64 {
    let mut key = key.clone();
    key.kargs.sort();
    key.sysctls.sort();
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    // A struct of strings always serialises.
    hasher.write(&serde_json::to_vec(&key).unwrap_or_default());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_settings_does_not_make_a_variant_and_topology_does() {
        let key = |sysctls: &[&str], topology: &str| VariantKey {
            sysctls: sysctls.iter().map(|s| (*s).to_owned()).collect(),
            topology: topology.into(),
            ..VariantKey::default()
        };
        assert_eq!(variant_hash(&key(&["a=1", "b=2"], "1n1l2c1t")), variant_hash(&key(&["b=2", "a=1"], "1n1l2c1t")));
        assert_ne!(variant_hash(&key(&[], "1n1l2c1t")), variant_hash(&key(&[], "1n1l4c1t")));
    }
}
