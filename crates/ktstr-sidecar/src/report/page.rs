//! The page around the parts.

use super::cell;
use super::chart::{class, histogram, history, mark, word};
use super::delta;
use super::escape::Text;
use super::gather::Gathered;
use super::heat::Heat;
use crate::delta::Comparison;
use crate::rows::Tally;
use crate::scan::Scanned;
use crate::series::Series;
use crate::summary::number;
use ktstr_verdict::Verdict;
use ktstr_wire::base64;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::{Result, Write as _};
use std::path::Path;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Damaged files that are named in the page; all are counted.
const NAMED: usize = 100;

/// What a report is of.
#[derive(Debug)]
pub struct Report<'a> {
    /// What it says at the top.
    pub title: &'a str,
    /// The records.
    pub scanned: &'a Scanned<Gathered>,
    /// Directory that they lie in: paths are shown from there.
    pub root: &'a Path,
    /// Older records that they were compared with, by name, and how that ended.
    pub against: Option<(&'a str, &'a Comparison)>,
}

/// The file: no network, no other file, nothing that changes from one writing to the next.
#[must_use]
pub fn html(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = page(report, &mut out);
    out
}

fn page(report: &Report<'_>, out: &mut String) -> Result {
    let hash = |text: &str| base64::encode(&Sha256::digest(text.as_bytes()));
    // Only this style and this script may ever run: whatever a record smuggled in would be dead text.
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; base-uri 'none'; \
         form-action 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"jump\" href=\"#map\">Skip to the heat map</a>\n",
        hash(STYLE),
        hash(SCRIPT),
        Text(report.title)
    )?;
    let gathered = &report.scanned.folded;
    let heat = Heat::of(gathered);
    head(report, out)?;
    out.write_str("<main>\n")?;
    damaged(report, out)?;
    out.write_str("<section id=\"map\"><h2>Heat map</h2><p class=\"hint\">Each cell: passed of all that ran, over every test. Open one for its evidence.</p>\n")?;
    heat.table(out)?;
    out.write_str("</section>\n")?;
    for one in heat.cells.values() {
        cell::section(out, one, report.root)?;
    }
    if let Some((name, comparison)) = report.against {
        delta::section(out, name, comparison)?;
    }
    latencies(out, gathered)?;
    tests(out, gathered, &heat)?;
    write!(out, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n")
}

fn head(report: &Report<'_>, out: &mut String) -> Result {
    let mut tally = Tally::default();
    report.scanned.folded.stories.values().for_each(|story| tally.add(story.row.tally));
    write!(out, "<header><h1>{}</h1><ul class=\"tiles\">", Text(report.title))?;
    let tiles = [
        ("all", tally.all(), "runs"),
        ("pass", tally.passed, "passed"),
        ("fail", tally.failed, "failed"),
        ("inc", tally.inconclusive, "inconclusive"),
        ("skip", tally.skipped, "skipped"),
    ];
    for (class, count, name) in tiles {
        let class = if count == 0 { "zero" } else { class };
        write!(out, "<li class=\"{class}\"><b>{count}</b> {name}</li>")?;
    }
    out.write_str("</ul></header>\n")
}

fn damaged(report: &Report<'_>, out: &mut String) -> Result {
    let damaged = &report.scanned.damaged;
    if report.scanned.records == 0 {
        out.write_str("<p class=\"warning\">There is no record here: nothing is shown, and nothing is proved.</p>\n")?;
    }
    if damaged.is_empty() {
        return Ok(());
    }
    write!(
        out,
        "<details class=\"warning\"><summary>Damaged, and in no number below: {} {}</summary><ul>",
        damaged.len(),
        if damaged.len() == 1 { "record" } else { "records" }
    )?;
    for damage in damaged.iter().take(NAMED) {
        write!(out, "<li><code>{}</code></li>", Text(&damage.to_string()))?;
    }
    out.write_str("</ul></details>\n")
}

