//! The tests and schedulers this binary was linked with.

use crate::entry::KtstrTestEntry;
use ktstr_scenario::Scheduler;
use linkme::distributed_slice;
use std::collections::HashSet;

/// Every registered test of this binary.
#[distributed_slice]
pub static KTSTR_TESTS: [KtstrTestEntry];

/// Every scheduler that `declare_scheduler!` registered in this binary.
#[distributed_slice]
pub static KTSTR_SCHEDULERS: [&'static Scheduler];

/// Whether this is a place-holder that only keeps a linker section alive (`__unit_test_…__`).
#[must_use]
pub fn is_sentinel(name: &str) -> bool {
    name.starts_with("__unit_test_") && name.ends_with("__")
}

/// The real entries, first registration of a name winning, and the names that were registered more than once.
#[must_use]
pub fn real_entries(all: &[KtstrTestEntry]) -> (Vec<&KtstrTestEntry>, Vec<&str>) {
    let mut seen = HashSet::with_capacity(all.len());
    let mut repeated = Vec::new();
    let mut entries = Vec::with_capacity(all.len());
    for entry in all.iter().filter(|e| !is_sentinel(e.name)) {
        if seen.insert(entry.name) {
            entries.push(entry);
        } else if !repeated.contains(&entry.name) {
            repeated.push(entry.name);
        }
    }
    (entries, repeated)
}

/// The first real entry of that bare name.
#[must_use]
pub fn find<'a>(all: &'a [KtstrTestEntry], name: &str) -> Option<&'a KtstrTestEntry> {
    all.iter().find(|e| e.name == name && !is_sentinel(e.name))
}
