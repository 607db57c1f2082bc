//! One worker's counters, on cache lines of their own, written by the worker alone.
//!
//! A worker may be killed at any instant and runs in a process forked from one with threads, so this is plain atomics in a
//! shared mapping: no allocation, no lock, and no system call (the clock and the CPU number come from the vDSO).

use anyhow::{Context as _, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// CPUs a worker can be seen on, in words of 64.
const CPU_WORDS: usize = 32;
/// Sets of CPUs a worker can have been seen on: one for each time its cpuset changed, in turn.
const BANKS: usize = 4;
/// Steps within each power of two of a latency: an error below 1/16.
const STEPS: u64 = 16;
/// Buckets of a histogram over the whole range of u64 nanoseconds.
const BUCKETS: usize = 64 * 16;

/// Two cache lines: the adjacent-line prefetcher fetches pairs.
#[repr(C, align(128))]
pub struct Slot {
    iterations: AtomicU64,
    events: AtomicU64,
    last_ns: AtomicU64,
    gap_ns: AtomicU64,
    gap_at_ns: AtomicU64,
    gap_cpu: AtomicU32,
    cpu: AtomicU32,
    migrations: AtomicU64,
    wakes: AtomicU64,
    cpus: [[AtomicU64; CPU_WORDS]; BANKS],
    latency: [AtomicU32; BUCKETS],
}

/// What all workers of a crew share.
#[repr(C, align(128))]
pub struct Head {
    /// 0 before the start, 1 while running, 2 from the end on.
    pub state: AtomicU32,
    /// How often the workers' cpuset has changed.
    pub moves: AtomicU32,
    /// Words that pairs of workers hand to each other, one cache line pair each.
    pub start_ns: AtomicU64,
}

/// A worker's counters as its parent reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Units of work.
    pub iterations: u64,
    /// What the work type counts beside them: wake-ups given, yields, bytes.
    pub events: u64,
    /// Longest time without progress.
    pub gap_ns: u64,
    /// When that ended, since the start.
    pub gap_at_ns: u64,
    /// CPU on which it ended.
    pub gap_cpu: u32,
    /// Times on another CPU than before.
    pub migrations: u64,
    /// Wake-ups measured.
    pub wakes: u64,
    /// CPUs it was seen on.
    pub cpus: Vec<u32>,
    /// Counts of its latency buckets.
    pub latency: Vec<(usize, u32)>,
    /// CPU time (/proc/PID/schedstat).
    pub run_ns: u64,
    /// Time runnable and waiting for a CPU.
    pub run_delay_ns: u64,
    /// Times it was given a CPU.
    pub timeslices: u64,
    /// Sum of its wake-up latencies.
    pub wake_sum_ns: u64,
    /// Migrations to another node.
    pub cross_node_migrations: u64,
    /// Pages on its own node.
    pub pages_local: u64,
    /// All its pages.
    pub pages_total: u64,
}

/// The mapping of a crew: head, then one slot and one hand-over word for each worker.
pub struct Shared {
    base: *mut std::ffi::c_void,
    len: usize,
    workers: usize,
}

/// A word of its own for two workers to hand to each other.
#[repr(C, align(128))]
pub struct Baton {
    /// Whose turn it is.
    pub word: AtomicU32,
}

impl Shared {
    /// Zeroed memory for this many workers.
    pub fn new(workers: usize) -> Result<Self> {
        let len = size_of::<Head>() + workers * (size_of::<Slot>() + size_of::<Baton>());
        // SAFETY: a fresh anonymous mapping at an address the kernel picks; nothing else refers to it.
        let base =
            unsafe { mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED) }
                .context("no memory for the workers' counters")?;
        Ok(Self { base, len, workers })
    }

    /// What the whole crew shares.
    pub fn head(&self) -> &Head {
        // SAFETY: the mapping begins with a `Head`, is page-aligned, zeroed (valid for atomics) and lives as long as `self`.
        unsafe { &*self.base.cast::<Head>() }
    }

    /// One worker's counters.
    pub fn slot(&self, index: usize) -> &Slot {
        assert!(index < self.workers);
        // SAFETY: `new` made room for `workers` slots behind the head, and both sizes are multiples of their alignment.
        unsafe { &*self.base.byte_add(size_of::<Head>()).cast::<Slot>().add(index) }
    }

    /// One worker's hand-over word.
    pub fn baton(&self, index: usize) -> &Baton {
        assert!(index < self.workers);
        let behind = size_of::<Head>() + self.workers * size_of::<Slot>();
        // SAFETY: `new` made room for `workers` batons behind the slots.
        unsafe { &*self.base.byte_add(behind).cast::<Baton>().add(index) }
    }

    /// CPUs that a worker was seen on after so many changes of its cpuset.
    fn cpus_of(&self, index: usize, moves: u32) -> Vec<u32> {
        let words = self.slot(index).cpus[moves as usize % BANKS].iter().zip(0u32..);
        words
            .flat_map(|(word, i)| {
                let bits = word.load(Relaxed);
                (0..64).filter(move |b| bits & (1 << b) != 0).map(move |b| i * 64 + b)
            })
            .collect()
    }

    /// The cpuset has changed, and the kernel has moved everybody: CPUs seen from here on are another set. The answer is what
    /// each worker was seen on before.
    pub fn moved(&self) -> Vec<Vec<u32>> {
        let moves = self.head().moves.load(Relaxed);
        let before = (0..self.workers).map(|i| self.cpus_of(i, moves)).collect();
        for index in 0..self.workers {
            for word in &self.slot(index).cpus[(moves as usize + 1) % BANKS] {
                word.store(0, Relaxed);
            }
        }
        self.head().moves.store(moves.wrapping_add(1), Release);
        before
    }

    /// One worker's counters at the end of a run; standing still until then is a gap as well.
    pub fn seen(&self, index: usize, end_ns: u64) -> Seen {
        let slot = self.slot(index);
        let start = self.head().start_ns.load(Relaxed);
        let last = slot.last_ns.load(Relaxed).max(start);
        let mut gap = (slot.gap_ns.load(Relaxed), slot.gap_at_ns.load(Relaxed), slot.gap_cpu.load(Relaxed));
        let final_gap = end_ns.saturating_sub(last);
        if final_gap > gap.0 {
            gap = (final_gap, end_ns, slot.cpu.load(Relaxed).saturating_sub(1));
        }
        Seen {
            iterations: slot.iterations.load(Relaxed),
            events: slot.events.load(Relaxed),
            gap_ns: gap.0,
            gap_at_ns: gap.1.saturating_sub(start),
            gap_cpu: gap.2,
            migrations: slot.migrations.load(Relaxed),
            wakes: slot.wakes.load(Relaxed),
            cpus: self.cpus_of(index, self.head().moves.load(Relaxed)),
            latency: slot
                .latency
                .iter()
                .enumerate()
                .filter_map(|(i, n)| Some(n.load(Relaxed)).filter(|&n| n > 0).map(|n| (i, n)))
                .collect(),
            ..Seen::default()
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are the mapping that `new` made, and no reference outlives `self`.
        let _ = unsafe { munmap(self.base, self.len) };
    }
}

