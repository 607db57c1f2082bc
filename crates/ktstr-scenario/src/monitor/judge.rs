//! The monitor's checks: a pure function from samples to outcomes.
//!
//! A limit counts when it is passed in several samples in a row. A check that most samples could say nothing about has proved
//! nothing, and says which interface was missing.

use super::figures::{Figure, event_rate, imbalance, local_depth, stuck_clocks};
use super::sample::{Read, Sample};
use crate::assert::{Assert, Check, Findings, float};
use ktstr_verdict::{AssertResult, CheckKind};
use std::collections::BTreeSet;

const IMBALANCE: Check = Check { name: "max_imbalance_ratio", kind: CheckKind::Queues };
const LOCAL_DSQ: Check = Check { name: "max_local_dsq_depth", kind: CheckKind::Queues };
const CLOCK: Check = Check { name: "fail_on_rq_clock_stuck", kind: CheckKind::Queues };
const FALLBACK: Check = Check { name: "max_fallback_rate", kind: CheckKind::Rate };
const KEEP_LAST: Check = Check { name: "max_keep_last_rate", kind: CheckKind::Rate };

/// The event of `max_fallback_rate`: a task was put on a CPU that it may not use (kernel/sched/ext_internal.h).
pub(super) const FALLBACK_EVENT: &str = "SCX_EV_SELECT_CPU_FALLBACK";
/// The event of `max_keep_last_rate`: a task went on because no other was dispatched (kernel/sched/ext_internal.h).
pub(super) const KEEP_LAST_EVENT: &str = "SCX_EV_DISPATCH_KEEP_LAST";

/// Judges the samples; `trouble` is what went wrong with the sampler itself.
pub(super) fn judge(samples: &[Sample], assert: &Assert, trouble: Option<&str>) -> AssertResult {
    let mut findings = Findings::of("monitor: ");
    let row = Row { sustained: assert.sustained(), trouble };
    if let Some(limit) = findings.limit(IMBALANCE, assert.max_imbalance_ratio) {
        let points = samples.iter().map(|s| (s.at_ns, imbalance(s).unwrap_or_else(not_read)));
        row.judge(&mut findings, IMBALANCE, points, limit, "tasks on the longest run queue for each on the shortest");
    }
    if let Some(limit) = assert.max_local_dsq_depth {
        let points = samples.iter().map(|s| (s.at_ns, local_depth(s).unwrap_or_else(not_read)));
        row.judge(&mut findings, LOCAL_DSQ, points, float(limit), "tasks in a local dispatch queue");
    }
    for (check, event, limit) in
        [(FALLBACK, FALLBACK_EVENT, assert.max_fallback_rate), (KEEP_LAST, KEEP_LAST_EVENT, assert.max_keep_last_rate)]
    {
        if let Some(limit) = findings.limit(check, limit) {
            let points = samples.windows(2).map(|w| (w[1].at_ns, event_rate(event, &w[0], &w[1])));
            row.judge(&mut findings, check, points, limit, &format!("{event} a second"));
        }
    }
    if assert.fail_on_rq_clock_stuck == Some(true) {
        row.clocks(&mut findings, samples);
    }
    findings.into_result()
}

fn not_read<T>() -> Read<T> {
    Err("it was not sampled".to_owned())
}

/// How long a row of bad samples must be.
struct Row<'a> {
    sustained: usize,
    trouble: Option<&'a str>,
}

impl Row<'_> {
    fn judge(
        &self,
        findings: &mut Findings,
        check: Check,
        points: impl Iterator<Item = (u64, Read<Option<Figure>>)>,
        limit: f64,
        what: &str,
    ) {
        let mut seen = Seen::default();
        // The row of bad samples that goes on, and the first that was long enough.
        let mut row: Vec<(u64, Figure)> = Vec::new();
        let mut broken = None;
        let mut worst = f64::NEG_INFINITY;
        for (at, point) in points {
            match seen.count(point) {
                Some(figure) => {
                    worst = worst.max(figure.value);
                    if figure.value > limit { row.push((at, figure)) } else { row.clear() }
                }
                None => row.clear(),
            }
            if row.len() >= self.sustained && broken.is_none() {
                let worst = row.iter().map(|(_, f)| *f).max_by(|a, b| a.value.total_cmp(&b.value));
                broken = worst.map(|figure| (row[0].0, at, figure));
            }
        }
        if let Some((from, to, figure)) = broken {
            let on = figure.cpu.map_or_else(String::new, |cpu| format!(" on CPU {cpu}"));
            return findings.broken(
                check,
                &[format!(
                    "{:.2} {what}{on}, at most {limit}: {} samples in a row from {:.3} s to {:.3} s",
                    figure.value,
                    self.sustained,
                    float(from) / 1e9,
                    float(to) / 1e9,
                )],
            );
        }
        if let Some(why) = self.unproved(&seen) {
            return findings.unknown(check, &why);
        }
        findings.held(check, &format!("{worst:.2} {what} at the worst of {} samples, at most {limit}", seen.usable));
    }

    fn clocks(&self, findings: &mut Findings, samples: &[Sample]) {
        let mut seen = Seen::default();
        let mut rows: Vec<(u32, usize)> = Vec::new();
        let mut offenders = Vec::new();
        for pair in samples.windows(2) {
            let stuck = seen.count(stuck_clocks(&pair[0], &pair[1]).unwrap_or_else(not_read).map(Some));
            let stuck = stuck.unwrap_or_default();
            rows.retain(|(cpu, _)| stuck.contains(cpu));
            for cpu in stuck {
                if !rows.iter().any(|(c, _)| *c == cpu) {
                    rows.push((cpu, 0));
                }
            }
            for (cpu, length) in &mut rows {
                *length += 1;
                if *length == self.sustained {
                    offenders.push(format!(
                        "the run queue's clock of CPU {cpu}, which was not idle, stood still over {} samples until {:.3} s",
                        self.sustained,
                        float(pair[1].at_ns) / 1e9
                    ));
                }
            }
        }
        match self.unproved(&seen).filter(|_| offenders.is_empty()) {
            Some(why) => findings.unknown(CLOCK, &why),
            None => findings.judge(CLOCK, &offenders, &format!("no clock stood still in {} samples", seen.usable)),
        }
    }

    /// Why samples without a row of bad ones prove nothing.
    fn unproved(&self, seen: &Seen) -> Option<String> {
        let all: Vec<&str> = self.trouble.into_iter().chain(seen.reasons.iter().map(String::as_str)).collect();
        let why = if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) };
        let few = seen.usable < self.sustained || seen.unread * 2 > seen.all || self.trouble.is_some();
        few.then(|| {
            format!(
                "{} of {} samples could be judged, and {} in a row are asked for{why}",
                seen.usable, seen.all, self.sustained
            )
        })
    }
}

/// What samples were good for.
#[derive(Default)]
struct Seen {
    all: usize,
    usable: usize,
    unread: usize,
    reasons: BTreeSet<String>,
}

impl Seen {
    fn count<T>(&mut self, read: Read<Option<T>>) -> Option<T> {
        self.all += 1;
        match read {
            Ok(Some(value)) => {
                self.usable += 1;
                Some(value)
            }
            Ok(None) => None,
            Err(why) => {
                self.unread += 1;
                self.reasons.insert(why);
                None
            }
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
