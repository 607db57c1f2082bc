//! Records gathered for the report: rows, their latest runs, and the evidence worth showing, all bounded.

use crate::metric::figures;
use crate::record::SidecarRecord;
use crate::rows::{Row, RowKey, Rows, head};
use crate::scan::Fold;
use ktstr_verdict::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Runs of a row that are drawn and listed.
const RUNS: usize = 24;
/// Runs of a row that did not pass and whose evidence is shown; one that passed is shown as well.
const BROKEN: usize = 2;
/// Bytes of a console tail or a scheduler's log.
const TAIL: usize = 6000;
/// Outcomes of a run.
const OUTCOMES: usize = 40;

/// One run in a list.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, ms.
    pub wall_ms: u64,
    /// Worst 99th percentile of wake-up latency, µs.
    pub p99_wake_us: Option<f64>,
}

/// When, and which file: the order of runs.
pub type Moment = (u64, PathBuf);

/// All that the report shows of a row.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Verdicts and figures.
    pub row: Row,
    /// The latest runs.
    pub runs: BTreeMap<Moment, Run>,
    /// The latest that did not pass, shortened.
    pub broken: BTreeMap<Moment, SidecarRecord>,
    /// The latest that passed, shortened.
    pub passed: BTreeMap<Moment, SidecarRecord>,
}

/// All rows of the report.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub(crate) stories: BTreeMap<RowKey, Story>,
}

impl Gathered {
    /// The rows alone, for a comparison.
    #[must_use]
    pub fn rows(&self) -> Rows {
        let rows = self.stories.iter().map(|(key, story)| (key.clone(), story.row.clone())).collect();
        Rows { rows, ..Rows::default() }
    }
}

fn keep<T>(map: &mut BTreeMap<Moment, T>, most: usize) {
    while map.len() > most {
        map.pop_first();
    }
}

impl Story {
    fn bound(&mut self) {
        keep(&mut self.runs, RUNS);
        keep(&mut self.broken, BROKEN);
        keep(&mut self.passed, 1);
    }
}

impl Fold for Gathered {
    fn take(&mut self, path: &Path, record: SidecarRecord) {
        let story = self.stories.entry(RowKey::of(&record)).or_default();
        story.row.take(path, &record);
        let moment = (record.started_unix_s, path.to_owned());
        let mut p99_wake_us = None;
        figures(&record, |name, value| {
            if name == "cgroup.p99_wake_us" {
                p99_wake_us = Some(value);
            }
        });
        let verdict = record.verdict();
        story.runs.insert(moment.clone(), Run { verdict, wall_ms: record.wall_ms, p99_wake_us });
        let evidence = if verdict == Verdict::Pass { &mut story.passed } else { &mut story.broken };
        evidence.insert(moment, shortened(record));
        story.bound();
    }

    fn merge(&mut self, other: Self) {
        for (key, theirs) in other.stories {
            let ours = self.stories.entry(key).or_default();
            ours.row.merge(theirs.row);
            ours.runs.extend(theirs.runs);
            ours.broken.extend(theirs.broken);
            ours.passed.extend(theirs.passed);
            ours.bound();
        }
    }
}

fn shortened(mut record: SidecarRecord) -> SidecarRecord {
    record.topology_read_back = None;
    record.console_tail = tail(&record.console_tail).to_owned();
    let log = record.scheduler_log.join("\n");
    record.scheduler_log = tail(&log).lines().map(str::to_owned).collect();
    record.message = head(&record.message, TAIL).to_owned();
    // What tripped is what is looked for; passes say nothing.
    record.outcomes.retain(|o| !matches!(o, Outcome::Pass));
    record.outcomes.truncate(OUTCOMES);
    record
}

/// The end of a text, from the beginning of a line where there is one.
fn tail(text: &str) -> &str {
    if text.len() <= TAIL {
        return text;
    }
    let mut start = text.len() - TAIL;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let end = &text[start..];
    end.split_once('\n').map_or(end, |(_, rest)| rest)
}
