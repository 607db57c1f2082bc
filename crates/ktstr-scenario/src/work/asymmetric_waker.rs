//! Pairs of a busy waker and a light wakee of another policy.

use super::{GroupSize, Work, burn, within};
use crate::worker::{Fault, Policy, Worker, set_policy};
use anyhow::Result;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Parameters of [`WorkType::AsymmetricWaker`](super::WorkType::AsymmetricWaker). The waker does not wait for its wakee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsymmetricWaker {
    /// Rounds of arithmetic of the waker between two wake-ups, 0 to 10,000,000; some ns each.
    pub waker: u64,
    /// Rounds of the wakee for each, 0 to 10,000,000.
    pub wakee: u64,
    /// Policy of the wakee; the waker has the crew's.
    pub policy: Policy,
}

impl AsymmetricWaker {
    /// A waker a hundred times as busy as its wakee, who is `SCHED_BATCH`.
    pub const DEFAULT: Self = Self { waker: 50_000, wakee: 500, policy: Policy::Batch };
}

impl Work for AsymmetricWaker {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn check(&self) -> Result<()> {
        within("waker", self.waker, 0..=10_000_000)?;
        within("wakee", self.wakee, 0..=10_000_000)?;
        self.policy.check()
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        if worker.index().is_multiple_of(2) { Ok(()) } else { set_policy(&self.policy) }
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let baton = worker.baton(worker.index() | 1);
        let mut heard = 0;
        while worker.running() {
            if worker.index().is_multiple_of(2) {
                burn(self.waker);
                baton.mark(worker.now_ns());
                baton.word.fetch_add(1, Release);
                worker.event(worker.wake(&baton.word, 1));
                worker.progress(1);
                continue;
            }
            let mut slept = false;
            while baton.word.load(Acquire) == heard {
                if !worker.running() {
                    return Ok(());
                }
                slept = worker.wait(&baton.word, heard);
            }
            heard = baton.word.load(Acquire);
            if let Some(at) = baton.take_mark().filter(|_| slept) {
                worker.woke(at);
            }
            burn(self.wakee);
            worker.progress(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::until;
    use crate::worker::Manner;

    #[test]
    fn the_busy_one_wakes_the_light_one() {
        let seen = until(&WorkType::asymmetric_waker(), 2, &Manner::default(), |seen, crew| {
            let policy = |pid: i32| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
                stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(38).unwrap().to_owned()
            };
            assert_eq!((policy(crew.pids()[0]).as_str(), policy(crew.pids()[1]).as_str()), ("0", "3"));
            seen[1].wakes > 10
        });
        assert!(seen[1].wakes <= seen[0].events && seen[0].wakes == 0, "{seen:?}");
        assert!(seen[1].iterations <= seen[0].iterations, "{seen:?}");
    }
}
