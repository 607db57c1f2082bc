//! Gives the CPU away after each small piece of work.

use super::spin_wait::burn;
use crate::worker::Checkpoint;

/// Rounds of work between two yields.
const ROUNDS: u64 = 100;

pub fn run(checkpoint: &Checkpoint<'_>) {
    while checkpoint.running() {
        burn(ROUNDS);
        rustix::thread::sched_yield();
        checkpoint.event(1);
        checkpoint.progress(1);
    }
}
