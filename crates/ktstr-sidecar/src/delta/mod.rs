//! Two sets of records compared, figure by figure.
//!
//! A change counts when it is larger than an absolute and a relative gate and larger than the noise. The noise gate is two:
//! the rank-sum test, by Holm's rule over all figures that are judged, so that a comparison of equals raises a false alarm
//! with chance `level` at most; and a bootstrap interval of the difference that leaves 0 out. "Same" is said only when that
//! interval rules out a loss beyond the gates; whatever is neither is unclear, and no pass.

mod assertion;
mod bootstrap;
mod rank;
mod text;

#[cfg(test)]
mod simulation;

pub use assertion::PerfDeltaAssertion;
pub use text::{delta_json, delta_text};

use crate::metric::{Polarity, metric_of};
use crate::rows::{Limit, Row, RowKey, Rows};
use crate::series::Series;
use bootstrap::difference_of_medians;
use ktstr_verdict::Verdict;
use rank::{rank_sum_p, smallest_p};
use serde::Serialize;
use siphasher::sip::SipHasher13;
use std::collections::BTreeSet;
use std::hash::Hasher as _;

/// What a comparison is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Chance of any false alarm in the whole comparison, and of an interval that misses.
    pub level: f64,
    /// Rows are matched whatever their kernel.
    pub across_kernels: bool,
    /// Rows are matched whatever their scheduler.
    pub across_schedulers: bool,
}

impl Default for Question {
    fn default() -> Self {
        Self { level: 0.05, across_kernels: false, across_schedulers: false }
    }
}

/// What is said of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It got worse, past all gates.
    Worse,
    /// It got better, past all gates.
    Better,
    /// A loss beyond the gates is ruled out.
    Same,
    /// The samples carry neither.
    Unclear,
    /// So few samples that no difference between them could be shown.
    TooFew,
    /// Neither way is better: shown only.
    Shown,
}

/// One figure of one row on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The row; what is compared across is `*`.
    pub row: RowKey,
    /// The figure.
    pub name: String,
    /// Runs of each side.
    pub runs: (usize, usize),
    /// Median of each side.
    pub medians: (f64, f64),
    /// Change of the median as a share of the first; `None` of 0.
    pub relative: Option<f64>,
    /// Interval of the median's change, in the figure's unit; `None` below three runs a side.
    pub interval: Option<(f64, f64)>,
    /// Chance of ranks like these among equals, by Holm's rule over all that is judged.
    pub p: f64,
    /// What is said of it.
    pub finding: Finding,
    /// Which change of it is worth a word.
    #[serde(skip)]
    gate: Gate,
}

/// Which way is better, and what change is worth a word: the registry's, or the test's own.
#[derive(Clone, Copy, Debug)]
struct Gate {
    polarity: Polarity,
    absolute: f64,
    relative: f64,
}

impl Gate {
    fn of(name: &str, limit: Option<&Limit>) -> Self {
        let metric = metric_of(name);
        match limit {
            None => Self { polarity: metric.polarity, absolute: metric.absolute, relative: metric.relative },
            Some(limit) => {
                let polarity = if limit.lower_is_better { Polarity::Lower } else { Polarity::Higher };
                Self { polarity, absolute: 0.0, relative: limit.max_loss }
            }
        }
    }
}

/// The whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Every figure of every row that both sides have.
    pub changes: Vec<Change>,
    /// Rows that failed in the second set and not in the first.
    pub broke: Vec<RowKey>,
    /// Rows of one side only, and rows that passed less often than before.
    pub unmatched: Vec<RowKey>,
    /// Runs of each side that let so many figures be judged.
    pub runs_needed: usize,
    /// Rows on both sides.
    pub rows: usize,
}

