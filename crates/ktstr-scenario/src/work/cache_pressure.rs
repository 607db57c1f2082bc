//! Writes a working set, cache line after cache line.

use super::{KIB, Region, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;

/// Parameters of [`WorkType::CachePressure`](super::WorkType::CachePressure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePressure {
    /// Working set of each worker, KiB, 4 to 1,048,576.
    pub kib: u32,
}

impl CachePressure {
    /// 1 MiB: more than the nearest caches, less than the last.
    pub const DEFAULT: Self = Self { kib: 1024 };
}

impl Work for CachePressure {
    fn check(&self) -> Result<()> {
        within("kib", self.kib, KIB)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let set = Region::private(self.kib)?;
        while worker.running() {
            set.walk();
            worker.progress(1);
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
    fn the_working_set_is_written_again_and_again() {
        let work = WorkType::CachePressure(CachePressure { kib: 256 });
        for worker in run(&work, 2, |seen| seen.iter().all(|w| w.iterations > 20)) {
            // Where the kernel knows nodes, all of the set is somewhere.
            assert!(worker.pages_total == 64 || worker.pages_total == 0, "{worker:?}");
        }
    }

    #[test]
    fn each_pass_writes_one_word_of_every_line_and_no_other() {
        let set = Region::shared(8192).unwrap();
        set.walk();
        set.walk();
        let words = set.words().iter().map(|w| w.load(std::sync::atomic::Ordering::Relaxed));
        assert!(words.enumerate().all(|(i, word)| word == if i % 8 == 0 { 2 } else { 0 }));
    }
}
