//! Randomness that is the same in every run: all of it is drawn from a seed.

use crate::chaos;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of one worker; where runs are perturbed, another for each seed.
    pub fn of(index: usize) -> Self {
        Self(0x6b74_7374_7200_0000 ^ index as u64 ^ chaos::salt())
    }

    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low.saturating_add(self.next() % span)
    }

    /// A number below the limit; zero when there is none.
    pub const fn below(&mut self, limit: u32) -> u32 {
        // The high half of a product of 32 bits each: below the limit (Lemire 2019).
        #[allow(clippy::cast_possible_truncation, reason = "the product's high half has 32 bits")]
        let number = (((self.next() >> 32) * limit as u64) >> 32) as u32;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_worker_s_numbers_are_its_own_the_same_each_time_and_below_the_limit(index in 0usize..1000, limit: u32) {
            let numbers = |index| { let mut r = Random::of(index); [0; 8].map(|_| r.below(limit)) };
            prop_assert_eq!(numbers(index), numbers(index));
            prop_assert!(limit == 0 || numbers(index).iter().all(|&n| n < limit));
            prop_assert!(limit < 1000 || numbers(index) != numbers(index + 1));
        }
    }
}
