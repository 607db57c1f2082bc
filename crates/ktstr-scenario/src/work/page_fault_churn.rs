//! Touches memory page by page and gives it back.

use crate::random::Random;
use super::{KIB, Region, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;

/// Pages between two looks at the clock.
const PORTION: usize = 16;

/// Parameters of [`WorkType::PageFaultChurn`](super::WorkType::PageFaultChurn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFaultChurn {
    /// Memory of each worker, KiB, 4 to 1,048,576.
    pub kib: u32,
}

impl PageFaultChurn {
    /// 1 MiB, 256 faults a turn.
    pub const DEFAULT: Self = Self { kib: 1024 };
}

impl Work for PageFaultChurn {
    fn check(&self) -> Result<()> {
        within("kib", self.kib, KIB)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let region = Region::private(self.kib)?;
        region.without_huge_pages();
        let mut random = Random::of(worker.index());
        while worker.running() {
            // From a place of its own each time, so that no two turns are alike.
            let begin = random.below(u32::MAX) as usize % region.pages();
            for first in (0..region.pages()).step_by(PORTION) {
                let count = PORTION.min(region.pages() - first);
                (first..first + count).for_each(|page| region.touch_page(begin + page));
                worker.event(count as u64);
                worker.progress(1);
            }
            region.forget()?;
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
    fn every_page_is_a_minor_fault() {
        // minflt, field 10 of proc_pid_stat(5).
        let faults = |pid: i32| -> u64 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(7).unwrap().parse().unwrap()
        };
        until(&WorkType::page_fault_churn(), 2, &Manner::default(), |seen, crew| {
            seen.iter().zip(crew.pids()).all(|(w, &pid)| {
                // Counted first: what is counted has happened, but for the portion that is being counted.
                assert!(faults(pid) >= w.events, "{} faults for {w:?}", faults(pid));
                w.events > 1000
            })
        });
    }
}
