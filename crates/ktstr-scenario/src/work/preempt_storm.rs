//! Pairs of one that computes and one that sleeps and wakes many times a second to preempt it.

use super::{GroupSize, SPIN_ROUNDS, TIMES, Work, burn, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::PreemptStorm`](super::WorkType::PreemptStorm).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreemptStorm {
    /// Time between two wake-ups, 1 µs to 1 h.
    pub period: Duration,
    /// Rounds of arithmetic for each, 0 to 1,000,000; some ns each.
    pub rounds: u64,
}

impl PreemptStorm {
    /// Every 200 µs, for next to nothing.
    pub const DEFAULT: Self = Self { period: Duration::from_micros(200), rounds: 500 };
}

impl Work for PreemptStorm {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn check(&self) -> Result<()> {
        within("period", self.period, TIMES)?;
        within("rounds", self.rounds, 0..=1_000_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            if worker.index().is_multiple_of(2) {
                burn(SPIN_ROUNDS);
                worker.progress(SPIN_ROUNDS);
            } else {
                worker.sleep(nanos(self.period));
                burn(self.rounds);
                worker.event(1);
                worker.progress(1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::until;
    use crate::worker::Manner;

    #[test]
    fn who_computes_is_interrupted_by_who_wakes() {
        let manner = Manner { affinity: vec![vec![0], vec![0]], ..Manner::default() };
        // nonvoluntary_ctxt_switches of proc_pid_status(5).
        let preempted = |pid: i32| -> u64 {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            status.rsplit_once(':').unwrap().1.trim().parse().unwrap()
        };
        let seen = until(&WorkType::preempt_storm(), 2, &manner, |seen, crew| {
            seen[1].wakes > 20 && preempted(crew.pids()[0]) > 5
        });
        assert!(seen[0].wakes == 0 && seen[1].events >= seen[1].wakes, "{seen:?}");
    }
}
