//! One worker computes under `SCHED_FIFO` in bursts, the others beside it.

use super::{GroupSize, TIMES, Work, nanos, within};
use crate::worker::{Fault, Policy, SCHED_FIFO_RANGE, Worker, set_policy};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::RtStarvation`](super::WorkType::RtStarvation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtStarvation {
    /// Real-time priority of the first worker, 1 to 99.
    pub priority: u32,
    /// Length of a burst, 1 µs to 1 h; the others stand still where it runs.
    pub burst: Duration,
    /// Sleep between two bursts, 1 µs to 1 h.
    pub rest: Duration,
}

impl RtStarvation {
    /// Half of a CPU, 20 ms at a time.
    pub const DEFAULT: Self = Self { priority: 1, burst: Duration::from_millis(20), rest: Duration::from_millis(20) };
}

impl Work for RtStarvation {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("priority", self.priority, SCHED_FIFO_RANGE)?;
        within("burst", self.burst, TIMES)?;
        within("rest", self.rest, TIMES)
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        if worker.index() == 0 { set_policy(&Policy::Fifo(self.priority)) } else { Ok(()) }
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            worker.spin(nanos(self.burst));
            if worker.index() == 0 {
                worker.event(1);
                worker.sleep(nanos(self.rest));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::{refused, until};
    use crate::worker::Manner;

    #[test]
    fn who_is_beside_it_stands_still_for_a_burst() {
        let (burst, rest) = (Duration::from_millis(30), Duration::from_millis(10));
        let work = WorkType::RtStarvation(RtStarvation { burst, rest, ..RtStarvation::DEFAULT });
        if !rustix::process::geteuid().is_root() {
            assert!(refused(&work, 2).contains("sched_setscheduler to SCHED_FIFO 1 failed"));
            return;
        }
        let manner = Manner { affinity: vec![vec![0], vec![0]], ..Manner::default() };
        let seen = until(&work, 2, &manner, |seen, crew| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", crew.pids()[0])).unwrap();
            // rt_priority and policy, fields 40 and 41 of proc_pid_stat(5).
            assert!(stat.contains(" 1 1 "), "{stat}");
            seen[0].events > 3 && seen[1].iterations > 0
        });
        assert!(seen[1].gap_ns >= 25_000_000 && seen[0].wakes >= 2, "{seen:?}");
    }
}
