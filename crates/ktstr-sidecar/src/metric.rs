//! The one registry of figures: which there are, their unit, which way is better, and what change is worth a word.

use crate::record::SidecarRecord;
use std::borrow::Cow;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// Less of it.
    Lower,
    /// More of it.
    Higher,
    /// Neither: it is shown and never judged.
    Neither,
}

impl Polarity {
    /// `lower`, `higher` or `-`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
            Self::Neither => "-",
        }
    }
}

/// One figure, or a family of them.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name; with a `*`, all names that begin and end like it.
    pub name: &'static str,
    /// Its unit; "" for a count or ratio.
    pub unit: &'static str,
    /// Which way is better.
    pub polarity: Polarity,
    /// Changes up to this, in its unit, are not worth a word.
    pub absolute: f64,
    /// Changes up to this share of the older value are not worth a word.
    pub relative: f64,
    /// What it is.
    pub meaning: &'static str,
}

const fn metric(
    name: &'static str,
    unit: &'static str,
    polarity: Polarity,
    (absolute, relative): (f64, f64),
    meaning: &'static str,
) -> Metric {
    Metric { name, unit, polarity, absolute, relative, meaning }
}

use Polarity::{Higher, Lower, Neither};

/// Every figure, most specific first. The gates are choices: a tenth for what a host disturbs, a twentieth for what the
/// guest alone decides, and an absolute floor below which nobody would care.
pub const METRICS: &[Metric] = &[
    metric("cgroup.p99_wake_us", "µs", Lower, (20.0, 0.10), "worst cgroup's 99th percentile of wake-up latency"),
    metric(
        "cgroup.p50_wake_us",
        "µs",
        Lower,
        (5.0, 0.10),
        "worst cgroup's median of wake-up latency, which a busy host moves least",
    ),
    metric("cgroup.max_gap_ms", "ms", Lower, (5.0, 0.10), "longest time a worker made no progress"),
    metric("cgroup.spread_pct", "%", Lower, (2.0, 0.10), "worst cgroup's spread between its workers"),
    metric("cgroup.iterations_per_s", "1/s", Higher, (1.0, 0.05), "iterations of all workers in a second of the test"),
    metric("cgroup.migrations_per_s", "1/s", Neither, (1.0, 0.10), "migrations of all workers in a second of the test"),
    metric("phase.boot_us", "µs", Neither, (100_000.0, 0.10), "from power-on to the guest's hello"),
    metric("phase.attach_us", "µs", Lower, (100_000.0, 0.10), "from the hello to the scheduler being attached"),
    metric("phase.*_us", "µs", Neither, (100_000.0, 0.10), "a phase of the machine"),
    metric("wall_ms", "ms", Neither, (500.0, 0.10), "the whole run"),
    metric("cleanup_ms", "ms", Neither, (200.0, 0.10), "from the outcome to the machine being gone"),
    metric("host_run_delay_ms", "ms", Neither, (100.0, 0.10), "time the machine waited for host CPUs"),
    metric("exit.*", "", Neither, (100.0, 0.10), "exits of the machine for this reason"),
    metric("event.*", "", Neither, (10.0, 0.10), "a sched_ext event counter at the end"),
    metric("verifier.max_instructions", "", Lower, (1000.0, 0.05), "instructions walked for the largest program"),
    // A scheduler has a dozen of them: judged all, they would take from what users feel the power to be found.
    metric("callback.*_ns", "ns", Neither, (50.0, 0.10), "mean cost of a callback of the scheduler"),
    // Names that tests give: their unit is their ending.
    metric("*_ns", "ns", Lower, (1000.0, 0.10), "a test's own figure"),
    metric("*_us", "µs", Lower, (20.0, 0.10), "a test's own figure"),
    metric("*_ms", "ms", Lower, (1.0, 0.10), "a test's own figure"),
    metric("*_per_s", "1/s", Higher, (1.0, 0.05), "a test's own figure"),
    metric("*_rate", "1/s", Higher, (1.0, 0.05), "a test's own figure"),
    metric("*", "", Neither, (0.0, 0.10), "a test's own figure of unknown unit"),
];

/// What the registry knows of a figure.
#[must_use]
pub fn metric_of(name: &str) -> &'static Metric {
    let fits = |pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
        None => name == pattern,
    };
    // The last pattern takes everything.
    METRICS.iter().find(|m| fits(m.name)).unwrap_or(&METRICS[METRICS.len() - 1])
}

