//! Goes through scheduling policies.

use super::{TIMES, Work, nanos, within};
use crate::worker::{Fault, Policy, Worker, set_policy};
use anyhow::Result;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What everybody may have, and what only some may.
const PLAIN: [Policy; 3] = [Policy::Normal, Policy::Batch, Policy::Idle];
const REAL_TIME: [Policy; 2] = [Policy::Fifo(1), Policy::RoundRobin(1)];

/// Parameters of [`WorkType::PolicyChurn`](super::WorkType::PolicyChurn). Under `SCHED_IDLE` it may stand still for a second and
/// more beside others that are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyChurn {
    /// Time computing under each, 1 µs to 1 h.
    pub hold: Duration,
}

impl PolicyChurn {
    /// 1 ms.
    pub const DEFAULT: Self = Self { hold: Duration::from_millis(1) };
}

impl Work for PolicyChurn {
    fn check(&self) -> Result<()> {
        within("hold", self.hold, TIMES)
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        match set_policy(&Policy::Fifo(1)) {
            Ok(()) => worker.baton(worker.index()).word.store(1, Relaxed),
            Err(fault) if fault.is_forbidden() => {}
            Err(fault) => return Err(fault),
        }
        set_policy(&Policy::Normal)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let real_time = worker.baton(worker.index()).word.load(Relaxed) == 1;
        let more: &[Policy] = if real_time { &REAL_TIME } else { &[] };
        while worker.running() {
            for policy in PLAIN.iter().chain(more) {
                set_policy(policy)?;
                worker.event(1);
                worker.spin(nanos(self.hold));
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
    use std::collections::BTreeSet;

    #[test]
    fn every_policy_it_may_have_is_seen() {
        let wanted = if rustix::process::geteuid().is_root() { 5 } else { 3 };
        let mut policies = BTreeSet::new();
        until(&WorkType::policy_churn(), 1, &Manner::default(), |_, crew| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", crew.pids()[0])).unwrap();
            // Field 41 of proc_pid_stat(5).
            policies.insert(stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(38).unwrap().to_owned());
            policies.len() == wanted
        });
    }
}
