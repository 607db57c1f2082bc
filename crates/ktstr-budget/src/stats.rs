//! What a selection amounts to.

use crate::seconds::Secs;
use crate::select::Candidate;

/// Figures for the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Candidates chosen.
    pub selected: usize,
    /// Candidates there were.
    pub total: usize,
    /// Estimated seconds of the chosen.
    pub secs_used: f64,
    /// Seconds given.
    pub secs_budget: f64,
    /// Feature bits the chosen cover.
    pub bits_covered: u32,
    /// Feature bits all candidates together could cover.
    pub bits_possible: u32,
}

/// The figures of a selection, with indices as [`select`](crate::select) gave them.
///
/// # Panics
/// When an index is outside of `all`: the selection was made from another list.
#[must_use]
pub fn stats(all: &[Candidate], chosen: &[usize], budget: Secs) -> Stats {
    Stats {
        selected: chosen.len(),
        total: all.len(),
        // The sum of none is a negative zero.
        secs_used: chosen.iter().map(|&i| all[i].secs.get()).sum::<f64>() + 0.0,
        secs_budget: budget.get(),
        bits_covered: chosen.iter().fold(0, |bits, &i| bits | all[i].mask).count_ones(),
        bits_possible: all.iter().fold(0, |bits, c| bits | c.mask).count_ones(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select::select;
    use proptest::prelude::*;

    #[test]
    fn nothing_takes_no_time() {
        assert_eq!(format!("{:.0}", stats(&[], &[], Secs::ZERO).secs_used), "0");
    }

    proptest! {
        #[test]
        fn a_selection_never_claims_more_than_there_is(
            raw in prop::collection::vec((any::<u64>(), 0.0f64..60.0), 0..40),
            budget in 0.0f64..600.0,
        ) {
            let all: Vec<Candidate> = raw
                .into_iter()
                .enumerate()
                .map(|(i, (mask, secs))| Candidate { name: format!("t{i}"), mask, secs: Secs::new(secs).unwrap() })
                .collect();
            let budget = Secs::new(budget).unwrap();
            let s = stats(&all, &select(&all, budget), budget);
            prop_assert!(s.selected <= s.total && s.total == all.len());
            // Sums in another order than the selection's differ by rounding.
            prop_assert!(s.secs_used <= s.secs_budget + 1e-6);
            prop_assert!(s.bits_covered <= s.bits_possible && s.bits_possible <= 64);
        }
    }

    #[test]
    fn a_selection_of_everything_covers_everything() {
        let of = |name: &str, mask| Candidate { name: name.to_owned(), mask, secs: Secs::new(2.0).unwrap() };
        let all = [of("a", 0b001), of("b", 0b110)];
        let budget = Secs::new(5.0).unwrap();
        let wanted =
            Stats { selected: 2, total: 2, secs_used: 4.0, secs_budget: 5.0, bits_covered: 3, bits_possible: 3 };
        assert_eq!(stats(&all, &[0, 1], budget), wanted);
    }
}
