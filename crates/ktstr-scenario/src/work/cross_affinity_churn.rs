//! Pins its partners to one CPU after another while they compute.

use super::roam::Roam;
use super::signal_storm::{pid_of, say_pid};
use super::{GroupSize, TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use rustix::io::Errno;
use std::time::Duration;

/// Parameters of [`WorkType::CrossAffinityChurn`](super::WorkType::CrossAffinityChurn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossAffinityChurn {
    /// Time computing between two changes, 1 µs to 1 h.
    pub hold: Duration,
}

impl CrossAffinityChurn {
    /// 1 ms.
    pub const DEFAULT: Self = Self { hold: Duration::from_millis(1) };
}

impl Work for CrossAffinityChurn {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("hold", self.hold, TIMES)
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        say_pid(worker);
        Ok(())
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let mut roam = Roam::new(worker);
        let mut step = 1;
        while worker.running() {
            // Each of the others in turn.
            let partner = (worker.index() + step) % worker.count();
            step = step % (worker.count() - 1) + 1;
            let pid = pid_of(worker, partner).map_or(0, rustix::process::Pid::as_raw_pid);
            match roam.pin(worker, pid) {
                Ok(true) => worker.event(1),
                Ok(false) => {}
                Err(fault) if fault.is(Errno::SRCH) && !worker.running() => {}
                Err(fault) => return Err(fault),
            }
            worker.spin(nanos(self.hold));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::{pinned, until};
    use crate::worker::{CpuMask, Manner};
    use std::collections::BTreeSet;

    #[test]
    fn partners_are_pinned_to_and_seen_on_every_cpu() {
        let cpus = (CpuMask::allowed().unwrap_or(CpuMask::ALL).len() as usize).min(2);
        let mut pins = [const { BTreeSet::new() }; 3];
        until(&WorkType::cross_affinity_churn(), 3, &Manner::default(), |seen, crew| {
            pins.iter_mut().zip(crew.pids()).for_each(|(pins, &pid)| pins.extend(pinned(pid)));
            pins.iter().all(|pins| pins.len() >= cpus) && seen.iter().all(|w| w.events > 5 && w.cpus.len() >= cpus)
        });
    }
}
