//! Opt-in shapes that broke real schedulers.

use crate::node::NumaNode;
use crate::topology::{Topology, TopologyError};

/// A shape off the beaten track.
#[derive(Clone, Debug)]
pub struct Oddity {
    /// Its name.
    pub name: &'static str,
    /// The shape.
    pub topology: Topology,
}

fn node(llcs: u32, memory_mib: u64) -> NumaNode {
    NumaNode { llcs, memory_mib, latency_ns: None, bandwidth_mbs: None }
}

/// All of them.
///
/// # Errors
/// None in practice: every shape is checked by a test.
pub fn oddities() -> Result<Vec<Oddity>, TopologyError> {
    let odd = |name, topology| Oddity { name, topology };
    Ok(vec![
        odd("odd-4package-smt", Topology::new(4, 4, 2, 2)?),
        odd("odd-memory-only-node", Topology::new(1, 2, 2, 1)?.with_nodes(vec![node(2, 512), node(0, 512)])?),
        odd("odd-unequal-llcs", Topology::new(1, 2, 4, 1)?.with_llc_cores(vec![2, 4])?),
        odd("odd-offline-tail", Topology::new(1, 2, 4, 1)?.with_offline_cpus(vec![6, 7])?),
        odd("odd-offline-hole", Topology::new(1, 2, 4, 1)?.with_offline_cpus(vec![3])?),
        odd("odd-2x80", Topology::new(1, 2, 80, 1)?),
        odd("odd-no-l3", Topology::new(1, 4, 1, 2)?.without_l3()),
        odd("odd-x2apic", Topology::new(2, 16, 10, 2)?),
        // The same question to a small host: nine caches need four bits, 17 cores five.
        odd("odd-x2apic-sparse", Topology::new(1, 9, 17, 1)?.with_llc_cores(vec![1, 1, 1, 1, 1, 1, 1, 1, 17])?),
    ])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_oddity_is_a_valid_shape() {
        let all = super::oddities().unwrap();
        assert_eq!(all.len(), 9);
        for odd in all.iter().filter(|o| o.name.starts_with("odd-x2apic")) {
            let layout = crate::ApicLayout::of(&odd.topology);
            assert!((0..odd.topology.total_cpus()).any(|cpu| layout.apic_id(cpu).unwrap() > 255), "{}", odd.name);
        }
    }
}
