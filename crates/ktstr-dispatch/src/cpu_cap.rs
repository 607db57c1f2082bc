//! `cpu_budget`: a machine that may take no more than so many CPUs of the host.

use ktstr_verdict::CpuBudgetUnsatisfiable;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Confines this thread, and so every thread and process it starts from here on, to `budget` of the CPUs it may use; the
/// answer is how many it then has, fewer where there are not that many.
///
/// # Errors
/// [`CpuBudgetUnsatisfiable`] when the kernel refuses: then the cap would not be kept.
pub fn confine(budget: u32) -> anyhow::Result<u32> {
    let refused = |e| anyhow::Error::new(CpuBudgetUnsatisfiable::new(format!("cpu_budget = {budget}: {e}")));
    let allowed = sched_getaffinity(None).map_err(refused)?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    // Tests at once begin at different CPUs.
    let taken = pick(&cpus, budget as usize, std::process::id() as usize);
    let mut set = CpuSet::new();
    for cpu in &taken {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).map_err(refused)?;
    u32::try_from(taken.len()).map_err(anyhow::Error::new)
}

/// `count` of `cpus`, next to each other in the order of the list, from `start` on.
fn pick(cpus: &[usize], count: usize, start: usize) -> Vec<usize> {
    let from = start.checked_rem(cpus.len()).unwrap_or(0);
    cpus.iter().cycle().skip(from).take(count.min(cpus.len())).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_many_distinct_cpus_as_the_budget_says_or_there_are(
            cpus in prop::collection::btree_set(0usize..1024, 1..64), count in 1usize..80, start: usize,
        ) {
            let list: Vec<usize> = cpus.iter().copied().collect();
            let taken: BTreeSet<usize> = pick(&list, count, start).into_iter().collect();
            prop_assert_eq!(taken.len(), count.min(cpus.len()));
            prop_assert!(taken.is_subset(&cpus));
        }
    }

    #[test]
    fn a_thread_that_is_confined_has_no_more_cpus_than_its_budget() {
        let seen = std::thread::spawn(|| {
            let given = confine(1).unwrap();
            (given, sched_getaffinity(None).unwrap().count())
        });
        assert_eq!(seen.join().unwrap(), (1, 1));
    }
}
