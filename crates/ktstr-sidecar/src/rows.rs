//! Records gathered by test, topology, kernel and scheduler.

use crate::metric::figures;
use crate::record::{Callback, SidecarRecord};
use crate::scan::Fold;
use crate::series::Series;
use ktstr_verdict::Verdict;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runs of a row whose evidence is named: enough to look at, and a bound on memory.
const EVIDENCE: usize = 3;
/// Bytes of a message that are kept.
const MESSAGE: usize = 500;

/// What a row is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RowKey {
    /// The test.
    pub test: String,
    /// The machine.
    pub topology: String,
    /// Version of the kernel, or its label; `-` when there was none.
    pub kernel: String,
    /// The scheduler.
    pub scheduler: String,
}

impl RowKey {
    /// The row a record belongs to.
    #[must_use]
    pub fn of(record: &SidecarRecord) -> Self {
        let kernel = record.kernel_version.as_ref().or(record.kernel_label.as_ref());
        Self {
            test: record.test_name.clone(),
            topology: record.topology.clone(),
            kernel: kernel.map_or_else(|| "-".to_owned(), Clone::clone),
            scheduler: record.scheduler.clone(),
        }
    }
}

/// How often each verdict came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Passes.
    pub passed: u64,
    /// Failures.
    pub failed: u64,
    /// Inconclusive runs.
    pub inconclusive: u64,
    /// Skips.
    pub skipped: u64,
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Pass => self.passed += 1,
            Verdict::Fail => self.failed += 1,
            Verdict::Inconclusive => self.inconclusive += 1,
            Verdict::Skip => self.skipped += 1,
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.inconclusive += other.inconclusive;
        self.skipped += other.skipped;
    }

    /// Runs that ran: all but the skips.
    #[must_use]
    pub const fn ran(&self) -> u64 {
        self.passed + self.failed + self.inconclusive
    }

    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.ran() + self.skipped
    }

    /// Share of passes among the runs that ran; a row of skips alone has none.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn pass_rate(&self) -> Option<f64> {
        (self.ran() > 0).then(|| self.passed as f64 / self.ran() as f64)
    }

    /// The worst of them: a failure, then an inconclusive run, then a pass.
    pub const fn worst(&self) -> Verdict {
        match self {
            Self { failed: 1.., .. } => Verdict::Fail,
            Self { inconclusive: 1.., .. } => Verdict::Inconclusive,
            Self { passed: 1.., .. } => Verdict::Pass,
            _ => Verdict::Skip,
        }
    }
}

/// A run that did not pass, and where its record lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Evidence {
    /// Start, seconds since 1970.
    pub started_unix_s: u64,
    /// Its record.
    pub path: PathBuf,
    /// FAIL or INCONCLUSIVE.
    pub verdict: String,
    /// What the operator was told.
    pub message: String,
}

/// A limit of a test's own for a figure ([`PerfDeltaAssertion`](crate::PerfDeltaAssertion)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// Less of it is better.
    pub lower_is_better: bool,
    /// The largest loss that is let pass, as a share.
    pub max_loss: f64,
}

/// All runs of a row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Their verdicts.
    pub tally: Tally,
    /// Runs of a second and later attempt.
    pub retries: u64,
    /// Figures of those that passed: a failed run's say when it failed.
    pub figures: BTreeMap<String, Series>,
    /// The most instructions the verifier walked, by program.
    pub programs: BTreeMap<String, u64>,
    /// What callbacks cost in all runs.
    pub callbacks: BTreeMap<String, Callback>,
    /// The latest that did not pass.
    pub evidence: BTreeSet<Evidence>,
    /// Limits that the test sets, by figure; of several the strictest.
    pub assertions: BTreeMap<String, Limit>,
}

impl Row {
    pub(crate) fn take(&mut self, path: &Path, record: &SidecarRecord) {
        let verdict = record.verdict();
        self.tally.count(verdict);
        self.retries += u64::from(record.attempt > 1);
        if verdict == Verdict::Pass {
            figures(record, |name, value| match self.figures.get_mut(&*name) {
                Some(series) => series.push(value),
                None => self.figures.entry(name.into_owned()).or_default().push(value),
            });
        }
        for (program, count) in &record.verifier_instructions {
            let most = self.programs.entry(program.clone()).or_default();
            *most = (*most).max(*count);
        }
        for one in &record.perf_delta_assertions {
            let limit = Limit { lower_is_better: one.lower_is_better, max_loss: one.max_loss };
            self.limit(&one.figure, limit);
        }
        for (name, callback) in &record.callback_profile {
            add_callback(self.callbacks.entry(name.clone()).or_default(), *callback);
        }
        if matches!(verdict, Verdict::Fail | Verdict::Inconclusive) {
            self.evidence.insert(Evidence {
                started_unix_s: record.started_unix_s,
                path: path.to_owned(),
                verdict: verdict.to_string(),
                message: head(&record.message, MESSAGE).to_owned(),
            });
            self.keep_latest();
        }
    }

