//! The 25 shapes of the gauntlet; a name is a function of its shape.

use crate::topology::Topology;
use std::sync::LazyLock;

/// A named shape.
#[derive(Clone, Debug)]
pub struct Preset {
    /// `[{n}numa-]{cpus}cpu-{llcs}llc-{smt|nosmt}`.
    pub name: &'static str,
    /// The shape.
    pub topology: Topology,
    /// MiB of memory for a verifier cell.
    pub memory_mib: u32,
}

const SHAPES: [(&str, u32, u32, u32, u32); 25] = [
    ("4cpu-1llc-nosmt", 1, 1, 4, 1),
    ("4cpu-2llc-nosmt", 1, 2, 2, 1),
    ("9cpu-3llc-nosmt", 1, 3, 3, 1),
    ("15cpu-5llc-nosmt", 1, 5, 3, 1),
    ("14cpu-7llc-nosmt", 1, 7, 2, 1),
    ("8cpu-2llc-smt", 1, 2, 2, 2),
    ("12cpu-3llc-smt", 1, 3, 2, 2),
    ("32cpu-4llc-smt", 1, 4, 4, 2),
    ("64cpu-8llc-smt", 1, 8, 4, 2),
    ("128cpu-4llc-smt", 1, 4, 16, 2),
    ("128cpu-8llc-smt", 1, 8, 8, 2),
    ("240cpu-15llc-smt", 1, 15, 8, 2),
    ("252cpu-14llc-smt", 1, 14, 9, 2),
    ("32cpu-4llc-nosmt", 1, 4, 8, 1),
    ("64cpu-8llc-nosmt", 1, 8, 8, 1),
    ("128cpu-4llc-nosmt", 1, 4, 32, 1),
    ("128cpu-8llc-nosmt", 1, 8, 16, 1),
    ("240cpu-15llc-nosmt", 1, 15, 16, 1),
    ("252cpu-14llc-nosmt", 1, 14, 18, 1),
    ("2numa-32cpu-2llc-smt", 2, 2, 8, 2),
    ("2numa-16cpu-4llc-nosmt", 2, 4, 4, 1),
    ("2numa-128cpu-8llc-smt", 2, 8, 8, 2),
    ("2numa-128cpu-8llc-nosmt", 2, 8, 16, 1),
    ("4numa-32cpu-8llc-nosmt", 4, 8, 4, 1),
    ("4numa-192cpu-12llc-smt", 4, 12, 8, 2),
];

/// MiB of memory for a verifier cell, and for the two largest shapes.
const MEMORY_MIB: (u32, u32) = (2048, 4096);

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    SHAPES
        .iter()
        .filter(|shape| cfg!(not(target_arch = "aarch64")) || shape.4 == 1)
        .filter_map(|&(name, n, l, c, t)| {
            let large = name.starts_with("252cpu-") || name.starts_with("4numa-192cpu-");
            let memory_mib = if large { MEMORY_MIB.1 } else { MEMORY_MIB.0 };
            Topology::new(n, l, c, t).ok().map(|topology| Preset { name, topology, memory_mib })
        })
        .collect()
});

/// All presets, in their fixed order; on aarch64 those without SMT.
#[must_use]
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// The preset of that name.
#[must_use]
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_a_function_of_its_shape() {
        assert_eq!(presets().len(), 25);
        for p in presets() {
            let t = &p.topology;
            let numa = if t.numa_nodes > 1 { format!("{}numa-", t.numa_nodes) } else { String::new() };
            let smt = if t.threads_per_core > 1 { "smt" } else { "nosmt" };
            assert_eq!(p.name, format!("{numa}{}cpu-{}llc-{smt}", t.total_cpus(), t.llcs));
        }
    }

    #[test]
    fn the_default_bounds_admit_fifteen() {
        let admitted = presets()
            .iter()
            .filter(|p| crate::TopologyConstraints::DEFAULT.accepts_no_perf_mode(&p.topology, u32::MAX))
            .count();
        assert_eq!(admitted, 15);
    }
}
