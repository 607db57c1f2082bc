//! Nobody stands still.

use super::findings::{Check, Findings, float};
use super::group::Group;
use super::limits::Assert;
use ktstr_verdict::CheckKind;

pub(super) fn check(group: &Group<'_>, assert: &Assert, findings: &mut Findings) {
    // `not_stuck = false` takes back the library's default; a gap of its own asks for the check anyhow.
    let name = match (assert.not_stuck, assert.max_gap_ms) {
        (_, Some(_)) => "max_gap_ms",
        (Some(true), None) => "not_stuck",
        (Some(false) | None, None) => return,
    };
    let check = Check { name, kind: CheckKind::Progress };
    if group.seen.is_empty() {
        return findings.unknown(check, "no workers, so nothing was seen to progress");
    }
    let limit_ms = assert.gap_ms();
    let limit = limit_ms.saturating_mul(1_000_000);
    let stuck = group.seen.iter().enumerate().filter(|(_, w)| w.gap_ns > limit || w.iterations == 0);
    let offenders: Vec<String> = stuck
        .map(|(i, w)| {
            let never = if w.iterations == 0 { ", not one iteration in all" } else { "" };
            format!(
                "worker {i} on CPU {}: no progress for {} ms at {:.3} s, at most {limit_ms} ms{never}",
                w.gap_cpu,
                w.gap_ns / 1_000_000,
                float(w.gap_at_ns) / 1e9,
            )
        })
        .collect();
    let longest = group.seen.iter().map(|w| w.gap_ns).max().unwrap_or(0) / 1_000_000;
    findings.judge(check, &offenders, &format!("no progress for {longest} ms at the worst, at most {limit_ms} ms"));
}
