//! Which shapes a test accepts.

use crate::topology::Topology;

/// Bounds of a test; a bound that is `None` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopologyConstraints {
    /// Fewest NUMA nodes.
    pub min_numa_nodes: u32,
    /// Most NUMA nodes.
    pub max_numa_nodes: Option<u32>,
    /// Fewest last-level caches.
    pub min_llcs: u32,
    /// Most last-level caches.
    pub max_llcs: Option<u32>,
    /// Fewest CPUs.
    pub min_cpus: u32,
    /// Most CPUs.
    pub max_cpus: Option<u32>,
    /// Only shapes with more than one thread in a core.
    pub requires_smt: bool,
}

impl TopologyConstraints {
    /// One node, 1 to 12 caches, 1 to 192 CPUs, SMT or not.
    pub const DEFAULT: Self = Self {
        min_numa_nodes: 1,
        max_numa_nodes: Some(1),
        min_llcs: 1,
        max_llcs: Some(12),
        min_cpus: 1,
        max_cpus: Some(192),
        requires_smt: false,
    };

    fn bounds(&self, t: &Topology) -> bool {
        let within = |value: u32, min: u32, max: Option<u32>| value >= min && max.is_none_or(|max| value <= max);
        within(t.numa_nodes, self.min_numa_nodes, self.max_numa_nodes)
            && within(t.llcs, self.min_llcs, self.max_llcs)
            && within(t.total_cpus(), self.min_cpus, self.max_cpus)
            && (!self.requires_smt || t.threads_per_core > 1)
    }

    /// In performance mode the host must offer the layout itself, not only the CPUs.
    #[must_use]
    pub fn accepts(&self, t: &Topology, host_cpus: u32, host_llcs: u32, host_max_cpus_per_llc: u32) -> bool {
        self.bounds(t)
            && t.total_cpus() <= host_cpus
            && t.llcs <= host_llcs
            && t.max_cpus_per_llc() <= host_max_cpus_per_llc
    }

    /// Elsewhere the layout is emulated, and only the CPU budget counts.
    #[must_use]
    pub fn accepts_no_perf_mode(&self, t: &Topology, host_cpus: u32) -> bool {
        self.bounds(t) && t.total_cpus() <= host_cpus
    }
}

impl Default for TopologyConstraints {
    fn default() -> Self {
        Self::DEFAULT
    }
}
