//! The 64 feature bits of a test.

/// `hash = hash * 33 + byte` from 5381, 32 bits wrapping (D. J. Bernstein).
#[must_use]
pub fn djb2(text: &str) -> u32 {
    text.bytes().fold(5381, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

/// What the bits are made of.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// Scheduler's name.
    pub scheduler: &'a str,
    /// Full test name, with preset and kernel.
    pub test: &'a str,
    /// CPUs of the machine.
    pub cpus: u32,
    /// Last-level caches.
    pub llcs: u32,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// More than one thread in a core.
    pub smt: bool,
    /// Performance mode.
    pub perf: bool,
    /// Runs on the host.
    pub host_only: bool,
    /// Expects a failure.
    pub expect_err: bool,
    /// Seconds of workload.
    pub duration_s: u64,
    /// A preset's variant.
    pub gauntlet: bool,
}

fn bucket(value: u64, limits: &[u64]) -> usize {
    limits.iter().position(|&limit| value <= limit).unwrap_or(limits.len())
}

impl Features<'_> {
    /// Bits 0-3 scheduler, 4-8 CPUs, 9-13 caches, 14 SMT, 15 performance, 16 `host_only`, 17 `expect_err`, 18-20 duration,
    /// 22 gauntlet, 23-26 name, 27-30 nodes.
    #[must_use]
    pub fn mask(&self) -> u64 {
        let one_hot = |base: usize, index: usize| 1u64 << (base + index);
        let flag = |bit: u32, on: bool| u64::from(on) << bit;
        one_hot(0, (djb2(self.scheduler) % 4) as usize)
            | one_hot(4, bucket(self.cpus.into(), &[8, 16, 64, 128]))
            | one_hot(9, bucket(self.llcs.into(), &[1, 2, 4, 8]))
            | flag(14, self.smt)
            | flag(15, self.perf)
            | flag(16, self.host_only)
            | flag(17, self.expect_err)
            | one_hot(18, bucket(self.duration_s, &[2, 10]))
            | flag(22, self.gauntlet)
            | one_hot(23, (djb2(self.test) % 4) as usize)
            | one_hot(27, bucket(self.numa_nodes.into(), &[1, 2, 4]))
    }
}
