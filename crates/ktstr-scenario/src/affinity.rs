//! Where single workers may run, said by what it is for.

use crate::random::Random;
use anyhow::{Result, bail, ensure};
use ktstr_topology::{ApicLayout, CpuPlace, Topology};

/// CPUs of the workers of one crew (sched_setaffinity(2)); the kernel cuts them down to the cgroup's cpuset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AffinityIntent {
    /// Whatever the cgroup allows.
    #[default]
    Inherit,
    /// Each worker on CPUs of its own choice among the cgroup's; the same seed gives the same choice.
    RandomSubset {
        /// CPUs of each worker, from 1 to the cgroup's number of CPUs.
        count: u32,
        /// Where the choice begins.
        seed: u64,
    },
    /// Each worker on one last-level cache; caches are dealt in turn.
    LlcAligned,
    /// All CPUs of the machine, those of other cgroups as well: only the cpuset holds the workers.
    CrossCgroup,
    /// Each worker on one CPU; the cgroup's CPUs are dealt in turn.
    SingleCpu,
    /// All workers on these CPUs.
    Exact(Vec<u32>),
    /// Each pair of workers on the two first threads of one core; cores are dealt in turn.
    SmtSiblingPair,
}

impl AffinityIntent {
    /// CPUs of each of `count` workers whose cgroup allows `allowed`; empty for [`Inherit`](Self::Inherit).
    ///
    /// # Errors
    /// CPUs, caches or siblings that the machine or the cgroup does not have.
    pub(crate) fn resolve(&self, topology: &Topology, allowed: &[u32], count: u32) -> Result<Vec<Vec<u32>>> {
        let layout = ApicLayout::of(topology);
        let place = |cpu: u32| layout.place(cpu);
        let deal = |sets: &[Vec<u32>]| -> Vec<Vec<u32>> {
            sets.iter().cycle().take(if sets.is_empty() { 0 } else { count as usize }).cloned().collect()
        };
        match self {
            Self::Inherit => Ok(Vec::new()),
            Self::RandomSubset { count: size, seed } => {
                let most = allowed.len();
                ensure!(
                    *size >= 1 && *size as usize <= most,
                    "affinity {self:?}: {size} CPUs, and the cgroup has 1 to {most}"
                );
                let mut random = Random::new(*seed);
                Ok((0..count).map(|_| choose(allowed, *size as usize, &mut random)).collect())
            }
            Self::LlcAligned => Ok(deal(&grouped(allowed, |cpu| place(cpu).map(|p| p.llc)))),
            Self::CrossCgroup => {
                let all: Vec<u32> = (0..topology.total_cpus()).filter(|cpu| topology.is_online(*cpu)).collect();
                Ok(deal(&[all]))
            }
            Self::SingleCpu => Ok(deal(&allowed.iter().map(|cpu| vec![*cpu]).collect::<Vec<_>>())),
            Self::Exact(cpus) => {
                if let Some(cpu) = cpus.iter().find(|c| !topology.is_online(**c) || **c >= topology.total_cpus()) {
                    bail!("affinity {self:?} has CPU {cpu}, which {topology} does not have online");
                }
                ensure!(
                    cpus.iter().any(|c| allowed.contains(c)),
                    "affinity {self:?} has none of the CPUs {allowed:?} that the cgroup allows"
                );
                Ok(deal(std::slice::from_ref(cpus)))
            }
            Self::SmtSiblingPair => {
                let core = |p: CpuPlace| (p.llc, p.core);
                let cores = grouped(allowed, |cpu| place(cpu).map(core));
                let pairs: Vec<Vec<u32>> =
                    cores.iter().filter(|c| c.len() >= 2).flat_map(|c| [vec![c[0]], vec![c[1]]]).collect();
                ensure!(
                    !pairs.is_empty(),
                    "affinity SmtSiblingPair wants a core with two threads among the CPUs {allowed:?} of {topology}"
                );
                Ok(deal(&pairs))
            }
        }
    }
}