/// Hands every figure of a record to `each`.
#[allow(clippy::cast_precision_loss)] // Counts and times below 2^53.
pub fn figures(record: &SidecarRecord, mut each: impl FnMut(Cow<'static, str>, f64)) {
    each("wall_ms".into(), record.wall_ms as f64);
    if record.accelerator.is_some() {
        each("host_run_delay_ms".into(), record.host_run_delay_ns as f64 / 1e6);
    }
    if let Some(ms) = record.cleanup_duration_ms {
        each("cleanup_ms".into(), ms as f64);
    }
    for (phase, us) in &record.phases_us {
        each(format!("phase.{phase}_us").into(), *us as f64);
    }
    // With a dot it is no reason: bytes of the channel, statistics of KVM.
    for (reason, count) in record.exits.iter().filter(|(reason, _)| !reason.contains('.')) {
        each(format!("exit.{reason}").into(), *count as f64);
    }
    for (event, count) in &record.sched_ext_events {
        each(format!("event.{event}").into(), *count as f64);
    }
    if let Some(most) = record.verifier_instructions.values().max() {
        each("verifier.max_instructions".into(), *most as f64);
    }
    for (name, callback) in record.callback_profile.iter().filter(|(_, c)| c.calls > 0) {
        each(format!("callback.{name}_ns").into(), callback.ns as f64 / callback.calls as f64);
    }
    cgroup_figures(record, &mut each);
    for (name, value) in &record.metrics {
        each(name.clone().into(), *value);
    }
}

#[allow(clippy::cast_precision_loss)]
fn cgroup_figures(record: &SidecarRecord, each: &mut impl FnMut(Cow<'static, str>, f64)) {
    if record.cgroups.is_empty() {
        return;
    }
    let worst = |of: fn(&ktstr_verdict::CgroupStats) -> f64| record.cgroups.iter().map(of).fold(0.0, f64::max);
    each("cgroup.max_gap_ms".into(), worst(|c| c.max_gap_ms));
    each("cgroup.spread_pct".into(), worst(|c| c.spread_pct));
    // No wake-up is no latency, least of all a good one.
    if record.cgroups.iter().any(|c| c.wakes > 0) {
        each("cgroup.p99_wake_us".into(), worst(|c| c.p99_wake_us));
        // A record of an older version has none.
        let median = worst(|c| c.p50_wake_us);
        if median > 0.0 {
            each("cgroup.p50_wake_us".into(), median);
        }
    }
    if let Some(us) = record.phases_us.get("test").filter(|us| **us > 0) {
        let second = *us as f64 / 1e6;
        let sum = |of: fn(&ktstr_verdict::CgroupStats) -> u64| record.cgroups.iter().map(of).sum::<u64>() as f64;
        each("cgroup.iterations_per_s".into(), sum(|c| c.iterations) / second);
        each("cgroup.migrations_per_s".into(), sum(|c| c.migrations) / second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::{CgroupStats, Verdict};

    #[test]
    fn the_first_pattern_that_fits_counts_and_every_name_has_one() {
        assert_eq!(metric_of("phase.boot_us").meaning, "from power-on to the guest's hello");
        assert_eq!(metric_of("phase.load_us").name, "phase.*_us");
        assert_eq!(metric_of("my_p99_us").polarity, Lower);
        assert_eq!(metric_of("requests_per_s").polarity, Higher);
        assert_eq!(metric_of("").polarity, Neither);
        assert_eq!(metric_of("_us").name, "*_us");
    }

    #[test]
    fn cgroups_give_their_worst_and_nothing_where_nothing_woke() {
        let mut record = SidecarRecord::new("a", "1n1l2c1t", "eevdf", Verdict::Pass);
        record.phases_us.insert("test".into(), 2_000_000);
        record.cgroups = vec![
            CgroupStats { max_gap_ms: 3.0, iterations: 10, ..CgroupStats::default() },
            CgroupStats { max_gap_ms: 7.0, iterations: 30, ..CgroupStats::default() },
        ];
        let mut seen = std::collections::BTreeMap::new();
        figures(&record, |name, value| assert!(seen.insert(name.into_owned(), value).is_none()));
        assert_eq!((seen["cgroup.max_gap_ms"], seen["cgroup.iterations_per_s"]), (7.0, 20.0));
        assert!(!seen.contains_key("cgroup.p99_wake_us"));
    }
}
