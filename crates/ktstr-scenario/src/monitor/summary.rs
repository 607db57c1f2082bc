//! Samples as the record keeps them.

use super::figures::{Figure, event_rate, imbalance, local_depth, run_delay_pct};
use super::judge::{FALLBACK_EVENT, KEEP_LAST_EVENT};
use super::sample::Sample;
use crate::assert::float;
use ktstr_verdict::{MonitorFigure, MonitorSnapshot, MonitorSummary};
use std::collections::{BTreeMap, BTreeSet};

/// All samples in short.
pub(super) fn summarize(samples: &[Sample]) -> MonitorSummary {
    let mut figures: BTreeMap<String, MonitorFigure> = BTreeMap::new();
    for (i, sample) in samples.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| samples.get(i));
        for (name, figure) in figures_of(before, sample) {
            add(figures.entry(name.to_owned()).or_default(), sample.at_ns, figure);
        }
    }
    let ms = |ns: u64| ns / 1_000_000;
    let at = |sample: Option<&Sample>| sample.map_or(0, |s| s.at_ns);
    let intervals = samples.windows(2).map(|w| w[1].at_ns.saturating_sub(w[0].at_ns));
    MonitorSummary {
        samples: u32::try_from(samples.len()).unwrap_or(u32::MAX),
        span_ms: ms(at(samples.last()).saturating_sub(at(samples.first()))),
        longest_interval_ms: ms(intervals.max().unwrap_or(0)),
        missing: missing(samples),
        figures,
        snapshots: Vec::new(),
    }
}

/// One sample under a name.
pub(super) fn snapshot(name: &str, sample: &Sample) -> MonitorSnapshot {
    let queues = sample.queues.as_ref().and_then(|q| q.as_ref().ok()).into_iter().flatten();
    MonitorSnapshot {
        name: name.to_owned(),
        at_ms: sample.at_ns / 1_000_000,
        figures: figures_of(None, sample).into_iter().map(|(name, f)| (name.to_owned(), f.value)).collect(),
        events: sample.events.clone().unwrap_or_default(),
        queues: queues.map(|q| (q.cpu, q.tasks)).collect(),
    }
}

fn figures_of(before: Option<&Sample>, sample: &Sample) -> Vec<(&'static str, Figure)> {
    let known = |read: Option<Result<Option<Figure>, String>>| read.and_then(Result::ok).flatten();
    let since = |of: fn(&Sample, &Sample) -> Option<Figure>| before.and_then(|b| of(b, sample));
    let all = [
        ("runnable", sample.runnable.as_ref().ok().map(|n| Figure { value: float(*n), cpu: None })),
        ("run_delay_pct", since(run_delay_pct)),
        ("imbalance_ratio", known(imbalance(sample))),
        ("local_dsq_depth", known(local_depth(sample))),
        ("fallback_rate", since(|b, s| event_rate(FALLBACK_EVENT, b, s).ok().flatten())),
        ("keep_last_rate", since(|b, s| event_rate(KEEP_LAST_EVENT, b, s).ok().flatten())),
    ];
    all.into_iter().filter_map(|(name, figure)| Some((name, figure?))).collect()
}

fn add(sum: &mut MonitorFigure, at_ns: u64, figure: Figure) {
    let first = sum.count == 0;
    sum.count += 1;
    sum.last = figure.value;
    if first || figure.value < sum.min {
        sum.min = figure.value;
    }
    if first || figure.value > sum.max {
        (sum.max, sum.max_at_ms, sum.max_cpu) = (figure.value, at_ns / 1_000_000, figure.cpu);
    }
}

/// Why something could not be read, each reason once. Events are there only while a scheduler is: no lack of the kernel's.
fn missing(samples: &[Sample]) -> Vec<String> {
    let mut reasons = BTreeSet::new();
    for sample in samples {
        let read = [
            sample.runnable.as_ref().err(),
            sample.cpus.as_ref().err(),
            sample.queues.as_ref().and_then(|q| q.as_ref().err()),
            sample.local_dsqs.as_ref().and_then(|d| d.as_ref().err()),
        ];
        reasons.extend(read.into_iter().flatten().cloned());
    }
    reasons.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_ends_extremes_and_the_reasons_for_what_is_missing() {
        let with = |ms: u64, tasks| Sample { runnable: Ok(tasks), ..Sample::blind(ms * 1_000_000) };
        let summary = summarize(&[with(0, 3), with(100, 9), with(350, 2)]);
        assert_eq!((summary.samples, summary.span_ms, summary.longest_interval_ms), (3, 350, 250));
        let runnable = &summary.figures["runnable"];
        assert_eq!((runnable.count, runnable.min, runnable.max, runnable.last), (3, 2.0, 9.0, 2.0));
        assert_eq!((runnable.max_at_ms, runnable.max_cpu), (100, None));
        assert_eq!(summary.missing, ["not there"]);
        assert_eq!(summarize(&[]), MonitorSummary::default());
    }
}
