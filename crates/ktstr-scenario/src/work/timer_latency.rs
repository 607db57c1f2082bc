//! Wakes by the clock in equal periods, as cyclictest does.

use super::{TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::TimerLatency`](super::WorkType::TimerLatency).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerLatency {
    /// Time from one wake-up to the next, 1 µs to 1 h.
    pub period: Duration,
}

impl TimerLatency {
    /// 1 ms.
    pub const DEFAULT: Self = Self { period: Duration::from_millis(1) };
}

impl Work for TimerLatency {
    fn check(&self) -> Result<()> {
        within("period", self.period, TIMES)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let period = nanos(self.period);
        let mut due = worker.now_ns() + period;
        while worker.running() {
            worker.sleep_until(due);
            worker.progress(1);
            due += period;
            // Periods that have passed already are missed, not made up for.
            let late = worker.now_ns().saturating_sub(due) / period;
            worker.event(late);
            due += late * period;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;
    use crate::worker::now_ns;

    #[test]
    fn no_period_is_lost_and_none_comes_early() {
        let work = WorkType::TimerLatency(TimerLatency { period: Duration::from_micros(500) });
        let begin = now_ns();
        let seen = run(&work, 2, |seen| seen.iter().all(|w| w.wakes >= 20));
        let periods = (now_ns() - begin) / 500_000;
        for worker in &seen {
            assert!(worker.wakes + worker.events <= periods, "{periods} periods, {worker:?}");
            assert!(worker.wake_sum_ns > 0 && worker.wake_sq_ns2 > 0, "{worker:?}");
        }
    }
}
