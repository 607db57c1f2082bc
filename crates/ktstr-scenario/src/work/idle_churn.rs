//! Runs and sleeps so briefly that its CPU goes in and out of idle all the time.

use super::{TIMES, Work, burn, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::IdleChurn`](super::WorkType::IdleChurn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleChurn {
    /// Rounds of arithmetic between two sleeps, 0 to 1,000,000; some ns each.
    pub rounds: u64,
    /// Length of a sleep, 1 µs to 1 h.
    pub sleep: Duration,
}

impl IdleChurn {
    /// Next to nothing, every 100 µs.
    pub const DEFAULT: Self = Self { rounds: 1000, sleep: Duration::from_micros(100) };
}

impl Work for IdleChurn {
    fn check(&self) -> Result<()> {
        within("rounds", self.rounds, 0..=1_000_000)?;
        within("sleep", self.sleep, TIMES)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            burn(self.rounds);
            worker.progress(1);
            worker.sleep(nanos(self.sleep));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn every_run_ends_in_a_sleep() {
        for worker in run(&WorkType::idle_churn(), 2, |seen| seen.iter().all(|w| w.wakes > 20)) {
            assert!(worker.iterations.abs_diff(worker.wakes) <= 1, "{worker:?}");
        }
    }
}
