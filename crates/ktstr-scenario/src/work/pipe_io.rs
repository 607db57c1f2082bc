//! Pairs that pass bytes through a pair of pipes.

use super::{GroupSize, Links, Work, burn};
use crate::worker::{Fault, LOOK_AFTER, Worker};
use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Bytes of each message.
const MESSAGE: usize = 64;
/// Rounds of work for each message.
const ROUNDS: u64 = 100;

pub struct PipeIo;

impl Work for PipeIo {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn links(&self, workers: usize, _group: Option<&Path>) -> Result<Links> {
        Links::pipes(workers)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let mut message = [0u8; MESSAGE];
        pass_on(worker, &mut message, || burn(ROUNDS))
    }
}

/// The even worker of a pair writes first; then each waits for the message, works, and passes it on.
pub fn pass_on(worker: &Worker<'_>, message: &mut [u8], mut work: impl FnMut()) -> Result<(), Fault> {
    let read = worker.file(2 * worker.index())?;
    let write = worker.file(2 * (worker.index() ^ 1) + 1)?;
    if worker.index().is_multiple_of(2) {
        put(write, message)?;
    }
    while worker.running() {
        if !readable(read)? {
            continue;
        }
        let got = rustix::io::read(read, &mut *message).map_err(|e| Fault::new("read from a pipe, byte", 0, e))?;
        work();
        worker.event(got as u64);
        worker.progress(1);
        put(write, message)?;
    }
    Ok(())
}

/// Waits until there is something to read, at most [`LOOK_AFTER`].
pub fn readable(file: BorrowedFd<'_>) -> Result<bool, Fault> {
    match poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&LOOK_AFTER)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(Fault::new("poll for", 0, e)),
    }
}

fn put(file: BorrowedFd<'_>, message: &[u8]) -> Result<(), Fault> {
    rustix::io::write(file, message).map(drop).map_err(|e| Fault::new("write to a pipe, byte", 0, e))
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn pipe_partners_move_bytes() {
        let seen = run(&WorkType::PipeIo, 4, |seen| seen.iter().all(|w| w.events > 640));
        for pair in seen.chunks(2) {
            assert!(pair[0].events.abs_diff(pair[1].events) <= 2 * 64, "{pair:?}");
        }
    }
}
