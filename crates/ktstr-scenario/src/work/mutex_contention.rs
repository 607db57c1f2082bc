//! Contends for one lock.

use super::lock::{lock, unlock};
use super::{GroupSize, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;

/// Parameters of [`WorkType::MutexContention`](super::WorkType::MutexContention). Wake-ups are not measured: who lets go of a
/// lock does not know whom it wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutexContention {
    /// Rounds of arithmetic while holding the lock, 0 to 1,000,000; some ns each.
    pub held: u64,
    /// Rounds between letting go and wanting it again, 0 to 1,000,000.
    pub between: u64,
}

impl MutexContention {
    /// Half of the time under the lock: who hardly lets go leaves the others no chance, and looks like a scheduler that does.
    pub const DEFAULT: Self = Self { held: 5000, between: 5000 };
}

impl Work for MutexContention {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("held", self.held, 0..=1_000_000)?;
        within("between", self.between, 0..=1_000_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let baton = worker.baton(0);
        while let Some(slept) = lock(worker, baton).filter(|_| worker.running()) {
            burn(self.held);
            worker.event(slept);
            worker.progress(1);
            unlock(worker, baton);
            burn(self.between);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn workers_sleep_for_the_lock() {
        run(&WorkType::mutex_contention(), 3, |seen| seen.iter().map(|w| w.events).sum::<u64>() > 10);
    }

    #[test]
    fn only_one_holds_the_lock() {
        // The holder adds in two steps what a second holder would spoil: the sum of all is the sum of their iterations.
        let work = WorkType::custom("counts under the lock", |worker| {
            let (baton, sum) = (worker.baton(0), &worker.baton(1).other);
            while lock(worker, baton).is_some() {
                let before = sum.load(Relaxed);
                worker.burn(50);
                sum.store(before + 1, Relaxed);
                worker.progress(1);
                let last = !worker.running();
                if last {
                    worker.event(u64::from(sum.load(Relaxed)));
                }
                unlock(worker, baton);
                if last {
                    return;
                }
            }
        });
        let seen = run(&work, 3, |seen| seen.iter().all(|w| w.iterations > 200));
        let sum: u64 = seen.iter().map(|w| w.iterations).sum();
        assert_eq!(seen.iter().map(|w| w.events).max(), Some(sum), "{seen:?}");
    }
}
