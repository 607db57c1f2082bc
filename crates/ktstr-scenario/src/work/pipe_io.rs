//! Pairs that pass bytes through a pair of pipes.

use super::links::Links;
use super::spin_wait::burn;
use crate::worker::Checkpoint;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest wait before looking whether the run has ended.
const LOOK_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Bytes of each message.
const MESSAGE: usize = 64;
/// Rounds of work for each message.
const ROUNDS: u64 = 100;

pub fn run(checkpoint: &Checkpoint<'_>, links: &Links, index: usize) {
    let Some((read, write)) = links.ends(index) else {
        return;
    };
    let mut message = [0u8; MESSAGE];
    if index.is_multiple_of(2) {
        let _ = rustix::io::write(write, &message);
    }
    while checkpoint.running() {
        let mut fds = [PollFd::new(read, PollFlags::IN)];
        if !matches!(poll(&mut fds, Some(&LOOK_AFTER)), Ok(n) if n > 0) {
            continue;
        }
        let Ok(got) = rustix::io::read(read, &mut message) else {
            return;
        };
        burn(ROUNDS);
        checkpoint.event(got as u64);
        checkpoint.progress(1);
        if rustix::io::write(write, &message[..got]).is_err() {
            return;
        }
    }
}
