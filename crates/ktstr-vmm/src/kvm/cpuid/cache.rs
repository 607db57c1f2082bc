//! The caches of every machine: sizes of a common server, the same everywhere, so that only their sharing differs.

use super::Place;

/// One cache, in the words of leaves 4 and 0x8000001D, which share them.
struct CacheLeaf {
    /// 1 data, 2 instructions, 3 both.
    kind: u32,
    level: u32,
    ways: u32,
    sets: u32,
}

/// Bytes of a line.
pub(super) const LINE: u32 = 64;
/// 32 KiB of data and of instructions, 1 MiB, 16 MiB.
const CACHES: [CacheLeaf; 4] = [
    CacheLeaf { kind: 1, level: 1, ways: 8, sets: 64 },
    CacheLeaf { kind: 2, level: 1, ways: 8, sets: 64 },
    CacheLeaf { kind: 3, level: 2, ways: 16, sets: 1024 },
    CacheLeaf { kind: 3, level: 3, ways: 16, sets: 16384 },
];

/// The sub-leaves of a CPU's caches, with the empty one that ends them: the last level is shared by all CPUs below it, the
/// others by the threads of a core.
pub(super) fn sub_leaves(place: &Place<'_>, cores_in_package_shift: u32) -> Vec<[u32; 4]> {
    let last = place.topology.llc_level();
    let sharing = |level| if level == last { place.llc_shift() } else { place.thread_shift() };
    CACHES
        .iter()
        .filter(|cache| cache.level <= last)
        .map(|cache| cache.registers(sharing(cache.level), cores_in_package_shift))
        .chain([[0; 4]])
        .collect()
}

impl CacheLeaf {
    /// EAX to EDX with the two counts that say who shares it, both as the next power of two.
    fn registers(&self, sharing_shift: u32, cores_in_package_shift: u32) -> [u32; 4] {
        const SELF_INITIALISING: u32 = 1 << 8;
        let sharing = ((1u32 << sharing_shift.min(12)) - 1) & 0xfff;
        let cores = ((1u32 << cores_in_package_shift.min(6)) - 1) & 0x3f;
        let eax = self.kind | self.level << 5 | SELF_INITIALISING | sharing << 14 | cores << 26;
        [eax, (LINE - 1) | (self.ways - 1) << 22, self.sets - 1, 0]
    }
}
