//! Workers get something done: for each second of the clock, and for each second of CPU time.

use super::findings::{Check, Findings, float, ratio};
use super::group::Group;
use super::limits::Assert;
use crate::worker::Seen;
use ktstr_verdict::CheckKind;

const ITERATION_RATE: Check = Check { name: "min_iteration_rate", kind: CheckKind::Rate };
const WORK_RATE: Check = Check { name: "min_work_rate", kind: CheckKind::Rate };

pub(super) fn check(group: &Group<'_>, assert: &Assert, findings: &mut Findings) {
    if let Some(limit) = findings.limit(ITERATION_RATE, assert.min_iteration_rate) {
        let secs = group.secs;
        judge(group, findings, ITERATION_RATE, limit, "iterations/s", |w| ratio(float(w.iterations), secs));
    }
    if let Some(limit) = findings.limit(WORK_RATE, assert.min_work_rate) {
        judge(group, findings, WORK_RATE, limit, "iterations/s of CPU time", work_rate);
    }
}

/// A worker that is too slow is a failure, whatever is not known of others; what is not known is never a pass.
fn judge(
    group: &Group<'_>,
    findings: &mut Findings,
    check: Check,
    limit: f64,
    unit: &str,
    rate: impl Fn(&Seen) -> Option<f64>,
) {
    let rates: Vec<Option<f64>> = group.seen.iter().map(rate).collect();
    let slow = rates.iter().enumerate().filter_map(|(i, r)| r.filter(|r| *r < limit).map(|r| (i, r)));
    let offenders: Vec<String> = slow
        .map(|(i, r)| format!("{}: {r:.1} {unit} over {:.3} s, at least {limit}", group.worker(i), group.secs))
        .collect();
    let unmeasured: Vec<usize> = rates.iter().enumerate().filter(|(_, r)| r.is_none()).map(|(i, _)| i).collect();
    if !offenders.is_empty() {
        findings.broken(check, &offenders);
    }
    if !unmeasured.is_empty() || rates.is_empty() {
        findings.unknown(check, &format!("no time known of workers {unmeasured:?}: no {unit}"));
    } else if offenders.is_empty() {
        let least = rates.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        findings.held(check, &format!("the slowest worker did {least:.1} {unit}, at least {limit}"));
    }
}

/// Iterations a second of CPU time.
pub(super) fn work_rate(worker: &Seen) -> Option<f64> {
    ratio(float(worker.iterations) * 1e9, float(worker.run_ns))
}
