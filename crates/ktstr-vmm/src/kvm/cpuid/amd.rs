//! Leaves that only AMD's kernels read: 0x80000005 to 8, 0x8000001D, 0x8000001E and 0x80000026.

use super::cache::{LINE, sub_leaves};
use super::{Leaves, Place, levels};

const MAX_EXTENDED: u32 = 0x8000_0026;
const MAX_BASIC: u32 = 0xd;
/// 0x80000001, ECX: 0x8000001D and 0x8000001E exist.
const TOPOEXT: u32 = 1 << 22;
/// Model bits of leaf 1 and 0x80000001, EAX.
const MODEL: u32 = 0xf << 16 | 0xf << 4;
/// Model 0x31 of family 0x17, whose last-level caches are what 0x8000001D says.
const ROME: u32 = 3 << 16 | 1 << 4;

pub(super) fn shape(leaves: &mut Leaves, place: &Place<'_>) {
    leaves.change(0, |leaf| leaf.eax = leaf.eax.max(MAX_BASIC));
    leaves.change(0x8000_0000, |leaf| leaf.eax = leaf.eax.max(MAX_EXTENDED));
    for function in [1, 0x8000_0001] {
        leaves.change(function, |leaf| leaf.eax = newer_than_zen(leaf.eax));
    }
    leaves.change(0x8000_0001, |leaf| leaf.ecx |= TOPOEXT);
    old_cache_leaves(leaves, place.topology.llc_level());
    leaves.change(0x8000_0008, |leaf| {
        let threads = place.in_package().min(256) - 1;
        leaf.ecx = (leaf.ecx & !0xf0ff) | threads & 0xff | place.package_shift().min(15) << 12;
    });
    leaves.replace(0x8000_001d, &sub_leaves(place, 0));
    let node = place.layout.place(place.cpu).map_or(0, |p| p.node);
    let core = place.apic_id >> place.thread_shift();
    let threads = place.topology.threads_per_core - 1;
    leaves.replace(0x8000_001e, &[[place.apic_id, (core & 0xff) | (threads & 0xff) << 8, node & 0xff, 0]]);
    // Level types of this leaf: 1 core, 2 complex (what shares a last-level cache), 4 socket.
    let list = [
        (1, place.thread_shift(), place.topology.threads_per_core),
        (2, place.llc_shift(), place.in_llc()),
        (4, place.package_shift(), place.in_package()),
    ];
    leaves.replace(MAX_EXTENDED, &levels(place, &list));
    // Intel's leaves, which a host may pass on.
    leaves.remove(4);
    leaves.remove(0x1f);
}

/// Kernels compute the cache of family 0x17 up to model 0x1f as `apicid >> 3`, whatever the leaves say (cacheinfo.c).
const fn newer_than_zen(signature: u32) -> u32 {
    let family = ((signature >> 8) & 0xf) + ((signature >> 20) & 0xff);
    let model = ((signature >> 4) & 0xf) | ((signature >> 12) & 0xf0);
    if family == 0x17 && model <= 0x1f { (signature & !MODEL) | ROME } else { signature }
}

/// 0x80000005 and 6, which older kernels read: the sizes of [`CACHES`]. KiB and associativity as these leaves code them.
fn old_cache_leaves(leaves: &mut Leaves, last_level: u32) {
    const L1: u32 = 32 << 24 | 8 << 16 | 1 << 8 | LINE;
    const SIXTEEN_WAYS: u32 = 8 << 12;
    leaves.change(0x8000_0005, |leaf| (leaf.ecx, leaf.edx) = (L1, L1));
    leaves.change(0x8000_0006, |leaf| {
        leaf.ecx = 1024 << 16 | SIXTEEN_WAYS | 1 << 8 | LINE;
        // In units of 512 KiB.
        leaf.edx = if last_level == 3 { 32 << 18 | SIXTEEN_WAYS | 1 << 8 | LINE } else { 0 };
    });
}
