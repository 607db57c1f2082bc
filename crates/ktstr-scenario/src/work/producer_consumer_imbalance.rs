//! Groups in which producers fill a short queue faster than its consumers empty it.

use super::{GroupSize, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// Parameters of [`WorkType::ProducerConsumerImbalance`](super::WorkType::ProducerConsumerImbalance). Wake-ups are not measured:
/// who fills or empties a queue does not know whom it wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerConsumerImbalance {
    /// Producers of each group, 1 to 1024.
    pub producers: u32,
    /// Consumers of each group, 1 to 1024: workers are wanted in multiples of the sum.
    pub consumers: u32,
    /// Items that the queue holds, 1 to 1,000,000.
    pub queue: u32,
    /// Rounds of arithmetic for making an item, 0 to 1,000,000; some ns each.
    pub produce: u64,
    /// Rounds for using one, 0 to 1,000,000.
    pub consume: u64,
}

impl ProducerConsumerImbalance {
    /// Three quick producers for one slow consumer, and a queue of 16.
    pub const DEFAULT: Self = Self { producers: 3, consumers: 1, queue: 16, produce: 500, consume: 3000 };
}

impl Work for ProducerConsumerImbalance {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(self.producers + self.consumers)
    }

    fn check(&self) -> Result<()> {
        within("producers", self.producers, 1..=1024)?;
        within("consumers", self.consumers, 1..=1024)?;
        within("queue", self.queue, 1..=1_000_000)?;
        within("produce", self.produce, 0..=1_000_000)?;
        within("consume", self.consume, 0..=1_000_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let size = (self.producers + self.consumers) as usize;
        let first = worker.index() - worker.index() % size;
        // The number of items, which consumers wait on, and the number of items taken, which producers wait on.
        let (items, taken) = (&worker.baton(first).word, &worker.baton(first + 1).word);
        let produces = worker.index() - first < self.producers as usize;
        while worker.running() {
            if produces {
                burn(self.produce);
                if !self.put(worker, items, taken) {
                    return Ok(());
                }
                worker.wake(items, 1);
            } else {
                if !get(worker, items) {
                    return Ok(());
                }
                taken.fetch_add(1, AcqRel);
                worker.wake(taken, 1);
                burn(self.consume);
            }
            worker.event(1);
            worker.progress(1);
        }
        Ok(())
    }
}

impl ProducerConsumerImbalance {
    /// False at the end of the work.
    fn put(self, worker: &Worker<'_>, items: &AtomicU32, taken: &AtomicU32) -> bool {
        while worker.running() {
            let taken_before = taken.load(Acquire);
            let there = items.load(Relaxed);
            if there >= self.queue {
                worker.wait(taken, taken_before);
            } else if items.compare_exchange_weak(there, there + 1, AcqRel, Relaxed).is_ok() {
                return true;
            }
        }
        false
    }
}

/// False at the end of the work.
fn get(worker: &Worker<'_>, items: &AtomicU32) -> bool {
    while worker.running() {
        let there = items.load(Acquire);
        if there == 0 {
            worker.wait(items, 0);
        } else if items.compare_exchange_weak(there, there - 1, AcqRel, Relaxed).is_ok() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn nothing_is_used_that_was_not_made_and_the_queue_is_short() {
        let work = ProducerConsumerImbalance::DEFAULT;
        let seen = run(&WorkType::producer_consumer_imbalance(), 8, |seen| {
            seen.chunks(4).all(|group| group[3].events > 200)
        });
        for group in seen.chunks(4) {
            let made: u64 = group[..3].iter().map(|w| w.events).sum();
            // A producer or consumer that is stopped between its step and its count makes a difference of one.
            let least = group[3].events.saturating_sub(3);
            assert!((least..=group[3].events + u64::from(work.queue) + 1).contains(&made), "{made} made, {group:?}");
        }
    }
}
