//! Computes for a while, sleeps for a while: each wake-up has a time it was due.

use super::{TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::Bursty`](super::WorkType::Bursty).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursty {
    /// Time computing, 1 µs to 1 h.
    pub work: Duration,
    /// Time sleeping, 1 µs to 1 h.
    pub idle: Duration,
}

impl Bursty {
    /// 10 ms of each.
    pub const DEFAULT: Self = Self { work: Duration::from_millis(10), idle: Duration::from_millis(10) };
}

impl Work for Bursty {
    fn check(&self) -> Result<()> {
        within("work", self.work, TIMES)?;
        within("idle", self.idle, TIMES)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            worker.spin(nanos(self.work));
            worker.sleep(nanos(self.idle));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::{refused, run};
    use crate::worker::quantile_ns;

    #[test]
    fn bursty_workers_sleep_and_wake() {
        let seen = run(&WorkType::bursty_ms(2, 3), 2, |seen| seen.iter().all(|w| w.wakes >= 3));
        assert!(quantile_ns(&seen, 0.99).is_some());
        for worker in &seen {
            assert!(worker.latency.iter().map(|(_, n)| u64::from(*n)).sum::<u64>() == worker.wakes, "{worker:?}");
        }
    }

    #[test]
    fn no_time_at_all_is_refused() {
        assert_eq!(refused(&WorkType::bursty_ms(1, 0), 1), "Bursty: idle 0ns is not from 1µs to 3600s");
    }
}