    fn limit(&mut self, figure: &str, limit: Limit) {
        match self.assertions.get_mut(figure) {
            // Which way is better is the figure's nature; where two disagree, less of it is.
            Some(known) => {
                known.max_loss = known.max_loss.min(limit.max_loss);
                known.lower_is_better |= limit.lower_is_better;
            }
            None => drop(self.assertions.insert(figure.to_owned(), limit)),
        }
    }

    fn keep_latest(&mut self) {
        while self.evidence.len() > EVIDENCE {
            self.evidence.pop_first();
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.retries += other.retries;
        for (name, series) in other.figures {
            self.figures.entry(name).or_default().merge(series);
        }
        for (program, count) in other.programs {
            let most = self.programs.entry(program).or_default();
            *most = (*most).max(count);
        }
        for (name, callback) in other.callbacks {
            add_callback(self.callbacks.entry(name).or_default(), callback);
        }
        for (figure, limit) in other.assertions {
            self.limit(&figure, limit);
        }
        self.evidence.extend(other.evidence);
        self.keep_latest();
    }
}

fn add_callback(sum: &mut Callback, one: Callback) {
    sum.calls = sum.calls.saturating_add(one.calls);
    sum.ns = sum.ns.saturating_add(one.ns);
}

/// At most `most` bytes of the beginning.
pub(crate) fn head(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A host that records come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Host {
    /// CPU model.
    pub cpu: Option<String>,
    /// Kernel.
    pub kernel: Option<String>,
    /// CPUs.
    pub cpus: Option<u32>,
    /// Governor.
    pub governor: Option<String>,
}

/// All rows of some records.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// By test, topology, kernel and scheduler.
    pub rows: BTreeMap<RowKey, Row>,
    /// Records of each host.
    pub hosts: BTreeMap<Host, u64>,
}

impl Rows {
    /// The verdicts of all rows.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.rows.values().for_each(|row| sum.add(row.tally));
        sum
    }
}

impl Fold for Rows {
    fn take(&mut self, path: &Path, record: SidecarRecord) {
        let host = Host {
            cpu: record.host_cpu.clone(),
            kernel: record.host_kernel.clone(),
            cpus: record.host_cpus,
            governor: record.host_governor.clone(),
        };
        *self.hosts.entry(host).or_default() += 1;
        self.rows.entry(RowKey::of(&record)).or_default().take(path, &record);
    }

    fn merge(&mut self, other: Self) {
        for (key, row) in other.rows {
            self.rows.entry(key).or_default().merge(row);
        }
        for (host, count) in other.hosts {
            *self.hosts.entry(host).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(pick: usize, started: u64) -> SidecarRecord {
        let verdict = [Verdict::Pass, Verdict::Skip, Verdict::Inconclusive, Verdict::Fail][pick % 4];
        let mut record = SidecarRecord::new(["a", "b"][pick / 4 % 2], "1n1l2c1t", "eevdf", verdict);
        record.started_unix_s = started;
        record.wall_ms = started * 3;
        record
    }

    proptest! {
        #[test]
        fn every_run_is_counted_once_however_the_work_was_shared(
            picks in proptest::collection::vec((0usize..8, 0u64..1000, 0usize..3), 0..60),
        ) {
            let mut one = Rows::default();
            let mut shares = [Rows::default(), Rows::default(), Rows::default()];
            for (i, (pick, started, worker)) in picks.iter().enumerate() {
                let path = PathBuf::from(i.to_string());
                one.take(&path, record(*pick, *started));
                shares[*worker].take(&path, record(*pick, *started));
            }
            let mut merged = Rows::default();
            shares.into_iter().rev().for_each(|share| merged.merge(share));
            let count = |verdict: usize| picks.iter().filter(|p| p.0 % 4 == verdict).count() as u64;
            let tally = merged.tally();
            prop_assert_eq!(
                (tally.passed, tally.skipped, tally.inconclusive, tally.failed),
                (count(0), count(1), count(2), count(3))
            );
            for (key, row) in &one.rows {
                let other = &merged.rows[key];
                prop_assert_eq!(&row.evidence, &other.evidence);
                prop_assert_eq!(row.tally, other.tally);
                let wall = |row: &Row| row.figures.get("wall_ms").and_then(Series::median);
                prop_assert_eq!(wall(row), wall(other));
            }
        }
    }

    #[test]
    fn a_row_of_skips_has_no_pass_rate_and_its_worst_is_a_skip() {
        let mut tally = Tally::default();
        tally.count(Verdict::Skip);
        assert_eq!((tally.pass_rate(), tally.worst()), (None, Verdict::Skip));
        tally.count(Verdict::Pass);
        tally.count(Verdict::Inconclusive);
        assert_eq!((tally.pass_rate(), tally.worst()), (Some(0.5), Verdict::Inconclusive));
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(head("aµb", 2), "a");
        assert_eq!(head("ab", 9), "ab");
    }
}
