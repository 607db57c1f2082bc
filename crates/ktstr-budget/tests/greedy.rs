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

fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), (0u32..6).prop_map(|e| f64::from(1u32 << e)), 0.1f64..60.0]
}

fn candidates() -> impl Strategy<Value = Vec<WideCandidate>> {
    let word = prop_oneof![any::<u64>(), (0u64..256), Just(0)];
    prop::collection::vec(("[a-c]{1,3}", prop::collection::vec(word, 0..4), seconds()), 0..60).prop_map(|raw| {
        raw.into_iter()
            .map(|(name, bits, secs)| WideCandidate {
                name,
                bits: bits.into_iter().take(3).collect(),
                secs: Secs::new(secs).unwrap(),
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_heap_gives_the_plain_greedy_answer(all in candidates(), budget in seconds().prop_map(|s| s * 4.0)) {
        let narrow: Vec<Candidate> = all.iter().map(|c| Candidate {
            name: c.name.clone(), mask: c.bits.first().copied().unwrap_or(0), secs: c.secs,
        }).collect();
        let as_wide: Vec<WideCandidate> = narrow.iter().map(|c| WideCandidate {
            name: c.name.clone(), bits: vec![c.mask], secs: c.secs,
        }).collect();
        let secs = Secs::new(budget).unwrap();
        prop_assert_eq!(select(&narrow, secs), plain(&as_wide, budget));
        prop_assert_eq!(select_with(&all, secs), plain(&all, budget));
    }
}

#[test]
fn what_is_not_a_number_of_seconds_is_refused() {
    for bad in [f64::NAN, f64::INFINITY, -1.0, f64::NEG_INFINITY] {
        assert!(Secs::new(bad).is_err(), "{bad}");
    }
    for bad in ["0", "-3", "NaN", "inf", "soon"] {
        assert!(ktstr_budget::parse_budget(bad).is_err(), "{bad}");
    }
}
