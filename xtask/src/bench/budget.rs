//! The selection over a million candidates.
//!
//! Lists of random candidates from a fixed seed: masks as tests have them, of which many are equal, and masks of which
//! hardly two are; at equal prices a choice then makes every other entry of the heap stale.

use super::median;
use anyhow::{Result, ensure};
use ktstr_budget::{Candidate, Features, Secs, SecsError, estimate_duration, select, stats};
use std::time::Instant;

const CANDIDATES: usize = 1_000_000;
const RUNS: usize = 5;
/// Seconds that a selection may take.
const LIMIT_S: f64 = 1.0;
/// Seconds given to the selection; enough for thousands of tests.
const BUDGET_S: f64 = 36_000.0;

type Make = fn(&mut Random, usize) -> Result<Candidate, SecsError>;

/// Measures every kind of list; the slowest must keep the limit.
pub fn run() -> Result<()> {
    let budget = Secs::new(BUDGET_S)?;
    let kinds: [(&str, Make); 4] = [
        ("like tests", like_tests),
        ("all different", all_different),
        ("at one price", at_one_price),
        ("five bits each", five_bits_each),
    ];
    for (kind, make) in kinds {
        let mut random = Random(1);
        let all = (0..CANDIDATES).map(|index| make(&mut random, index)).collect::<Result<Vec<_>, _>>()?;
        let mut chosen = Vec::new();
        let seconds = (0..RUNS).map(|_| {
            let start = Instant::now();
            chosen = select(&all, budget);
            start.elapsed().as_secs_f64()
        });
        let median = median(seconds.collect());
        let s = stats(&all, &chosen, budget);
        println!(
            "budget: {kind}: {} of {} chosen, {}/{} bits, median of {RUNS}: {median:.3} s (limit {LIMIT_S} s)",
            s.selected, s.total, s.bits_covered, s.bits_possible
        );
        ensure!(median < LIMIT_S, "the selection among candidates `{kind}` took {median:.3} s");
    }
    Ok(())
}

/// SplitMix64 (Steele, Lea, Flood 2014): three lines are all the randomness this needs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap_or(0)
    }
}

fn like_tests(random: &mut Random, index: usize) -> Result<Candidate, SecsError> {
    let name = format!("gauntlet/module{}::test{index}/preset", random.below(50));
    let (cpus, duration_s) = (1 + random.below(256), u64::from(1 + random.below(30)));
    let flags = random.next();
    let perf = flags & 2 != 0;
    let features = Features {
        scheduler: ["scx_a", "scx_b", "scx_c", "eevdf"][random.below(4) as usize],
        test: &name,
        cpus,
        llcs: 1 + random.below(16),
        numa_nodes: 1 + random.below(8),
        smt: flags & 1 != 0,
        perf,
        host_only: false,
        expect_err: flags & 4 != 0,
        duration_s,
        gauntlet: true,
    };
    Ok(Candidate { mask: features.mask(), secs: Secs::new(estimate_duration(cpus, duration_s, false, perf))?, name })
}

fn all_different(random: &mut Random, index: usize) -> Result<Candidate, SecsError> {
    let secs = Secs::new(f64::from(1 + random.below(60_000)) / 1000.0)?;
    Ok(Candidate { name: format!("t{index}"), mask: random.next(), secs })
}

fn at_one_price(random: &mut Random, index: usize) -> Result<Candidate, SecsError> {
    Ok(Candidate { secs: Secs::new(14.0)?, ..all_different(random, index)? })
}

fn five_bits_each(random: &mut Random, index: usize) -> Result<Candidate, SecsError> {
    let mask = (0..5).fold(0, |mask, _| mask | 1 << random.below(64));
    Ok(Candidate { mask, ..at_one_price(random, index)? })
}
