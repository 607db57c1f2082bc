//! Groups in which one wakes all others, who then work on memory.

use super::fan_out::rally;
use super::{GroupSize, KIB, Region, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;

/// Parameters of [`WorkType::FanOutCompute`](super::WorkType::FanOutCompute).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanOutCompute {
    /// How many each leader wakes, 1 to 1024: workers are wanted in multiples of one more.
    pub fan_out: u32,
    /// Working set of each follower, KiB, 4 to 1,048,576.
    pub kib: u32,
    /// Times it is written for each wake-up, 1 to 10,000.
    pub passes: u32,
}

impl FanOutCompute {
    /// One wakes three, who write 64 KiB four times.
    pub const DEFAULT: Self = Self { fan_out: 3, kib: 64, passes: 4 };
}

impl Work for FanOutCompute {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(self.fan_out + 1)
    }

    fn check(&self) -> Result<()> {
        within("fan_out", self.fan_out, 1..=1024)?;
        within("kib", self.kib, KIB)?;
        within("passes", self.passes, 1..=10_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let set = Region::private(self.kib)?;
        rally(worker, self.fan_out, || (0..self.passes).for_each(|_| set.walk()))
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn followers_compute_for_each_call() {
        let seen = run(&WorkType::fan_out_compute(), 4, |seen| seen[0].events > 10);
        assert!(seen[1..].iter().all(|w| seen[0].iterations - w.iterations <= 1), "{seen:?}");
    }
}
