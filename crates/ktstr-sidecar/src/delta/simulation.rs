//! How often a comparison of equals raises an alarm, and how often a true loss is found; and what scipy says of the same
//! values.

use super::bootstrap::{SplitMix, differences};
use super::rank::rank_sum_p;
use super::*;
use crate::record::SidecarRecord;
use crate::scan::Fold as _;
use std::path::Path;

const PAIRS: u64 = 200;

struct Chance(SplitMix);

impl Chance {
    fn uniform(&mut self) -> f64 {
        ((self.0.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Positive values around 1000 with this coefficient of variation, in shapes that statistics dislike.
    fn value(&mut self, shape: usize, variation: f64) -> f64 {
        match shape {
            0 => 1000.0 * (variation * self.normal()).exp(),
            // One in five runs is disturbed.
            1 => {
                1000.0
                    * (1.0 + variation * self.normal().abs() + if self.uniform() < 0.2 { 5.0 * variation } else { 0.0 })
            }
            // Whole buckets: ties.
            2 => (10.0 * (1.0 + variation * self.normal())).round() * 100.0,
            // No variance at all in the limit.
            _ => 1000.0 * self.uniform().powf(-variation / 2.0),
        }
    }
}

/// Twelve figures over two rows, `runs` runs; the first figure is `factor` as large as it was.
fn side(chance: &mut Chance, runs: usize, variation: f64, factor: f64) -> Rows {
    let mut rows = Rows::default();
    for row in ["one", "two"] {
        for _ in 0..runs {
            let mut record = SidecarRecord::new(row, "1n1l4c1t", "a", Verdict::Pass);
            for figure in 0..6 {
                let value = chance.value(figure % 4, variation);
                let factor = if row == "one" && figure == 0 { factor } else { 1.0 };
                record.metrics.insert(format!("figure{figure}_us"), value * factor);
            }
            rows.take(Path::new("x"), record);
        }
    }
    rows
}

/// Comparisons that found a loss, and those that found one where there was none.
fn alarms(runs: usize, variation: f64, factor: f64) -> (u64, u64) {
    let (mut found, mut false_ones) = (0, 0);
    for pair in 0..PAIRS {
        let mut chance = Chance(SplitMix(pair + 1));
        let old = side(&mut chance, runs, variation, 1.0);
        let new = side(&mut chance, runs, variation, factor);
        let worse: Vec<Change> = compare(&old, &new, Question::default())
            .changes
            .into_iter()
            .filter(|c| matches!(c.finding, Finding::Worse | Finding::Better))
            .collect();
        let slowed = |c: &Change| c.row.test == "one" && c.name == "figure0_us" && factor != 1.0;
        found += u64::from(worse.iter().any(|c| slowed(c) && c.finding == Finding::Worse));
        false_ones += u64::from(worse.iter().any(|c| !slowed(c)));
    }
    (found, false_ones)
}

#[test]
fn equals_raise_no_more_alarms_than_the_stated_level() {
    // The variation is so large that the absolute and the relative gate hold nothing back.
    for runs in [8, 20] {
        let (_, alarms) = alarms(runs, 0.5, 1.0);
        assert!(alarms as f64 <= 0.05 * PAIRS as f64, "{alarms} of {PAIRS} with {runs} runs");
    }
}

#[test]
fn a_loss_of_a_fifth_is_found_as_often_as_the_documents_say() {
    let (found, false_ones) = alarms(10, 0.05, 1.2);
    assert!(found * 100 >= PAIRS * 95, "10 runs, variation 5 %: {found} of {PAIRS}");
    assert!(false_ones as f64 <= 0.05 * PAIRS as f64, "{false_ones}");
    let (found, _) = alarms(20, 0.10, 1.2);
    assert!(found * 100 >= PAIRS * 90, "20 runs, variation 10 %: {found} of {PAIRS}");
}

#[test]
fn below_enough_runs_nothing_is_said_and_equal_quiet_sides_pass() {
    let compare = |runs, variation| {
        let mut chance = Chance(SplitMix(7));
        let (old, new) = (side(&mut chance, runs, variation, 1.0), side(&mut chance, runs, variation, 1.0));
        compare(&old, &new, Question::default())
    };
    let few = compare(4, 0.001);
    assert!(few.changes.iter().all(|c| matches!(c.finding, Finding::TooFew | Finding::Shown)));
    assert_eq!((few.verdict(), few.runs_needed), (Verdict::Inconclusive, 6));
    let quiet = compare(10, 0.001);
    assert_eq!(quiet.verdict(), Verdict::Pass, "{}", delta_text(&quiet));
    let noisy = compare(10, 0.8);
    assert_eq!(noisy.verdict(), Verdict::Inconclusive);
}

#[test]
fn nothing_compared_a_row_on_one_side_and_a_new_failure_are_no_pass() {
    let empty = Rows::default();
    assert_eq!(compare(&empty, &empty, Question::default()).verdict(), Verdict::Inconclusive);
    let mut chance = Chance(SplitMix(7));
    let old = side(&mut chance, 10, 0.001, 1.0);
    let mut new = side(&mut chance, 10, 0.001, 1.0);
    assert_eq!(compare(&old, &empty, Question::default()).verdict(), Verdict::Inconclusive);
    new.take(Path::new("x"), SidecarRecord::new("one", "1n1l4c1t", "a", Verdict::Fail));
    let broken = compare(&old, &new, Question::default());
    assert_eq!((broken.verdict(), broken.broke.len()), (Verdict::Fail, 1));
    let mut silent = side(&mut chance, 10, 0.001, 1.0);
    silent.rows.values_mut().for_each(|row| drop(row.figures.remove("figure3_us")));
    assert_eq!(compare(&old, &silent, Question::default()).verdict(), Verdict::Inconclusive);
    let mut flaky = (old.clone(), side(&mut chance, 10, 0.001, 1.0));
    flaky.0.take(Path::new("x"), SidecarRecord::new("one", "1n1l4c1t", "a", Verdict::Fail));
    (0..9).for_each(|_| flaky.1.take(Path::new("x"), SidecarRecord::new("one", "1n1l4c1t", "a", Verdict::Fail)));
    assert_eq!(compare(&flaky.0, &flaky.1, Question::default()).verdict(), Verdict::Inconclusive);
    new.take(Path::new("x"), SidecarRecord::new("three", "1n1l4c1t", "a", Verdict::Pass));
    assert_eq!(compare(&old, &new, Question::default()).unmatched.len(), 1);
}

#[test]
fn a_test_s_own_limit_stands_in_place_of_the_registry_s_and_a_figure_that_never_came_is_open() {
    let sides = |limits: &[PerfDeltaAssertion], factor: f64| {
        let mut chance = Chance(SplitMix(7));
        let (old, mut new) = (side(&mut chance, 10, 0.001, 1.0), side(&mut chance, 10, 0.001, factor));
        let mut record = SidecarRecord::new("one", "1n1l4c1t", "a", Verdict::Skip);
        record.perf_delta_assertions = limits.to_vec();
        new.take(Path::new("x"), record);
        compare(&old, &new, Question::default())
    };
    // The registry lets a twentieth more latency pass.
    assert_eq!(sides(&[], 1.05).verdict(), Verdict::Pass);
    assert_eq!(sides(&[PerfDeltaAssertion::lower("figure0_us", 0.02)], 1.05).verdict(), Verdict::Fail);
    assert_eq!(sides(&[PerfDeltaAssertion::lower("figure0_us", 0.10)], 1.05).verdict(), Verdict::Pass);
    // And a fifth less of what should be more is a loss.
    assert_eq!(sides(&[PerfDeltaAssertion::higher("figure0_us", 0.02)], 0.8).verdict(), Verdict::Fail);
    assert_eq!(sides(&[PerfDeltaAssertion::lower("nowhere", 0.02)], 1.0).verdict(), Verdict::Inconclusive);
}

#[test]
fn kernels_and_schedulers_can_be_compared_with_each_other() {
    let mut chance = Chance(SplitMix(7));
    let old = side(&mut chance, 10, 0.001, 1.0);
    let mut new = Rows::default();
    for (key, row) in side(&mut chance, 10, 0.001, 1.0).rows {
        new.rows.insert(RowKey { scheduler: "b".to_owned(), ..key }, row);
    }
    let across = Question { across_schedulers: true, ..Question::default() };
    assert_eq!(compare(&old, &new, Question::default()).rows, 0);
    assert_eq!(compare(&old, &new, across).verdict(), Verdict::Pass);
}

/// `cargo xtask statistics` writes the file with scipy; this needs no Python.
#[test]
fn scipy_says_the_same() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../tests/statistics/scipy.json")).unwrap();
    assert!(cases.len() >= 20);
    for case in &cases {
        let values = |name: &str| -> Vec<f64> { serde_json::from_value(case[name].clone()).unwrap() };
        let (a, b) = (values("a"), values("b"));
        let p = rank_sum_p(&a, &b);
        let theirs = case["p"].as_f64().unwrap();
        assert!((p - theirs).abs() <= 1e-9 + theirs * 1e-6, "{}: p {p}, scipy {theirs}", case["name"]);
        // Few values have few medians, so the ends of two intervals may be neighbours far apart. What must agree is how much
        // lies outside: of 2000 draws 2.5 %, give or take three and a half standard deviations.
        let draws = differences(&a, &b, 1);
        let share =
            |outside: &dyn Fn(f64) -> bool| draws.iter().filter(|d| outside(**d)).count() as f64 / draws.len() as f64;
        let theirs = values("interval");
        let width = (theirs[1] - theirs[0]) * 1e-6 + 1e-12;
        for (beyond, up_to) in [
            (share(&|d| d < theirs[0] - width), share(&|d| d <= theirs[0] + width)),
            (share(&|d| d > theirs[1] + width), share(&|d| d >= theirs[1] - width)),
        ] {
            let said = format!("{}: {beyond} beyond and {up_to} up to an end of scipy's {theirs:?}", case["name"]);
            assert!(beyond <= 0.025 + 0.0125 && up_to >= 0.025 - 0.0125, "{said}");
        }
    }
}
