//! `cargo ktstr stats merge`: the records of all shards as one set, or why they are none.

use super::plan::Plan;
use super::{end, whole};
use crate::session;
use anyhow::{Context as _, Result, bail};
use ktstr_sidecar::{All, Fold as _, Joined, RunKey, SidecarRecord, scan, write_record};
use ktstr_verdict::Verdict;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The records of all shards as one set.
#[derive(clap::Args, Debug)]
pub struct Merge {
    /// Directories of the shards' records, or one above them
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The plan that the shards were run by
    #[arg(long, default_value = "shards/plan.json", value_name = "FILE")]
    plan: PathBuf,
    /// Directory for the merged records
    #[arg(long, default_value = "merged", value_name = "DIR")]
    into: PathBuf,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// What a merged directory is known by.
const MARK: &str = "merged.json";

/// Runs it.
pub fn run(merge: &Merge) -> Result<ExitCode> {
    let plan = Plan::read(&merge.plan)?;
    refuse_foreign(&merge.into, &plan)?;
    let (joined, strangers) = gather(merge, &plan)?;
    let mut ends = Vec::new();
    for dir in &merge.dirs {
        ends.extend(end::read_all(dir)?);
    }
    let seen = whole::examine(&plan, &joined, &ends);
    if strangers > 0 {
        eprintln!("ktstr: WARNING: {strangers} records are of no shard of this plan and are left out");
    }
    if !seen.lacks.is_empty() {
        if merge.json {
            println!("{}", json!({"whole": false, "lacks": seen.lacks}));
        }
        let more = seen.lacks.len().saturating_sub(SHOWN);
        let mut why = seen.lacks.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        if more > 0 {
            why.push_str(&format!("; {more} more"));
        }
        bail!("the result is incomplete, and nothing was merged: {why}\nrun those shards again, and merge again");
    }
    write(&merge.into, &plan, &joined)?;
    let records: Vec<SidecarRecord> = joined.runs().map(|(_, record)| record.clone()).collect();
    if merge.json {
        let count = |v: Verdict| records.iter().filter(|r| r.verdict() == v).count();
        println!(
            "{}",
            json!({"whole": true, "shards": plan.shards.len(), "passed": count(Verdict::Pass), "failed": count(Verdict::Fail),
                "skipped": count(Verdict::Skip), "inconclusive": count(Verdict::Inconclusive),
                "plain_failed": seen.plain_failed, "repeated": seen.repeated, "into": merge.into})
        );
    }
    eprint!("{}", session::summary(&records, &[]));
    for shard in &seen.plain_failed {
        eprintln!("ktstr: FAILED: a plain #[test] of shard {shard}; its log says which");
    }
    if !seen.repeated.is_empty() {
        eprintln!("ktstr: shards {:?} ran more than once and count once, by their worst", seen.repeated);
    }
    eprintln!("ktstr: {} shards merged into {}", plan.shards.len(), merge.into.display());
    Ok(match seen.verdict() {
        Verdict::Pass | Verdict::Skip => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
        Verdict::Inconclusive => ExitCode::from(2),
    })
}

/// Reasons that a message gives at most.
const SHOWN: usize = 3;

/// The records of this plan, and how many were of none.
fn gather(merge: &Merge, plan: &Plan) -> Result<(Joined, usize)> {
    let (mut joined, mut strangers) = (Joined::default(), 0);
    for dir in &merge.dirs {
        if !dir.is_dir() {
            bail!("{} is not a directory; name those that the shards left their records in", dir.display());
        }
        let scanned = scan::<All>(dir)?;
        if let Some(damage) = scanned.damaged.first() {
            bail!(
                "{} records are damaged, {damage} first: what failed is not known; run that shard again",
                scanned.damaged.len()
            );
        }
        for (path, record) in scanned.folded.0 {
            if plan.shard_of(record.run_id.as_deref()).is_some() {
                joined.take(&path, record);
            } else {
                strangers += 1;
            }
        }
    }
    Ok((joined, strangers))
}

/// Records of something else beside ours would be taken for ours.
fn refuse_foreign(into: &Path, plan: &Plan) -> Result<()> {
    let mut entries = match std::fs::read_dir(into) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.with_context(|| format!("{} cannot be used; choose another --into", into.display()))?,
    };
    let ours = || {
        let text = std::fs::read(into.join(MARK)).ok()?;
        let mark: serde_json::Value = serde_json::from_slice(&text).ok()?;
        (mark["plan"] == plan.id).then_some(())
    };
    if entries.next().is_some() && ours().is_none() {
        bail!("{} holds something else than this plan's result; empty it, or choose another --into", into.display());
    }
    Ok(())
}

/// Each run has a directory by what makes it one, so that none replaces another's record.
fn write(into: &Path, plan: &Plan, joined: &Joined) -> Result<()> {
    std::fs::create_dir_all(into).with_context(|| format!("failed to make {}", into.display()))?;
    let mark = into.join(MARK);
    let text = serde_json::to_vec(&json!({"plan": plan.id, "kernels": plan.kernels, "shards": plan.shards.len()}))?;
    std::fs::write(&mark, text).with_context(|| format!("failed to write {}", mark.display()))?;
    for (key, from, record) in joined.files() {
        let written = write_record(&into.join(place(key)), record)?;
        // Its own names for them, and no path that a record might say.
        let second = record.repro.as_ref().and_then(|repro| repro.trace.as_ref());
        let traces = [(record.trace.as_ref(), record.trace_name()), (second, record.repro_trace_name())];
        for name in traces.into_iter().filter_map(|(there, name)| there.map(|_| name)) {
            let (from, to) = (from.with_file_name(&name), written.with_file_name(&name));
            if let Err(e) = std::fs::copy(&from, &to) {
                eprintln!("ktstr: WARNING: the trace {} did not come along: {e}", from.display());
            }
        }
    }
    Ok(())
}

fn place(key: &RunKey) -> PathBuf {
    let word = |text: Option<&str>, none: &str| -> String {
        text.unwrap_or(none)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
            .collect()
    };
    let kernel = word(key.kernel.as_deref(), "no-kernel");
    [kernel, word(Some(&key.binary), ""), word(key.preset.as_deref(), "declared")]
        .iter()
        .filter(|w| !w.is_empty())
        .collect()
}
