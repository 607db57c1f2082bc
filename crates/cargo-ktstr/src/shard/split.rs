//! The longest first, each to the shard that has least: never more than 4/3 of the best split (Graham 1969).

use crate::names::TestId;
use std::collections::BTreeSet;

/// One shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Estimated seconds of its tests, one after the other.
    pub seconds: f64,
    /// Which they are.
    pub tests: BTreeSet<TestId>,
}

/// At most `jobs` shards; fewer when there are fewer tests, for an empty shard is a machine for nothing.
pub fn split(mut tests: Vec<(TestId, f64)>, jobs: u32) -> Vec<Part> {
    tests.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    let count = tests.len().min(jobs as usize);
    let mut parts = vec![Part::default(); count];
    for (test, seconds) in tests {
        let least = parts
            .iter_mut()
            .min_by(|a, b| a.seconds.total_cmp(&b.seconds).then_with(|| a.tests.len().cmp(&b.tests.len())));
        if let Some(part) = least {
            part.seconds += seconds;
            part.tests.insert(test);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn test(number: usize) -> TestId {
        TestId { binary: "b".into(), name: format!("t{number}") }
    }

    proptest! {
        #[test]
        fn every_test_is_in_exactly_one_shard_and_none_is_empty(
            seconds in prop::collection::vec(0.1f64..100.0, 1..60), jobs in 1u32..20,
        ) {
            let tests: Vec<(TestId, f64)> = seconds.iter().enumerate().map(|(i, s)| (test(i), *s)).collect();
            let parts = split(tests, jobs);
            prop_assert_eq!(parts.iter().map(|p| p.tests.len()).sum::<usize>(), seconds.len());
            let all: BTreeSet<&TestId> = parts.iter().flat_map(|p| &p.tests).collect();
            prop_assert_eq!(all.len(), seconds.len());
            prop_assert!(parts.len() <= jobs as usize && parts.iter().all(|p| !p.tests.is_empty()));
            // No shard is longer than the mean and the longest test together.
            let mean = seconds.iter().sum::<f64>() / parts.len() as f64;
            let longest = seconds.iter().copied().fold(0.0, f64::max);
            prop_assert!(parts.iter().all(|p| p.seconds <= mean + longest + 1e-6));
        }

        #[test]
        fn the_same_tests_in_any_order_are_split_the_same(jobs in 1u32..5) {
            let tests = || (0u8..12).map(|i| (test(i.into()), f64::from(i % 5)));
            prop_assert_eq!(split(tests().collect(), jobs), split(tests().rev().collect(), jobs));
        }
    }
}
