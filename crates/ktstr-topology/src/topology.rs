//! The shape of a machine.

use crate::node::{DISTANCE_LOCAL, DISTANCE_REMOTE, NumaNode};
use thiserror::Error;

/// Sockets hold dies (one last-level cache each), dies hold cores, cores hold threads; `llcs` counts the whole machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topology {
    /// NUMA nodes; each is a package of its own.
    pub numa_nodes: u32,
    /// Last-level caches of the whole machine, a multiple of `numa_nodes`.
    pub llcs: u32,
    /// Cores in each of them.
    pub cores_per_llc: u32,
    /// Threads in each core.
    pub threads_per_core: u32,
    pub(crate) nodes: Option<Vec<NumaNode>>,
    pub(crate) distances: Option<Vec<Vec<u8>>>,
    pub(crate) llc_cores: Option<Vec<u32>>,
    pub(crate) offline: Vec<u32>,
    pub(crate) without_l3: bool,
}

/// Why a shape is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// Not of the form `NnNlNcNt`.
    #[error("`{0}` is not a topology: write it as NnNlNcNt, like 1n2l4c2t (nodes, caches, cores, threads)")]
    Grammar(String),
    /// A part is zero.
    #[error("{0} must be above zero")]
    Zero(&'static str),
    /// A part or the product does not fit 32 bits.
    #[error("{0} does not fit 32 bits: ask for a smaller machine")]
    TooLarge(&'static str),
    /// Caches cannot be shared out to nodes evenly.
    #[error("{llcs} caches cannot be shared out to {numa_nodes} nodes: llcs must be a multiple of numa_nodes")]
    NotMultiple {
        /// Caches of the machine.
        llcs: u32,
        /// Nodes of the machine.
        numa_nodes: u32,
    },
    /// Explicit nodes that do not add up.
    #[error("explicit nodes: {0}")]
    Nodes(String),
    /// A distance matrix that ACPI's SLIT forbids.
    #[error("node distances: {0}")]
    Distances(String),
    /// CPUs that cannot be offline.
    #[error("offline CPUs: {0}")]
    Offline(String),
    /// Explicit cache sizes that do not add up.
    #[error("cache sizes: {0}")]
    LlcCores(String),
}

impl Topology {
    /// A uniform machine.
    ///
    /// # Errors
    /// Zero parts, caches that are not a multiple of the nodes, or more than `u32::MAX` CPUs.
    pub const fn new(
        numa_nodes: u32,
        llcs: u32,
        cores_per_llc: u32,
        threads_per_core: u32,
    ) -> Result<Self, TopologyError> {
        if numa_nodes == 0 {
            return Err(TopologyError::Zero("numa_nodes"));
        }
        if llcs == 0 {
            return Err(TopologyError::Zero("llcs"));
        }
        if cores_per_llc == 0 {
            return Err(TopologyError::Zero("cores"));
        }
        if threads_per_core == 0 {
            return Err(TopologyError::Zero("threads"));
        }
        if !llcs.is_multiple_of(numa_nodes) {
            return Err(TopologyError::NotMultiple { llcs, numa_nodes });
        }
        let fits = match llcs.checked_mul(cores_per_llc) {
            Some(cores) => cores.checked_mul(threads_per_core).is_some(),
            None => false,
        };
        if !fits {
            return Err(TopologyError::TooLarge("the number of CPUs"));
        }
        Ok(Self {
            numa_nodes,
            llcs,
            cores_per_llc,
            threads_per_core,
            nodes: None,
            distances: None,
            llc_cores: None,
            offline: Vec::new(),
            without_l3: false,
        })
    }

    /// CPUs of the whole machine.
    #[must_use]
    pub fn total_cpus(&self) -> u32 {
        match &self.llc_cores {
            Some(cores) => cores.iter().sum::<u32>() * self.threads_per_core,
            None => self.llcs * self.cores_per_llc * self.threads_per_core,
        }
    }

    /// CPUs in the largest last-level cache.
    #[must_use]
    pub fn max_cpus_per_llc(&self) -> u32 {
        let cores = self.llc_cores.as_ref().and_then(|c| c.iter().max().copied()).unwrap_or(self.cores_per_llc);
        cores * self.threads_per_core
    }

    /// Whether all that is said of it is the four numbers.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.nodes.is_none()
            && self.distances.is_none()
            && self.llc_cores.is_none()
            && self.offline.is_empty()
            && !self.without_l3
    }

    /// Names each node's caches and memory; `llcs = 0` is a memory-only node.
    ///
    /// # Errors
    /// When the caches do not add up, or the nodes that have some are not `numa_nodes` many.
    pub fn with_nodes(mut self, nodes: Vec<NumaNode>) -> Result<Self, TopologyError> {
        let llcs: u32 = nodes.iter().map(|n| n.llcs).sum();
        if llcs != self.llcs {
            return Err(TopologyError::Nodes(format!("they hold {llcs} caches, the machine {}", self.llcs)));
        }
        if nodes.iter().any(|n| n.memory_mib == 0) {
            return Err(TopologyError::Nodes("each node needs memory".to_owned()));
        }
        let count = u32::try_from(nodes.len()).map_err(|_| TopologyError::TooLarge("the number of nodes"))?;
        self.numa_nodes = count;
        self.nodes = Some(nodes);
        self.distances = None;
        Ok(self)
    }

    /// An N×N matrix as in ACPI's SLIT: 10 on the diagonal, above 10 elsewhere, symmetric.
    ///
    /// # Errors
    /// When the matrix breaks one of these rules.
    pub fn with_distances(mut self, distances: Vec<Vec<u8>>) -> Result<Self, TopologyError> {
        let n = self.numa_nodes as usize;
        let bad = |text: String| Err(TopologyError::Distances(text));
        if distances.len() != n || distances.iter().any(|row| row.len() != n) {
            return bad(format!("the matrix must be {n} by {n}"));
        }
        for (i, row) in distances.iter().enumerate() {
            for (j, &distance) in row.iter().enumerate() {
                if i == j && distance != DISTANCE_LOCAL {
                    return bad(format!("node {i} is {distance} from itself, must be {DISTANCE_LOCAL}"));
                }
                if i != j && distance <= DISTANCE_LOCAL {
                    return bad(format!("node {i} to {j} is {distance}, must be above {DISTANCE_LOCAL}"));
                }
                if distance != distances[j][i] {
                    return bad(format!("node {i} to {j} is {distance}, and {} the other way", distances[j][i]));
                }
            }
        }
        self.distances = Some(distances);
        Ok(self)
    }

    /// Cores of each cache, when they differ.
    ///
    /// # Errors
    /// When there is not one number above zero for each cache.
    pub fn with_llc_cores(mut self, cores: Vec<u32>) -> Result<Self, TopologyError> {
        if cores.len() != self.llcs as usize || cores.contains(&0) {
            return Err(TopologyError::LlcCores(format!("one number above zero for each of {} caches", self.llcs)));
        }
        let total = cores.iter().try_fold(0u32, |sum, &c| sum.checked_add(c));
        if total.and_then(|t| t.checked_mul(self.threads_per_core)).is_none() {
            return Err(TopologyError::TooLarge("the number of CPUs"));
        }
        self.cores_per_llc = cores.iter().copied().max().unwrap_or(self.cores_per_llc);
        self.llc_cores = Some(cores);
        Ok(self)
    }

    /// CPUs that are there and are taken offline before anything else happens: possible, and not online.
    ///
    /// # Errors
    /// CPU 0, which x86 kernels keep since 6.5, and CPUs that the machine does not have.
    pub fn with_offline_cpus(mut self, mut cpus: Vec<u32>) -> Result<Self, TopologyError> {
        cpus.sort_unstable();
        cpus.dedup();
        if cpus.first() == Some(&0) {
            return Err(TopologyError::Offline("CPU 0 cannot be taken offline".to_owned()));
        }
        if let Some(last) = cpus.last().filter(|last| **last >= self.total_cpus()) {
            let total = self.total_cpus();
            return Err(TopologyError::Offline(format!("CPU {last} of a machine with {total} CPUs")));
        }
        self.offline = cpus;
        Ok(self)
    }

    /// The last-level cache is of level 2: there is no L3.
    #[must_use]
    pub const fn without_l3(mut self) -> Self {
        self.without_l3 = true;
        self
    }

    /// CPUs that are possible and not online, in ascending order.
    #[must_use]
    pub fn offline_cpus(&self) -> &[u32] {
        &self.offline
    }

    /// Whether a CPU is online once the machine is ready.
    #[must_use]
    pub fn is_online(&self, cpu: u32) -> bool {
        cpu < self.total_cpus() && self.offline.binary_search(&cpu).is_err()
    }

    /// Level of the last cache.
    #[must_use]
    pub const fn llc_level(&self) -> u32 {
        if self.without_l3 { 2 } else { 3 }
    }

    /// The explicit nodes, if any.
    #[must_use]
    pub fn nodes(&self) -> Option<&[NumaNode]> {
        self.nodes.as_deref()
    }

    /// Cores of each cache.
    #[must_use]
    pub fn llc_cores(&self) -> Vec<u32> {
        self.llc_cores.clone().unwrap_or_else(|| vec![self.cores_per_llc; self.llcs as usize])
    }

    /// Whether caches differ in size.
    #[must_use]
    pub const fn has_unequal_llcs(&self) -> bool {
        self.llc_cores.is_some()
    }

    /// The node of each cache.
    #[must_use]
    pub fn llc_nodes(&self) -> Vec<u32> {
        match &self.nodes {
            Some(nodes) => {
                (0u32..).zip(nodes).flat_map(|(node, n)| std::iter::repeat_n(node, n.llcs as usize)).collect()
            }
            None => (0..self.llcs).map(|llc| llc / (self.llcs / self.numa_nodes)).collect(),
        }
    }

    /// Distance between two nodes in SLIT units: 10 is local.
    #[must_use]
    pub fn distance(&self, from: u32, to: u32) -> u8 {
        match &self.distances {
            Some(matrix) => matrix[from as usize][to as usize],
            None if from == to => DISTANCE_LOCAL,
            None => DISTANCE_REMOTE,
        }
    }
}
