//! How much different behaviour the seeds have shown, so that one sees when more of them find nothing new.
//!
//! An approximation: figures of the record, each rounded down to a power of two, as fuzzers count branches. Two runs may
//! differ in every context switch and count as one behaviour; the digests tell those apart.

use ktstr_sidecar::SidecarRecord;
use ktstr_verdict::Outcome;
use std::collections::BTreeSet;

/// What the seeds so far have shown.
#[derive(Debug, Default)]
pub struct Coverage {
    runs: usize,
    digests: BTreeSet<String>,
    traits: BTreeSet<String>,
    last_new: usize,
}

impl Coverage {
    /// Takes a run; the answer is how many traits of behaviour are new with it.
    pub fn take(&mut self, record: &SidecarRecord) -> usize {
        self.runs += 1;
        self.digests.extend(record.digest.clone());
        let before = self.traits.len();
        self.traits.extend(traits(record));
        let new = self.traits.len() - before;
        if new > 0 {
            self.last_new = self.runs;
        }
        new
    }

    pub fn digests(&self) -> usize {
        self.digests.len()
    }

    pub fn traits(&self) -> usize {
        self.traits.len()
    }

    /// Runs since one showed something new.
    pub fn stale(&self) -> usize {
        self.runs - self.last_new
    }
}

fn traits(record: &SidecarRecord) -> Vec<String> {
    let mut out = vec![format!("verdict {}", record.verdict())];
    let mut figure = |name: String, value: f64| out.push(format!("{name} {}", magnitude(value)));
    #[allow(clippy::cast_precision_loss, reason = "only the magnitude counts")]
    for group in &record.cgroups {
        let name = &group.name;
        figure(format!("{name} migrations"), group.migrations as f64);
        figure(format!("{name} wakes"), group.wakes as f64);
        figure(format!("{name} longest gap"), group.max_gap_ms);
        figure(format!("{name} p99 of wake-ups"), group.p99_wake_us);
        figure(format!("{name} spread"), group.spread_pct);
        figure(format!("{name} CPUs"), group.cpus.len() as f64);
    }
    #[allow(clippy::cast_precision_loss, reason = "only the magnitude counts")]
    for (event, count) in &record.sched_ext_events {
        figure(event.clone(), *count as f64);
    }
    for outcome in &record.outcomes {
        if outcome.verdict() != Outcome::Pass.verdict() {
            out.push(without_numbers(outcome.text()));
        }
    }
    out
}

/// The power of two at or below.
fn magnitude(value: f64) -> i32 {
    if value < 1.0 {
        return -1;
    }
    #[allow(clippy::cast_possible_truncation, reason = "the logarithm of any f64 is small")]
    let power = value.log2().floor() as i32;
    power
}

/// What failed, whoever and however much it was: the text with every number left out.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            // The rest of a number, its point included.
            '0'..='9' | '.' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::{CgroupStats, Verdict};

    fn record(digest: &str, migrations: u64) -> SidecarRecord {
        let mut record = SidecarRecord::new("t", "1n1l2c1t", "eevdf", Verdict::Pass);
        record.digest = Some(digest.to_owned());
        record.cgroups.push(CgroupStats { name: "a".into(), migrations, ..CgroupStats::default() });
        record
    }

    #[test]
    fn what_was_seen_before_is_not_new() {
        let mut coverage = Coverage::default();
        assert!(coverage.take(&record("a", 5)) > 1);
        assert_eq!(coverage.take(&record("b", 7)), 0, "of the same magnitude");
        assert_eq!(coverage.take(&record("b", 8)), 1);
        assert_eq!(coverage.take(&record("a", 4)), 0);
        assert_eq!((coverage.digests(), coverage.stale()), (2, 1));
    }

    #[test]
    fn the_same_failure_is_known_with_other_numbers() {
        let one = "worker 3 on CPU 12: no progress for 68.5 ms at 0.136 s, at most 60 ms";
        let other = "worker 0 on CPU 1: no progress for 7 ms at 10.1 s, at most 60 ms";
        assert_eq!(without_numbers(one), without_numbers(other));
        assert_ne!(without_numbers(one), without_numbers("worker 3 ran on CPU 12"));
    }
}
