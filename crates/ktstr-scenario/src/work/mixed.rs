//! Computes, yields and sleeps in turn, as most programs do.

use super::{Work, burn};
use crate::worker::{Fault, Worker};

/// Pieces of work with a yield after each, between two sleeps.
const PIECES: u32 = 8;
/// Rounds of one piece.
const ROUNDS: u64 = 10_000;
/// Length of the sleep.
const SLEEP_NS: u64 = 300_000;

pub struct Mixed;

impl Work for Mixed {
    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            for _ in 0..PIECES {
                burn(ROUNDS);
                rustix::thread::sched_yield();
                worker.event(1);
                worker.progress(1);
            }
            worker.sleep(SLEEP_NS);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn mixed_workers_compute_yield_and_wake() {
        for worker in run(&WorkType::Mixed, 2, |seen| seen.iter().all(|w| w.wakes >= 3)) {
            assert!(worker.events >= 3 * 8, "{worker:?}");
        }
    }
}
