//! What records say, for people: Markdown, plain text, and GitHub's annotations.

use crate::metric::metric_of;
use crate::read::Damage;
use crate::rows::{Row, RowKey, Rows};
use crate::scan::{Scanned, scan};
use crate::series::Series;
use crate::store::StoreError;
use crate::verifier::{VERIFIER_LIMIT, VERIFIER_WARNING};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Everything worth saying of the records of a directory, as Markdown; "" when there are none.
///
/// # Errors
/// A directory that cannot be listed.
pub fn analyze_sidecars(dir: &Path) -> Result<String, StoreError> {
    Ok(markdown(&scan::<Rows>(dir)?))
}

/// The same of records that were gathered already.
#[must_use]
pub fn markdown(scanned: &Scanned<Rows>) -> String {
    let mut out = String::new();
    if scanned.records == 0 && scanned.damaged.is_empty() {
        return out;
    }
    // Writing to a String cannot fail.
    let _ = write_markdown(scanned, &mut out);
    out
}

fn write_markdown(scanned: &Scanned<Rows>, out: &mut String) -> std::fmt::Result {
    let rows = &scanned.folded;
    let tally = rows.tally();
    writeln!(
        out,
        "## ktstr: {} runs: {} passed, {} failed, {} inconclusive, {} skipped",
        tally.all(),
        tally.passed,
        tally.failed,
        tally.inconclusive,
        tally.skipped
    )?;
    damaged(&scanned.damaged, out)?;
    not_passed(rows, out)?;
    writeln!(out, "\n### Rows\n")?;
    writeln!(out, "| test | topology | kernel | scheduler | runs | passed | wall median | spread | retries |")?;
    writeln!(out, "|---|---|---|---|--:|--:|--:|--:|--:|")?;
    for (key, row) in &rows.rows {
        let wall = row.figures.get("wall_ms");
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            key_cells(key),
            row.tally.all(),
            row.tally.pass_rate().map_or_else(|| "-".to_owned(), |rate| format!("{:.0} %", rate * 100.0)),
            wall.and_then(Series::median).map_or_else(|| "-".to_owned(), |ms| format!("{:.1} s", ms / 1000.0)),
            wall.and_then(Series::spread).map_or_else(|| "-".to_owned(), |s| format!("{:.0} %", s * 100.0)),
            row.retries,
        )?;
    }
    machines(rows, out)?;
    verifier(rows, out)?;
    callbacks(rows, out)
}

fn key_cells(key: &RowKey) -> String {
    let cells = [&key.test, &key.topology, &key.kernel, &key.scheduler].map(|text| cell(text));
    cells.join(" | ")
}

fn damaged(damaged: &[Damage], out: &mut String) -> std::fmt::Result {
    if damaged.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Damaged records: {}\n", damaged.len())?;
    for damage in damaged {
        writeln!(out, "* {}", cell(&damage.to_string()))?;
    }
    Ok(())
}

fn not_passed(rows: &Rows, out: &mut String) -> std::fmt::Result {
    if rows.rows.values().all(|row| row.evidence.is_empty()) {
        return Ok(());
    }
    writeln!(out, "\n### Not passed\n")?;
    for (key, row) in &rows.rows {
        for evidence in row.evidence.iter().rev() {
            let message = evidence.message.lines().next().unwrap_or_default();
            writeln!(out, "* **{}** {}: {}", evidence.verdict, key_cells(key).replace(" | ", ", "), cell(message))?;
            writeln!(out, "  ({})", cell(&evidence.path.display().to_string()))?;
        }
    }
    Ok(())
}

