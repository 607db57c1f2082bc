//! What a guest saw of its machine, held against what was asked for.

use crate::apic::ApicLayout;
use crate::topology::Topology;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// /sys/devices/system/{cpu,node} of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// One for each possible CPU, by number.
    pub cpus: Vec<CpuSeen>,
    /// One for each node, by number.
    pub nodes: Vec<NodeSeen>,
}

/// One CPU as sysfs shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuSeen {
    /// Its number.
    pub cpu: u32,
    /// Whether it is online.
    pub online: bool,
    /// topology/core_id.
    pub core_id: u32,
    /// topology/physical_package_id.
    pub package_id: u32,
    /// topology/thread_siblings_list, itself included.
    pub thread_siblings: Vec<u32>,
    /// shared_cpu_list of the last cache level; empty when sysfs shows no cache.
    pub llc_cpus: Vec<u32>,
    /// Level of that cache; 0 when sysfs shows none.
    #[serde(default)]
    pub llc_level: u32,
    /// The node it is linked to; of an offline CPU, which has no link, 0.
    pub node: u32,
}

/// One NUMA node as sysfs shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSeen {
    /// Its number.
    pub node: u32,
    /// MemTotal of meminfo, in MiB.
    pub memory_mib: u64,
    /// distance, one for each node.
    pub distances: Vec<u32>,
    /// cpulist.
    pub cpus: Vec<u32>,
}

/// The first difference between the machine asked for and the one seen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{subject}: {what} is {seen}, asked for {wanted}")]
pub struct ReadBackMismatch {
    /// The CPU or node that differs.
    pub subject: String,
    /// What of it differs.
    pub what: &'static str,
    /// What was asked for.
    pub wanted: String,
    /// What the guest saw.
    pub seen: String,
}

fn differ<T: PartialEq + std::fmt::Debug>(
    subject: impl FnOnce() -> String,
    what: &'static str,
    wanted: &T,
    seen: &T,
) -> Result<(), ReadBackMismatch> {
    if wanted == seen {
        return Ok(());
    }
    Err(ReadBackMismatch { subject: subject(), what, wanted: format!("{wanted:?}"), seen: format!("{seen:?}") })
}

impl Topology {
    /// Compares groupings, not raw ids: firmware is free to number cores and packages with gaps.
    ///
    /// # Errors
    /// The first CPU or node that differs.
    pub fn check_read_back(&self, seen: &ReadBack) -> Result<(), ReadBackMismatch> {
        let layout = ApicLayout::of(self);
        let machine = || "the machine".to_owned();
        let total = self.total_cpus();
        differ(machine, "number of CPUs", &(total as usize), &seen.cpus.len())?;
        differ(machine, "number of nodes", &(self.numa_nodes as usize), &seen.nodes.len())?;
        let places: Vec<_> = (0..total).filter_map(|cpu| layout.place(cpu)).collect();
        let group = |keep: &dyn Fn(usize) -> bool| -> Vec<u32> {
            (0..total).filter(|cpu| self.is_online(*cpu) && keep(*cpu as usize)).collect()
        };
        let mut package_of_node = BTreeMap::new();
        for (number, cpu) in (0u32..).zip(&seen.cpus) {
            let subject = || format!("CPU {number}");
            let place = places[number as usize];
            differ(subject, "number", &number, &cpu.cpu)?;
            differ(subject, "online", &self.is_online(number), &cpu.online)?;
            if !cpu.online {
                continue;
            }
            let siblings = group(&|o| places[o].llc == place.llc && places[o].core == place.core);
            differ(subject, "set of thread siblings", &siblings, &cpu.thread_siblings)?;
            let llc = group(&|o| places[o].llc == place.llc);
            differ(subject, "set of CPUs sharing the last-level cache", &llc, &cpu.llc_cpus)?;
            differ(subject, "level of the last-level cache", &self.llc_level(), &cpu.llc_level)?;
            differ(subject, "node", &place.node, &cpu.node)?;
            let package = *package_of_node.entry(place.node).or_insert(cpu.package_id);
            differ(subject, "package", &package, &cpu.package_id)?;
        }
        let mut packages: Vec<u32> = package_of_node.values().copied().collect();
        packages.sort_unstable();
        packages.dedup();
        if self.nodes().is_none() {
            differ(machine, "number of packages", &(self.numa_nodes as usize), &packages.len())?;
        }
        self.check_nodes(seen, &places)
    }

