//! Which CPUs a cgroup may use, said in terms of the topology.

use anyhow::{Result, bail, ensure};
use ktstr_topology::{ApicLayout, Topology};

/// A set of CPUs.
#[derive(Clone, Debug, PartialEq)]
pub enum CpusetSpec {
    /// All CPUs of one last-level cache.
    Llc(u32),
    /// All CPUs of one node.
    Numa(u32),
    /// From the first CPU to the last, both included.
    Range(u32, u32),
    /// One of `of` parts of equal size that share nothing.
    Disjoint {
        /// Which part, from 0.
        index: u32,
        /// How many parts.
        of: u32,
    },
    /// Like [`Disjoint`](Self::Disjoint), grown into the next part by this share of its size.
    Overlap {
        /// Which part, from 0.
        index: u32,
        /// How many parts.
        of: u32,
        /// Share of a part, 0 to 1.
        frac: f64,
    },
    /// These CPUs.
    Exact(Vec<u32>),
}

impl CpusetSpec {
    /// The CPUs on this machine.
    ///
    /// # Errors
    /// A cache, node, part or CPU that the machine does not have.
    pub fn resolve(&self, topology: &Topology) -> Result<Vec<u32>> {
        let layout = ApicLayout::of(topology);
        let total = topology.total_cpus();
        let online: Vec<u32> = (0..total).filter(|cpu| topology.is_online(*cpu)).collect();
        let all = || online.iter().filter_map(|&cpu| layout.place(cpu).map(|p| (cpu, p)));
        let cpus: Vec<u32> = match *self {
            Self::Llc(llc) => all().filter(|(_, p)| p.llc == llc).map(|(c, _)| c).collect(),
            Self::Numa(node) => all().filter(|(_, p)| p.node == node).map(|(c, _)| c).collect(),
            Self::Range(first, last) => (first..=last).collect(),
            Self::Disjoint { index, of } => part(&online, index, of, 0.0)?,
            Self::Overlap { index, of, frac } => part(&online, index, of, frac)?,
            Self::Exact(ref cpus) => cpus.clone(),
        };
        ensure!(!cpus.is_empty(), "cpuset {self:?} is empty on {topology}: the machine has no such part");
        if let Some(cpu) = cpus.iter().find(|&&c| c >= total) {
            bail!("cpuset {self:?} has CPU {cpu}, and {topology} has {total} CPUs");
        }
        Ok(cpus)
    }
}

fn part(cpus: &[u32], index: u32, of: u32, frac: f64) -> Result<Vec<u32>> {
    let total = u32::try_from(cpus.len())?;
    ensure!(of > 0 && index < of, "part {index} of {of} does not exist");
    ensure!((0.0..=1.0).contains(&frac), "an overlap of {frac} is not a share from 0 to 1");
    ensure!(total >= of, "{total} CPUs cannot be cut into {of} parts");
    let bound = |i: u32| u64::from(total) * u64::from(i) / u64::from(of);
    let (first, last) = (bound(index), bound(index + 1));
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let grown = ((last - first) as f64 * frac).ceil() as u64;
    let (first, end) = (usize::try_from(first)?, usize::try_from((last + grown).min(u64::from(total)))?);
    Ok(cpus[first..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn disjoint_parts_share_nothing_and_cover_all(cores in 1u32..40, of in 1u32..8) {
            let topology = Topology::new(1, 1, cores, 1).unwrap();
            prop_assume!(cores >= of);
            let parts: Vec<u32> = (0..of)
                .flat_map(|index| CpusetSpec::Disjoint { index, of }.resolve(&topology).unwrap())
                .collect();
            prop_assert_eq!(parts, (0..cores).collect::<Vec<_>>());
        }
    }

    #[test]
    fn parts_the_machine_does_not_have_are_errors() {
        let topology = Topology::new(1, 2, 2, 1).unwrap();
        assert_eq!(CpusetSpec::Llc(1).resolve(&topology).unwrap(), [2, 3]);
        for bad in [CpusetSpec::Llc(2), CpusetSpec::Numa(1), CpusetSpec::Range(3, 4), CpusetSpec::Exact(vec![])] {
            assert!(bad.resolve(&topology).is_err(), "{bad:?}");
        }
    }
}
