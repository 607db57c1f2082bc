//! Stretches of many instructions a cycle, then of few, in turn.

use super::alu_hot::chains;
use crate::random::Random;
use super::{KIB, Region, TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Steps between two looks at the clock, of each kind.
const STEPS: u64 = 2000;

/// Parameters of [`WorkType::IpcVariance`](super::WorkType::IpcVariance).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpcVariance {
    /// Memory in which each load waits for the one before, KiB, 4 to 1,048,576.
    pub kib: u32,
    /// Length of a stretch, 1 µs to 1 h.
    pub stretch: Duration,
}

impl IpcVariance {
    /// 1 MiB, 5 ms.
    pub const DEFAULT: Self = Self { kib: 1024, stretch: Duration::from_millis(5) };
}

impl Work for IpcVariance {
    fn check(&self) -> Result<()> {
        within("kib", self.kib, KIB)?;
        within("stretch", self.stretch, TIMES)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let memory = Region::private(self.kib)?;
        let words = memory.words();
        one_cycle(words, &mut Random::of(worker.index()), || worker.progress(STEPS));
        let mut at = 0;
        while worker.running() {
            stretch(worker, self.stretch, || {
                black_box(chains(black_box(STEPS)));
            });
            stretch(worker, self.stretch, || at = chase(words, at, STEPS));
        }
        worker.count_pages(&memory);
        Ok(())
    }
}

fn stretch(worker: &Worker<'_>, length: Duration, mut work: impl FnMut()) {
    let until = worker.now_ns().saturating_add(nanos(length));
    worker.event(1);
    while worker.running() && worker.now_ns() < until {
        work();
        worker.progress(STEPS);
    }
}

/// Makes each word the place of another so that all are one cycle (Sattolo 1986), and says so after each portion.
fn one_cycle(words: &[AtomicU64], random: &mut Random, mut said: impl FnMut()) {
    let at = |index: usize| words.get(index);
    for index in 0..words.len() {
        // The inside-out form: what is before is one cycle already.
        let other = random.below(u32::try_from(index).unwrap_or(u32::MAX)) as usize;
        if let (Some(word), Some(other)) = (at(index), at(other)) {
            let next = if index == 0 { 0 } else { other.swap(index as u64, Relaxed) };
            word.store(next, Relaxed);
        }
        if (index as u64).is_multiple_of(STEPS) {
            said();
        }
    }
}

/// From place to place.
fn chase(words: &[AtomicU64], from: u64, steps: u64) -> u64 {
    (0..steps).fold(from, |at, _| usize::try_from(at).ok().and_then(|at| words.get(at)).map_or(0, |w| w.load(Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_word_is_reached_before_one_is_reached_again(index in 0usize..100, count in 2u64..500) {
            let words: Vec<AtomicU64> = (0..count).map(AtomicU64::new).collect();
            one_cycle(&words, &mut Random::of(index), || {});
            prop_assert_eq!((1..=count).find(|&steps| chase(&words, 0, steps) == 0), Some(count));
        }
    }

    #[test]
    fn stretches_come_in_turn() {
        let work = WorkType::IpcVariance(IpcVariance { kib: 64, stretch: Duration::from_micros(200) });
        run(&work, 2, |seen| seen.iter().all(|w| w.events > 6));
    }
}
