//! Like the benchmark of this name: a messenger answers workers, who think and then compute on memory.

use super::ask::{answer, ask};
use super::{GroupSize, KIB, Region, TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::Schbench`](super::WorkType::Schbench).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schbench {
    /// Workers of each messenger, 1 to 1024: workers are wanted in multiples of one more.
    pub workers: u32,
    /// Sleep after each answer, 1 µs to 1 h.
    pub think: Duration,
    /// Working set of each worker, KiB, 4 to 1,048,576.
    pub kib: u32,
    /// Times it is written for each answer, 1 to 10,000.
    pub passes: u32,
}

impl Schbench {
    /// Three workers, who think for 100 µs and write 64 KiB five times.
    pub const DEFAULT: Self = Self { workers: 3, think: Duration::from_micros(100), kib: 64, passes: 5 };
}

impl Work for Schbench {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(self.workers + 1)
    }

    fn check(&self) -> Result<()> {
        within("workers", self.workers, 1..=1024)?;
        within("think", self.think, TIMES)?;
        within("kib", self.kib, KIB)?;
        within("passes", self.passes, 1..=10_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let size = self.workers as usize + 1;
        let messenger = worker.index() - worker.index() % size;
        if worker.index() == messenger {
            return answer(worker, &(messenger + 1..messenger + size), 1, || {});
        }
        let set = Region::private(self.kib)?;
        while worker.running() && ask(worker, messenger) {
            worker.sleep(nanos(self.think));
            (0..self.passes).for_each(|_| set.walk());
            worker.progress(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn the_messenger_answers_each_question_once() {
        let seen = run(&WorkType::schbench(), 8, |seen| {
            seen.chunks(4).all(|group| group[1..].iter().all(|w| w.iterations > 5 && w.wakes > 5))
        });
        for group in seen.chunks(4) {
            let heard: u64 = group[1..].iter().map(|w| w.iterations).sum();
            assert!((heard..=heard + 3).contains(&group[0].events), "{group:?}");
        }
    }
}
