//! Checks on what the workers of one cgroup did.

use super::limits::Assert;
use crate::worker::{Seen, quantile_ns};
use ktstr_verdict::{AssertResult, CgroupStats, CheckKind, Detail, Outcome};
use std::collections::BTreeSet;
use std::time::Duration;

/// Judges the workers of one cgroup, which were allowed on `cpus` (all when empty) and ran for `ran`.
pub fn check_group(name: &str, seen: &[Seen], cpus: &[u32], ran: Duration, assert: &Assert) -> AssertResult {
    let mut result = AssertResult::default();
    result.cgroups.push(stats(name, seen));
    let mut judge = |kind: CheckKind, broken: Vec<String>| {
        result.push(match broken.is_empty() {
            true => Outcome::Pass,
            false => Outcome::Fail { detail: Detail::new(kind, broken.join("\n")) },
        });
    };
    if assert.not_stuck == Some(true) || assert.max_gap_ms.is_some() {
        judge(CheckKind::Progress, stuck(name, seen, assert.gap_ms()));
    }
    if assert.isolation == Some(true) {
        judge(CheckKind::Isolation, escaped(name, seen, cpus));
    }
    let secs = ran.as_secs_f64();
    if let Some(limit) = assert.min_iteration_rate {
        let slow = seen.iter().enumerate().filter_map(|(i, w)| {
            let rate = float(w.iterations) / secs.max(f64::MIN_POSITIVE);
            (rate < limit).then(|| {
                format!("cgroup `{name}` worker {i}: {rate:.1} iterations/s, at least {limit} (min_iteration_rate)")
            })
        });
        judge(CheckKind::Rate, slow.collect());
    }
    for outcome in ratios(name, seen, assert) {
        result.push(outcome);
    }
    result
}

fn stuck(name: &str, seen: &[Seen], limit_ms: u64) -> Vec<String> {
    let limit = limit_ms.saturating_mul(1_000_000);
    let broken = seen.iter().enumerate().filter(|(_, w)| w.gap_ns > limit || w.iterations == 0);
    broken
        .map(|(i, w)| {
            format!(
                "cgroup `{name}` worker {i} on CPU {}: no progress for {} ms at {:.3} s, at most {limit_ms} ms (not_stuck)",
                w.gap_cpu,
                w.gap_ns / 1_000_000,
                float(w.gap_at_ns) / 1e9,
            )
        })
        .collect()
}

fn escaped(name: &str, seen: &[Seen], cpus: &[u32]) -> Vec<String> {
    if cpus.is_empty() {
        return Vec::new();
    }
    let outside = |w: &Seen| w.cpus.iter().copied().filter(|c| !cpus.contains(c)).collect::<Vec<_>>();
    seen.iter()
        .enumerate()
        .filter(|(_, w)| !outside(w).is_empty())
        .map(|(i, w)| {
            format!("cgroup `{name}` worker {i}: seen on CPUs {:?} outside its cpuset {cpus:?} (isolation)", outside(w))
        })
        .collect()
}

/// Checks that divide: a zero denominator proves nothing.
fn ratios(name: &str, seen: &[Seen], assert: &Assert) -> Vec<Outcome> {
    let mut out = Vec::new();
    let unknown =
        |kind, what: &str| Outcome::Inconclusive { detail: Detail::new(kind, format!("cgroup `{name}`: {what}")) };
    let judged = |kind, broken: bool, text: String| {
        if broken { Outcome::Fail { detail: Detail::new(kind, text) } } else { Outcome::Pass }
    };
    if let Some(limit) = assert.max_spread_pct {
        out.push(match spread_pct(seen) {
            None => unknown(CheckKind::Fairness, "fewer than two workers or no iterations: no spread (max_spread_pct)"),
            Some(spread) => judged(
                CheckKind::Fairness,
                spread > limit,
                format!("cgroup `{name}`: workers differ by {spread:.1} %, at most {limit} % (max_spread_pct)"),
            ),
        });
    }
    if let Some(limit) = assert.max_migration_ratio {
        let iterations: u64 = seen.iter().map(|w| w.iterations).sum();
        let migrations: u64 = seen.iter().map(|w| w.migrations).sum();
        out.push(if iterations == 0 {
            unknown(CheckKind::Locality, "no iterations: no migration ratio (max_migration_ratio)")
        } else {
            let ratio = float(migrations) / float(iterations);
            judged(
                CheckKind::Locality,
                ratio > limit,
                format!("cgroup `{name}`: {ratio:.4} migrations an iteration, at most {limit} (max_migration_ratio)"),
            )
        });
    }
    if let Some(limit) = assert.max_p99_wake_latency_ns {
        out.push(match quantile_ns(seen, 0.99) {
            None => unknown(CheckKind::Latency, "nothing woke up: no latency (max_p99_wake_latency_ns)"),
            Some(p99) => judged(
                CheckKind::Latency,
                p99 > limit,
                format!("cgroup `{name}`: p99 wake-up latency {p99} ns, at most {limit} ns (max_p99_wake_latency_ns)"),
            ),
        });
    }
    out
}

