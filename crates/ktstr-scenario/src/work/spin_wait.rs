//! Computes without pause; looks at the clock once for each portion of rounds.

use super::Work;
use crate::worker::{Fault, Worker};
use std::hint::black_box;

/// Rounds between two looks at clock and CPU: some ten µs, so that counting costs nothing and gaps are still seen.
pub const ROUNDS: u64 = 8000;

pub struct SpinWait;

impl Work for SpinWait {
    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            burn(ROUNDS);
            worker.progress(ROUNDS);
        }
        Ok(())
    }
}

/// Arithmetic that the compiler cannot leave out and no memory has a part in.
///
/// One body for all who compare themselves with each other.
#[inline(never)]
pub fn burn(rounds: u64) {
    let mut value = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..rounds {
        value = black_box(value.rotate_left(7).wrapping_mul(5));
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn spinning_workers_progress_and_never_wake() {
        for worker in run(&WorkType::SpinWait, 2, |_| true) {
            assert!(worker.wakes == 0 && !worker.cpus.is_empty(), "{worker:?}");
        }
    }
}
