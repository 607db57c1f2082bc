//! The lazy selection against the plain quadratic one, written from the rules alone.
#![allow(clippy::unwrap_used)]

use ktstr_budget::{Candidate, Secs, WideCandidate, select, select_with};
use proptest::prelude::*;

fn plain(all: &[WideCandidate], budget: f64) -> Vec<usize> {
    let mut covered = [0u64; 3];
    let mut left = budget;
    let mut taken: Vec<usize> = Vec::new();
    loop {
        let mut best: Option<(f64, &str, usize)> = None;
        for (i, c) in all.iter().enumerate() {
            let new: u32 = c.bits.iter().zip(covered).map(|(b, have)| (b & !have).count_ones()).sum();
            let secs = c.secs.get();
            if taken.contains(&i) || new == 0 || secs > left {
                continue;
            }
            let rate = if secs == 0.0 { f64::from(new) * 1e6 } else { f64::from(new) / secs };
            let better = best.is_none_or(|(r, name, _)| rate > r || (rate == r && c.name.as_str() < name));
            if better {
                best = Some((rate, &c.name, i));
            }
        }
        let Some((_, _, i)) = best else { break };
        taken.push(i);
        left -= all[i].secs.get();
        for (have, b) in covered.iter_mut().zip(&all[i].bits) {
            *have |= b;
        }
    }
    taken.sort_unstable();
    taken
}

/// Few enough values to tie often, and the ones where floats are treacherous: below 1e-6 a price beats no price, neighbours
/// divide to equal rates, and the smallest divide to infinity.
fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        (0u32..6).prop_map(|e| f64::from(1u32 << e)),
        0.1f64..60.0,
        prop::sample::select(vec![1e-310, 1e-9, 0.99e-6, 1e-6, f64::from_bits(1e-6f64.to_bits() + 1), 1.01e-6, 1e-3]),
        (0u64..3).prop_map(|step| f64::from_bits(3.0f64.to_bits() + step)),
    ]
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0u64..256, 1u64..4, Just(0)]
}

fn candidates() -> impl Strategy<Value = Vec<WideCandidate>> {
    prop::collection::vec(("[a-c]{1,3}", prop::collection::vec(word(), 0..4), seconds()), 0..60).prop_map(|raw| {
        let wide = |(name, mut bits, secs): (String, Vec<u64>, f64)| {
            bits.truncate(3);
            WideCandidate { name, bits, secs: Secs::new(secs).unwrap() }
        };
        raw.into_iter().map(wide).collect()
    })
}

fn budget() -> impl Strategy<Value = f64> {
    (seconds(), 1u32..6).prop_map(|(secs, times)| secs * f64::from(times))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn the_heap_gives_the_plain_greedy_answer_for_64_bits(
        raw in prop::collection::vec(("[a-c]{1,3}", word(), seconds()), 0..60),
        budget in budget(),
    ) {
        let narrow: Vec<Candidate> = raw.into_iter().map(|(name, mask, secs)| {
            Candidate { name, mask, secs: Secs::new(secs).unwrap() }
        }).collect();
        let wide: Vec<WideCandidate> = narrow.iter().map(|c| WideCandidate {
            name: c.name.clone(), bits: vec![c.mask], secs: c.secs,
        }).collect();
        prop_assert_eq!(select(&narrow, Secs::new(budget).unwrap()), plain(&wide, budget));
    }

    #[test]
    fn the_heap_gives_the_plain_greedy_answer_for_any_width(all in candidates(), budget in budget()) {
        prop_assert_eq!(select_with(&all, Secs::new(budget).unwrap()), plain(&all, budget));
    }
}

#[test]
fn zero_words_at_the_end_change_nothing() {
    let of = |name: &str, bits: &[u64]| WideCandidate { name: name.into(), bits: bits.to_vec(), secs: Secs::ZERO };
    let all = [of("b", &[7]), of("a", &[7, 0, 0])];
    assert_eq!(select_with(&all, Secs::ZERO), [1]);
}

#[test]
fn an_empty_list_and_an_empty_budget_give_what_is_free() {
    assert!(select(&[], Secs::ZERO).is_empty());
    let of = |name: &str, secs| Candidate { name: name.into(), mask: 1, secs: Secs::new(secs).unwrap() };
    assert_eq!(select(&[of("a", 1.0), of("b", 0.0)], Secs::ZERO), [1]);
}
