//! The checks against a second reading of their definitions, in whole numbers.

use super::*;
use ktstr_verdict::{CheckKind, Verdict};
use proptest::prelude::*;

fn worker(iterations: u64) -> Seen {
    Seen { iterations, cpus: vec![0], ..Seen::default() }
}

fn result(seen: &[Seen], assert: Assert) -> AssertResult {
    check_group("a", seen, &[], Duration::from_secs(1), &assert)
}

fn verdict(seen: &[Seen], cpus: &[u32], assert: Assert) -> Verdict {
    check_group("a", seen, cpus, Duration::from_secs(1), &assert).fold()
}

#[test]
fn a_worker_that_stands_still_is_named() {
    let still = Seen { gap_ns: 5_000_000_000, gap_cpu: 3, gap_at_ns: 250_000_000, ..worker(9) };
    let found = result(&[worker(1), still], Assert { not_stuck: Some(true), ..Assert::NONE });
    assert_eq!(found.fold(), Verdict::Fail);
    let text = found.texts(Verdict::Fail);
    assert!(text.contains("cgroup `a`: worker 1 on CPU 3: no progress for 5000 ms at 0.250 s, at most"), "{text}");
    assert!(text.ends_with("(not_stuck)"), "{text}");
}

#[test]
fn a_worker_without_one_iteration_is_stuck_and_a_group_without_workers_proves_nothing() {
    assert_eq!(verdict(&[worker(0)], &[], Assert::library_defaults()), Verdict::Fail);
    assert_eq!(verdict(&[], &[], Assert::library_defaults()), Verdict::Inconclusive);
}

#[test]
fn not_stuck_taken_back_is_not_checked() {
    let off = Assert { not_stuck: Some(false), isolation: Some(false), ..Assert::NONE };
    assert!(result(&[worker(0)], off).outcomes.is_empty());
}

#[test]
fn a_worker_outside_its_cpuset_fails_isolation() {
    assert_eq!(verdict(&[worker(1)], &[1, 2], Assert::library_defaults()), Verdict::Fail);
    assert_eq!(verdict(&[worker(1)], &[0], Assert::library_defaults()), Verdict::Pass);
    let unseen = Seen { cpus: Vec::new(), ..worker(1) };
    assert_eq!(verdict(&[unseen], &[0], Assert { isolation: Some(true), ..Assert::NONE }), Verdict::Inconclusive);
}

#[test]
fn uneven_workers_break_the_spread_and_the_extremes_are_named() {
    let assert = Assert { max_spread_pct: Some(15.0), ..Assert::NONE };
    assert_eq!(verdict(&[worker(100), worker(110)], &[], assert), Verdict::Pass);
    let found = result(&[worker(100), worker(150)], assert);
    let text = found.texts(Verdict::Fail);
    assert!(text.contains("workers differ by 40.0 %, at most 15 %: worker 0 on CPU 0 did 100 iterations"), "{text}");
    assert!(text.contains("worker 1 on CPU 0 did 150 iterations within 1.000 s (max_spread_pct)"), "{text}");
}

#[test]
fn a_slow_worker_fails_and_one_without_cpu_time_is_not_proved_fast() {
    let assert = Assert { min_work_rate: Some(1000.0), ..Assert::NONE };
    let with = |iterations, run_ns| Seen { run_ns, ..worker(iterations) };
    assert_eq!(verdict(&[with(2000, 1_000_000_000)], &[], assert), Verdict::Pass);
    assert_eq!(verdict(&[with(2000, 1_000_000_000), with(2000, 0)], &[], assert), Verdict::Inconclusive);
    assert_eq!(verdict(&[with(500, 1_000_000_000), with(2000, 0)], &[], assert), Verdict::Fail);
}

#[test]
fn a_latency_that_is_always_the_same_does_not_vary() {
    let assert = Assert { max_wake_latency_cv: Some(0.1), ..Assert::NONE };
    let woke = |latency: Vec<(usize, u32)>| Seen { wakes: 4, latency, ..worker(1) };
    assert_eq!(verdict(&[woke(vec![(200, 4)])], &[], assert), Verdict::Pass);
    assert_eq!(verdict(&[woke(vec![(200, 3), (300, 1)])], &[], assert), Verdict::Fail);
    assert_eq!(verdict(&[woke(vec![(200, 1)])], &[], assert), Verdict::Inconclusive);
}