impl Comparison {
    /// Fail when anything got worse or broke, inconclusive when anything is open or nothing was judged, else pass.
    pub fn verdict(&self) -> Verdict {
        let any = |finding: Finding| self.changes.iter().any(|c| c.finding == finding);
        let judged = self.changes.iter().any(|c| c.finding != Finding::Shown);
        if any(Finding::Worse) || !self.broke.is_empty() {
            Verdict::Fail
        } else if any(Finding::Unclear) || any(Finding::TooFew) || !self.unmatched.is_empty() || !judged {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }
}

/// Compares `b`, the new, with `a`, the old.
#[must_use]
pub fn compare(a: &Rows, b: &Rows, question: Question) -> Comparison {
    let (a, b) = (matched(a, question), matched(b, question));
    let mut comparison =
        Comparison { changes: Vec::new(), broke: Vec::new(), unmatched: Vec::new(), runs_needed: 0, rows: 0 };
    for (key, old) in &a.rows {
        let Some(new) = b.rows.get(key) else {
            comparison.unmatched.push(key.clone());
            continue;
        };
        comparison.rows += 1;
        if new.tally.failed > 0 && old.tally.failed == 0 {
            comparison.broke.push(key.clone());
        } else if new.tally.pass_rate() < old.tally.pass_rate() {
            comparison.unmatched.push(key.clone());
        }
        // A figure that is gone is no good figure: nothing woke, or nothing was measured.
        let mut names: BTreeSet<&String> = old.figures.keys().chain(new.figures.keys()).collect();
        // The newer side's limits hold: they belong to the code that is looked at.
        names.extend(new.assertions.keys());
        let limits = &new.assertions;
        for name in names {
            let values = |row: &Row| row.figures.get(name).map(Series::spots).unwrap_or_default();
            let (old, new) = (values(old), values(new));
            let gate = Gate::of(name, limits.get(name));
            if gate.polarity != Polarity::Neither || !(old.is_empty() || new.is_empty()) {
                comparison.changes.push(change(key, name, (&old, &new), gate, question.level));
            }
        }
    }
    comparison.unmatched.extend(b.rows.keys().filter(|key| !a.rows.contains_key(key)).cloned());
    conclude(&mut comparison, question.level);
    comparison
}

fn matched(rows: &Rows, question: Question) -> Rows {
    let mut out = Rows::default();
    for (key, row) in &rows.rows {
        let mut key = key.clone();
        if question.across_kernels {
            "*".clone_into(&mut key.kernel);
        }
        if question.across_schedulers {
            "*".clone_into(&mut key.scheduler);
        }
        out.rows.entry(key).or_default().merge(row.clone());
    }
    out
}

/// Medians, interval and raw chance; the finding comes when all are known.
fn change(row: &RowKey, name: &str, (old, new): (&[f64], &[f64]), gate: Gate, level: f64) -> Change {
    let median = |values: &[f64]| crate::series::quantile(values, 0.5);
    let medians = (median(old), median(new));
    let enough = old.len() >= 3 && new.len() >= 3;
    let judged = gate.polarity != Polarity::Neither;
    Change {
        gate,
        row: row.clone(),
        name: name.to_owned(),
        runs: (old.len(), new.len()),
        medians,
        relative: (medians.0 != 0.0).then(|| (medians.1 - medians.0) / medians.0.abs()),
        interval: (enough && judged).then(|| difference_of_medians(old, new, level, seed(row, name))),
        p: if judged { rank_sum_p(old, new) } else { 1.0 },
        finding: if judged { Finding::Unclear } else { Finding::Shown },
    }
}

/// Another for each figure, the same in each comparison.
fn seed(row: &RowKey, name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    for part in [&row.test, &row.topology, &row.kernel, &row.scheduler, name] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

fn conclude(comparison: &mut Comparison, level: f64) {
    let mut judged: Vec<usize> =
        (0..comparison.changes.len()).filter(|i| comparison.changes[*i].finding != Finding::Shown).collect();
    let figures = judged.len() as f64;
    comparison.runs_needed = (3..200).find(|n| smallest_p(*n, *n) * figures <= level).unwrap_or(200);
    // Holm: the smallest chance counts as many times as there are figures, the next one time fewer.
    judged.sort_by(|x, y| comparison.changes[*x].p.total_cmp(&comparison.changes[*y].p));
    let mut floor = 0.0f64;
    for (place, i) in judged.into_iter().enumerate() {
        let one = &mut comparison.changes[i];
        floor = floor.max((one.p * (figures - place as f64)).min(1.0));
        one.p = floor;
        one.finding = finding(one, figures, level);
    }
}

fn finding(change: &Change, figures: f64, level: f64) -> Finding {
    let Some((low, high)) = change.interval else { return Finding::TooFew };
    if smallest_p(change.runs.0, change.runs.1) * figures > level {
        return Finding::TooFew;
    }
    // As a loss: positive is worse.
    let (loss, low, high) = match change.gate.polarity {
        Polarity::Higher => (change.medians.0 - change.medians.1, -high, -low),
        _ => (change.medians.1 - change.medians.0, low, high),
    };
    let gate = change.gate.absolute.max(change.gate.relative * change.medians.0.abs());
    let significant = change.p <= level;
    if significant && loss > gate && low > 0.0 {
        Finding::Worse
    } else if significant && -loss > gate && high < 0.0 {
        Finding::Better
    } else if high <= gate {
        Finding::Same
    } else {
        Finding::Unclear
    }
}
