//! A comparison as a table.

use super::escape::Text;
use crate::delta::{Change, Comparison, Finding};
use crate::metric::metric_of;
use crate::summary::number;
use ktstr_verdict::Verdict;
use std::fmt::{Result, Write as _};

/// Changes that are listed; all are counted.
const LISTED: usize = 200;

/// The section: what got worse first.
pub fn section(out: &mut String, against: &str, comparison: &Comparison) -> Result {
    let count = |finding: Finding| comparison.changes.iter().filter(|c| c.finding == finding).count();
    let (class, words) = match comparison.verdict() {
        Verdict::Fail => ("fail", "something got worse"),
        Verdict::Inconclusive => ("inc", "the samples carry no verdict"),
        Verdict::Pass | Verdict::Skip => ("pass", "nothing got worse"),
    };
    writeln!(
        out,
        "<section id=\"delta\"><h2>Against {}</h2>\n<p class=\"hint\"><span class=\"tag {class}\">{words}</span> \
         {} rows on both sides: {} figures worse, {} better, {} same, {} unclear, {} with too few runs.</p>",
        Text(against),
        comparison.rows,
        count(Finding::Worse),
        count(Finding::Better),
        count(Finding::Same),
        count(Finding::Unclear),
        count(Finding::TooFew)
    )?;
    for row in &comparison.broke {
        writeln!(
            out,
            "<p class=\"message fail\">{} on {}, kernel {}, {} fails now and did not before.</p>",
            Text(&row.test),
            Text(&row.topology),
            Text(&row.kernel),
            Text(&row.scheduler)
        )?;
    }
    let order = [Finding::Worse, Finding::Better, Finding::Unclear];
    let listed: Vec<&Change> =
        order.iter().flat_map(|f| comparison.changes.iter().filter(move |c| c.finding == *f)).take(LISTED).collect();
    if !listed.is_empty() {
        out.write_str(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Changes\"><table><thead><tr>\
             <th scope=\"col\">figure</th><th scope=\"col\">finding</th><th scope=\"col\" class=\"n\">before</th>\
             <th scope=\"col\" class=\"n\">now</th><th scope=\"col\" class=\"n\">change</th>\
             <th scope=\"col\">likely between</th><th scope=\"col\" class=\"n\">p</th><th scope=\"col\">of</th></tr></thead><tbody>\n",
        )?;
        listed.into_iter().try_for_each(|change| row(out, change))?;
        out.write_str("</tbody></table></div>\n")?;
    }
    out.write_str("</section>\n")
}

fn row(out: &mut String, change: &Change) -> Result {
    let unit = metric_of(&change.name).unit;
    let (class, word) = match change.finding {
        Finding::Worse => ("fail", "worse"),
        Finding::Better => ("pass", "better"),
        Finding::Unclear => ("inc", "unclear"),
        Finding::Same | Finding::TooFew | Finding::Shown => ("skip", "-"),
    };
    let relative = change.relative.map_or_else(|| "from 0".to_owned(), |r| format!("{:+.1} %", r * 100.0));
    let interval = change
        .interval
        .map_or_else(|| "–".to_owned(), |(low, high)| format!("{} and {}", number(low, unit), number(high, unit)));
    let of = &change.row;
    writeln!(
        out,
        "<tr><th scope=\"row\">{}</th><td><span class=\"tag {class}\">{word}</span></td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{relative}</td><td>{interval}</td><td class=\"n\">{:.4}</td>\
         <td>{} on {}, kernel {}, {}</td></tr>",
        Text(&change.name),
        number(change.medians.0, unit),
        number(change.medians.1, unit),
        change.p,
        Text(&of.test),
        Text(&of.topology),
        Text(&of.kernel),
        Text(&of.scheduler)
    )
}
