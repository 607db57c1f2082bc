//! The fewest perturbations that still fail (Zeller and Hildebrandt: "Simplifying and Isolating Failure-Inducing Input", 2002).

/// No more runs are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent;

/// What is left of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    pub kept: Vec<u32>,
    /// Without any single one of them there is no failure.
    pub minimal: bool,
}

/// Shrinks `all`, which fails, while the empty list does not. `fails` answers which of the candidates it is given is the first
/// that fails.
pub fn shrink(all: Vec<u32>, mut fails: impl FnMut(&[Vec<u32>]) -> Result<Option<usize>, Spent>) -> Shrunk {
    let mut kept = all;
    let mut parts = 2;
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let mut candidates: Vec<Vec<u32>> = kept.chunks(size).map(<[u32]>::to_vec).collect();
        let chunks = candidates.len();
        // Of two halves, each is what is left without the other.
        if chunks > 2 {
            let rests: Vec<Vec<u32>> = candidates
                .iter()
                .map(|chunk| kept.iter().copied().filter(|index| !chunk.contains(index)).collect())
                .collect();
            candidates.extend(rests);
        }
        match fails(&candidates) {
            Err(Spent) => return Shrunk { kept, minimal: false },
            Ok(Some(index)) => {
                kept.clone_from(&candidates[index]);
                parts = if index < chunks { 2 } else { (parts - 1).max(2) };
            }
            Ok(None) if size == 1 => break,
            Ok(None) => parts = (2 * parts).min(kept.len()),
        }
    }
    Shrunk { kept, minimal: true }
}

/// `0-3,7`, as `KTSTR_CHAOS_KEEP` takes it; the numbers ascend.
pub fn as_list(kept: &[u32]) -> String {
    if kept.is_empty() {
        return "none".to_owned();
    }
    let runs = kept.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let words = runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    words.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn first(candidates: &[Vec<u32>], fails: impl Fn(&[u32]) -> bool) -> Option<usize> {
        candidates.iter().position(|c| fails(c))
    }

    proptest! {
        #[test]
        fn where_some_together_are_the_cause_they_are_what_is_left(count in 1u32..300, picks in prop::collection::vec(any::<prop::sample::Index>(), 1..5)) {
            let cause: BTreeSet<u32> = picks.iter().map(|p| u32::try_from(p.index(count as usize)).unwrap()).collect();
            let fails = |list: &[u32]| cause.iter().all(|c| list.contains(c));
            let found = shrink((0..count).collect(), |c| Ok(first(c, fails)));
            prop_assert_eq!(found, Shrunk { kept: cause.into_iter().collect(), minimal: true });
        }

        #[test]
        fn what_is_left_fails_and_is_minimal_whatever_fails(count in 1u32..60, salt in any::<u64>()) {
            // Any failure, and none of the empty list: what perturbations do is not monotone.
            let fails = |list: &[u32]| {
                let mixed = list.iter().fold(salt, |h, i| (h ^ u64::from(*i)).wrapping_mul(0x0100_0000_01b3));
                list.len() == count as usize || (!list.is_empty() && mixed >> 61 == 0)
            };
            let Shrunk { kept, minimal } = shrink((0..count).collect(), |c| Ok(first(c, fails)));
            prop_assert!(minimal && fails(&kept) && kept.is_sorted());
            for left_out in &kept {
                let rest: Vec<u32> = kept.iter().copied().filter(|i| i != left_out).collect();
                prop_assert!(!fails(&rest), "{:?} without {}", kept, left_out);
            }
        }

        #[test]
        fn a_list_that_may_not_be_shrunk_further_still_fails(runs in 0usize..40) {
            let fails = |list: &[u32]| [17, 40].iter().all(|c| list.contains(c));
            let mut left = runs;
            let Shrunk { kept, .. } = shrink((0..64).collect(), |c| {
                left = left.checked_sub(c.len()).ok_or(Spent)?;
                Ok(first(c, fails))
            });
            prop_assert!(fails(&kept));
        }
    }

    #[test]
    fn a_list_is_written_as_it_is_read() {
        assert_eq!(as_list(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        assert_eq!(as_list(&[]), "none");
    }
}
