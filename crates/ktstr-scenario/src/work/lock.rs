//! A lock between workers: a word that is 0 when free, 1 when held, 2 when somebody waits (Drepper, "Futexes are tricky", 2011).

use crate::worker::{Baton, Worker};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Takes the lock, or hears of the end of the work; how often it slept for it.
///
/// Who lets go does not know whom it wakes: only where one alone can wait is the mark the latency of its wake-up.
pub fn lock(worker: &Worker<'_>, baton: &Baton) -> Option<u64> {
    if baton.word.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
        return Some(0);
    }
    let mut slept = 0;
    while baton.word.swap(2, Acquire) != 0 {
        if !worker.running() {
            return None;
        }
        slept += u64::from(worker.wait(&baton.word, 2));
    }
    Some(slept)
}

/// Lets go, and wakes one who waits; marked before somebody else can have it.
pub fn unlock(worker: &Worker<'_>, baton: &Baton) {
    if baton.word.load(Relaxed) == 2 {
        baton.mark(worker.now_ns());
    }
    if baton.word.swap(0, Release) == 2 {
        worker.wake(&baton.word, 1);
    }
}
