//! Small pictures, drawn as SVG so that they need neither script nor network.

use super::gather::Run;
use crate::summary::number;
use ktstr_verdict::Verdict;
use std::fmt::{Result, Write};

/// Name of a verdict's class in the style sheet.
pub const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inc",
        Verdict::Skip => "skip",
    }
}

/// A mark for each verdict: colour alone tells not everybody.
pub const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Inconclusive => "?",
        Verdict::Skip => "–",
    }
}

/// The word for each verdict in a sentence.
pub const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "failed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Skip => "skipped",
    }
}

/// Runs from old to new: a bar for each, as high as it took long, in the colour of its verdict.
#[allow(clippy::cast_precision_loss)]
pub fn history<'a>(out: &mut String, runs: impl Iterator<Item = &'a Run> + Clone) -> Result {
    const HEIGHT: f64 = 26.0;
    const STEP: usize = 7;
    let count = runs.clone().count();
    let longest = runs.clone().map(|r| r.wall_ms).max().unwrap_or(0).max(1) as f64;
    let passed = runs.clone().filter(|r| r.verdict == Verdict::Pass).count();
    let width = count * STEP + 1;
    write!(
        out,
        "<svg class=\"hist\" width=\"{width}\" height=\"30\" role=\"img\" aria-label=\"latest {count} runs, {passed} passed\">"
    )?;
    for (i, run) in runs.enumerate() {
        let high = (run.wall_ms as f64 / longest * HEIGHT).max(3.0);
        let (verdict, wall) = (class(run.verdict), number(run.wall_ms as f64, "ms"));
        // A run that did not pass is hatched to the top: it must not hide by being short.
        if run.verdict != Verdict::Pass {
            write!(out, "<rect class=\"{verdict} ghost\" x=\"{}\" y=\"1\" width=\"5\" height=\"28\"/>", i * STEP + 1)?;
        }
        write!(
            out,
            "<rect class=\"{verdict}\" x=\"{}\" y=\"{:.1}\" width=\"5\" height=\"{high:.1}\"><title>{}, {wall}</title></rect>",
            i * STEP + 1,
            29.0 - high,
            word(run.verdict)
        )?;
    }
    out.write_str("</svg>")
}

/// The phases of one run, to scale, with their names below.
#[allow(clippy::cast_precision_loss)]
pub fn phases(out: &mut String, phases_us: &std::collections::BTreeMap<String, u64>) -> Result {
    // Each has its own colour, whichever others a run got to.
    const ORDER: [(&str, u8); 7] =
        [("build", 6), ("start", 0), ("boot", 1), ("attach", 2), ("test", 3), ("shutdown", 4), ("teardown", 5)];
    let present: Vec<(&str, u8, u64)> = ORDER.iter().filter_map(|(n, c)| Some((*n, *c, *phases_us.get(*n)?))).collect();
    let total: u64 = present.iter().map(|p| p.2).sum();
    if total == 0 {
        return Ok(());
    }
    out.write_str("<figure class=\"phases\"><svg width=\"100%\" height=\"14\" role=\"img\" aria-label=\"phases of the run, to scale\">")?;
    let mut at = 0.0;
    for (_, colour, us) in &present {
        let share = *us as f64 / total as f64 * 100.0;
        write!(out, "<rect class=\"ph{colour}\" x=\"{at:.2}%\" y=\"0\" width=\"{share:.2}%\" height=\"14\"/>")?;
        at += share;
    }
    out.write_str("</svg><figcaption>")?;
    for (name, colour, us) in &present {
        let took = number(*us as f64, "µs");
        write!(out, "<span><i class=\"ph{colour}\"></i>{name} {took}</span> ")?;
    }
    out.write_str("</figcaption></figure>")
}

/// How often which value: bins of equal ratio between the given ends, so that rows of one figure can be compared.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 ≤ bin < BINS.
pub fn histogram(out: &mut String, values: &[f64], (low, high): (f64, f64), unit: &str, label: &str) -> Result {
    const BINS: usize = 24;
    let (low, high) = (low.max(1e-9), high.max(low * 1.01).max(2e-9));
    let mut bins = [0u32; BINS];
    for value in values {
        let place = (value.max(low) / low).ln() / (high / low).ln() * BINS as f64;
        bins[(place as usize).min(BINS - 1)] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(0).max(1);
    write!(
        out,
        "<svg class=\"histogram\" viewBox=\"0 0 240 64\" role=\"img\" aria-label=\"{label}: {} values from {} to {}\">",
        values.len(),
        number(values.first().copied().unwrap_or(f64::NAN), unit),
        number(values.last().copied().unwrap_or(f64::NAN), unit),
    )?;
    out.write_str("<line class=\"axis\" x1=\"0\" y1=\"50.5\" x2=\"240\" y2=\"50.5\"/>")?;
    for (i, count) in bins.iter().enumerate().filter(|(_, c)| **c > 0) {
        let high = f64::from(*count) / f64::from(most) * 46.0;
        write!(
            out,
            "<rect class=\"bin\" x=\"{}\" y=\"{:.1}\" width=\"9\" height=\"{high:.1}\"><title>{count}</title></rect>",
            i * 10,
            50.0 - high
        )?;
    }
    write!(
        out,
        "<text x=\"0\" y=\"62\">{}</text><text x=\"240\" y=\"62\" text-anchor=\"end\">{}</text></svg>",
        number(low, unit),
        number(high, unit)
    )
}
