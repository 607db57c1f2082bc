//! Pairs that wake each other through a futex; the word holds whose turn it is.

use super::spin_wait::burn;
use crate::worker::{Checkpoint, Shared, now_ns};
use rustix::thread::futex::{Flags, Timespec, wait, wake};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Longest wait before looking whether the run has ended.
const LOOK_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Rounds of work for each turn.
const ROUNDS: u64 = 200;

pub fn run(checkpoint: &Checkpoint<'_>, shared: &Shared, index: usize) {
    let me = u32::try_from(index % 2).unwrap_or(0);
    let baton = shared.baton(index - index % 2);
    let stamp = shared.baton(index - index % 2 + 1);
    while checkpoint.running() {
        let mut slept = false;
        while baton.word.load(Acquire) != me {
            if !checkpoint.running() {
                return;
            }
            slept = wait(&baton.word, Flags::empty(), 1 - me, Some(&LOOK_AFTER)).is_ok();
        }
        if slept {
            // The partner left the low 32 bits of the time it woke us.
            let now = now_ns();
            #[allow(clippy::cast_possible_truncation, reason = "differences below 4 s need only the low half")]
            let since = (now as u32).wrapping_sub(stamp.word.load(Relaxed));
            checkpoint.woke(now.saturating_sub(u64::from(since)));
        }
        burn(ROUNDS);
        checkpoint.progress(1);
        #[allow(clippy::cast_possible_truncation, reason = "differences below 4 s need only the low half")]
        stamp.word.store(now_ns() as u32, Relaxed);
        baton.word.store(1 - me, Release);
        if wake(&baton.word, Flags::empty(), 1).is_ok_and(|woken| woken > 0) {
            checkpoint.event(1);
        }
    }
}
