//! Sets of CPUs as the kernel takes them (sched_setaffinity(2)), without allocation.

use super::fault::Fault;
use anyhow::{Result, ensure};

/// Words of 64 CPUs.
pub const WORDS: usize = 32;
/// CPUs that are told apart.
pub const MAX_CPUS: usize = WORDS * 64;

/// A set of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuMask([u64; WORDS]);

impl CpuMask {
    /// Every CPU there can be: the kernel leaves out what the cpuset does not have.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// These CPUs.
    pub fn of(cpus: &[u32]) -> Result<Self> {
        ensure!(!cpus.is_empty(), "a worker needs at least one CPU to run on");
        for &cpu in cpus {
            ensure!((cpu as usize) < MAX_CPUS, "CPU {cpu} is past the last that can be named, {}", MAX_CPUS - 1);
        }
        Ok(Self::these(cpus))
    }

    /// The same of CPUs that the kernel has named.
    pub fn these(cpus: &[u32]) -> Self {
        let mut mask = Self([0; WORDS]);
        for &cpu in cpus {
            if let Some(word) = mask.0.get_mut(cpu as usize / 64) {
                *word |= 1 << (cpu % 64);
            }
        }
        mask
    }

    /// One CPU.
    pub fn single(cpu: u32) -> Self {
        Self::these(&[cpu])
    }

    /// Where the calling process may run.
    pub fn allowed() -> Result<Self, Fault> {
        let mut mask = Self([0; WORDS]);
        // SAFETY: the kernel writes at most the given number of bytes into the array, which lives across the call.
        let got = unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask.0), mask.0.as_mut_ptr()) };
        if got < 0 { Err(Fault::last("sched_getaffinity", 0)) } else { Ok(mask) }
    }

    /// Makes a process run there; 0 is the calling one.
    pub fn apply(&self, pid: i32) -> Result<(), Fault> {
        // SAFETY: the kernel reads the given number of bytes of the array, which lives across the call.
        let done = unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(&self.0), self.0.as_ptr()) };
        if done < 0 {
            let first = self.nth(0).map_or(-1, i64::from);
            return Err(Fault::last("sched_setaffinity to CPU", first));
        }
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The CPU with this rank, from 0.
    pub fn nth(&self, rank: u32) -> Option<u32> {
        self.iter().nth(rank as usize)
    }

    /// Whether it is one of them.
    pub fn has(&self, cpu: u32) -> bool {
        self.0.get(cpu as usize / 64).is_some_and(|word| word & (1 << (cpu % 64)) != 0)
    }

    /// What is in both.
    pub fn and(&self, other: &Self) -> Self {
        let mut both = *self;
        for (word, with) in both.0.iter_mut().zip(&other.0) {
            *word &= with;
        }
        both
    }

    /// The CPUs in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0
            .iter()
            .zip(0u32..)
            .flat_map(|(&word, i)| (0..64).filter(move |b| word & (1 << b) != 0).map(move |b| i * 64 + b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_mask_is_the_set_it_was_made_of(cpus in proptest::collection::btree_set(0u32..2048, 1..40)) {
            let list: Vec<u32> = cpus.iter().copied().collect();
            let mask = CpuMask::of(&list).unwrap();
            prop_assert_eq!(mask.len() as usize, cpus.len());
            prop_assert_eq!(mask.iter().collect::<BTreeSet<_>>(), cpus);
            prop_assert_eq!(mask.nth(0), list.first().copied());
            prop_assert!(list.iter().all(|&c| mask.has(c) && mask.and(&CpuMask::single(c)).len() == 1));
        }
    }

    #[test]
    fn no_cpu_and_a_cpu_past_the_last_are_refused() {
        assert!(CpuMask::of(&[2048]).is_err() && CpuMask::of(&[]).is_err());
    }
}
