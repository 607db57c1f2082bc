//! What workers and their parent share: a head, each worker's counters on cache lines of its own, and words to hand over.
//!
//! A worker may be killed at any instant and runs in a process forked from one with threads, so this is plain atomics in a
//! shared mapping: no allocation and no lock.

use super::cpu_mask::{MAX_CPUS, WORDS};
use super::fault::FaultSlot;
use super::latency::BUCKETS;
use anyhow::{Context as _, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Sets of CPUs a worker can have been seen on: one for each time its cpuset changed, in turn.
const BANKS: usize = 4;

/// One worker's counters, written by the worker alone. Two cache lines: the adjacent-line prefetcher fetches pairs.
#[repr(C, align(128))]
pub struct Slot {
    pub(super) iterations: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) last_ns: AtomicU64,
    pub(super) gap_ns: AtomicU64,
    pub(super) gap_at_ns: AtomicU64,
    pub(super) gap_cpu: AtomicU32,
    /// Plus one, so that zero says "never".
    pub(super) cpu: AtomicU32,
    /// When it was first seen on that CPU.
    pub(super) since_ns: AtomicU64,
    pub(super) migrations: AtomicU64,
    pub(super) cross_node_migrations: AtomicU64,
    pub(super) wakes: AtomicU64,
    pub(super) wake_sum_ns: AtomicU64,
    /// Low and high half.
    pub(super) wake_sq_ns2: [AtomicU64; 2],
    pub(super) pages_local: AtomicU64,
    pub(super) pages_total: AtomicU64,
    pub(super) cpus: [[AtomicU64; WORDS]; BANKS],
    pub(super) latency: [AtomicU32; BUCKETS],
    /// Of each CPU that it has left; touched when it is seen on another only.
    pub(super) residence_ns: [AtomicU64; MAX_CPUS],
    pub(super) fault: FaultSlot,
    /// How far it has come, see [`stage`]; its parent writes it too.
    pub(super) stage: AtomicU32,
    /// Not 0 when it is its turn to start, where they start one after the other.
    pub(super) turn: AtomicU32,
}

/// Values of a slot's stage.
pub(super) mod stage {
    /// Forked; its parent has not yet put it where it belongs.
    pub const FORKED: u32 = 0;
    /// In its cgroup.
    pub const PLACED: u32 = 1;
    /// As its manner says, waiting for the start.
    pub const READY: u32 = 2;
    /// Not so: the fault says why.
    pub const FAILED: u32 = 3;
    /// The work is over.
    pub const OVER: u32 = 4;
}

/// What all workers of a crew share.
#[repr(C, align(128))]
pub struct Head {
    /// 0 before the start, 1 while running, 2 from the end on.
    pub state: AtomicU32,
    /// How often the workers' cpuset has changed.
    pub moves: AtomicU32,
    /// Not 0 where each waits for its turn to start.
    pub in_turn: AtomicU32,
    /// When the crew was last let go on after a rest; standing still until then was no worker's fault.
    pub resumed_ns: AtomicU64,
    /// When they started.
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
    /// From being seen first on a CPU until being seen on another, for each CPU.
    pub residence_ns: Vec<(u32, u64)>,
    /// Times on another CPU than before.
    pub migrations: u64,
    /// Those of them to a CPU of another node.
    pub cross_node_migrations: u64,
    /// Wake-ups measured.
    pub wakes: u64,
    /// Sum of their latencies.
    pub wake_sum_ns: u64,
    /// Sum of their squares, ns².
    pub wake_sq_ns2: u128,
    /// Pages of the worker's own memory on the node where it ran last; counted at the end by types with such memory.
    pub pages_local: u64,
    /// Pages of that memory on any node; zero where nothing was counted.
    pub pages_total: u64,
    /// CPU time since it was ready to start; zero, as the next two, on a kernel without `CONFIG_SCHED_INFO`.
    pub run_ns: u64,
    /// Time it could have run and waited for a CPU.
    pub run_delay_ns: u64,
    /// Times it was put on a CPU.
    pub timeslices: u64,
    /// CPUs it was seen on.
    pub cpus: Vec<u32>,
    /// Counts of its latency buckets.
    pub latency: Vec<(usize, u32)>,
}

/// Time without progress: how long, when it ended, and on which CPU.
pub type Standstill = (u64, u64, u32);

