//! The guest's RAM: one mapping for each piece of a node, around the hole below 4 GiB.

use super::layout::{HIGH_RAM_START, HOLE_END, HOLE_START, LOW_RAM_END};
use ktstr_topology::Topology;
use linux_loader::loader::bootparam::boot_e820_entry;

const MIB: u64 = 1 << 20;
/// Usable memory (Documentation/arch/x86/zero-page.rst).
const E820_RAM: u32 = 1;
/// Memory that is somebody else's.
const E820_RESERVED: u32 = 2;

/// A piece of RAM of one node; addresses and sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub start: u64,
    pub size: u64,
    pub node: u32,
}

impl Region {
    pub const fn end(&self) -> u64 {
        self.start + self.size
    }
}

/// MiB of each node: what the nodes declare, else equal parts.
pub(crate) fn node_sizes(topology: &Topology, memory_mib: u32) -> Vec<u64> {
    match topology.nodes() {
        Some(nodes) => nodes.iter().map(|n| n.memory_mib).collect(),
        None => {
            let nodes = topology.numa_nodes;
            vec![u64::from(memory_mib.div_ceil(nodes)); nodes as usize]
        }
    }
}

/// The pieces, in ascending order; a node that meets the hole goes on behind it.
pub(crate) fn regions(node_mib: &[u64]) -> Vec<Region> {
    let mut out = Vec::new();
    let mut at = 0;
    for (node, mib) in (0u32..).zip(node_mib) {
        let mut left = mib * MIB;
        while left > 0 {
            if at == HOLE_START {
                at = HOLE_END;
            }
            let size = if at < HOLE_START { left.min(HOLE_START - at) } else { left };
            out.push(Region { start: at, size, node });
            at += size;
            left -= size;
        }
    }
    out
}

/// The firmware's map of memory.
pub(crate) fn e820(regions: &[Region]) -> Vec<boot_e820_entry> {
    let entry = |addr, end: u64, r#type| boot_e820_entry { addr, size: end - addr, r#type };
    let mut out = vec![entry(0, LOW_RAM_END, E820_RAM), entry(LOW_RAM_END, HIGH_RAM_START, E820_RESERVED)];
    for region in regions {
        let start = region.start.max(HIGH_RAM_START);
        match out.last_mut() {
            Some(last) if last.r#type == E820_RAM && last.addr + last.size == start => {
                last.size += region.end() - start;
            }
            _ => out.push(entry(start, region.end(), E820_RAM)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_mebibyte_is_there_once_and_none_in_the_hole(sizes in prop::collection::vec(1u64..3000, 1..5)) {
            let all = regions(&sizes);
            for (node, mib) in (0u32..).zip(&sizes) {
                prop_assert_eq!(all.iter().filter(|r| r.node == node).map(|r| r.size).sum::<u64>(), mib * MIB);
            }
            for pair in all.windows(2) {
                prop_assert!(pair[0].end() <= pair[1].start);
            }
            for region in &all {
                prop_assert!(region.end() <= HOLE_START || region.start >= HOLE_END, "{:?}", region);
            }
        }

        #[test]
        fn the_map_shows_all_ram_but_the_first_megabyte_s_end(sizes in prop::collection::vec(2u64..3000, 1..5)) {
            let all = regions(&sizes);
            let map = e820(&all);
            let ram: u64 = map.iter().filter(|e| e.r#type == E820_RAM).map(|e| e.size).sum();
            prop_assert_eq!(ram, sizes.iter().sum::<u64>() * MIB - (HIGH_RAM_START - LOW_RAM_END));
            for pair in map.windows(2) {
                let (end, next) = (pair[0].addr + pair[0].size, pair[1].addr);
                prop_assert!(end <= next);
            }
        }
    }
}
