//! Pairs that wake each other through a futex; the word holds whose turn it is.

use super::{GroupSize, Work, burn};
use crate::worker::{Fault, Worker};
use std::sync::atomic::Ordering::{Acquire, Release};

/// Rounds of work for each turn.
const ROUNDS: u64 = 200;

pub struct FutexPingPong;

impl Work for FutexPingPong {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let me = u32::from(!worker.index().is_multiple_of(2));
        let baton = worker.baton(worker.index() & !1);
        while worker.running() {
            let mut slept = false;
            while baton.word.load(Acquire) != me {
                if !worker.running() {
                    return Ok(());
                }
                slept = worker.wait(&baton.word, 1 - me);
            }
            if let Some(at) = baton.take_mark().filter(|_| slept) {
                worker.woke(at);
            }
            burn(ROUNDS);
            worker.progress(1);
            baton.mark(worker.now_ns());
            baton.word.store(1 - me, Release);
            worker.event(worker.wake(&baton.word, 1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn futex_partners_wake_each_other() {
        let seen = run(&WorkType::FutexPingPong, 2, |seen| seen.iter().all(|w| w.wakes > 10));
        let given: u64 = seen.iter().map(|w| w.events).sum();
        let taken: u64 = seen.iter().map(|w| w.wakes).sum();
        assert!(taken <= given && seen[0].iterations.abs_diff(seen[1].iterations) <= 1, "{seen:?}");
    }
}