/// The mapping of a crew: head, then one slot and one hand-over word for each worker.
pub struct Shared {
    base: *mut std::ffi::c_void,
    len: usize,
    workers: usize,
}

/// A word of its own for workers to hand to each other, and when that was.
#[repr(C, align(128))]
pub struct Baton {
    /// Whose turn it is, or whatever else the work type says with it.
    pub word: AtomicU32,
    /// A second one.
    pub other: AtomicU32,
    stamp_ns: AtomicU64,
}

impl Baton {
    /// Says that whoever waits here is woken now; an older mark that was not taken yet stays, so that a wake-up that is late
    /// is not hidden by the next one.
    pub fn mark(&self, now_ns: u64) {
        let _ = self.stamp_ns.compare_exchange(0, now_ns, Release, Relaxed);
    }

    /// Takes the mark; `None` when there is none.
    pub fn take_mark(&self) -> Option<u64> {
        Some(self.stamp_ns.swap(0, AcqRel)).filter(|&at| at != 0)
    }
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

    /// One worker's hand-over word; past the last worker comes the first again.
    pub fn baton(&self, index: usize) -> &Baton {
        let index = index % self.workers;
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

    /// How long a worker was on each CPU by `end_ns`; nowhere until it was seen somewhere.
    fn residence_of(&self, index: usize, end_ns: u64) -> Vec<(u32, u64)> {
        let slot = self.slot(index);
        let last = slot.cpu.load(Relaxed).checked_sub(1);
        let rest = end_ns.saturating_sub(slot.since_ns.load(Relaxed));
        let times = (0u32..).zip(&slot.residence_ns).map(|(cpu, ns)| {
            let here = if last == Some(cpu) { rest } else { 0 };
            (cpu, ns.load(Relaxed).saturating_add(here))
        });
        times.filter(|(_, ns)| *ns > 0).collect()
    }

    /// Where a worker notes the CPUs it is seen on after so many changes.
    pub(super) const fn bank(moves: u32) -> usize {
        moves as usize % BANKS
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

    /// How long one worker has stood still by `now_ns`, when that is, and its last CPU.
    pub fn standstill(&self, index: usize, now_ns: u64) -> Standstill {
        let (slot, head) = (self.slot(index), self.head());
        let last = slot.last_ns.load(Relaxed).max(head.start_ns.load(Relaxed)).max(head.resumed_ns.load(Relaxed));
        (now_ns.saturating_sub(last), now_ns, slot.cpu.load(Relaxed).saturating_sub(1))
    }

    /// One worker's counters at the end of a run; standing still until then, or until a `rest` (as
    /// [`standstill`](Self::standstill) said), is a gap as well.
    pub fn seen(&self, index: usize, end_ns: u64, rest: Standstill) -> Seen {
        let slot = self.slot(index);
        let start = self.head().start_ns.load(Relaxed);
        let own = (slot.gap_ns.load(Relaxed), slot.gap_at_ns.load(Relaxed), slot.gap_cpu.load(Relaxed));
        let gap = own.max(self.standstill(index, end_ns)).max(rest);
        let [low, high] = slot.wake_sq_ns2.each_ref().map(|half| u128::from(half.load(Relaxed)));
        Seen {
            iterations: slot.iterations.load(Relaxed),
            events: slot.events.load(Relaxed),
            gap_ns: gap.0,
            gap_at_ns: gap.1.saturating_sub(start),
            gap_cpu: gap.2,
            residence_ns: self.residence_of(index, end_ns),
            migrations: slot.migrations.load(Relaxed),
            cross_node_migrations: slot.cross_node_migrations.load(Relaxed),
            wakes: slot.wakes.load(Relaxed),
            wake_sum_ns: slot.wake_sum_ns.load(Relaxed),
            wake_sq_ns2: high << 64 | low,
            pages_local: slot.pages_local.load(Relaxed),
            pages_total: slot.pages_total.load(Relaxed),
            run_ns: 0,
            run_delay_ns: 0,
            timeslices: 0,
            cpus: self.cpus_of(index, self.head().moves.load(Acquire)),
            latency: slot
                .latency
                .iter()
                .enumerate()
                .filter_map(|(i, n)| Some(n.load(Relaxed)).filter(|&n| n > 0).map(|n| (i, n)))
                .collect(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are the mapping that `new` made, and no reference outlives `self`.
        let _ = unsafe { munmap(self.base, self.len) };
    }
}
