//! The tables of a sweep, and the file that holds them beside what a person has to say about them.

use super::Cell;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where the tables begin in a file.
const BEGIN: &str = "<!-- cargo xtask scenarios: begin -->\n";
/// Where they end.
const END: &str = "<!-- end -->\n";

/// Where it ran, one table for each scheduler in Markdown, then what did not pass.
pub fn text(cells: &[Cell], topologies: &[String]) -> String {
    let mut out = String::new();
    let records = || cells.iter().filter_map(|c| c.record.as_ref().ok());
    let places: BTreeSet<String> = records()
        .map(|r| {
            let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".into());
            format!("kernel {}, accelerator {}", or(&r.kernel_release), or(&r.accelerator))
        })
        .collect();
    let count = |verdict: &str| cells.iter().filter(|c| c.verdict() == verdict).count();
    out.push_str(&format!(
        "{} runs: {} PASS, {} SKIP, {} INCONCLUSIVE, {} FAIL, {} NO RECORD; {}.\n",
        cells.len(),
        count("PASS"),
        count("SKIP"),
        count("INCONCLUSIVE"),
        count("FAIL"),
        count("NO RECORD"),
        places.into_iter().collect::<Vec<_>>().join("; ")
    ));
    let mut schedulers: Vec<&str> = Vec::new();
    for cell in cells {
        if !schedulers.contains(&cell.scheduler.as_str()) {
            schedulers.push(&cell.scheduler);
        }
    }
    for scheduler in schedulers {
        out.push_str(&table(scheduler, cells, topologies));
    }
    let rest: Vec<&Cell> = cells.iter().filter(|c| c.verdict() != "PASS").collect();
    if !rest.is_empty() {
        out.push_str("\nWhat did not pass, in the run's own words:\n\n");
    }
    for cell in rest {
        out.push_str(&format!(
            "* {} `{}` under {} on {}: {}\n",
            cell.verdict(),
            cell.scenario,
            cell.scheduler,
            cell.topology,
            plain(cell.message())
        ));
    }
    out
}

fn table(scheduler: &str, cells: &[Cell], topologies: &[String]) -> String {
    let cells: Vec<&Cell> = cells.iter().filter(|c| c.scheduler == scheduler).collect();
    // What the kernel called it names the version.
    let called = cells.iter().find_map(|c| c.record.as_ref().ok()?.scheduler_ops.clone());
    let title = called.map_or_else(|| scheduler.to_owned(), |ops| format!("{scheduler} (`{ops}`)"));
    let mut out = format!("\n| {title} | {} |\n|---|{}\n", topologies.join(" | "), "---|".repeat(topologies.len()));
    let mut rows: Vec<&str> = cells.iter().map(|c| c.scenario.as_str()).collect();
    rows.sort_unstable();
    rows.dedup();
    for row in rows {
        let verdicts = topologies.iter().map(|topology| {
            cells.iter().find(|c| c.scenario == row && c.topology == *topology).map_or("-".to_owned(), |c| c.verdict())
        });
        out.push_str(&format!("| {row} | {} |\n", verdicts.collect::<Vec<_>>().join(" | ")));
    }
    out
}

/// A message is words, not Markdown.
fn plain(text: &str) -> String {
    text.replace(['`', '<', '>', '|', '*'], "'")
}

/// Puts the tables between the marks of a file; what stands around them stays.
pub fn write(file: &Path, tables: &str) -> Result<()> {
    let old = fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let new = between(&old, tables);
    ensure!(new.is_some(), "{} has no lines `{}` and `{}`", file.display(), BEGIN.trim_end(), END.trim_end());
    fs::write(file, new.unwrap_or_default()).with_context(|| format!("failed to write {}", file.display()))
}

fn between(old: &str, tables: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{tables}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_what_stood_between_the_marks_and_nothing_else() {
        let old = format!("# Title\n{BEGIN}old\n{END}words\n");
        let new = between(&old, "new\n").unwrap();
        assert_eq!(new, format!("# Title\n{BEGIN}new\n{END}words\n"));
        assert_eq!(between(&new, "new\n").unwrap(), new);
        assert_eq!(between("no marks", "new\n"), None);
    }

    #[test]
    fn a_cell_without_a_record_is_bad_and_named() {
        let cell =
            |record| Cell { scenario: "steady".into(), scheduler: "eevdf".into(), topology: "1n1l2c1t".into(), record };
        let none = cell(Err("0 records: `killed`".to_owned()));
        assert!(none.is_bad());
        let text = text(&[none], &["1n1l2c1t".to_owned(), "1n2l2c1t".to_owned()]);
        assert!(text.contains("| steady | NO RECORD | - |"), "{text}");
        assert!(text.contains("* NO RECORD `steady` under eevdf on 1n1l2c1t: 0 records: 'killed'"), "{text}");
    }
}
