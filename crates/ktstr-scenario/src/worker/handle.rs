//! A worker in its own hands: what a work type is given to work with.

use super::apply::set_nice;
use super::checkpoint::{Checkpoint, now_ns};
use super::cpu_mask::CpuMask;
use super::fault::Fault;
use super::nodes::Nodes;
use super::shared::{Baton, Shared, stage};
use crate::work::{Links, Region, burn};
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::Timespec;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Longest wait for somebody before looking whether the run has ended; sleeps that are longer hear of the end by themselves.
pub(crate) const LOOK_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const LOOK_AFTER_NS: u64 = 50_000_000;
/// Rounds of arithmetic between two looks at the clock.
const ROUNDS: u64 = 1000;

/// One worker: which it is, and what it says of its work.
///
/// It runs in a process forked from one with threads: code that is given one must not allocate, lock, print or panic; atomics
/// and plain system calls are what it has.
pub struct Worker<'a> {
    pub(super) index: usize,
    pub(super) count: usize,
    pub(super) checkpoint: Checkpoint<'a>,
    pub(super) shared: &'a Shared,
    pub(super) links: &'a Links,
    pub(super) nodes: &'a Nodes,
    /// Where it was allowed before the start: nobody else has pinned it yet.
    pub(super) home: CpuMask,
    /// Where its manner lets it run, whatever the cpuset.
    pub(super) bounds: CpuMask,
}

impl<'a> Worker<'a> {
    /// Its index, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many workers its crew has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether work goes on; to be asked at least every few milliseconds.
    #[must_use]
    #[inline]
    pub fn running(&self) -> bool {
        self.checkpoint.running()
    }

    /// `units` more of work are done: what iterations are counted in, and what "no progress" means the lack of. Costs some
    /// tens of nanoseconds, no system call.
    #[inline]
    pub fn progress(&self, units: u64) {
        self.checkpoint.progress(units);
    }

    /// Something beside the iterations happened so many times.
    #[inline]
    pub fn event(&self, count: u64) {
        self.checkpoint.event(count);
    }

    /// The worker runs again and should have since `due_ns` of `CLOCK_MONOTONIC`: its wake-up latency is what has passed since.
    pub fn woke(&self, due_ns: u64) {
        self.checkpoint.woke(due_ns);
    }

    /// Now, ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        now_ns()
    }

    /// So many rounds of arithmetic, some nanoseconds each, without touching memory.
    #[inline]
    pub fn burn(&self, rounds: u64) {
        burn(rounds);
    }

    /// Computes for so long, and counts it as progress.
    pub fn spin(&self, ns: u64) {
        let until = now_ns().saturating_add(ns);
        while self.running() && now_ns() < until {
            burn(ROUNDS);
            self.progress(1);
        }
    }

    /// Sleeps until `due_ns` of `CLOCK_MONOTONIC`, or until the end of the work; a wake-up by the clock is measured.
    pub fn sleep_until(&self, due_ns: u64) {
        self.checkpoint.rests_until(due_ns);
        // Long sleeps are waits on a word that changes at the end.
        while self.running() {
            let now = now_ns();
            let left = due_ns.saturating_sub(now);
            if left <= LOOK_AFTER_NS {
                if left > 0 {
                    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &timespec(due_ns));
                }
                if now_ns() >= due_ns {
                    self.woke(due_ns);
                    return;
                }
            } else {
                let word = &self.checkpoint.slot.stage;
                let short = timespec(left - LOOK_AFTER_NS / 2);
                let _ = futex::wait(word, Flags::empty(), stage::READY, Some(&short));
            }
        }
    }

    /// Sleeps for so long.
    pub fn sleep(&self, ns: u64) {
        self.sleep_until(now_ns().saturating_add(ns));
    }

    /// The hand-over word of a worker.
    pub(crate) fn baton(&self, index: usize) -> &'a Baton {
        self.shared.baton(index)
    }

    /// Waits while a word holds `value`, at most [`LOOK_AFTER`]; whether it slept.
    ///
    /// So it did when nobody woke it: a waiter whose time was over, and who has not run yet when the waker comes, is one more
    /// that is late.
    pub(crate) fn wait(&self, word: &AtomicU32, value: u32) -> bool {
        futex::wait(word, Flags::empty(), value, Some(&LOOK_AFTER)) != Err(Errno::AGAIN)
    }

    /// Wakes at most so many who wait on a word; how many there were.
    pub(crate) fn wake(&self, word: &AtomicU32, most: u32) -> u64 {
        futex::wake(word, Flags::empty(), most).map_or(0, |woken| woken as u64)
    }

    /// A file that its parent has opened.
    pub(crate) fn file(&self, index: usize) -> Result<BorrowedFd<'a>, Fault> {
        self.links.file(index).ok_or(Fault::missing("a file of the work type"))
    }

    /// Memory that the crew shares.
    pub(crate) fn region(&self) -> Result<&'a Region, Fault> {
        self.links.region().ok_or(Fault::missing("shared memory of the work type"))
    }

    /// Numbers that its parent has looked up.
    pub(crate) fn numbers(&self) -> &'a [u32] {
        self.links.numbers()
    }

    /// The machine's nodes.
    pub(crate) fn nodes(&self) -> &'a Nodes {
        self.nodes
    }

    /// Where it was allowed to run before the start.
    pub(crate) fn home(&self) -> CpuMask {
        self.home
    }

    /// Looks anew where it may run, when the cpuset has changed: what its manner says of the new one, all where that is nothing.
    pub(crate) fn learn_home(&self) -> Result<CpuMask, Fault> {
        match self.bounds.apply(0) {
            Err(fault) if fault.is_invalid() => CpuMask::ALL.apply(0)?,
            other => other?,
        }
        CpuMask::allowed()
    }

    /// Sets its own nice value.
    pub(crate) fn set_nice(&self, nice: i32) -> Result<(), Fault> {
        set_nice(nice)
    }

    /// How often the crew's cpuset has changed.
    pub(crate) fn moves(&self) -> u32 {
        self.checkpoint.head.moves.load(Relaxed)
    }

    /// Counts where the pages of its memory lie.
    pub(crate) fn count_pages(&self, region: &Region) {
        let (local, total) = region.pages_on(i32::from(self.checkpoint.node()));
        self.checkpoint.pages(local, total);
    }
}

impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "worker {} of {}", self.index, self.count)
    }
}

/// Nanoseconds as the kernel takes them.
pub(crate) fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0),
    }
}
