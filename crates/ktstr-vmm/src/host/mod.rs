//! The host's own shape, from sysfs and the CPUs this process may run on.

pub(crate) mod reserve;
pub(crate) mod tsc;

use ktstr_topology::{Topology, parse_cpu_list};
use std::collections::BTreeMap;
use std::path::Path;

/// A last-level cache, as far as this process may run on its CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLlc {
    /// NUMA node of its first CPU.
    pub node: u32,
    /// Its CPUs in ascending order.
    pub cpus: Vec<u32>,
}

/// What the host offers, all counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTopology {
    /// CPUs this process may run on.
    pub cpus: u32,
    /// Last-level caches those CPUs share.
    pub llcs: u32,
    /// CPUs in the largest of them.
    pub max_cpus_per_llc: u32,
    /// NUMA nodes.
    pub nodes: u32,
    threads: u32,
    caches: Vec<HostLlc>,
    /// Nodes that have memory.
    memory_nodes: Vec<u32>,
}

impl HostTopology {
    /// Reads this host; without sysfs, one cache over the CPUs there are.
    #[must_use]
    pub fn detect() -> Self {
        Self::read(Path::new("/sys/devices/system"))
    }

    fn read(sysfs: &Path) -> Self {
        let allowed = allowed_cpus();
        let nodes = list_of(&sysfs.join("node/online")).unwrap_or_else(|| vec![0]);
        let node_of = |cpu: u32| {
            let of = |node: &&u32| {
                list_of(&sysfs.join(format!("node/node{node}/cpulist"))).is_some_and(|l| l.contains(&cpu))
            };
            nodes.iter().find(of).copied().unwrap_or(0)
        };
        let mut caches: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        let mut threads = 1;
        for cpu in &allowed {
            let dir = sysfs.join(format!("cpu/cpu{cpu}"));
            let last = (0..8).rev().find_map(|i| list_of(&dir.join(format!("cache/index{i}/shared_cpu_list"))));
            let shared = last.unwrap_or_else(|| allowed.clone());
            let shared = shared.into_iter().filter(|c| allowed.contains(c)).collect();
            caches.entry(shared).or_insert_with(|| node_of(*cpu));
            let siblings = list_of(&dir.join("topology/thread_siblings_list")).map_or(1, |s| s.len());
            threads = threads.max(siblings);
        }
        Self {
            cpus: count(allowed.len()),
            llcs: count(caches.len()).max(1),
            max_cpus_per_llc: count(caches.keys().map(Vec::len).max().unwrap_or(1)),
            nodes: count(nodes.len()),
            threads: count(threads),
            caches: caches.into_iter().map(|(cpus, node)| HostLlc { node, cpus }).collect(),
            memory_nodes: list_of(&sysfs.join("node/has_memory")).unwrap_or(nodes),
        }
    }

    /// The last-level caches.
    #[must_use]
    pub fn caches(&self) -> &[HostLlc] {
        &self.caches
    }

    /// Host node for the memory of a guest's node: one after another, and from the first again when they are used up.
    pub(crate) fn node_for(&self, guest_node: u32) -> u32 {
        let at = (guest_node as usize).checked_rem(self.memory_nodes.len());
        at.and_then(|at| self.memory_nodes.get(at)).copied().unwrap_or(0)
    }

    /// Whether memory can be on the wrong node.
    pub(crate) fn has_many_memory_nodes(&self) -> bool {
        self.memory_nodes.len() > 1
    }

    /// The host as a uniform topology, if it is one.
    #[must_use]
    pub fn as_topology(&self) -> Option<Topology> {
        let cores = self.max_cpus_per_llc.checked_div(self.threads)?;
        let nodes = if self.llcs.is_multiple_of(self.nodes) { self.nodes } else { 1 };
        Topology::new(nodes, self.llcs, cores.max(1), self.threads).ok().filter(|t| t.total_cpus() == self.cpus)
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn allowed_cpus() -> Vec<u32> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..rustix::thread::CpuSet::MAX_CPU).filter(|&c| set.is_set(c)).map(count).collect(),
        Err(_) => vec![0],
    }
}

fn list_of(path: &Path) -> Option<Vec<u32>> {
    let text = std::fs::read_to_string(path).ok()?;
    parse_cpu_list(&text).filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_at_least_one_cpu_and_cache() {
        let host = HostTopology::detect();
        assert!(host.cpus >= 1 && host.llcs >= 1 && host.max_cpus_per_llc >= 1);
        assert_eq!(host.caches.iter().flat_map(|c| &c.cpus).count(), host.cpus as usize);
    }
}
