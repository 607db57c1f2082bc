//! How large a difference may be: the percentile bootstrap of the difference of medians.

use crate::series::quantile;

/// Times the samples are drawn anew: the ends of the interval then move by about a hundredth of its width.
const DRAWS: usize = 2000;

/// Interval for median(b) − median(a) that is missed with chance `level`; the same for the same values and seed.
pub fn difference_of_medians(a: &[f64], b: &[f64], level: f64, seed: u64) -> (f64, f64) {
    let mut chance = SplitMix(seed);
    let (mut drawn_a, mut drawn_b) = (vec![0.0; a.len()], vec![0.0; b.len()]);
    let mut differences: Vec<f64> =
        (0..DRAWS).map(|_| median_of(b, &mut drawn_b, &mut chance) - median_of(a, &mut drawn_a, &mut chance)).collect();
    differences.sort_by(f64::total_cmp);
    (quantile(&differences, level / 2.0), quantile(&differences, 1.0 - level / 2.0))
}

fn median_of(values: &[f64], drawn: &mut [f64], chance: &mut SplitMix) -> f64 {
    for slot in drawn.iter_mut() {
        *slot = values[chance.below(values.len())];
    }
    drawn.sort_by(f64::total_cmp);
    quantile(drawn, 0.5)
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
