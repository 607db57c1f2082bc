//! Writes blocks of a file of its own and has them written out.

use super::{Links, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::path::Path;

/// Most bytes of a block.
const MOST: usize = 65536;
/// Blocks of the file, written in turn.
const BLOCKS: u64 = 64;

/// Parameters of [`WorkType::IoSyncWrite`](super::WorkType::IoSyncWrite). The file has no name and lies in the directory for
/// temporary files; where that is a tmpfs, as in the guest, there is no device to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoSyncWrite {
    /// Bytes written at once, 1 to 65,536.
    pub block: usize,
    /// Blocks between two fdatasync(2), 1 to 10,000.
    pub sync_every: u32,
}

impl IoSyncWrite {
    /// 4 KiB, written out after every 16th.
    pub const DEFAULT: Self = Self { block: 4096, sync_every: 16 };
}

impl Work for IoSyncWrite {
    fn check(&self) -> Result<()> {
        within("block", self.block, 1..=MOST)?;
        within("sync_every", self.sync_every, 1..=10_000)
    }

    fn links(&self, workers: usize, _group: Option<&Path>) -> Result<Links> {
        Links::scratch(workers, 0)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let file = worker.file(worker.index())?;
        let bytes = [0x5au8; MOST];
        let block = bytes.get(..self.block).unwrap_or(&bytes);
        let mut number = 0;
        while worker.running() {
            for _ in 0..self.sync_every {
                let at = number % BLOCKS * block.len() as u64;
                let put =
                    rustix::io::pwrite(file, block, at).map_err(|e| Fault::new("pwrite at", at.cast_signed(), e))?;
                number += 1;
                worker.event(put as u64);
                worker.progress(1);
            }
            rustix::fs::fdatasync(file).map_err(|e| Fault::new("fdatasync of file", 0, e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn each_block_is_counted_with_its_bytes() {
        let work = WorkType::IoSyncWrite(IoSyncWrite { block: 100, sync_every: 4 });
        for worker in run(&work, 2, |seen| seen.iter().all(|w| w.iterations > 8)) {
            assert_eq!(worker.events, worker.iterations * 100, "{worker:?}");
        }
    }
}
