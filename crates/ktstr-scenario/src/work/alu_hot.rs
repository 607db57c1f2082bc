//! Arithmetic in several chains that do not wait for each other.

use super::Work;
use crate::worker::{Fault, Worker};
use std::hint::black_box;

/// Chains side by side: more than a core has units, fewer than it has registers.
const CHAINS: usize = 8;
/// Steps of all chains between two looks at the clock.
const STEPS: u64 = 4000;

pub struct AluHot;

impl Work for AluHot {
    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            black_box(chains(black_box(STEPS)));
            worker.progress(STEPS);
        }
        Ok(())
    }
}

/// Each chain is a linear congruential generator (Knuth's MMIX constants) of a seed of its own.
#[allow(clippy::indexing_slicing, reason = "constant bounds")]
pub fn chains(steps: u64) -> [u64; CHAINS] {
    let mut values = [1u64, 2, 3, 4, 5, 6, 7, 8];
    for _ in 0..steps {
        for value in &mut values {
            *value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn all_chains_run_and_differ() {
        let mut after = chains(1000).to_vec();
        assert_eq!(chains(1)[1], 2u64.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        after.sort_unstable();
        after.dedup();
        assert_eq!(after.len(), CHAINS);
    }

    #[test]
    fn hot_workers_never_sleep() {
        assert!(run(&WorkType::AluHot, 2, |_| true).iter().all(|w| w.wakes == 0));
    }
}