    fn check_nodes(&self, seen: &ReadBack, places: &[crate::CpuPlace]) -> Result<(), ReadBackMismatch> {
        for (number, node) in (0u32..).zip(&seen.nodes) {
            let subject = || format!("node {number}");
            differ(subject, "number", &number, &node.node)?;
            let mine = |(cpu, p): &(u32, &crate::CpuPlace)| p.node == number && self.is_online(*cpu);
            let cpus: Vec<u32> = (0u32..).zip(places).filter(mine).map(|(cpu, _)| cpu).collect();
            differ(subject, "set of CPUs", &cpus, &node.cpus)?;
            let distances: Vec<u32> = (0..self.numa_nodes).map(|to| u32::from(self.distance(number, to))).collect();
            differ(subject, "distances", &distances, &node.distances)?;
            differ(subject, "has memory", &true, &(node.memory_mib > 0))?;
        }
        Ok(())
    }

    /// What a guest on exactly this machine would send; for tests and for showing what is expected.
    #[must_use]
    pub fn ideal_read_back(&self) -> ReadBack {
        let layout = ApicLayout::of(self);
        let places: Vec<_> = (0..self.total_cpus()).filter_map(|cpu| layout.place(cpu)).collect();
        let with = |keep: &dyn Fn(&crate::CpuPlace) -> bool| -> Vec<u32> {
            (0u32..).zip(&places).filter(|(cpu, p)| self.is_online(*cpu) && keep(p)).map(|(cpu, _)| cpu).collect()
        };
        let cpus = (0u32..)
            .zip(&places)
            .map(|(cpu, place)| {
                if !self.is_online(cpu) {
                    CpuSeen { cpu, ..CpuSeen::default() }
                } else {
                    CpuSeen {
                        cpu,
                        online: true,
                        core_id: place.core,
                        package_id: place.node,
                        thread_siblings: with(&|p| p.llc == place.llc && p.core == place.core),
                        llc_cpus: with(&|p| p.llc == place.llc),
                        llc_level: self.llc_level(),
                        node: place.node,
                    }
                }
            })
            .collect();
        let nodes = (0..self.numa_nodes)
            .map(|node| NodeSeen {
                node,
                memory_mib: 256,
                distances: (0..self.numa_nodes).map(|to| u32::from(self.distance(node, to))).collect(),
                cpus: with(&|p| p.node == node),
            })
            .collect();
        ReadBack { cpus, nodes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_asked_for_is_accepted_for_every_preset() {
        for preset in crate::presets() {
            preset.topology.check_read_back(&preset.topology.ideal_read_back()).unwrap();
        }
    }

    #[test]
    fn every_oddity_accepts_itself_and_refuses_its_plain_twin() {
        for odd in crate::oddities().unwrap() {
            let seen = odd.topology.ideal_read_back();
            odd.topology.check_read_back(&seen).unwrap();
            let Topology { numa_nodes: n, llcs: l, cores_per_llc: c, threads_per_core: t, .. } = odd.topology;
            if !odd.topology.is_plain()
                && let Ok(twin) = Topology::new(n, l, c, t)
            {
                assert!(twin.check_read_back(&seen).is_err(), "{}", odd.name);
                assert!(odd.topology.check_read_back(&twin.ideal_read_back()).is_err(), "{}", odd.name);
            }
        }
    }

    #[test]
    fn every_preset_refuses_every_other_preset() {
        for a in crate::presets() {
            for b in crate::presets().iter().filter(|b| b.name != a.name) {
                assert!(a.topology.check_read_back(&b.topology.ideal_read_back()).is_err(), "{} {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn the_first_cpu_that_differs_is_named() {
        let shape = Topology::new(1, 2, 2, 1).unwrap();
        let mut seen = shape.ideal_read_back();
        seen.cpus[2].llc_cpus = vec![0, 1, 2, 3];
        let text = shape.check_read_back(&seen).unwrap_err().to_string();
        assert!(text.starts_with("CPU 2: set of CPUs sharing the last-level cache is [0, 1, 2, 3]"), "{text}");
    }

    #[test]
    fn a_guest_without_cache_information_is_not_the_machine() {
        let shape = Topology::new(1, 1, 2, 1).unwrap();
        let mut seen = shape.ideal_read_back();
        for cpu in &mut seen.cpus {
            cpu.llc_cpus.clear();
        }
        assert!(shape.check_read_back(&seen).is_err());
    }
}
