//! Pairs that compute on the two threads of one core.

use super::{GroupSize, Links, SPIN_ROUNDS, Work, burn};
use crate::worker::{CpuMask, Fault, MAX_CPUS, Worker};
use anyhow::Result;
use ktstr_topology::parse_cpu_list;
use std::path::Path;

/// Where the kernel shows its CPUs.
const SYSFS: &str = "/sys/devices/system/cpu";

pub struct SmtSiblingSpin;

impl Work for SmtSiblingSpin {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn links(&self, _workers: usize, _group: Option<&Path>) -> Result<Links> {
        Ok(Links::of_numbers(siblings(Path::new(SYSFS))))
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let allowed = CpuMask::allowed()?;
        if let Some(cpu) = place(&allowed, worker.numbers(), worker.index()) {
            CpuMask::single(cpu).apply(0)?;
            worker.event(1);
        }
        Ok(())
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            burn(SPIN_ROUNDS);
            worker.progress(SPIN_ROUNDS);
        }
        Ok(())
    }
}

/// For each CPU the other thread of its core, or itself.
fn siblings(root: &Path) -> Vec<u32> {
    let list = |path: String| -> Vec<u32> {
        let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        parse_cpu_list(&text).unwrap_or_default()
    };
    let last = list("possible".to_owned()).last().map_or(0, |cpu| cpu + 1);
    let other = |cpu: u32| {
        let threads = list(format!("cpu{cpu}/topology/thread_siblings_list"));
        let at = threads.iter().position(|&t| t == cpu)?;
        // Cores of four threads have two pairs.
        threads.get(at ^ 1).copied()
    };
    (0..last).take(MAX_CPUS).map(|cpu| other(cpu).unwrap_or(cpu)).collect()
}

/// The CPU of one worker: pairs of workers take pairs of threads in turn, of those that are allowed whole.
fn place(allowed: &CpuMask, siblings: &[u32], index: usize) -> Option<u32> {
    let whole = |cpu: &u32| {
        let other = siblings.get(*cpu as usize).copied().unwrap_or(*cpu);
        other > *cpu && allowed.has(other)
    };
    let pairs = allowed.iter().filter(whole).count();
    let first = allowed.iter().filter(whole).nth((index / 2).checked_rem(pairs)?)?;
    if index.is_multiple_of(2) { Some(first) } else { siblings.get(first as usize).copied() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn pairs_take_the_threads_of_one_core_in_turn() {
        // Cores 0+4, 1+5, 2 alone (its thread 6 is not allowed), 3 with no other thread.
        let siblings = [4, 5, 6, 3, 0, 1, 2, 7];
        let allowed = CpuMask::of(&[0, 1, 2, 3, 4, 5]).unwrap();
        let places: Vec<_> = (0..6).map(|index| place(&allowed, &siblings, index).unwrap()).collect();
        assert_eq!(places, [0, 4, 1, 5, 0, 4]);
        assert_eq!(place(&CpuMask::of(&[2, 3]).unwrap(), &siblings, 0), None);
    }

    #[test]
    fn threads_of_a_core_are_read_from_sysfs() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("possible"), "0-3\n").unwrap();
        for (cpu, list) in [(0, "0,2"), (1, "1"), (2, "0,2")] {
            let topology = dir.path().join(format!("cpu{cpu}/topology"));
            std::fs::create_dir_all(&topology).unwrap();
            std::fs::write(topology.join("thread_siblings_list"), list).unwrap();
        }
        assert_eq!(siblings(dir.path()), [2, 1, 0, 3]);
    }

    #[test]
    fn pairs_spin_with_and_without_such_threads() {
        for pair in run(&WorkType::SmtSiblingSpin, 4, |_| true).chunks(2) {
            assert!(pair[0].events == pair[1].events && (pair[0].events == 0 || pair[0].cpus != pair[1].cpus), "{pair:?}");
        }
    }
}
