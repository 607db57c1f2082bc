//! Waits for a timerfd, which an interrupt makes readable.

use super::pipe_io::readable;
use super::{TIMES, Work, burn, nanos, within};
use crate::worker::{Fault, Worker, timespec};
use anyhow::Result;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use std::time::Duration;

/// Parameters of [`WorkType::IrqWake`](super::WorkType::IrqWake).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqWake {
    /// Time from one expiration to the next, 1 µs to 1 h.
    pub period: Duration,
    /// Rounds of arithmetic for each, 0 to 1,000,000; some ns each.
    pub rounds: u64,
}

impl IrqWake {
    /// Every 500 µs, for next to nothing.
    pub const DEFAULT: Self = Self { period: Duration::from_micros(500), rounds: 500 };
}

impl Work for IrqWake {
    fn check(&self) -> Result<()> {
        within("period", self.period, TIMES)?;
        within("rounds", self.rounds, 0..=1_000_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let period = nanos(self.period);
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, flags).map_err(|e| Fault::new("timerfd_create of clock", 1, e))?;
        let mut due = worker.now_ns() + period;
        let times = Itimerspec { it_interval: timespec(period), it_value: timespec(due) };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &times)
            .map_err(|e| Fault::new("timerfd_settime to ns", period.cast_signed(), e))?;
        let mut count = [0u8; 8];
        while worker.running() {
            if !readable(std::os::fd::AsFd::as_fd(&timer))? {
                continue;
            }
            rustix::io::read(&timer, &mut count).map_err(|e| Fault::new("read of a timerfd", 0, e))?;
            // The first expiration of those that are told at once is what it should have woken for.
            worker.woke(due);
            let expired = u64::from_ne_bytes(count);
            due += expired * period;
            burn(self.rounds);
            worker.event(expired);
            worker.progress(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;
    use crate::worker::now_ns;

    #[test]
    fn every_expiration_wakes_it_once() {
        let begin = now_ns();
        let seen = run(&WorkType::irq_wake(), 2, |seen| seen.iter().all(|w| w.wakes >= 20));
        let periods = (now_ns() - begin) / 500_000;
        for worker in &seen {
            assert!(worker.events >= worker.wakes && worker.events <= periods + 1, "{periods} periods, {worker:?}");
        }
    }
}
