//! Who wakes up runs soon, and about as soon each time.

use super::findings::{Check, Findings, float, ratio};
use super::group::Group;
use super::limits::Assert;
use crate::worker::{Seen, latencies, quantile_ns};
use ktstr_verdict::CheckKind;

const P99: Check = Check { name: "max_p99_wake_latency_ns", kind: CheckKind::Latency };
const CV: Check = Check { name: "max_wake_latency_cv", kind: CheckKind::Latency };

pub(super) fn check(group: &Group<'_>, assert: &Assert, findings: &mut Findings) {
    if let Some(limit) = assert.max_p99_wake_latency_ns {
        match quantile_ns(group.seen, 0.99) {
            None => findings.unknown(P99, "nothing woke up: no latency"),
            Some(p99) => {
                let said = format!("p99 wake-up latency {p99} ns, at most {limit} ns");
                let offenders = if p99 > limit { vec![format!("{said}: {}", slowest(group))] } else { Vec::new() };
                findings.judge(P99, &offenders, &said);
            }
        }
    }
    if let Some(limit) = findings.limit(CV, assert.max_wake_latency_cv) {
        match wake_cv(group.seen) {
            None => findings.unknown(CV, "fewer than two wake-ups: no variation of their latency"),
            Some(cv) => {
                let said = format!("wake-up latency varies by {cv:.3} of its mean, at most {limit}");
                let offenders = if cv > limit { vec![format!("{said}: {}", slowest(group))] } else { Vec::new() };
                findings.judge(CV, &offenders, &said);
            }
        }
    }
}

/// The worker with the longest latency of all.
fn slowest(group: &Group<'_>) -> String {
    let longest = |w: &Seen| latencies(std::slice::from_ref(w)).map(|(ns, _)| ns).max().unwrap_or(0);
    let worst = group.seen.iter().enumerate().max_by_key(|(_, w)| longest(w));
    worst.map_or_else(String::new, |(i, w)| {
        format!(
            "{} waited {} ns at the worst of {} wake-ups in {:.3} s",
            group.worker(i),
            longest(w),
            w.wakes,
            group.secs
        )
    })
}

/// Standard deviation of all latencies over their mean, to the width of a bucket; `None` below two wake-ups.
pub(super) fn wake_cv(seen: &[Seen]) -> Option<f64> {
    let (mut count, mut sum) = (0.0, 0.0);
    for (ns, n) in latencies(seen) {
        count += float(n);
        sum += float(n) * float(ns);
    }
    if count < 2.0 {
        return None;
    }
    let mean = sum / count;
    let squares: f64 = latencies(seen).map(|(ns, n)| float(n) * (float(ns) - mean).powi(2)).sum();
    ratio((squares / count).sqrt(), mean)
}
