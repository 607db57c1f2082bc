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

/// Index of the first limit that holds `value`, one past the last for more.
fn bucket(value: u64, limits: &[u64]) -> usize {
    limits.iter().position(|&limit| value <= limit).unwrap_or(limits.len())
}

impl Features<'_> {
    /// The mask, one bit set in each group:
    ///
    /// | bits | meaning |
    /// |---|---|
    /// | 0-3 | [`djb2`] of the scheduler's name, mod 4 |
    /// | 4-8 | CPUs: ≤ 8, ≤ 16, ≤ 64, ≤ 128, more |
    /// | 9-13 | last-level caches: 1, 2, ≤ 4, ≤ 8, more |
    /// | 14, 15, 16, 17 | SMT, performance mode, `host_only`, `expect_err` |
    /// | 18-20 | duration: ≤ 2 s, ≤ 10 s, more |
    /// | 22 | gauntlet |
    /// | 23-26 | [`djb2`] of the test's full name, mod 4 |
    /// | 27-30 | NUMA nodes: 1, 2, ≤ 4, more |
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALLEST: Features<'_> = Features {
        scheduler: "",
        test: "",
        cpus: 1,
        llcs: 1,
        numa_nodes: 1,
        smt: false,
        perf: false,
        host_only: false,
        expect_err: false,
        duration_s: 1,
        gauntlet: false,
    };

    /// The one bit of a group of bits, counted from the group's first.
    fn index_in(mask: u64, first: u32, last: u32) -> u32 {
        let group = mask & (u64::MAX >> (63 - last)) & (u64::MAX << first);
        assert_eq!(group.count_ones(), 1, "{mask:#x} has not one bit in {first}..={last}");
        group.trailing_zeros() - first
    }

    #[test]
    fn djb2_gives_its_published_values() {
        assert_eq!(djb2(""), 5381);
        assert_eq!(djb2("a"), 177_670);
        assert_eq!(djb2("hello"), 261_238_937);
    }

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        let cpus = [(1, 0), (8, 0), (9, 1), (16, 1), (17, 2), (64, 2), (65, 3), (128, 3), (129, 4)];
        for (cpus, index) in cpus {
            assert_eq!(index_in(Features { cpus, ..SMALLEST }.mask(), 4, 8), index, "{cpus} CPUs");
        }
        for (llcs, index) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)] {
            assert_eq!(index_in(Features { llcs, ..SMALLEST }.mask(), 9, 13), index, "{llcs} caches");
        }
        for (duration_s, index) in [(0, 0), (2, 0), (3, 1), (10, 1), (11, 2)] {
            assert_eq!(index_in(Features { duration_s, ..SMALLEST }.mask(), 18, 20), index, "{duration_s} s");
        }
        for (numa_nodes, index) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3)] {
            assert_eq!(index_in(Features { numa_nodes, ..SMALLEST }.mask(), 27, 30), index, "{numa_nodes} nodes");
        }
    }

    #[test]
    fn each_flag_has_its_own_bit() {
        let plain = SMALLEST.mask();
        assert_eq!(Features { smt: true, ..SMALLEST }.mask() ^ plain, 1 << 14);
        assert_eq!(Features { perf: true, ..SMALLEST }.mask() ^ plain, 1 << 15);
        assert_eq!(Features { host_only: true, ..SMALLEST }.mask() ^ plain, 1 << 16);
        assert_eq!(Features { expect_err: true, ..SMALLEST }.mask() ^ plain, 1 << 17);
        assert_eq!(Features { gauntlet: true, ..SMALLEST }.mask() ^ plain, 1 << 22);
    }

    proptest! {
        #[test]
        fn every_test_has_one_bit_in_each_group_and_none_outside(
            scheduler in ".*", test in ".*", sizes: [u32; 3], flags: [bool; 5], duration_s: u64,
        ) {
            let [cpus, llcs, numa_nodes] = sizes;
            let [smt, perf, host_only, expect_err, gauntlet] = flags;
            let mask = Features {
                scheduler: &scheduler, test: &test, cpus, llcs, numa_nodes, smt, perf, host_only, expect_err, duration_s,
                gauntlet,
            }.mask();
            prop_assert_eq!(index_in(mask, 0, 3), djb2(&scheduler) % 4);
            prop_assert_eq!(index_in(mask, 23, 26), djb2(&test) % 4);
            for (first, last) in [(4, 8), (9, 13), (18, 20), (27, 30)] {
                index_in(mask, first, last);
            }
            prop_assert_eq!(mask & (1 << 21), 0);
            prop_assert_eq!(mask >> 31, 0);
        }
    }
}
