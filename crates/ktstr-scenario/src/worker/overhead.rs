//! What counting costs a worker.

use super::manner::Manner;
use super::spawn::Crew;
use crate::work::{Custom, WorkType, burn};
use crate::worker::Worker;
use anyhow::{Result, ensure};
use std::time::Duration;

/// Rounds of arithmetic a second of CPU time, side by side on one CPU.
#[derive(Clone, Copy, Debug)]
pub struct Overhead {
    /// Of a loop that only looks whether it should go on.
    pub bare_per_s: f64,
    /// Of [`WorkType::SpinWait`], with all it notes.
    pub spin_per_s: f64,
}

impl Overhead {
    /// What is left of the bare loop's speed, 1 for all of it.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.spin_per_s / self.bare_per_s
    }
}

/// Measures both in turn, so many slices of such a length each, on one CPU.
///
/// # Errors
/// Workers that could not be made, or a kernel that does not say how much CPU time they used.
pub fn worker_overhead(cpu: u32, slices: u32, slice: Duration) -> Result<Overhead> {
    let bare = WorkType::Custom(Custom { name: "bare loop", at_least: 1, run: bare_loop });
    let (mut bare_sum, mut spin_sum) = ((0, 0), (0, 0));
    for _ in 0..slices {
        for (work, sum) in [(&bare, &mut bare_sum), (&WorkType::SpinWait, &mut spin_sum)] {
            let manner = Manner { affinity: vec![vec![cpu]], ..Manner::default() };
            let crew = Crew::gather(work, 1, &manner, None)?;
            crew.start();
            // The slice's own length.
            std::thread::sleep(slice);
            for seen in crew.stop()? {
                sum.0 += seen.iterations;
                sum.1 += seen.run_ns;
            }
        }
    }
    ensure!(bare_sum.1 > 0 && spin_sum.1 > 0, "the kernel says no CPU time in /proc/PID/schedstat");
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = |(rounds, ns): (u64, u64)| rounds as f64 / ns as f64 * 1e9;
    Ok(Overhead { bare_per_s: rate(bare_sum), spin_per_s: rate(spin_sum) })
}

/// The same arithmetic in the same portions, counted once at the end.
fn bare_loop(worker: &Worker<'_>) {
    let mut rounds = 0;
    while worker.running() {
        burn(crate::work::SPIN_ROUNDS);
        rounds += crate::work::SPIN_ROUNDS;
    }
    worker.progress(rounds);
}
