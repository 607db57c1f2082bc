//! Explicit NUMA nodes.

use serde::{Deserialize, Serialize};

/// SLIT distance of a node to itself (ACPI 6.5, 5.2.17).
pub const DISTANCE_LOCAL: u8 = 10;
/// Distance between nodes when nothing else is said (the kernel's `REMOTE_DISTANCE`, include/linux/topology.h).
pub const DISTANCE_REMOTE: u8 = 20;

/// One node of a machine whose nodes differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NumaNode {
    /// Last-level caches in it; 0 is a memory-only node, as CXL memory shows up.
    pub llcs: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Read latency in ns, for HMAT.
    pub latency_ns: Option<u32>,
    /// Bandwidth in MB/s, for HMAT.
    pub bandwidth_mbs: Option<u32>,
}
