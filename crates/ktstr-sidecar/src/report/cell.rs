//! What is behind a cell: its tests, their runs, and the evidence of the latest.

use super::chart::{class, history, mark, phases, word};
use super::escape::Text;
use super::gather::{Moment, Story};
use super::heat::Cell;
use crate::failure::timeline;
use crate::record::SidecarRecord;
use crate::rows::RowKey;
use crate::series::Series;
use crate::summary::number;
use ktstr_verdict::Verdict;
use std::fmt::{Result, Write as _};
use std::path::Path;

/// The section of a cell: hidden until its link is followed, by the style sheet alone.
pub fn section(out: &mut String, cell: &Cell<'_>, root: &Path) -> Result {
    let Some((key, _)) = cell.stories.first() else { return Ok(()) };
    writeln!(
        out,
        "<section class=\"cell\" id=\"cell-{}\" tabindex=\"-1\"><h3><span>{} on {}, kernel {}</span> <a class=\"close\" href=\"#map\">close</a></h3>",
        cell.id,
        Text(&key.scheduler),
        Text(&key.topology),
        Text(&key.kernel)
    )?;
    // What is broken comes first: it is what somebody came for.
    let (broken, whole): (Vec<_>, Vec<_>) = cell.stories.iter().partition(|(_, story)| !story.broken.is_empty());
    for (key, story) in broken.into_iter().chain(whole) {
        test(out, key, story, root)?;
    }
    out.write_str("</section>\n")
}

fn test(out: &mut String, key: &RowKey, story: &Story, root: &Path) -> Result {
    let tally = story.row.tally;
    let worst = tally.worst();
    let wall = story.row.figures.get("wall_ms").and_then(Series::median);
    write!(
        out,
        "<article><h4><span class=\"tag {}\">{} {}</span> {}</h4><p class=\"facts\">{} of {} passed",
        class(worst),
        mark(worst),
        word(worst),
        Text(&key.test),
        tally.passed,
        tally.ran()
    )?;
    if tally.skipped > 0 {
        write!(out, ", {} skipped", tally.skipped)?;
    }
    if story.row.retries > 0 {
        write!(out, ", {} of a later attempt", story.row.retries)?;
    }
    if let Some(ms) = wall {
        write!(out, ", median {}", number(ms, "ms"))?;
    }
    out.write_str("</p>\n")?;
    history(out, story.runs.values())?;
    for (i, (moment, record)) in story.broken.iter().rev().enumerate() {
        evidence(out, moment, record, root, (i == 0, i == 0))?;
    }
    for (moment, record) in &story.passed {
        evidence(out, moment, record, root, (true, false))?;
    }
    runs(out, story, root)?;
    out.write_str("</article>\n")
}

fn evidence(
    out: &mut String,
    (at, path): &Moment,
    record: &SidecarRecord,
    root: &Path,
    (latest, open): (bool, bool),
) -> Result {
    let verdict = record.verdict();
    writeln!(
        out,
        "<details{}><summary>Evidence of {} run that {}, {}</summary>",
        if open { " open" } else { "" },
        if latest { "the latest" } else { "an earlier" },
        match verdict {
            Verdict::Inconclusive => "was inconclusive",
            Verdict::Skip => "was skipped",
            Verdict::Pass | Verdict::Fail => word(verdict),
        },
        moment_text(*at)
    )?;
    if !record.message.is_empty() {
        writeln!(out, "<p class=\"message {}\">{}</p>", class(verdict), Text(&record.message))?;
    }
    let texts: Vec<&str> = record.outcomes.iter().map(ktstr_verdict::Outcome::text).collect();
    // A message that is the outcomes joined is not said twice.
    if !texts.is_empty() && texts.join("\n") != record.message {
        out.write_str("<ul class=\"outcomes\">")?;
        for outcome in &record.outcomes {
            let kind = outcome.verdict();
            write!(out, "<li><span class=\"tag {}\">{}</span> {}</li>", class(kind), word(kind), Text(outcome.text()))?;
        }
        out.write_str("</ul>\n")?;
    }
    phases(out, &record.phases_us)?;
    cgroups(out, record)?;
    if !record.phases.is_empty() {
        block(out, "What the scenario did, and when", &timeline(record).join("\n"))?;
    }
    if let Some(exit) = &record.exit_info {
        block(out, "Why the scheduler left, in the kernel's words", exit)?;
    }
    if !record.scheduler_log.is_empty() {
        block(out, "The scheduler's last lines", &record.scheduler_log.join("\n"))?;
    }
    if !record.kernel_splat.is_empty() {
        block(out, "The kernel's complaint", &record.kernel_splat.join("\n"))?;
    }
    if !record.console_tail.is_empty() {
        block(out, "The console's last lines", &record.console_tail)?;
    }
    facts(out, record, path, root)?;
    out.write_str("</details>\n")
}