/// CPUs by a key, in the order of their first ones.
fn grouped<K: PartialEq>(cpus: &[u32], key: impl Fn(u32) -> Option<K>) -> Vec<Vec<u32>> {
    let mut groups: Vec<(Option<K>, Vec<u32>)> = Vec::new();
    for &cpu in cpus {
        let key = key(cpu);
        match groups.iter_mut().find(|(k, _)| *k == key) {
            Some((_, group)) => group.push(cpu),
            None => groups.push((key, vec![cpu])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// `size` of the CPUs, by a partial Fisher-Yates shuffle.
fn choose(cpus: &[u32], size: usize, random: &mut Random) -> Vec<u32> {
    let mut left = cpus.to_vec();
    let mut taken = Vec::with_capacity(size);
    for _ in 0..size {
        let bound = left.len() as u64;
        taken.push(left.swap_remove(usize::try_from(random.next() % bound).unwrap_or(0)));
    }
    taken.sort_unstable();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn intents() -> impl Strategy<Value = AffinityIntent> {
        prop_oneof![
            (1u32..4, any::<u64>()).prop_map(|(count, seed)| AffinityIntent::RandomSubset { count, seed }),
            Just(AffinityIntent::LlcAligned),
            Just(AffinityIntent::CrossCgroup),
            Just(AffinityIntent::SingleCpu),
            Just(AffinityIntent::SmtSiblingPair),
            proptest::collection::vec(0u32..16, 1..4).prop_map(AffinityIntent::Exact),
        ]
    }

    proptest! {
        #[test]
        fn every_worker_gets_cpus_that_exist_and_one_its_cgroup_allows(
            intent in intents(), llcs in 1u32..4, cores in 1u32..3, threads in 1u32..3, workers in 1u32..9, keep in any::<u16>(),
        ) {
            let topology = Topology::new(1, llcs, cores, threads).unwrap();
            let mut allowed: Vec<u32> = (0..topology.total_cpus()).filter(|c| keep & (1 << c) != 0).collect();
            if allowed.is_empty() {
                allowed.push(0);
            }
            if let Ok(sets) = intent.resolve(&topology, &allowed, workers) {
                prop_assert_eq!(sets.len(), workers as usize);
                for set in &sets {
                    prop_assert!(set.iter().any(|c| allowed.contains(c)), "{:?}", set);
                    prop_assert!(set.iter().all(|c| *c < topology.total_cpus()), "{:?}", set);
                }
                prop_assert_eq!(intent.resolve(&topology, &allowed, workers).unwrap(), sets);
            }
        }
    }

    #[test]
    fn each_intent_does_what_its_name_says() {
        let topology = Topology::new(1, 2, 2, 2).unwrap();
        let all: Vec<u32> = (0..8).collect();
        let sets = |intent: AffinityIntent, allowed: &[u32], n| intent.resolve(&topology, allowed, n).unwrap();
        assert!(sets(AffinityIntent::Inherit, &all, 3).is_empty());
        assert_eq!(sets(AffinityIntent::LlcAligned, &all, 3), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![0, 1, 2, 3]]);
        assert_eq!(sets(AffinityIntent::SingleCpu, &[2, 5], 3), [vec![2], vec![5], vec![2]]);
        assert_eq!(sets(AffinityIntent::SmtSiblingPair, &[1, 2, 3, 6, 7], 4), [vec![2], vec![3], vec![6], vec![7]]);
        assert_eq!(sets(AffinityIntent::CrossCgroup, &[1], 1), [all]);
        let apart = sets(AffinityIntent::RandomSubset { count: 2, seed: 7 }, &[0, 1, 2, 3, 4], 4);
        assert!(apart.iter().all(|s| s.len() == 2 && s[0] < s[1]), "{apart:?}");
    }

    #[test]
    fn what_the_machine_or_the_cgroup_does_not_have_is_an_error() {
        let topology = Topology::new(1, 1, 4, 1).unwrap();
        for (intent, allowed) in [
            (AffinityIntent::Exact(vec![4]), vec![0, 1]),
            (AffinityIntent::Exact(vec![3]), vec![0, 1]),
            (AffinityIntent::RandomSubset { count: 3, seed: 0 }, vec![0, 1]),
            (AffinityIntent::RandomSubset { count: 0, seed: 0 }, vec![0, 1]),
            (AffinityIntent::SmtSiblingPair, vec![0, 1]),
        ] {
            assert!(intent.resolve(&topology, &allowed, 1).is_err(), "{intent:?}");
        }
    }
}
