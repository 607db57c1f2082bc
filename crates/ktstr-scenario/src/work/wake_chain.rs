//! A ring in which each wakes the next.

use super::{GroupSize, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Parameters of [`WorkType::WakeChain`](super::WorkType::WakeChain).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeChain {
    /// Rounds of arithmetic before waking the next, 0 to 1,000,000; some ns each.
    pub rounds: u64,
}

impl WakeChain {
    /// Next to nothing.
    pub const DEFAULT: Self = Self { rounds: 500 };
}

impl Work for WakeChain {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("rounds", self.rounds, 0..=1_000_000)
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        // The first begins.
        worker.baton(worker.index()).word.store(u32::from(worker.index() == 0), Relaxed);
        Ok(())
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let (own, next) = (worker.baton(worker.index()), worker.baton(worker.index() + 1));
        while worker.running() {
            let mut slept = false;
            while own.word.load(Acquire) == 0 {
                if !worker.running() {
                    return Ok(());
                }
                slept = worker.wait(&own.word, 0);
            }
            own.word.store(0, Relaxed);
            if let Some(at) = own.take_mark().filter(|_| slept) {
                worker.woke(at);
            }
            burn(self.rounds);
            worker.progress(1);
            next.mark(worker.now_ns());
            next.word.store(1, Release);
            worker.event(worker.wake(&next.word, 1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn the_word_goes_round_and_round() {
        let seen = run(&WorkType::wake_chain(), 5, |seen| seen.iter().all(|w| w.wakes > 5));
        let rounds = seen.iter().map(|w| w.iterations);
        assert!(rounds.clone().max().unwrap() - rounds.min().unwrap() <= 1, "{seen:?}");
    }
}