#[test]
fn passes_say_what_they_saw() {
    let found = result(&[worker(100), worker(100)], Assert { max_spread_pct: Some(15.0), ..Assert::NONE });
    assert_eq!(found.passes, ["cgroup `a`: workers differ by 0.0 %, at most 15 % (max_spread_pct)"]);
}

#[test]
fn a_limit_that_is_not_a_number_never_passes() {
    let nan = Some(f64::NAN);
    for assert in ratio_checks(f64::NAN) {
        assert_eq!(verdict(&[worker(5), worker(5)], &[], assert), Verdict::Fail, "{assert:?}");
    }
    assert_eq!(verdict(&[worker(5)], &[], Assert { min_iteration_rate: nan, ..Assert::NONE }), Verdict::Fail);
}

/// Every check that divides one sum by another, with the same limit.
fn ratio_checks(limit: f64) -> Vec<Assert> {
    let limit = Some(limit);
    vec![
        Assert { max_spread_pct: limit, ..Assert::NONE },
        Assert { max_throughput_cv: limit, ..Assert::NONE },
        Assert { max_migration_ratio: limit, ..Assert::NONE },
        Assert { max_cross_node_migration_ratio: limit, ..Assert::NONE },
        Assert { min_page_locality: limit, ..Assert::NONE },
        Assert { max_wake_latency_cv: limit, ..Assert::NONE },
        Assert { min_work_rate: limit, ..Assert::NONE },
    ]
}

fn any_worker() -> impl Strategy<Value = Seen> {
    let small = || prop_oneof![Just(0u64), 1u64..2000];
    (small(), small(), small(), small(), small(), 0u64..3, proptest::collection::vec((0usize..300, 1u32..5), 0..3))
        .prop_map(|(iterations, migrations, cross, local, total, run_s, latency)| Seen {
            iterations,
            migrations,
            cross_node_migrations: cross.min(migrations),
            pages_local: local.min(total),
            pages_total: total,
            run_ns: run_s * 1_000_000_000,
            wakes: latency.iter().map(|(_, n)| u64::from(*n)).sum(),
            latency,
            cpus: vec![0],
            ..Seen::default()
        })
}

/// `None` where nothing can be said, otherwise whether `over / under` is on the right side of `limit / 100`.
fn share(seen: &[Seen], over: fn(&Seen) -> u64, under: fn(&Seen) -> u64, limit_pct: u64, most: bool) -> Option<bool> {
    let (over, under): (u64, u64) = (seen.iter().map(over).sum(), seen.iter().map(under).sum());
    (under > 0).then(|| if most { over * 100 <= limit_pct * under } else { over * 100 >= limit_pct * under })
}

fn as_verdict(held: Option<bool>) -> Verdict {
    match held {
        None => Verdict::Inconclusive,
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Fail,
    }
}

