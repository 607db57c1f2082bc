//! A worker's hand on its own counters. No system call is in it: the clock and the CPU number come from the vDSO.

use super::cpu_mask::MAX_CPUS;
use super::fault::Fault;
use super::latency::bucket;
use super::nodes::Nodes;
use super::shared::{Head, Shared, Slot};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed},
};

/// Now, ns of `CLOCK_MONOTONIC`.
pub fn now_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// What one worker writes of itself.
pub struct Checkpoint<'a> {
    pub(super) slot: &'a Slot,
    pub(super) head: &'a Head,
    nodes: &'a Nodes,
}

impl<'a> Checkpoint<'a> {
    /// For the worker with this index.
    pub fn new(shared: &'a Shared, index: usize, nodes: &'a Nodes) -> Self {
        Self { slot: shared.slot(index), head: shared.head(), nodes }
    }

    /// Whether work goes on.
    #[inline]
    pub fn running(&self) -> bool {
        self.head.state.load(Relaxed) == 1
    }

    /// Begins the account at the start, not when the worker first runs after it: what lies between is a gap.
    pub fn begin(&self) {
        self.slot.last_ns.store(self.head.start_ns.load(Relaxed), Relaxed);
    }

    /// `units` more of work are done.
    #[inline]
    pub fn progress(&self, units: u64) {
        let now = now_ns();
        add(&self.slot.iterations, units);
        // The clock was read first: a worker that is frozen in between does not count what came after.
        let last = self.slot.last_ns.load(Relaxed).max(self.head.resumed_ns.load(Relaxed));
        let gap = now.saturating_sub(last);
        self.slot.last_ns.store(now, Relaxed);
        // Read before the CPU is: what is seen after a change was looked for after it.
        let moves = self.head.moves.load(Acquire);
        let cpu = u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(0);
        let before = self.slot.cpu.load(Relaxed);
        if before != cpu + 1 {
            self.migrated(before, cpu, now);
        }
        if let Some(word) = self.slot.cpus[Shared::bank(moves)].get(cpu as usize / 64) {
            let (bits, bit) = (word.load(Relaxed), 1 << (cpu % 64));
            if bits & bit == 0 {
                word.store(bits | bit, Relaxed);
            }
        }
        if gap > self.slot.gap_ns.load(Relaxed) {
            self.slot.gap_ns.store(gap, Relaxed);
            self.slot.gap_at_ns.store(now, Relaxed);
            self.slot.gap_cpu.store(cpu, Relaxed);
        }
    }

    /// `before` is one more than its number, zero for none.
    #[cold]
    fn migrated(&self, before: u32, cpu: u32, now_ns: u64) {
        if before != 0 {
            if let Some(time) = self.slot.residence_ns.get(before as usize - 1) {
                add(time, now_ns.saturating_sub(self.slot.since_ns.load(Relaxed)));
            }
            add(&self.slot.migrations, 1);
            if self.nodes.of(before - 1) != self.nodes.of(cpu) {
                add(&self.slot.cross_node_migrations, 1);
            }
        }
        self.slot.since_ns.store(now_ns, Relaxed);
        self.slot.cpu.store(cpu + 1, Relaxed);
    }

    /// Something the work type counts beside its iterations happened.
    #[inline]
    pub fn event(&self, count: u64) {
        add(&self.slot.events, count);
    }

    /// The worker will not want to run before `due_ns`: until then it does not stand still.
    pub fn rests_until(&self, due_ns: u64) {
        self.slot.last_ns.store(due_ns.max(self.slot.last_ns.load(Relaxed)), Relaxed);
    }

