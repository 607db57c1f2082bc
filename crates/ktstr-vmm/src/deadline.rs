//! How long each phase of a machine may take.

use std::time::Duration;

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