/// (most − least) / mean × 100; `None` when there is nothing to compare.
fn spread_pct(seen: &[Seen]) -> Option<f64> {
    let most = seen.iter().map(|w| w.iterations).max()?;
    let least = seen.iter().map(|w| w.iterations).min()?;
    let sum: u64 = seen.iter().map(|w| w.iterations).sum();
    if seen.len() < 2 || sum == 0 {
        return None;
    }
    #[allow(clippy::cast_precision_loss)]
    let mean = float(sum) / seen.len() as f64;
    Some(float(most - least) / mean * 100.0)
}

#[allow(clippy::cast_precision_loss, reason = "figures for people and ratios: 52 bits are plenty")]
fn float(n: u64) -> f64 {
    n as f64
}

fn stats(name: &str, seen: &[Seen]) -> CgroupStats {
    let cpus: BTreeSet<u32> = seen.iter().flat_map(|w| w.cpus.iter().copied()).collect();
    CgroupStats {
        name: name.to_owned(),
        workers: u32::try_from(seen.len()).unwrap_or(u32::MAX),
        iterations: seen.iter().map(|w| w.iterations).sum(),
        max_gap_ms: seen.iter().map(|w| w.gap_ns).max().map_or(0.0, |ns| float(ns) / 1e6),
        spread_pct: spread_pct(seen).unwrap_or(0.0),
        migrations: seen.iter().map(|w| w.migrations).sum(),
        p99_wake_us: quantile_ns(seen, 0.99).map_or(0.0, |ns| float(ns) / 1e3),
        wakes: seen.iter().map(|w| w.wakes).sum(),
        cpus: cpus.into_iter().collect(),
        epochs: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::Verdict;

    fn worker(iterations: u64) -> Seen {
        Seen { iterations, cpus: vec![0], ..Seen::default() }
    }

    fn verdict(seen: &[Seen], cpus: &[u32], assert: Assert) -> Verdict {
        check_group("a", seen, cpus, Duration::from_secs(1), &assert).fold()
    }

    #[test]
    fn a_worker_that_stands_still_is_named() {
        let still = Seen { gap_ns: 5_000_000_000, gap_cpu: 3, gap_at_ns: 250_000_000, ..worker(9) };
        let assert = Assert { not_stuck: Some(true), ..Assert::NONE };
        let result = check_group("a", &[worker(1), still], &[], Duration::from_secs(1), &assert);
        assert_eq!(result.fold(), Verdict::Fail);
        assert!(result.outcomes[0].text().contains("worker 1 on CPU 3: no progress for 5000 ms at 0.250 s"));
    }

    #[test]
    fn a_worker_without_one_iteration_is_stuck() {
        assert_eq!(verdict(&[worker(0)], &[], Assert::library_defaults()), Verdict::Fail);
    }

    #[test]
    fn a_worker_outside_its_cpuset_fails_isolation() {
        assert_eq!(verdict(&[worker(1)], &[1, 2], Assert::library_defaults()), Verdict::Fail);
        assert_eq!(verdict(&[worker(1)], &[0], Assert::library_defaults()), Verdict::Pass);
    }

    #[test]
    fn a_zero_denominator_is_inconclusive_and_never_a_pass() {
        for assert in [
            Assert { max_spread_pct: Some(10.0), ..Assert::NONE },
            Assert { max_migration_ratio: Some(1.0), ..Assert::NONE },
            Assert { max_p99_wake_latency_ns: Some(1), ..Assert::NONE },
        ] {
            assert_eq!(verdict(&[worker(0), worker(0)], &[], assert), Verdict::Inconclusive, "{assert:?}");
        }
    }

    #[test]
    fn uneven_workers_break_the_spread() {
        let assert = Assert { max_spread_pct: Some(15.0), ..Assert::NONE };
        assert_eq!(verdict(&[worker(100), worker(110)], &[], assert), Verdict::Pass);
        assert_eq!(verdict(&[worker(100), worker(150)], &[], assert), Verdict::Fail);
    }
}