fn block(out: &mut String, title: &str, text: &str) -> Result {
    writeln!(out, "<h5>{title}</h5><pre tabindex=\"0\">{}</pre>", Text(text))
}

fn cgroups(out: &mut String, record: &SidecarRecord) -> Result {
    if record.cgroups.is_empty() {
        return Ok(());
    }
    out.write_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Cgroups\"><table><thead><tr><th scope=\"col\">cgroup</th><th scope=\"col\" class=\"n\">workers</th><th scope=\"col\" class=\"n\">iterations</th><th scope=\"col\" class=\"n\">longest gap</th><th scope=\"col\" class=\"n\">spread</th><th scope=\"col\" class=\"n\">p99 wake</th><th scope=\"col\" class=\"n\">migrations</th></tr></thead><tbody>")?;
    for group in &record.cgroups {
        let wake = if group.wakes == 0 { "–".to_owned() } else { number(group.p99_wake_us, "µs") };
        write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{:.1} %</td><td class=\"n\">{wake}</td><td class=\"n\">{}</td></tr>",
            Text(&group.name),
            group.workers,
            group.iterations,
            number(group.max_gap_ms, "ms"),
            group.spread_pct,
            group.migrations
        )?;
    }
    out.write_str("</tbody></table></div>\n")
}

fn facts(out: &mut String, record: &SidecarRecord, path: &Path, root: &Path) -> Result {
    out.write_str("<dl>")?;
    let mut fact = |name: &str, value: Option<&str>| match value {
        Some(value) if !value.is_empty() => write!(out, "<dt>{name}</dt><dd>{}</dd>", Text(value)),
        _ => Ok(()),
    };
    fact("record", Some(&shown(path, root)))?;
    fact("the failure, run again", record.repro.as_ref().map(|repro| repro.message.as_str()))?;
    fact(
        "trace of the second machine",
        record
            .repro
            .as_ref()
            .and_then(|repro| repro.trace.as_ref())
            .map(|name| shown(&path.with_file_name(name), root))
            .as_deref(),
    )?;
    fact(
        "trace, for ui.perfetto.dev",
        record.trace.as_ref().map(|name| shown(&path.with_file_name(name), root)).as_deref(),
    )?;
    fact("commit", record.project_commit.as_deref())?;
    fact("scheduler attached as", record.scheduler_ops.as_deref())?;
    fact("scheduler from", record.resolve_source.as_deref())?;
    fact("scheduler SHA-256", record.scheduler_binary_hash.as_deref())?;
    fact("kernel", record.kernel_release.as_deref())?;
    fact("accelerator", record.accelerator.as_deref())?;
    fact("why that one", record.accelerator_why.as_deref())?;
    fact("host", record.host_cpu.as_deref())?;
    if record.overcommit > 1.0 {
        fact("guest CPUs for each host CPU", Some(&number(record.overcommit, "")))?;
    }
    if record.expected_failure {
        fact("this test", Some("expects a failure"))?;
    }
    out.write_str("</dl>")
}

fn runs(out: &mut String, story: &Story, root: &Path) -> Result {
    let (shown_runs, all) = (story.runs.len(), story.row.tally.all());
    let title =
        if shown_runs as u64 == all { "All runs".to_owned() } else { format!("The latest {shown_runs} of {all} runs") };
    write!(
        out,
        "<details><summary>{title}, with their records</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Runs\"><table><thead><tr><th scope=\"col\">started</th><th scope=\"col\">verdict</th><th scope=\"col\">took</th><th scope=\"col\">p99 wake</th><th scope=\"col\">record</th></tr></thead><tbody>"
    )?;
    for ((at, path), run) in story.runs.iter().rev() {
        #[allow(clippy::cast_precision_loss)]
        let wall = number(run.wall_ms as f64, "ms");
        write!(
            out,
            "<tr><td>{}</td><td>{} {}</td><td>{wall}</td><td>{}</td><td><code>{}</code></td></tr>",
            moment_text(*at),
            mark(run.verdict),
            word(run.verdict),
            run.p99_wake_us.map_or_else(|| "–".to_owned(), |us| number(us, "µs")),
            Text(&shown(path, root))
        )?;
    }
    out.write_str("</tbody></table></div></details>\n")
}

fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// `2026-01-31 12:00:00 UTC`, by the civil-from-days rule of the proleptic Gregorian calendar.
fn moment_text(unix_s: u64) -> String {
    let (days, rest) = (unix_s / 86_400, unix_s % 86_400);
    // Days since 0000-03-01, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::moment_text;

    #[test]
    fn moments_read_as_date_says_them() {
        // `date -u -d @N`.
        for (unix_s, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00:00 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(moment_text(unix_s), text);
        }
    }
}
