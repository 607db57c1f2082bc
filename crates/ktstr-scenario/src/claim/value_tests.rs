use super::*;
use crate::assert::Assert;
use crate::ctx::CtxParams;
use ktstr_topology::Topology;
use ktstr_verdict::{AssertResult, Verdict};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// What is recorded of claims made of a context.
pub(crate) fn recorded(claims: impl FnOnce(&Ctx)) -> AssertResult {
    let ctx = Ctx::new(CtxParams {
        topology: Topology::new(1, 1, 2, 1).unwrap(),
        duration: Duration::from_secs(1),
        assert: Assert::NONE,
        cgroup_root: "/nonexistent".into(),
        cgroup_walk_root: None,
        host_only: true,
        scheduler_name: "none".into(),
        control: Arc::default(),
    });
    claims(&ctx);
    ctx.take_outcomes()
}

#[test]
fn a_failed_claim_says_both_values_and_so_does_one_that_holds() {
    let found = recorded(|ctx| {
        assert!(!ctx.claim("p99").value(700).at_most(500));
        assert!(ctx.claim("p50").value(30).at_most(500));
    });
    assert_eq!(found.texts(Verdict::Fail), "claim `p99`: 700 is not at most 500");
    assert_eq!(found.passes, ["claim `p50`: 30 is at most 500"]);
}

#[test]
fn nothing_to_divide_by_is_inconclusive() {
    for (over, under) in [(1.0, 0.0), (0.0, 0.0), (1.0, -0.0), (1.0, 1e-310), (f64::NAN, 1.0), (1.0, f64::NAN)] {
        let found = recorded(|ctx| assert!(!ctx.claim("r").ratio(over, under).at_most(f64::INFINITY)));
        assert_eq!(found.fold(), Verdict::Inconclusive, "{over} / {under}");
    }
    assert_eq!(recorded(|ctx| assert!(ctx.claim("r").ratio(3.0, 2.0).equals(1.5))).fold(), Verdict::Pass);
}

#[test]
fn percent_of_nothing_is_inconclusive() {
    assert_eq!(recorded(|ctx| assert!(!ctx.claim("n").value(0.0).near(0.0, 5.0))).fold(), Verdict::Inconclusive);
    assert_eq!(recorded(|ctx| assert!(ctx.claim("n").value(104.0).near(100.0, 5.0))).fold(), Verdict::Pass);
    assert_eq!(recorded(|ctx| assert!(!ctx.claim("n").value(106.0).near(100.0, 5.0))).fold(), Verdict::Fail);
}

#[test]
fn truth_is_a_claim_as_well() {
    let found = recorded(|ctx| {
        assert!(ctx.claim("a").is_true(true) && !ctx.claim("b").is_true(false) && ctx.claim("c").is_false(false));
    });
    assert_eq!(found.texts(Verdict::Fail), "claim `b`: false is not true");
}

/// Every comparison of one value with one or two others.
fn all(ctx: &Ctx, v: f64, a: f64, b: f64) -> [bool; 8] {
    let claim = || ctx.claim("x").value(v);
    [
        claim().at_most(a),
        claim().at_least(a),
        claim().above(a),
        claim().below(a),
        claim().equals(a),
        claim().differs_from(a),
        claim().within(a, b),
        claim().near(a, b),
    ]
}

proptest! {
    #[test]
    fn what_is_not_a_number_never_holds(value: f64, other: f64, which in 0usize..3) {
        let (v, a, b) = match which {
            0 => (f64::NAN, value, other),
            1 => (value, f64::NAN, other),
            _ => (f64::NAN, f64::NAN, f64::NAN),
        };
        let found = recorded(|ctx| assert_eq!(all(ctx, v, a, b), [false; 8], "{v} {a} {b}"));
        prop_assert!(found.passes.is_empty());
        prop_assert!(found.outcomes.iter().all(|o| o.verdict() != Verdict::Pass));
    }

    #[test]
    fn comparisons_are_those_of_whole_numbers(v in -9i32..9, a in -9i32..9, b in -9i32..9) {
        let near = a != 0 && (v - a).abs() * 100 <= a.abs() * b;
        let wanted = [v <= a, v >= a, v > a, v < a, v == a, v != a, (a..=b).contains(&v), near];
        let _ = recorded(|ctx| {
            // Percents of whole numbers are not exact in binary: only where it makes no difference.
            let got = all(ctx, f64::from(v), f64::from(a), f64::from(b));
            let exact = (v - a).abs() * 100 == a.abs() * b;
            assert!(got[..7] == wanted[..7] && (exact || got[7] == wanted[7]), "{v} {a} {b}: {got:?} {wanted:?}");
        });
    }
}
