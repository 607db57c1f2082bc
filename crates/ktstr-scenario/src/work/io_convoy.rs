//! Workers that queue at one file's lock (fcntl(2), record locks), write it, and go back to the end of the queue.

use super::{GroupSize, Links, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use rustix::io::Errno;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::Path;

/// Bytes that are written under the lock.
const BLOCK: usize = 4096;

/// Parameters of [`WorkType::IoConvoy`](super::WorkType::IoConvoy).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoConvoy {
    /// Blocks of 4 KiB written while holding the lock, 1 to 10,000; they are written out before it is let go.
    pub blocks: u32,
    /// Rounds of arithmetic between letting go and queueing again, 0 to 1,000,000; some ns each.
    pub rounds: u64,
}

impl IoConvoy {
    /// Four blocks, and hardly a break.
    pub const DEFAULT: Self = Self { blocks: 4, rounds: 500 };
}

impl Work for IoConvoy {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("blocks", self.blocks, 1..=10_000)?;
        within("rounds", self.rounds, 0..=1_000_000)
    }

    fn links(&self, _workers: usize, _group: Option<&Path>) -> Result<Links> {
        Links::scratch(1, 0)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let file = worker.file(0)?;
        let block = [0x5au8; BLOCK];
        while worker.running() {
            if !lock(file, libc::F_WRLCK, libc::F_SETLK)? {
                worker.event(1);
                // Whoever holds it lets go, or has ended: there is no waiting without end.
                while !lock(file, libc::F_WRLCK, libc::F_SETLKW)? {}
            }
            for number in 0..u64::from(self.blocks) {
                let at = number * BLOCK as u64;
                rustix::io::pwrite(file, &block, at).map_err(|e| Fault::new("pwrite at", at.cast_signed(), e))?;
            }
            rustix::fs::fdatasync(file).map_err(|e| Fault::new("fdatasync of file", 0, e))?;
            lock(file, libc::F_UNLCK, libc::F_SETLK)?;
            worker.progress(1);
            burn(self.rounds);
        }
        Ok(())
    }
}

/// False when somebody else has it, or a signal came first.
fn lock(file: BorrowedFd<'_>, kind: i32, command: i32) -> Result<bool, Fault> {
    // SAFETY: `flock` is plain integers, for which zero is valid: the whole file, from its begin.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = i16::try_from(kind).unwrap_or(0);
    // SAFETY: the kernel reads one `flock`, which lives across the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const range) } == 0 {
        return Ok(true);
    }
    let fault = Fault::last("fcntl with a lock of type", i64::from(kind));
    let later = [Errno::AGAIN, Errno::ACCESS, Errno::INTR];
    if later.iter().any(|errno| fault.is(*errno)) { Ok(false) } else { Err(fault) }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn workers_wait_for_each_other_at_the_file_s_lock() {
        let seen = run(&WorkType::io_convoy(), 3, |seen| seen.iter().map(|w| w.events).sum::<u64>() > 5);
        assert!(seen.iter().all(|w| w.events <= w.iterations + 1), "{seen:?}");
    }
}
