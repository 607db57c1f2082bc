//! The selection over a million candidates.

use super::median;
use anyhow::{Result, ensure};
use ktstr_budget::{Candidate, Secs, select};
use std::time::Instant;

const CANDIDATES: u64 = 1_000_000;
/// Seconds that a selection may take.
const LIMIT_S: f64 = 1.0;

/// Deterministic masks of a gauntlet's kind: some bits of 31, all different enough that few collapse.
pub fn run() -> Result<()> {
    let candidates: Vec<Candidate> = (0..CANDIDATES)
        .map(|i| {
            let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let secs = Secs::new(f64::from(u8::try_from(mixed >> 58).unwrap_or(1)) + 1.0)?;
            Ok(Candidate { name: format!("t{i:07}"), mask: mixed & (mixed >> 17), secs })
        })
        .collect::<Result<_>>()?;
    let budget = Secs::new(600.0)?;
    let mut seconds = Vec::new();
    let mut chosen = 0;
    for _ in 0..5 {
        let start = Instant::now();
        chosen = select(&candidates, budget).len();
        seconds.push(start.elapsed().as_secs_f64());
    }
    let median = median(seconds);
    println!("budget: {CANDIDATES} candidates, {chosen} chosen, median of 5: {median:.3} s (limit {LIMIT_S} s)");
    ensure!(median < LIMIT_S, "the selection took {median:.3} s");
    Ok(())
}
