//! How long each phase of a machine may take.

use std::time::Duration;

/// How many times its limit a phase is waited for beyond it on a host that runs other things: a tenth of a CPU is enough.
const PATIENCE: u32 = 9;

/// Limits of each phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From start to hello.
    pub boot: Duration,
    /// From hello to the first look at the scheduler.
    pub attach: Duration,
    /// From there to the end of the test function.
    pub test: Duration,
    /// From there to power-off.
    pub shutdown: Duration,
}

/// Where a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Until its hello.
    Boot,
    /// Until the scheduler was looked at.
    Attach,
    /// Until the test function ended.
    Test,
    /// Until power-off.
    Shutdown,
}

impl Deadlines {
    /// All limits this many times as long.
    #[must_use]
    pub fn times(&self, factor: u32) -> Self {
        let longer = |limit: Duration| limit.saturating_mul(factor);
        Self {
            boot: longer(self.boot),
            attach: longer(self.attach),
            test: longer(self.test),
            shutdown: longer(self.shutdown),
        }
    }

    /// The limit of one phase for a machine whose threads the host has kept waiting for so long in it: what a busy host takes is
    /// not the guest's, up to nine times the limit.
    #[must_use]
    pub fn of_a_machine_that_waited(&self, phase: Phase, run_delay_ns: u64) -> Duration {
        let limit = self.of(phase);
        limit.saturating_add(Duration::from_nanos(run_delay_ns).min(limit.saturating_mul(PATIENCE)))
    }

    /// The limit of one phase.
    #[must_use]
    pub const fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Boot => self.boot,
            Phase::Attach => self.attach,
            Phase::Test => self.test,
            Phase::Shutdown => self.shutdown,
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { boot: minute, attach: minute, test: minute, shutdown: minute }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_takes_is_not_counted_and_no_wait_is_endless() {
        let limits = Deadlines { boot: Duration::from_secs(60), ..Deadlines::default() };
        let of = |waited_s: u64| limits.of_a_machine_that_waited(Phase::Boot, waited_s * 1_000_000_000).as_secs();
        assert_eq!((of(0), of(45), of(540), of(10_000)), (60, 105, 600, 600));
        assert_eq!(
            limits.times(u32::MAX).of_a_machine_that_waited(Phase::Boot, u64::MAX).as_secs(),
            60 * 4_294_967_295 + 18_446_744_073
        );
    }
}
