//! Pairs that write a working set in turn and hand over through a pipe.

use super::pipe_io::pass_on;
use super::{GroupSize, KIB, Links, Region, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::path::Path;

/// Parameters of [`WorkType::CachePipe`](super::WorkType::CachePipe).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePipe {
    /// Working set of each worker, KiB, 4 to 1,048,576.
    pub kib: u32,
}

impl CachePipe {
    /// 64 KiB.
    pub const DEFAULT: Self = Self { kib: 64 };
}

impl Work for CachePipe {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn check(&self) -> Result<()> {
        within("kib", self.kib, KIB)
    }

    fn links(&self, workers: usize, _group: Option<&Path>) -> Result<Links> {
        Links::pipes(workers)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let set = Region::private(self.kib)?;
        pass_on(worker, &mut [0], || set.walk())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn partners_hand_over_byte_by_byte() {
        let seen = run(&WorkType::cache_pipe(), 2, |seen| seen.iter().all(|w| w.events > 20));
        assert!(seen.iter().all(|w| w.events == w.iterations) && seen[0].events.abs_diff(seen[1].events) <= 1, "{seen:?}");
    }
}
