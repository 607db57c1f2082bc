//! What counting costs a worker.

use super::manner::Manner;
use super::spawn::Crew;
use crate::work::{Custom, WorkType, burn};
use crate::worker::Worker;
use anyhow::{Result, ensure};
use std::time::Duration;

/// Rounds of arithmetic a second of CPU time, side by side on one CPU, each in its fastest slice: what a busy host takes from a
/// machine is no cost of counting.
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
    let (mut bare_per_s, mut spin_per_s) = (0.0f64, 0.0f64);
    for _ in 0..slices {
        bare_per_s = bare_per_s.max(rate(&bare, cpu, slice)?);
        spin_per_s = spin_per_s.max(rate(&WorkType::SpinWait, cpu, slice)?);
    }
    Ok(Overhead { bare_per_s, spin_per_s })
}

fn rate(work: &WorkType, cpu: u32, slice: Duration) -> Result<f64> {
    let manner = Manner { affinity: vec![vec![cpu]], ..Manner::default() };
    let crew = Crew::gather(work, 1, &manner, None)?;
    crew.start();
    // The slice's own length.
    std::thread::sleep(slice);
    let seen = crew.stop()?;
    let (rounds, ns) = seen.iter().fold((0, 0), |(rounds, ns), w| (rounds + w.iterations, ns + w.run_ns));
    ensure!(ns > 0, "the kernel says no CPU time in /proc/PID/schedstat");
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let per_s = rounds as f64 / ns as f64 * 1e9;
    Ok(per_s)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_costs_little_and_both_loops_are_measured() {
        let overhead = worker_overhead(0, 3, Duration::from_millis(20)).unwrap();
        // The limit is held by `cargo xtask bench worker`; here a busy machine must not make it red.
        assert!(overhead.bare_per_s > 1e6 && (0.5..2.0).contains(&overhead.ratio()), "{overhead:?}");
    }
}