    /// The worker runs again, and should have since `due_ns`: waiting until then was no standing still.
    pub fn woke(&self, due_ns: u64) {
        let now = now_ns();
        // Nobody can wake while the crew rests.
        let due_ns = due_ns.max(self.head.resumed_ns.load(Relaxed));
        self.slot.last_ns.store(due_ns.min(now).max(self.slot.last_ns.load(Relaxed).min(now)), Relaxed);
        let late = now.saturating_sub(due_ns);
        add(&self.slot.wakes, 1);
        add(&self.slot.wake_sum_ns, late);
        let [low, high] = &self.slot.wake_sq_ns2;
        let square = u128::from(late) * u128::from(late);
        let sum = (u128::from(high.load(Relaxed)) << 64 | u128::from(low.load(Relaxed))).wrapping_add(square);
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of one number")]
        low.store(sum as u64, Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of one number")]
        high.store((sum >> 64) as u64, Relaxed);
        let count = &self.slot.latency[bucket(late)];
        count.store(count.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// So many pages of its own memory lie on its own node, so many on any.
    pub fn pages(&self, local: u64, total: u64) {
        add(&self.slot.pages_local, local);
        add(&self.slot.pages_total, total);
    }

    /// Tells the parent what failed.
    pub fn fault(&self, fault: &Fault) {
        self.slot.fault.store(fault);
    }

    /// The node where the worker runs now.
    pub fn node(&self) -> u16 {
        let cpu = rustix::thread::sched_getcpu();
        self.nodes.of(u32::try_from(cpu.min(MAX_CPUS)).unwrap_or(0))
    }
}

/// The slot has one writer: no locked instruction is needed.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    proptest! {
        #[test]
        fn wake_ups_are_counted_summed_and_squared(late in proptest::collection::vec(0u64..1 << 40, 1..20)) {
            let shared = Shared::new(1).unwrap();
            let nodes = Nodes::read(Path::new("/nonexistent"));
            let checkpoint = Checkpoint::new(&shared, 0, &nodes);
            let begin = now_ns();
            let dues: Vec<u64> = late.iter().map(|l| begin.saturating_sub(*l)).collect();
            for due in &dues {
                checkpoint.woke(*due);
            }
            let end = now_ns();
            let seen = shared.seen(0, end, (0, 0, 0));
            let least: u64 = dues.iter().map(|d| begin - d).sum();
            let most: u64 = dues.iter().map(|d| end - d).sum();
            prop_assert!(seen.wakes == late.len() as u64 && (least..=most).contains(&seen.wake_sum_ns));
            let square = |t: u64| dues.iter().map(|d| u128::from(t - d) * u128::from(t - d)).sum::<u128>();
            prop_assert!((square(begin)..=square(end)).contains(&seen.wake_sq_ns2));
            prop_assert_eq!(seen.latency.iter().map(|(_, n)| u64::from(*n)).sum::<u64>(), seen.wakes);
        }
    }

    #[test]
    fn who_runs_late_after_the_start_has_stood_still() {
        let shared = Shared::new(1).unwrap();
        let nodes = Nodes::read(Path::new("/nonexistent"));
        let checkpoint = Checkpoint::new(&shared, 0, &nodes);
        shared.head().start_ns.store(now_ns() - 3_000_000_000, Relaxed);
        checkpoint.begin();
        checkpoint.progress(1);
        let seen = shared.seen(0, now_ns(), (0, 0, 0));
        assert!(seen.gap_ns >= 3_000_000_000 && seen.gap_at_ns >= 3_000_000_000, "{seen:?}");
    }

    #[test]
    fn a_worker_s_time_is_its_cpus_from_one_that_it_is_seen_on_to_the_next() {
        let shared = Shared::new(1).unwrap();
        let nodes = Nodes::read(Path::new("/nonexistent"));
        let checkpoint = Checkpoint::new(&shared, 0, &nodes);
        assert!(shared.seen(0, 500, (0, 0, 0)).residence_ns.is_empty());
        for (before, cpu, now) in [(0, 3, 1000), (4, 5, 1010), (6, 3, 1040)] {
            checkpoint.migrated(before, cpu, now);
        }
        assert_eq!(shared.seen(0, 1100, (0, 0, 0)).residence_ns, [(3, 70), (5, 30)]);
        // The last CPU there can be, and one past it.
        let last = u32::try_from(MAX_CPUS).unwrap();
        checkpoint.migrated(4, last, 1100);
        checkpoint.migrated(last + 1, last - 1, 1200);
        assert_eq!(shared.seen(0, 1300, (0, 0, 0)).residence_ns, [(3, 70), (5, 30), (last - 1, 100)]);
    }

    #[test]
    fn a_worker_that_rests_does_not_stand_still() {
        let shared = Shared::new(1).unwrap();
        let nodes = Nodes::read(Path::new("/nonexistent"));
        let checkpoint = Checkpoint::new(&shared, 0, &nodes);
        shared.head().start_ns.store(now_ns(), Relaxed);
        checkpoint.begin();
        checkpoint.progress(1);
        let due = now_ns() + 5_000_000_000;
        checkpoint.rests_until(due);
        let seen = shared.seen(0, due + 7, (0, 0, 0));
        assert!(
            seen.gap_ns < 5_000_000_000 && shared.seen(0, due + 6_000_000_000, (0, 0, 0)).gap_ns == 6_000_000_000,
            "{seen:?}"
        );
    }
}
