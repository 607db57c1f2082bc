//! CPU numbers, places and APIC ids: three names of one thing, each a function of the others.
//!
//! An APIC id packs thread, core, die and package into bit fields, each rounded up to a power of two, so that "same last-level
//! cache" is a shift (Intel SDM volume 3, 10.9; kernel arch/x86/kernel/cpu/topology_common.c).

use crate::topology::Topology;

/// Where a CPU sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuPlace {
    /// NUMA node, which is also the package.
    pub node: u32,
    /// Last-level cache, counted over the whole machine.
    pub llc: u32,
    /// Core within the cache.
    pub core: u32,
    /// Thread within the core.
    pub thread: u32,
}

/// The numbering of one machine.
#[derive(Clone, Debug)]
pub struct ApicLayout {
    threads: u32,
    thread_bits: u32,
    core_bits: u32,
    die_bits: u32,
    llc_cores: Vec<u32>,
    llc_first_cpu: Vec<u32>,
    llc_node: Vec<u32>,
    node_first_llc: Vec<u32>,
}

fn bits_for(count: u32) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}

impl ApicLayout {
    /// The numbering of a shape: threads fastest, then cores, caches, nodes.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let llc_cores = topology.llc_cores();
        let llc_node = topology.llc_nodes();
        let mut llc_first_cpu = Vec::with_capacity(llc_cores.len());
        let mut next = 0;
        for cores in &llc_cores {
            llc_first_cpu.push(next);
            next += cores * topology.threads_per_core;
        }
        let mut node_first_llc = vec![u32::MAX; topology.numa_nodes as usize];
        let mut node_llcs = vec![0; topology.numa_nodes as usize];
        for (llc, &node) in (0u32..).zip(&llc_node) {
            let first = &mut node_first_llc[node as usize];
            *first = (*first).min(llc);
            node_llcs[node as usize] += 1;
        }
        Self {
            threads: topology.threads_per_core,
            thread_bits: bits_for(topology.threads_per_core),
            core_bits: bits_for(topology.cores_per_llc),
            die_bits: bits_for(node_llcs.into_iter().max().unwrap_or(1)),
            llc_cores,
            llc_first_cpu,
            llc_node,
            node_first_llc,
        }
    }

    /// Where CPU number `cpu` sits; `None` past the last one.
    #[must_use]
    pub fn place(&self, cpu: u32) -> Option<CpuPlace> {
        let llc = self.llc_first_cpu.partition_point(|&first| first <= cpu).checked_sub(1)?;
        let within = cpu - self.llc_first_cpu[llc];
        let core = within / self.threads;
        (core < self.llc_cores[llc]).then(|| CpuPlace {
            node: self.llc_node[llc],
            llc: u32::try_from(llc).unwrap_or(u32::MAX),
            core,
            thread: within % self.threads,
        })
    }

    /// The CPU number of a place.
    #[must_use]
    pub fn cpu(&self, place: CpuPlace) -> Option<u32> {
        let llc = place.llc as usize;
        let valid = self.llc_node.get(llc) == Some(&place.node)
            && place.core < self.llc_cores[llc]
            && place.thread < self.threads;
        valid.then(|| self.llc_first_cpu[llc] + place.core * self.threads + place.thread)
    }

    /// The APIC id of CPU number `cpu`.
    #[must_use]
    pub fn apic_id(&self, cpu: u32) -> Option<u32> {
        let place = self.place(cpu)?;
        let die = place.llc - self.node_first_llc[place.node as usize];
        Some(
            (((((place.node << self.die_bits) | die) << self.core_bits) | place.core) << self.thread_bits)
                | place.thread,
        )
    }

    /// The CPU number of an APIC id; `None` for the holes that rounding leaves.
    #[must_use]
    pub fn cpu_of_apic_id(&self, id: u32) -> Option<u32> {
        let field = |shift: u32, bits: u32| (id >> shift) & ((1 << bits) - 1);
        let die = field(self.thread_bits + self.core_bits, self.die_bits);
        let node = id >> self.package_shift();
        let llc = self.node_first_llc.get(node as usize)?.checked_add(die)?;
        self.cpu(CpuPlace {
            node,
            llc,
            core: field(self.thread_bits, self.core_bits),
            thread: field(0, self.thread_bits),
        })
    }

    /// Bits to shift an APIC id by to name its last-level cache.
    #[must_use]
    pub const fn llc_shift(&self) -> u32 {
        self.thread_bits + self.core_bits
    }

    /// Bits to shift an APIC id by to name its package.
    #[must_use]
    pub const fn package_shift(&self) -> u32 {
        self.thread_bits + self.core_bits + self.die_bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn shapes() -> impl Strategy<Value = Topology> {
        (1u32..5, 1u32..9, 1u32..33, 1u32..4)
            .prop_filter("at most 1024 CPUs", |(n, l, c, t)| n * l * c * t <= 1024)
            .prop_map(|(n, l, c, t)| Topology::new(n, n * l, c, t).unwrap())
    }

    proptest! {
        #[test]
        fn cpu_place_and_apic_id_are_one_to_one(shape in shapes()) {
            let layout = ApicLayout::of(&shape);
            let mut ids = HashSet::new();
            for cpu in 0..shape.total_cpus() {
                let place = layout.place(cpu).unwrap();
                prop_assert_eq!(layout.cpu(place), Some(cpu));
                let id = layout.apic_id(cpu).unwrap();
                prop_assert!(ids.insert(id));
                prop_assert_eq!(layout.cpu_of_apic_id(id), Some(cpu));
            }
            prop_assert_eq!(layout.place(shape.total_cpus()), None);
        }

        #[test]
        fn same_cache_is_a_shift(shape in shapes()) {
            let layout = ApicLayout::of(&shape);
            for a in 0..shape.total_cpus() {
                let b = (a + 1) % shape.total_cpus();
                let same = layout.place(a).unwrap().llc == layout.place(b).unwrap().llc;
                let shifted = |cpu| layout.apic_id(cpu).unwrap() >> layout.llc_shift();
                prop_assert_eq!(same, shifted(a) == shifted(b));
            }
        }
    }

    #[test]
    fn unequal_caches_are_numbered_without_holes() {
        let shape = Topology::new(1, 2, 4, 2).unwrap().with_llc_cores(vec![1, 4]).unwrap();
        let layout = ApicLayout::of(&shape);
        let llcs: Vec<u32> = (0..10).map(|cpu| layout.place(cpu).unwrap().llc).collect();
        assert_eq!(llcs, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(layout.place(10), None);
    }
}