fn tests(out: &mut String, gathered: &Gathered, heat: &Heat<'_>) -> Result {
    out.write_str("<section id=\"tests\"><h2>Tests</h2>\n<p class=\"hint\">Bars are the latest runs from old to new, as high as each took long.</p>\n<div class=\"filter\" hidden><label>Show rows with <input type=\"search\" id=\"filter\" autocomplete=\"off\" spellcheck=\"false\"></label> <output id=\"count\"></output></div>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Tests\"><table class=\"tests\"><thead><tr><th scope=\"col\">test</th><th scope=\"col\">scheduler</th><th scope=\"col\">topology</th><th scope=\"col\">kernel</th><th scope=\"col\">worst</th><th scope=\"col\">passed</th><th scope=\"col\">history</th><th scope=\"col\" class=\"n\">took</th><th scope=\"col\" class=\"n\">p99 wake</th></tr></thead><tbody>\n")?;
    // What is broken comes first: it is what somebody came for.
    let (broken, whole): (Vec<_>, Vec<_>) =
        gathered.stories.iter().partition(|(_, s)| s.row.tally.worst() == Verdict::Fail);
    let (open, whole): (Vec<_>, Vec<_>) =
        whole.into_iter().partition(|(_, s)| s.row.tally.worst() == Verdict::Inconclusive);
    for (key, story) in broken.into_iter().chain(open).chain(whole) {
        let tally = story.row.tally;
        let worst = tally.worst();
        let place = (key.topology.as_str(), key.scheduler.as_str(), key.kernel.as_str());
        let id = heat.cells.get(&place).map_or(0, |cell| cell.id);
        write!(
            out,
            "<tr><th scope=\"row\"><a href=\"#cell-{id}\">{}</a></th><td>{}</td><td>{}</td><td>{}</td>\
             <td><span class=\"tag {}\">{} {}</span></td><td>{}/{}</td><td>",
            Text(&key.test),
            Text(&key.scheduler),
            Text(&key.topology),
            Text(&key.kernel),
            class(worst),
            mark(worst),
            word(worst),
            tally.passed,
            tally.ran()
        )?;
        history(out, story.runs.values())?;
        out.write_str("</td>")?;
        for (name, unit) in [("wall_ms", "ms"), ("cgroup.p99_wake_us", "µs")] {
            match story.row.figures.get(name).and_then(Series::median) {
                Some(value) => write!(out, "<td class=\"n\" data-v=\"{value}\">{}</td>", number(value, unit))?,
                None => out.write_str("<td class=\"n\">–</td>")?,
            }
        }
        out.write_str("</tr>\n")?;
    }
    out.write_str("</tbody></table></div></section>\n")
}

fn latencies(out: &mut String, gathered: &Gathered) -> Result {
    let mut all: BTreeMap<(&str, &str), Series> = BTreeMap::new();
    for (key, story) in &gathered.stories {
        if let Some(series) = story.row.figures.get("cgroup.p99_wake_us") {
            all.entry((&key.scheduler, &key.kernel)).or_default().merge(series.clone());
        }
    }
    let ends = all.values().filter_map(Series::ends).reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
    let Some(ends) = ends else { return Ok(()) };
    out.write_str("<section id=\"latency\"><h2>Wake-up latency</h2>\n<p class=\"hint\">The worst cgroup's 99th percentile of every passed run, on one logarithmic scale.</p>\n<div class=\"multiples\">\n")?;
    for ((scheduler, kernel), series) in &all {
        write!(out, "<figure><figcaption><b>{}</b> on {}", Text(scheduler), Text(kernel))?;
        if let Some(median) = series.median() {
            write!(out, "<br>median {}, {} runs", number(median, "µs"), series.count())?;
        }
        out.write_str("</figcaption>")?;
        histogram(out, &series.spots(), ends, "µs", "wake-up latency")?;
        out.write_str("</figure>\n")?;
    }
    out.write_str("</div></section>\n")
}
