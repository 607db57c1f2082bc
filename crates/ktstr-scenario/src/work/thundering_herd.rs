//! One wakes all others at once, who race for one prize.

use super::fan_out::hear;
use super::{GroupSize, TIMES, Work, burn, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::time::Duration;

/// Rounds of work for who wins.
const ROUNDS: u64 = 5000;

/// Parameters of [`WorkType::ThunderingHerd`](super::WorkType::ThunderingHerd).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThunderingHerd {
    /// Time between two calls, 1 µs to 1 h.
    pub period: Duration,
}

impl ThunderingHerd {
    /// 1 ms.
    pub const DEFAULT: Self = Self { period: Duration::from_millis(1) };
}

impl Work for ThunderingHerd {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("period", self.period, TIMES)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        if worker.index() == 0 { self.call(worker) } else { race(worker) }
        Ok(())
    }
}

impl ThunderingHerd {
    fn call(self, worker: &Worker<'_>) {
        let call = worker.baton(0);
        let everyone = u32::MAX >> 1;
        while worker.running() {
            worker.sleep(nanos(self.period));
            let now = worker.now_ns();
            (1..worker.count()).for_each(|index| worker.baton(index).mark(now));
            call.word.fetch_add(1, Release);
            worker.event(worker.wake(&call.word, everyone));
            worker.progress(1);
        }
    }
}

fn race(worker: &Worker<'_>) {
    let (call, prize) = (worker.baton(0), &worker.baton(1).other);
    let mut heard = 0;
    while let Some(round) = hear(worker, call, heard) {
        heard = round;
        let last = prize.load(Relaxed);
        if last != heard && prize.compare_exchange(last, heard, AcqRel, Relaxed).is_ok() {
            burn(ROUNDS);
            worker.event(1);
        }
        worker.progress(1);
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn all_are_woken_and_one_wins() {
        let seen = run(&WorkType::thundering_herd(), 4, |seen| {
            seen[1..].iter().all(|w| w.wakes > 3) && seen[1..].iter().map(|w| w.events).sum::<u64>() > 3
        });
        let won: u64 = seen[1..].iter().map(|w| w.events).sum();
        let taken: u64 = seen[1..].iter().map(|w| w.wakes).sum();
        assert!(won <= seen[0].iterations + 1 && taken <= seen[0].events, "{seen:?}");
    }
}
