//! Leaves that only Intel's kernels read: 4 and 0x1F.

use super::cache::sub_leaves;
use super::{Leaves, Place, levels};

/// The highest basic leaf that must be in reach.
const MAX_BASIC: u32 = 0x1f;

pub(super) fn shape(leaves: &mut Leaves, place: &Place<'_>) {
    leaves.change(0, |leaf| leaf.eax = leaf.eax.max(MAX_BASIC));
    let cores_shift = place.package_shift() - place.thread_shift();
    leaves.replace(4, &sub_leaves(place, cores_shift));
    // Threads, cores, and dies of type 5: a die is what shares a last-level cache.
    let list = [
        (1, place.thread_shift(), place.topology.threads_per_core),
        (2, place.llc_shift(), place.in_llc()),
        (5, place.package_shift(), place.in_package()),
    ];
    leaves.replace(0x1f, &levels(place, &list));
}
