//! A lock held at low weight, wanted at high weight, and somebody who only computes in between.

use super::lock::{lock, unlock};
use super::{GroupSize, TIMES, Work, nanos, within};
use crate::worker::{Baton, Fault, Worker};
use anyhow::Result;
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

/// Nice values of the three, by place in the group; one below zero is left out where the worker may not have it.
const NICE: [i32; 3] = [19, 0, -10];
/// Time that the one in between sleeps after each burst.
const REST_NS: u64 = 200_000;

/// Parameters of [`WorkType::PriorityInversion`](super::WorkType::PriorityInversion).
///
/// The first of each three holds the lock at nice 19, the second computes at its own, the third wants the lock at nice -10, or at
/// its own where it may not have that. Its wake-ups are measured from when the lock was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityInversion {
    /// Whether the lock lends the waiter's priority to its holder (`FUTEX_LOCK_PI`, futex(2)).
    pub inherit: bool,
    /// Time that the holder computes under the lock, and that both sleep after it, 1 µs to 1 h.
    pub hold: Duration,
    /// Time that the one in between computes at once, 1 µs to 1 h.
    pub burst: Duration,
}

impl PriorityInversion {
    /// A plain futex, 500 µs under it, bursts of 5 ms.
    pub const DEFAULT: Self =
        Self { inherit: false, hold: Duration::from_micros(500), burst: Duration::from_millis(5) };
}

impl Work for PriorityInversion {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(3)
    }

    fn check(&self) -> Result<()> {
        within("hold", self.hold, TIMES)?;
        within("burst", self.burst, TIMES)
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        match NICE.get(worker.index() % 3).copied().unwrap_or(0) {
            0 => Ok(()),
            nice => worker.set_nice(nice).or_else(|fault| if fault.is_forbidden() && nice < 0 { Ok(()) } else { Err(fault) }),
        }
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let place = worker.index() % 3;
        let baton = worker.baton(worker.index() - place);
        while worker.running() {
            if place == 1 {
                worker.spin(nanos(self.burst));
                worker.sleep(REST_NS);
                continue;
            }
            let Some(slept) = self.take(worker, baton)? else {
                return Ok(());
            };
            // Only the third sleeps for it with the first as its only rival.
            if let Some(at) = baton.take_mark().filter(|_| slept && place == 2) {
                worker.woke(at);
            }
            worker.event(1);
            worker.progress(1);
            if place == 0 {
                worker.spin(nanos(self.hold));
            }
            self.release(worker, baton)?;
            // Away for a while: who takes it back at once leaves a plain lock's waiter no chance.
            worker.sleep(nanos(self.hold));
        }
        Ok(())
    }
}

impl PriorityInversion {
    /// Whether it slept for the lock; `None` at the end of the work.
    fn take(self, worker: &Worker<'_>, baton: &Baton) -> Result<Option<bool>, Fault> {
        if !self.inherit {
            return Ok(lock(worker, baton).map(|slept| slept > 0));
        }
        if baton.word.compare_exchange(0, own_tid(), Acquire, Relaxed).is_ok() {
            return Ok(Some(false));
        }
        while worker.running() {
            match futex::lock_pi(&baton.word, Flags::empty(), None) {
                Ok(()) => return Ok(Some(true)),
                Err(Errno::INTR | Errno::AGAIN | Errno::SRCH) => {}
                Err(e) => return Err(Fault::new("futex(FUTEX_LOCK_PI)", 0, e)),
            }
        }
        Ok(None)
    }

    fn release(self, worker: &Worker<'_>, baton: &Baton) -> Result<(), Fault> {
        if !self.inherit {
            unlock(worker, baton);
            return Ok(());
        }
        if baton.word.load(Relaxed) & futex::WAITERS != 0 {
            baton.mark(worker.now_ns());
        }
        if baton.word.compare_exchange(own_tid(), 0, Release, Relaxed).is_ok() {
            return Ok(());
        }
        futex::unlock_pi(&baton.word, Flags::empty()).map_err(|e| Fault::new("futex(FUTEX_UNLOCK_PI)", 0, e))
    }
}

fn own_tid() -> u32 {
    rustix::thread::gettid().as_raw_pid().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::until;
    use crate::worker::Manner;

    fn contend(inherit: bool) {
        let short = Duration::from_micros(100);
        let work = WorkType::PriorityInversion(PriorityInversion { inherit, hold: short, burst: short });
        let seen = until(&work, 3, &Manner::default(), |seen, _| {
            seen.iter().all(|w| w.iterations > 0) && seen[0].events > 5 && seen[2].events > 5 && seen[2].wakes > 8
        });
        assert!(seen[1].events == 0 && seen[1].wakes > 0, "{seen:?}");
    }

    #[test]
    fn the_lock_goes_from_low_to_high_and_back() {
        contend(false);
    }

    #[test]
    fn so_it_does_when_it_lends_its_waiter_s_priority() {
        contend(true);
    }
}