proptest! {
    #[test]
    fn shares_are_what_whole_numbers_say(seen in proptest::collection::vec(any_worker(), 0..5), pct in 0u64..150) {
        #[allow(clippy::cast_precision_loss)]
        let limit = Some(pct as f64 / 100.0);
        // A quotient that is exactly the limit may fall on either side of it in binary.
        let exact = |over: fn(&Seen) -> u64, under: fn(&Seen) -> u64| {
            let (over, under): (u64, u64) = (seen.iter().map(over).sum(), seen.iter().map(under).sum());
            over * 100 == pct * under && under > 0
        };
        type Of = fn(&Seen) -> u64;
        let cases: [(Assert, Of, Of, bool); 3] = [
            (Assert { max_migration_ratio: limit, ..Assert::NONE }, |w| w.migrations, |w| w.iterations, true),
            (
                Assert { max_cross_node_migration_ratio: limit, ..Assert::NONE },
                |w| w.cross_node_migrations,
                |w| w.migrations,
                true,
            ),
            (Assert { min_page_locality: limit, ..Assert::NONE }, |w| w.pages_local, |w| w.pages_total, false),
        ];
        for (assert, over, under, most) in cases {
            if !exact(over, under) {
                prop_assert_eq!(verdict(&seen, &[], assert), as_verdict(share(&seen, over, under, pct, most)), "{:?}", assert);
            }
        }
    }

    #[test]
    fn the_spread_is_what_whole_numbers_say(counts in proptest::collection::vec(0u64..5000, 0..6), pct in 0u64..200) {
        let seen: Vec<Seen> = counts.iter().map(|n| worker(*n)).collect();
        let (sum, n) = (counts.iter().sum::<u64>(), counts.len() as u64);
        let spread = counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0);
        let held = (n >= 2 && sum > 0).then(|| spread * 100 * n <= pct * sum);
        prop_assume!(spread * 100 * n != pct * sum);
        #[allow(clippy::cast_precision_loss)]
        let assert = Assert { max_spread_pct: Some(pct as f64), ..Assert::NONE };
        prop_assert_eq!(verdict(&seen, &[], assert), as_verdict(held));
    }

    /// cv² = n·Σx² / (Σx)² − 1, in whole numbers.
    #[test]
    fn the_variation_is_what_whole_numbers_say(counts in proptest::collection::vec(0u64..5000, 0..6), pct in 1u64..200) {
        let seen: Vec<Seen> = counts.iter().map(|n| worker(*n)).collect();
        let n = counts.len() as u128;
        let sum: u128 = counts.iter().map(|x| u128::from(*x)).sum();
        let squares: u128 = counts.iter().map(|x| u128::from(*x).pow(2)).sum();
        let (left, right) = (n * squares * 10_000, (u128::from(pct).pow(2) + 10_000) * sum * sum);
        prop_assume!(left != right);
        #[allow(clippy::cast_precision_loss)]
        let assert = Assert { max_throughput_cv: Some(pct as f64 / 100.0), ..Assert::NONE };
        let held = (n >= 2 && sum > 0).then_some(left <= right);
        prop_assert_eq!(verdict(&seen, &[], assert), as_verdict(held));
    }

    /// The first law for ratios: nothing to divide by is never a pass, however loose the limit.
    #[test]
    fn a_zero_denominator_is_inconclusive_and_never_a_pass(
        seen in proptest::collection::vec(any_worker(), 0..5),
        limit in prop_oneof![Just(0.0), Just(f64::MAX), Just(f64::INFINITY), 0.0..10.0],
    ) {
        let bare: Vec<Seen> = seen
            .iter()
            .map(|w| Seen { cpus: w.cpus.clone(), gap_ns: w.gap_ns, ..Seen::default() })
            .collect();
        for assert in ratio_checks(limit) {
            let found = result(&bare, assert);
            prop_assert_eq!(found.fold(), Verdict::Inconclusive, "{:?}", assert);
            prop_assert!(found.passes.is_empty());
        }
        let p99 = Assert { max_p99_wake_latency_ns: Some(u64::MAX), ..Assert::NONE };
        prop_assert_eq!(verdict(&bare, &[], p99), Verdict::Inconclusive);
    }

    /// A looser limit never turns a pass into anything else, and every outcome names its attribute and cgroup.
    #[test]
    fn loosening_a_limit_never_hurts(seen in proptest::collection::vec(any_worker(), 1..5), limit in 0.0f64..3.0) {
        for (tight, loose) in ratio_checks(limit).into_iter().zip(ratio_checks(limit * 2.0)) {
            let least = tight.min_page_locality.is_some() || tight.min_work_rate.is_some();
            let (tight, loose) = if least { (loose, tight) } else { (tight, loose) };
            let (a, b) = (result(&seen, tight), result(&seen, loose));
            if a.fold() == Verdict::Pass {
                prop_assert_eq!(b.fold(), Verdict::Pass, "{:?} {:?}", tight, loose);
            }
            for text in a.outcomes.iter().map(ktstr_verdict::Outcome::text).chain(a.passes.iter().map(String::as_str)) {
                prop_assert!(text.is_empty() || (text.starts_with("cgroup `a`: ") && text.ends_with(')')), "{}", text);
            }
        }
    }
}

#[test]
fn only_latency_and_fairness_are_the_host_s_to_relax() {
    let kinds = |assert| result(&[worker(0), worker(0)], assert).outcomes.iter().map(kind).collect::<Vec<_>>();
    let expected = [
        CheckKind::Fairness,
        CheckKind::Fairness,
        CheckKind::Locality,
        CheckKind::Locality,
        CheckKind::Locality,
        CheckKind::Latency,
        CheckKind::Rate,
    ];
    for (assert, expected) in ratio_checks(1.0).into_iter().zip(expected) {
        assert_eq!(kinds(assert), [expected], "{assert:?}");
    }
}

fn kind(outcome: &ktstr_verdict::Outcome) -> CheckKind {
    match outcome {
        ktstr_verdict::Outcome::Fail { detail } | ktstr_verdict::Outcome::Inconclusive { detail } => detail.kind,
        other => panic!("{other:?}"),
    }
}
