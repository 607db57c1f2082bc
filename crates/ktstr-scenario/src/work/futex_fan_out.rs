//! Groups in which one wakes all others at once.

use super::fan_out::rally;
use super::{GroupSize, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;

/// Parameters of [`WorkType::FutexFanOut`](super::WorkType::FutexFanOut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutexFanOut {
    /// How many each leader wakes, 1 to 1024: workers are wanted in multiples of one more.
    pub fan_out: u32,
    /// Rounds of arithmetic for each wake-up, 0 to 1,000,000; some ns each.
    pub rounds: u64,
}

impl FutexFanOut {
    /// One wakes four, who do next to nothing.
    pub const DEFAULT: Self = Self { fan_out: 4, rounds: 500 };
}

impl Work for FutexFanOut {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(self.fan_out + 1)
    }

    fn check(&self) -> Result<()> {
        within("fan_out", self.fan_out, 1..=1024)?;
        within("rounds", self.rounds, 0..=1_000_000)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        rally(worker, self.fan_out, || burn(self.rounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn a_leader_wakes_all_of_its_followers_and_nobody_else() {
        let work = WorkType::FutexFanOut(FutexFanOut { fan_out: 3, ..FutexFanOut::DEFAULT });
        let seen = run(&work, 8, |seen| seen.chunks(4).all(|group| group[0].events > 30));
        for group in seen.chunks(4) {
            let (leader, followers) = (&group[0], &group[1..]);
            let taken: u64 = followers.iter().map(|w| w.wakes).sum();
            assert!(taken > 0 && taken <= leader.events, "{group:?}");
            // More than one for each call.
            assert!(leader.events > leader.iterations, "{group:?}");
            // Nobody is called again before all have answered.
            assert!(followers.iter().all(|w| leader.iterations - w.iterations <= 1), "{group:?}");
        }
    }
}
