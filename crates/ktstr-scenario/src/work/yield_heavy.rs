//! Gives the CPU away after each small piece of work.

use super::{Work, burn};
use crate::worker::{Fault, Worker};

/// Rounds of work between two yields.
const ROUNDS: u64 = 100;

pub struct YieldHeavy;

impl Work for YieldHeavy {
    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            burn(ROUNDS);
            rustix::thread::sched_yield();
            worker.event(1);
            worker.progress(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn yielding_workers_count_their_yields() {
        for worker in run(&WorkType::YieldHeavy, 2, |_| true) {
            assert!(worker.events > 0 && worker.events >= worker.iterations, "{worker:?}");
        }
    }
}
