//! How large a difference may be: the percentile bootstrap of the difference of medians.

use crate::series::quantile;

/// Times the samples are drawn anew: the ends of the interval then move by about a hundredth of its width.
const DRAWS: usize = 2000;

/// Interval for median(b) − median(a) that is missed with chance `level`; the same for the same values and seed.
pub fn difference_of_medians(a: &[f64], b: &[f64], level: f64, seed: u64) -> (f64, f64) {
    let differences = differences(a, b, seed);
    (quantile(&differences, level / 2.0), quantile(&differences, 1.0 - level / 2.0))
}

/// The differences of all draws, sorted.
pub(super) fn differences(a: &[f64], b: &[f64], seed: u64) -> Vec<f64> {
    let mut chance = SplitMix(seed);
    let (mut a, mut b) = (Sample::of(a), Sample::of(b));
    let mut differences: Vec<f64> = (0..DRAWS).map(|_| b.median(&mut chance) - a.median(&mut chance)).collect();
    differences.sort_by(f64::total_cmp);
    differences
}

/// Sorted values, and how often each was drawn: so no draw has to be sorted.
struct Sample {
    sorted: Vec<f64>,
    drawn: Vec<usize>,
}

impl Sample {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { drawn: vec![0; sorted.len()], sorted }
    }

    /// Median of as many values, drawn with repeats.
    fn median(&mut self, chance: &mut SplitMix) -> f64 {
        let count = self.sorted.len();
        self.drawn.fill(0);
        for _ in 0..count {
            self.drawn[chance.below(count)] += 1;
        }
        (self.at((count - 1) / 2) + self.at(count / 2)) / 2.0
    }

    fn at(&self, rank: usize) -> f64 {
        let mut seen = 0;
        let place = self.drawn.iter().position(|drawn| {
            seen += drawn;
            seen > rank
        });
        place.map_or(f64::NAN, |place| self.sorted[place])
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; its bias is `end` / 2^64.
    #[allow(clippy::cast_possible_truncation)] // The product's upper half is below `end`.
    pub const fn below(&mut self, end: usize) -> usize {
        ((self.next() as u128 * end as u128) >> 64) as usize
    }
}
