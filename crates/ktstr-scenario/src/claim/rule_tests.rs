//! Claims about series of whole numbers, against a second reading of their definitions without fractions.

use super::super::Series;
use super::super::value::tests::recorded;
use super::*;
use ktstr_verdict::Verdict;
use proptest::prelude::*;
use std::time::Duration;

#[allow(clippy::cast_precision_loss)]
fn points(values: &[i64]) -> Vec<(f64, f64)> {
    // Half a second apart, which is exact in binary.
    values.iter().enumerate().map(|(i, v)| (i as f64 / 2.0, *v as f64)).collect()
}

fn held(finding: &Finding) -> Option<bool> {
    match finding {
        Holds(_) => Some(true),
        Broken(_) => Some(false),
        Unknown(_) => None,
    }
}

fn everything(points: &[(f64, f64)], loose: f64) -> [Finding; 5] {
    [
        nondecreasing(points),
        rate_within(points, -loose, loose),
        steady_within(points, loose),
        converges(points, 0.0, loose, 0.0),
        always(points, |_| true),
    ]
}

proptest! {
    #[test]
    fn series_are_judged_as_whole_numbers_say(
        values in proptest::collection::vec(-50i64..50, 0..8),
        low in -100i64..100,
        high in -100i64..100,
        pct in 0i64..300,
        by in 0usize..10,
    ) {
        #[allow(clippy::cast_precision_loss)]
        let f = |n: i64| n as f64;
        let taken = points(&values);
        let enough = values.len() >= 2;
        let steps = || values.windows(2).map(|w| w[1] - w[0]);
        prop_assert_eq!(held(&nondecreasing(&taken)), enough.then(|| steps().all(|s| s >= 0)));
        // A step in half a second is half its rate.
        let rates = enough.then(|| steps().all(|s| 2 * s >= low && 2 * s <= high));
        prop_assert_eq!(held(&rate_within(&taken, f(low), f(high))), rates);

        let (sum, n) = (values.iter().sum::<i64>(), i64::try_from(values.len()).unwrap());
        let off = |v: &i64| (v * n - sum).abs() * 100;
        // On the very edge, rounding decides.
        if values.iter().all(|v| off(v) != sum.abs() * pct) {
            let steady = (enough && sum != 0).then(|| values.iter().all(|v| off(v) < sum.abs() * pct));
            prop_assert_eq!(held(&steady_within(&taken, f(pct))), steady);
        }

        let late: Vec<i64> = values.iter().skip(by).copied().collect();
        let bad = late.iter().any(|v| (v - low).abs() > pct);
        let converged = match (enough, bad, late.len()) {
            (true, true, _) => Some(false),
            (true, false, 2..) => Some(true),
            _ => None,
        };
        #[allow(clippy::cast_precision_loss)]
        let by_s = by as f64 / 2.0;
        prop_assert_eq!(held(&converges(&taken, f(low), f(pct), by_s)), converged);

        prop_assert_eq!(held(&always(&taken, |v| v <= f(high))), enough.then(|| values.iter().all(|v| *v <= high)));
    }

    /// No series, however loose the claim, proves anything when one of its values is no number.
    #[test]
    fn what_is_not_a_number_proves_nothing(
        values in proptest::collection::vec(-50i64..50, 2..8),
        at: prop::sample::Index,
        bad in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        in_time: bool,
    ) {
        let mut taken = points(&values);
        let point = &mut taken[at.index(values.len())];
        if in_time { point.0 = bad } else { point.1 = bad }
        for finding in everything(&taken, f64::MAX) {
            prop_assert_eq!(held(&finding), None, "{:?}", finding);
        }
    }
}

#[test]
fn an_empty_series_a_single_sample_and_time_that_stands_still_prove_nothing() {
    for taken in [vec![], points(&[1]), vec![(1.0, 1.0), (1.0, 2.0)], vec![(2.0, 1.0), (1.0, 2.0)]] {
        for finding in everything(&taken, f64::INFINITY) {
            assert_eq!(held(&finding), None, "{taken:?}: {finding:?}");
        }
    }
}

#[test]
fn limits_that_are_not_numbers_hold_for_nothing() {
    let taken = points(&[1, 2, 3]);
    for finding in [
        rate_within(&taken, f64::NAN, 9.0),
        rate_within(&taken, -9.0, f64::NAN),
        steady_within(&taken, f64::NAN),
        converges(&taken, f64::NAN, 9.0, 0.0),
        converges(&taken, 2.0, f64::NAN, 0.0),
        converges(&taken, 2.0, 9.0, f64::NAN),
    ] {
        assert_ne!(held(&finding), Some(true), "{finding:?}");
    }
}

#[test]
fn a_claim_over_time_is_recorded_with_values_and_times() {
    let series = Series::of(&[(0.0, 5.0), (0.5, 7.0), (1.0, 6.0)]);
    let found = recorded(|ctx| {
        assert!(!ctx.claim_over("done", &series).nondecreasing());
        assert!(ctx.claim_over("done", &series).rate_within(-2.0..=4.0));
        assert!(!ctx.claim_over("done", &series).steady_within(5.0));
        assert!(!ctx.claim_over("done", &series).converges(6.0, 0.5, Duration::from_secs(1)));
        assert!(ctx.claim_over("done", &series).always(|v| v > 4.0));
    });
    let fails = found.texts(Verdict::Fail);
    assert!(fails.contains("claim `done`: fell from 7 at 0.500 s to 6 at 1.000 s"), "{fails}");
    assert!(fails.contains("5 at 0.000 s is not within 5 % of the mean 6"), "{fails}");
    assert!(found.texts(Verdict::Inconclusive).contains("1 samples from 1 s on"));
    assert_eq!(found.passes.len(), 2);
}
