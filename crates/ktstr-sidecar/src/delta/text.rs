//! A comparison in words.

use super::{Change, Comparison, Finding};
use crate::metric::metric_of;
use crate::rows::RowKey;
use crate::summary::number;
use std::fmt::{Result, Write as _};

/// The comparison as plain text: what got worse first, what is the same as a number only.
#[must_use]
pub fn delta_text(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(comparison, &mut out);
    out
}

/// A record's words may hold anything; a terminal obeys control characters.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn place(row: &RowKey) -> String {
    plain(&format!("{} on {}, kernel {}, {}", row.test, row.topology, row.kernel, row.scheduler))
}

fn write_text(comparison: &Comparison, out: &mut String) -> Result {
    for row in &comparison.broke {
        writeln!(out, "BROKE      {}", place(row))?;
    }
    for (finding, word) in [
        (Finding::Worse, "WORSE"),
        (Finding::Better, "better"),
        (Finding::Unclear, "unclear"),
        (Finding::TooFew, "too few"),
    ] {
        for change in comparison.changes.iter().filter(|c| c.finding == finding) {
            line(out, word, change)?;
        }
    }
    for row in &comparison.unmatched {
        writeln!(out, "open       {}: it passed less often than before, or ran on one side only", place(row))?;
    }
    let count = |finding: Finding| comparison.changes.iter().filter(|c| c.finding == finding).count();
    writeln!(
        out,
        "{}: {} rows on both sides; {} worse, {} better, {} same, {} unclear, {} with too few runs; {} not judged",
        comparison.verdict(),
        comparison.rows,
        count(Finding::Worse),
        count(Finding::Better),
        count(Finding::Same),
        count(Finding::Unclear),
        count(Finding::TooFew),
        count(Finding::Shown)
    )?;
    if count(Finding::TooFew) > 0 {
        writeln!(
            out,
            "so many figures need {} runs of each side, in directories of their own",
            comparison.runs_needed
        )?;
    }
    Ok(())
}

fn line(out: &mut String, word: &str, change: &Change) -> Result {
    let unit = metric_of(&change.name).unit;
    let relative = change.relative.map_or_else(|| "from 0".to_owned(), |r| format!("{:+.1} %", r * 100.0));
    let interval = change.interval.map_or_else(
        || "no interval".to_owned(),
        |(low, high)| format!("change between {} and {}", number(low, unit), number(high, unit)),
    );
    writeln!(
        out,
        "{word:<10} {}: {} -> {} ({relative}), {interval}, p {:.4}, {} and {} runs\n           {}",
        plain(&change.name),
        number(change.medians.0, unit),
        number(change.medians.1, unit),
        change.p,
        change.runs.0,
        change.runs.1,
        place(&change.row)
    )
}

/// The comparison for machines.
#[must_use]
pub fn delta_json(comparison: &Comparison) -> serde_json::Value {
    let mut value = serde_json::to_value(comparison).unwrap_or_default();
    value["verdict"] = comparison.verdict().to_string().into();
    value
}