/// Medians of what a machine costs, over all rows of a topology and kernel.
fn machines(rows: &Rows, out: &mut String) -> std::fmt::Result {
    const COLUMNS: [&str; 6] = [
        "phase.start_us",
        "phase.boot_us",
        "phase.attach_us",
        "phase.test_us",
        "phase.shutdown_us",
        "host_run_delay_ms",
    ];
    let mut all: BTreeMap<(&str, &str), [Series; COLUMNS.len()]> = BTreeMap::new();
    for (key, row) in &rows.rows {
        if !row.figures.contains_key("phase.boot_us") {
            continue;
        }
        let sums = all.entry((&key.topology, &key.kernel)).or_default();
        for (sum, name) in sums.iter_mut().zip(COLUMNS) {
            row.figures.get(name).into_iter().for_each(|series| sum.merge(series.clone()));
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Machines, medians\n\n| topology | kernel | {} |", COLUMNS.join(" | "))?;
    writeln!(out, "|---|---|{}", "--:|".repeat(COLUMNS.len()))?;
    for ((topology, kernel), sums) in &all {
        write!(out, "| {} | {} |", cell(topology), cell(kernel))?;
        for (series, name) in sums.iter().zip(COLUMNS) {
            write!(out, " {} |", series.median().map_or_else(|| "-".to_owned(), |m| number(m, metric_of(name).unit)))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn verifier(rows: &Rows, out: &mut String) -> std::fmt::Result {
    let mut most: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, row) in &rows.rows {
        for (program, count) in &row.programs {
            let entry = most.entry((&key.scheduler, program)).or_default();
            *entry = (*entry).max(*count);
        }
    }
    if most.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Verifier, most instructions\n\n| scheduler | program | instructions | |\n|---|---|--:|---|")?;
    for ((scheduler, program), count) in most {
        #[allow(clippy::cast_precision_loss)]
        let share = count as f64 / VERIFIER_LIMIT as f64;
        let warning = if count >= VERIFIER_WARNING {
            format!("WARNING: {:.0} % of the verifier's limit", share * 100.0)
        } else {
            String::new()
        };
        writeln!(out, "| {} | {} | {count} | {warning} |", cell(scheduler), cell(program))?;
    }
    Ok(())
}

fn callbacks(rows: &Rows, out: &mut String) -> std::fmt::Result {
    let mut all: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for (key, row) in &rows.rows {
        for (name, callback) in &row.callbacks {
            let sum = all.entry((&key.scheduler, name)).or_default();
            *sum = (sum.0.saturating_add(callback.calls), sum.1.saturating_add(callback.ns));
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Callbacks\n\n| scheduler | callback | calls | ns each |\n|---|---|--:|--:|")?;
    for ((scheduler, name), (calls, ns)) in all {
        let each = ns.checked_div(calls).map_or_else(|| "-".to_owned(), |each| each.to_string());
        writeln!(out, "| {} | {} | {calls} | {each} |", cell(scheduler), cell(name))?;
    }
    Ok(())
}

/// GitHub's workflow commands, one for each run that is named as evidence.
#[must_use]
pub fn annotations(rows: &Rows) -> String {
    let mut out = String::new();
    for (key, row) in &rows.rows {
        for evidence in &row.evidence {
            let level = if evidence.verdict == "FAIL" { "error" } else { "warning" };
            let title = format!("{} on {}, kernel {}, {}", key.test, key.topology, key.kernel, key.scheduler);
            let title = command_text(&title).replace(':', "%3A").replace(',', "%2C");
            let _ = writeln!(out, "::{level} title={title}::{}", command_text(&evidence.message));
        }
    }
    out
}

fn command_text(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text that neither ends a table's cell nor becomes markup.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '`' | '*' | '[' | ']' | '\\' | '_' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A figure in the unit that reads best.
#[must_use]
pub fn number(value: f64, unit: &str) -> String {
    let (value, unit) = match unit {
        "ns" if value.abs() >= 1e9 => (value / 1e9, "s"),
        "ns" if value.abs() >= 1e6 => (value / 1e6, "ms"),
        "ns" if value.abs() >= 1e3 => (value / 1e3, "µs"),
        "µs" if value.abs() >= 1e6 => (value / 1e6, "s"),
        "µs" if value.abs() >= 1e3 => (value / 1e3, "ms"),
        "ms" if value.abs() >= 1e3 => (value / 1e3, "s"),
        other => (value, other),
    };
    let digits = match value.abs() {
        size if value.fract() == 0.0 && size < 1e4 => 0,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let gap = if unit.is_empty() { "" } else { " " };
    format!("{value:.digits$}{gap}{unit}")
}

/// Everything of a row that `--json` shows.
#[must_use]
pub fn row_json(key: &RowKey, row: &Row) -> serde_json::Value {
    let figures: serde_json::Map<_, _> = row
        .figures
        .iter()
        .map(|(name, series)| {
            let metric = metric_of(name);
            let value = serde_json::json!({
                "count": series.count(),
                "median": series.median(),
                "spread": series.spread(),
                "min": series.ends().map(|e| e.0),
                "max": series.ends().map(|e| e.1),
                "unit": metric.unit,
                "better": metric.polarity.word(),
            });
            (name.clone(), value)
        })
        .collect();
    serde_json::json!({
        "row": key,
        "runs": row.tally,
        "pass_rate": row.tally.pass_rate(),
        "retries": row.retries,
        "figures": figures,
        "verifier_instructions": row.programs,
        "callbacks": row.callbacks,
        "evidence": row.evidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Callback, SidecarRecord};
    use crate::store::write_record;
    use ktstr_verdict::Verdict;

    #[test]
    fn of_an_empty_directory_there_is_nothing_to_say() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(analyze_sidecars(dir.path()).unwrap(), "");
        assert_eq!(analyze_sidecars(&dir.path().join("none")).unwrap(), "");
    }

    #[test]
    fn a_summary_counts_names_the_broken_and_warns_of_a_program_near_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let mut pass = SidecarRecord::new("steady", "1n1l2c1t", "a", Verdict::Pass);
        pass.wall_ms = 2000;
        pass.phases_us.insert("boot".into(), 1_500_000);
        pass.verifier_instructions = [("enqueue".to_owned(), 750_000), ("init".to_owned(), 749_999)].into();
        pass.callback_profile.insert("enqueue".into(), Callback { calls: 4, ns: 1000 });
        write_record(dir.path(), &pass).unwrap();
        let mut fail = SidecarRecord::new("steady", "1n1l4c1t", "a", Verdict::Fail);
        fail.message = "first | line\nsecond <script>".to_owned();
        write_record(dir.path(), &fail).unwrap();
        std::fs::write(dir.path().join("x.ktstr.json"), "{").unwrap();
        let text = analyze_sidecars(dir.path()).unwrap();
        assert!(text.starts_with("## ktstr: 2 runs: 1 passed, 1 failed, 0 inconclusive, 0 skipped\n"), "{text}");
        assert!(text.contains("Damaged records: 1") && text.contains("x.ktstr.json"), "{text}");
        assert!(text.contains("* **FAIL** steady, 1n1l4c1t, -, a: first \\| line\n"), "{text}");
        assert!(text.contains("| steady | 1n1l2c1t | - | a | 1 | 100 % | 2.0 s | 0 % | 0 |"), "{text}");
        assert!(text.contains("| a | enqueue | 750000 | WARNING: 75 % of the verifier's limit |"), "{text}");
        assert!(text.contains("| a | init | 749999 |  |"), "{text}");
        assert!(text.contains("| a | enqueue | 4 | 250 |"), "{text}");
        assert!(text.contains("| 1n1l2c1t | - | - | 1.50 s |"), "{text}");
    }

    #[test]
    fn what_a_record_says_is_never_a_command_or_markup() {
        let mut rows = Rows::default();
        let mut record = SidecarRecord::new("a,b::c", "1n1l2c1t", "s", Verdict::Fail);
        record.message = "100 %\n::error::forged".to_owned();
        crate::scan::Fold::take(&mut rows, Path::new("x"), record);
        let text = annotations(&rows);
        assert_eq!(text, "::error title=a%2Cb%3A%3Ac on 1n1l2c1t%2C kernel -%2C s::100 %25%0A::error::forged\n");
        assert_eq!(cell("<b>|`\n\u{7}"), "&lt;b>\\|\\` ");
    }

    #[test]
    fn numbers_take_the_unit_that_reads_best() {
        assert_eq!(number(1_500_000.0, "µs"), "1.50 s");
        assert_eq!(number(999.5, "ns"), "1000 ns");
        assert_eq!(number(12.0, ""), "12");
        assert_eq!(number(-2500.0, "ms"), "-2.50 s");
    }
}
