//! Moves itself between cgroups below its own.

use super::sub_groups::SubGroups;
use super::{Links, TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// Parameters of [`WorkType::CgroupChurn`](super::WorkType::CgroupChurn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupChurn {
    /// Cgroups to move between, 2 to 64; they are made below the workers' own and removed with the workers.
    pub groups: u32,
    /// Time computing in each, 1 µs to 1 h.
    pub hold: Duration,
}

impl CgroupChurn {
    /// Two, 1 ms in each.
    pub const DEFAULT: Self = Self { groups: 2, hold: Duration::from_millis(1) };
}

impl Work for CgroupChurn {
    fn check(&self) -> Result<()> {
        within("groups", self.groups, 2..=64)?;
        within("hold", self.hold, TIMES)
    }

    fn links(&self, _workers: usize, group: Option<&Path>) -> Result<Links> {
        SubGroups::make(group, self.groups)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let mut turn = worker.index();
        while worker.running() {
            let procs = worker.file(turn % self.groups as usize)?;
            // Zero is the writer itself (kernel: Documentation/admin-guide/cgroup-v2.rst).
            rustix::io::write(procs, b"0").map_err(|e| Fault::new("write to cgroup.procs of process", 0, e))?;
            worker.event(1);
            turn += 1;
            worker.spin(nanos(self.hold));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::sub_groups::in_a_cgroup;
    use crate::work::testing::refused;

    #[test]
    fn it_is_seen_in_each_of_its_cgroups_and_leaves_none() {
        in_a_cgroup(&WorkType::cgroup_churn(), 2, |seen, crew| {
            seen.iter().all(|w| w.events > 5).then(|| crew.pids()[0])
        });
    }

    #[test]
    fn without_a_cgroup_it_is_refused() {
        assert!(refused(&WorkType::cgroup_churn(), 1).contains("CgroupChurn: it moves between cgroups and has none"));
    }
}
