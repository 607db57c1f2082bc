//! Pins itself to one CPU after another.

use super::roam::Roam;
use super::{TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::AffinityChurn`](super::WorkType::AffinityChurn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffinityChurn {
    /// Time computing on each CPU, 1 µs to 1 h.
    pub hold: Duration,
}

impl AffinityChurn {
    /// 1 ms.
    pub const DEFAULT: Self = Self { hold: Duration::from_millis(1) };
}

impl Work for AffinityChurn {
    fn check(&self) -> Result<()> {
        within("hold", self.hold, TIMES)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let mut roam = Roam::new(worker);
        while worker.running() {
            if roam.pin(worker, 0)? {
                worker.event(1);
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
    fn it_is_pinned_to_and_seen_on_every_cpu_it_is_allowed() {
        let cpus = (CpuMask::allowed().unwrap_or(CpuMask::ALL).len() as usize).min(2);
        let mut pins = BTreeSet::new();
        let seen = until(&WorkType::affinity_churn(), 2, &Manner::default(), |seen, crew| {
            pins.extend(crew.pids().iter().filter_map(|&pid| pinned(pid)));
            pins.len() >= cpus && seen.iter().all(|w| w.events > 5 && w.cpus.len() >= cpus)
        });
        assert!(cpus < 2 || seen.iter().all(|w| w.migrations > 0), "{seen:?}");
    }

    #[test]
    fn it_keeps_to_what_it_is_allowed() {
        let manner = Manner { affinity: vec![vec![0]], ..Manner::default() };
        let mut places = Vec::new();
        until(&WorkType::affinity_churn(), 1, &manner, |seen, crew| {
            // As after a change of the cpuset, which here leaves all as it is.
            places.extend(crew.moved().concat());
            seen[0].events > 5 && !places.is_empty()
        });
        assert!(places.iter().all(|&cpu| cpu == 0), "{places:?}");
    }
}
