//! The host's own shape, from sysfs and the CPUs this process may run on.

use ktstr_topology::Topology;
use std::collections::BTreeSet;
use std::path::Path;

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
}

impl HostTopology {
    /// Reads this host; without sysfs, one cache over the CPUs there are.
    #[must_use]
    pub fn detect() -> Self {
        Self::read(Path::new("/sys/devices/system"))
    }

    fn read(sysfs: &Path) -> Self {
        let allowed = allowed_cpus();
        let mut caches: BTreeSet<Vec<u32>> = BTreeSet::new();
        let mut threads = 1;
        for cpu in &allowed {
            let dir = sysfs.join(format!("cpu/cpu{cpu}"));
            let last = (0..8).rev().find_map(|i| list_of(&dir.join(format!("cache/index{i}/shared_cpu_list"))));
            let shared = last.unwrap_or_else(|| allowed.clone());
            caches.insert(shared.into_iter().filter(|c| allowed.contains(c)).collect());
            let siblings = list_of(&dir.join("topology/thread_siblings_list")).map_or(1, |s| s.len());
            threads = threads.max(siblings);
        }
        let nodes = list_of(&sysfs.join("node/online")).map_or(1, |n| n.len());
        Self {
            cpus: count(allowed.len()),
            llcs: count(caches.len()).max(1),
            max_cpus_per_llc: count(caches.iter().map(Vec::len).max().unwrap_or(1)),
            nodes: count(nodes),
            threads: count(threads),
        }
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
    let list = parse_cpu_list(text.trim());
    (!list.is_empty()).then_some(list)
}

/// Reads `0-3,8` (kernel: lib/bitmap-str.c, `bitmap_parselist`); what is malformed is left out.
#[must_use]
pub fn parse_cpu_list(text: &str) -> Vec<u32> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            out.extend((first..=last).take(1 << 16));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_cpu_list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(parse_cpu_list(""), Vec::<u32>::new());
    }

    #[test]
    fn this_host_has_at_least_one_cpu_and_cache() {
        let host = HostTopology::detect();
        assert!(host.cpus >= 1 && host.llcs >= 1 && host.max_cpus_per_llc >= 1);
    }
}
