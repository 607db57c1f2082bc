//! Writes a working set and gives the CPU away after each pass, to whoever throws it out of the cache.

use super::{KIB, Region, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;

/// Parameters of [`WorkType::CacheYield`](super::WorkType::CacheYield).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheYield {
    /// Working set of each worker, KiB, 4 to 1,048,576.
    pub kib: u32,
}

impl CacheYield {
    /// 256 KiB.
    pub const DEFAULT: Self = Self { kib: 256 };
}

impl Work for CacheYield {
    fn check(&self) -> Result<()> {
        within("kib", self.kib, KIB)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let set = Region::private(self.kib)?;
        while worker.running() {
            set.walk();
            rustix::thread::sched_yield();
            worker.event(1);
            worker.progress(1);
        }
        worker.count_pages(&set);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn each_pass_ends_with_a_yield() {
        for worker in run(&WorkType::cache_yield(), 2, |seen| seen.iter().all(|w| w.iterations > 20)) {
            assert_eq!(worker.events, worker.iterations, "{worker:?}");
        }
    }
}