/// Now, ns of `CLOCK_MONOTONIC`.
pub fn now_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

fn bucket(ns: u64) -> usize {
    let ns = ns.max(STEPS);
    let power = u64::from(ns.ilog2());
    let step = (ns >> (power - 4)) & (STEPS - 1);
    usize::try_from(power * STEPS + step).unwrap_or(BUCKETS - 1).min(BUCKETS - 1)
}

/// Upper end of a bucket.
fn bucket_top(index: usize) -> u64 {
    let (power, step) = (index as u64 / STEPS, index as u64 % STEPS);
    if power < 4 { STEPS } else { ((STEPS + step + 1) << (power - 4)).saturating_sub(1) }
}

/// A quantile of the wake-up latencies of all `seen`, ns; `None` when nothing woke.
pub fn quantile_ns(seen: &[Seen], q: f64) -> Option<u64> {
    let mut buckets = vec![0u64; BUCKETS];
    for (index, count) in seen.iter().flat_map(|w| &w.latency) {
        buckets[*index] += u64::from(*count);
    }
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = ((total as f64 * q).ceil() as u64).clamp(1, total);
    let mut below = 0;
    buckets
        .iter()
        .position(|count| {
            below += count;
            below >= rank
        })
        .map(bucket_top)
}

/// Upper ends and counts of the latency buckets of all `seen`.
pub fn latencies(seen: &[Seen]) -> impl Iterator<Item = (u64, u64)> {
    seen.iter().flat_map(|w| &w.latency).map(|(index, count)| (bucket_top(*index), u64::from(*count)))
}

/// A worker's hand on its own slot.
pub struct Checkpoint<'a> {
    slot: &'a Slot,
    head: &'a Head,
}

impl<'a> Checkpoint<'a> {
    /// For the worker with this index.
    pub fn new(shared: &'a Shared, index: usize) -> Self {
        Self { slot: shared.slot(index), head: shared.head() }
    }

    /// Whether work goes on.
    pub fn running(&self) -> bool {
        self.head.state.load(Relaxed) == 1
    }

    /// Begins the account: what came before the start is no gap.
    pub fn begin(&self) {
        self.slot.last_ns.store(now_ns(), Relaxed);
    }

    /// `units` more of work are done.
    pub fn progress(&self, units: u64) {
        let now = now_ns();
        add(&self.slot.iterations, units);
        let gap = now.saturating_sub(self.slot.last_ns.load(Relaxed));
        self.slot.last_ns.store(now, Relaxed);
        // Read before the CPU is: what is seen after a change was looked for after it.
        let moves = self.head.moves.load(Acquire);
        let cpu = u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(0);
        // Stored plus one, so that zero says "never".
        let before = self.slot.cpu.load(Relaxed);
        if before != cpu + 1 {
            if before != 0 {
                add(&self.slot.migrations, 1);
            }
            self.slot.cpu.store(cpu + 1, Relaxed);
        }
        if let Some(word) = self.slot.cpus[moves as usize % BANKS].get(cpu as usize / 64) {
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

    /// Something the work type counts beside its iterations happened.
    pub fn event(&self, count: u64) {
        add(&self.slot.events, count);
    }

    /// The worker runs again, and should have since `due_ns`: waiting until then was no standing still.
    pub fn woke(&self, due_ns: u64) {
        let now = now_ns();
        self.slot.last_ns.store(due_ns.min(now).max(self.slot.last_ns.load(Relaxed)), Relaxed);
        add(&self.slot.wakes, 1);
        let count = &self.slot.latency[bucket(now.saturating_sub(due_ns))];
        count.store(count.load(Relaxed).saturating_add(1), Relaxed);
    }
}

/// The slot has one writer: no locked instruction is needed.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_within_a_sixteenth(ns in 16u64..u64::MAX / 2) {
            let top = bucket_top(bucket(ns));
            prop_assert!(top >= ns && top - ns <= ns / 16 + 1, "{} {}", ns, top);
        }
    }
}
