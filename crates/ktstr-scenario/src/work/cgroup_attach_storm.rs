//! The first worker moves all others between cgroups below their own.

use super::signal_storm::{pid_of, say_pid};
use super::sub_groups::{Digits, SubGroups};
use super::{GroupSize, Links, TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

/// Time that those who are moved compute between two looks whether the work goes on.
const SPIN_NS: u64 = 1_000_000;

/// Parameters of [`WorkType::CgroupAttachStorm`](super::WorkType::CgroupAttachStorm).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupAttachStorm {
    /// Cgroups to move them between, 2 to 64; they are made below the workers' own and removed with the workers.
    pub groups: u32,
    /// Time between two moves, 1 µs to 1 h.
    pub pause: Duration,
}

impl CgroupAttachStorm {
    /// Two, and 200 µs.
    pub const DEFAULT: Self = Self { groups: 2, pause: Duration::from_micros(200) };
}

impl Work for CgroupAttachStorm {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("groups", self.groups, 2..=64)?;
        within("pause", self.pause, TIMES)
    }

    fn links(&self, _workers: usize, group: Option<&Path>) -> Result<Links> {
        SubGroups::make(group, self.groups)
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        say_pid(worker);
        Ok(())
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let mut turn = 0;
        while worker.running() {
            if worker.index() > 0 {
                worker.spin(SPIN_NS);
                continue;
            }
            for index in 1..worker.count() {
                self.attach(worker, index, turn + index)?;
                worker.spin(nanos(self.pause));
            }
            turn += 1;
        }
        Ok(())
    }
}

impl CgroupAttachStorm {
    fn attach(self, worker: &Worker<'_>, index: usize, to: usize) -> Result<(), Fault> {
        let pid = pid_of(worker, index).map_or(0, rustix::process::Pid::as_raw_pid);
        let procs = worker.file(to % self.groups as usize)?;
        match rustix::io::write(procs, Digits::of(pid.unsigned_abs()).as_bytes()) {
            Ok(_) => worker.event(1),
            Err(Errno::SRCH) if !worker.running() => {}
            Err(e) => return Err(Fault::new("write to cgroup.procs of process", i64::from(pid), e)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::sub_groups::in_a_cgroup;

    #[test]
    fn the_others_are_seen_in_each_of_their_cgroups_and_none_is_left() {
        in_a_cgroup(&WorkType::cgroup_attach_storm(), 3, |seen, crew| (seen[0].events > 5).then(|| crew.pids()[2]));
    }
}
