//! Workers of one cgroup get the same.

use super::findings::{Check, Findings, float, ratio};
use super::group::Group;
use super::limits::Assert;
use ktstr_verdict::CheckKind;

const SPREAD: Check = Check { name: "max_spread_pct", kind: CheckKind::Fairness };
const THROUGHPUT_CV: Check = Check { name: "max_throughput_cv", kind: CheckKind::Fairness };

pub(super) fn check(group: &Group<'_>, assert: &Assert, findings: &mut Findings) {
    if let Some(limit) = findings.limit(SPREAD, assert.max_spread_pct) {
        let said = |value: f64| format!("workers differ by {value:.1} %, at most {limit} %");
        judge(group, findings, SPREAD, spread_pct(group), limit, said);
    }
    if let Some(limit) = findings.limit(THROUGHPUT_CV, assert.max_throughput_cv) {
        let said = |value: f64| format!("throughput varies by {value:.4} of its mean, at most {limit}");
        judge(group, findings, THROUGHPUT_CV, throughput_cv(group), limit, said);
    }
}

fn judge(
    group: &Group<'_>,
    findings: &mut Findings,
    check: Check,
    value: Option<f64>,
    limit: f64,
    said: impl Fn(f64) -> String,
) {
    match value {
        None => findings.unknown(check, "fewer than two workers, or no iterations: nothing to compare"),
        Some(value) if value > limit => {
            findings.broken(check, &[format!("{}: {}", said(value), extremes(group))]);
        }
        Some(value) => findings.held(check, &said(value)),
    }
}

/// Who got least and who got most, and over which time.
fn extremes(group: &Group<'_>) -> String {
    let by_iterations = || group.seen.iter().enumerate().map(|(i, w)| (w.iterations, i));
    let said = |(iterations, index)| format!("{} did {iterations} iterations", group.worker(index));
    let least = by_iterations().min().map_or_else(String::new, said);
    let most = by_iterations().max().map_or_else(String::new, said);
    format!("{least}, {most} within {:.3} s", group.secs)
}

/// (most − least) / mean × 100; `None` when there is nothing to compare.
pub(super) fn spread_pct(group: &Group<'_>) -> Option<f64> {
    let counts = || group.seen.iter().map(|w| w.iterations);
    let (most, least) = (counts().max()?, counts().min()?);
    let mean = mean(group)?;
    ratio(float(most - least) * 100.0, mean)
}

/// Standard deviation of the workers' throughput over its mean; `None` when there is nothing to compare.
pub(super) fn throughput_cv(group: &Group<'_>) -> Option<f64> {
    let mean = mean(group)?;
    let squares: f64 = group.seen.iter().map(|w| (float(w.iterations) - mean).powi(2)).sum();
    ratio((squares / float(group.seen.len() as u64)).sqrt(), mean)
}

fn mean(group: &Group<'_>) -> Option<f64> {
    if group.seen.len() < 2 {
        return None;
    }
    let sum: f64 = group.seen.iter().map(|w| float(w.iterations)).sum();
    Some(sum / float(group.seen.len() as u64))
}
