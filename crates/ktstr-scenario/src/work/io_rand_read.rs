//! Reads blocks of one file at random places.

use crate::random::Random;
use super::{Links, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::path::Path;

/// Bytes read at once.
const BLOCK: usize = 4096;
/// Rounds of work for each block.
const ROUNDS: u64 = 100;

/// Parameters of [`WorkType::IoRandRead`](super::WorkType::IoRandRead). The file is one for all workers, has no name, and lies in
/// the directory for temporary files; it is in the page cache unless memory is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoRandRead {
    /// Size of the file, KiB, 4 to 1,048,576.
    pub kib: u32,
}

impl IoRandRead {
    /// 2 MiB.
    pub const DEFAULT: Self = Self { kib: 2048 };
}

impl Work for IoRandRead {
    fn check(&self) -> Result<()> {
        within("kib", self.kib, super::KIB)
    }

    fn links(&self, _workers: usize, _group: Option<&Path>) -> Result<Links> {
        Links::scratch(1, self.kib as usize * 1024)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let file = worker.file(0)?;
        let mut random = Random::of(worker.index());
        let mut block = [0u8; BLOCK];
        while worker.running() {
            let at = u64::from(random.below(self.kib / 4)) * BLOCK as u64;
            let got =
                rustix::io::pread(file, &mut block, at).map_err(|e| Fault::new("pread at", at.cast_signed(), e))?;
            burn(ROUNDS);
            worker.event(got as u64);
            worker.progress(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn every_read_brings_a_whole_block() {
        for worker in run(&WorkType::io_rand_read(), 2, |seen| seen.iter().all(|w| w.iterations > 20)) {
            assert_eq!(worker.events, worker.iterations * 4096, "{worker:?}");
        }
    }
}
