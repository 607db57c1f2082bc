//! Like a read-through cache: fast workers answer hits from memory and hand misses to slow ones.

use super::ask::{answer, ask};
use crate::random::Random;
use super::{GroupSize, KIB, Links, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

/// Rounds of work for a hit.
const HIT_ROUNDS: u64 = 500;
/// Objects that are looked up for each request.
const LOOKUPS: u32 = 8;

/// Parameters of [`WorkType::Taobench`](super::WorkType::Taobench).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taobench {
    /// Fast workers of each group, 1 to 1024.
    pub fast: u32,
    /// Slow workers of each group, 1 to 1024, not more than fast ones: workers are wanted in multiples of the sum.
    pub slow: u32,
    /// Misses in 100 requests, 0 to 100.
    pub miss_pct: u32,
    /// Rounds of arithmetic for fetching what was missed, 0 to 10,000,000; some ns each.
    pub fetch: u64,
    /// Memory of the cache, KiB, 4 to 1,048,576, which all workers share.
    pub kib: u32,
}

impl Taobench {
    /// Three fast ones and a slow one, one miss in ten, 1 MiB.
    pub const DEFAULT: Self = Self { fast: 3, slow: 1, miss_pct: 10, fetch: 20_000, kib: 1024 };
}

impl Work for Taobench {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(self.fast + self.slow)
    }

    fn check(&self) -> Result<()> {
        within("fast", self.fast, 1..=1024)?;
        within("slow", self.slow, 1..=self.fast)?;
        within("miss_pct", self.miss_pct, 0..=100)?;
        within("fetch", self.fetch, 0..=10_000_000)?;
        within("kib", self.kib, KIB)
    }

    fn links(&self, _workers: usize, _group: Option<&Path>) -> Result<Links> {
        Links::of_region(self.kib as usize * 1024)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let (fast, slow) = (self.fast as usize, self.slow as usize);
        let first = worker.index() - worker.index() % (fast + slow);
        let place = worker.index() - first;
        let cache = worker.region()?.words();
        let mut random = Random::of(worker.index());
        let objects = u32::try_from(cache.len()).unwrap_or(u32::MAX);
        if place >= fast {
            // Each of the slow ones serves its share of the fast ones.
            return answer(worker, &(first + place - fast..first + fast), slow, || {
                burn(self.fetch);
                if let Some(object) = cache.get(random.below(objects) as usize) {
                    object.store(random.next(), Relaxed);
                }
            });
        }
        while worker.running() {
            let found = (0..LOOKUPS).filter_map(|_| cache.get(random.below(objects) as usize));
            std::hint::black_box(found.fold(0, |sum, object| object.load(Relaxed) ^ sum));
            if random.below(100) < self.miss_pct {
                if !ask(worker, first + fast + place % slow) {
                    return Ok(());
                }
            } else {
                burn(HIT_ROUNDS);
                worker.event(1);
            }
            worker.progress(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::{refused, run};

    #[test]
    fn hits_are_answered_fast_and_misses_are_served_by_the_slow() {
        let work = Taobench { fast: 3, slow: 2, miss_pct: 50, ..Taobench::DEFAULT };
        let seen = run(&WorkType::Taobench(work), 5, |seen| seen.iter().all(|w| w.events > 20));
        let missed: u64 = seen[..3].iter().map(|w| w.iterations - w.events).sum();
        let served: u64 = seen[3..].iter().map(|w| w.events).sum();
        assert!((missed..=missed + 3).contains(&served), "{missed} missed, {served} served, {seen:?}");
    }

    #[test]
    fn slow_workers_without_fast_ones_are_refused() {
        let work = WorkType::Taobench(Taobench { slow: 4, ..Taobench::DEFAULT });
        assert_eq!(refused(&work, 7), "Taobench: slow 4 is not from 1 to 3");
    }
}
