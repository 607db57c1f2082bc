//! Has its working set moved from node to node while it writes it.

use super::{KIB, Region, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use rustix::io::Errno;

/// Parameters of [`WorkType::NumaWorkingSetSweep`](super::WorkType::NumaWorkingSetSweep).
///
/// Nodes without memory, or outside the worker's cpuset, are passed over; so is every node by a kernel without NUMA, where the
/// working set is only written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumaWorkingSetSweep {
    /// Working set of each worker, KiB, 4 to 1,048,576.
    pub kib: u32,
    /// Times it is written on each node, 1 to 1,000,000.
    pub passes: u32,
}

impl NumaWorkingSetSweep {
    /// 1 MiB, 16 times on each node.
    pub const DEFAULT: Self = Self { kib: 1024, passes: 16 };
}

impl Work for NumaWorkingSetSweep {
    fn check(&self) -> Result<()> {
        within("kib", self.kib, KIB)?;
        within("passes", self.passes, 1..=1_000_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let set = Region::private(self.kib)?;
        let nodes = worker.nodes().all();
        let mut turn = worker.index();
        while worker.running() {
            if let Some((node, _)) = turn.checked_rem(nodes.len()).and_then(|at| nodes.get(at)) {
                match set.move_to(*node) {
                    Ok(()) => worker.event(1),
                    Err(fault) if fault.is_invalid() || fault.is(Errno::NOSYS) => {}
                    Err(fault) => return Err(fault),
                }
            }
            turn += 1;
            for _ in 0..self.passes {
                set.walk();
                worker.progress(1);
            }
        }
        worker.count_pages(&set);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn the_set_is_moved_and_its_pages_are_counted() {
        let has_numa = std::path::Path::new("/sys/devices/system/node/node0").exists();
        let work = WorkType::NumaWorkingSetSweep(NumaWorkingSetSweep { kib: 256, passes: 2 });
        let moves = if has_numa { 3 } else { 0 };
        for worker in run(&work, 2, |seen| seen.iter().all(|w| w.events >= moves)) {
            assert_eq!(worker.pages_total, if has_numa { 64 } else { 0 }, "{worker:?}");
            assert!(worker.pages_local <= worker.pages_total);
        }
    }
}
