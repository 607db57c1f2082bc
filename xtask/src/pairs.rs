//! `cargo xtask pairs`: comparisons of real runs: equals, which must raise no alarm, and a slow-down, which must be found.

use crate::demo::{DEFAULT_KERNEL, OVERCOMMIT, fetch_kernel};
use crate::setup::run_setup;
use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use ktstr_sidecar::{Comparison, Finding, Question, RowKey, Rows, Series, compare, delta_text, scan};
use std::path::Path;
use std::process::{Command, Stdio};

/// The fixture, and the same with a scheduler that dispatches slowly.
const TESTS: [&str; 2] = ["wakes", "wakes_slowly"];
/// The sets: the fixture, the fixture again, the slow one.
const SETS: [(&str, &str); 3] = [("old", TESTS[0]), ("equal", TESTS[0]), ("slow", TESTS[1])];
/// What the slow one is slower in.
const FIGURE: &str = "cgroup.p50_wake_us";

/// How many.
#[derive(Args, Debug)]
pub struct Pairs {
    /// Runs of each set
    #[arg(long, default_value_t = 10)]
    runs: usize,
}

/// Runs the sets, interleaved, and compares.
pub fn pairs(options: &Pairs) -> Result<()> {
    run_setup()?;
    let kernel = fetch_kernel(DEFAULT_KERNEL)?;
    run(&mut cargo(&["build", "-p", "fault-tests", "--bin", "fixture", "--locked"]))?;
    let root = workspace_root().join("target/pairs");
    let _ = std::fs::remove_dir_all(&root);
    for round in 0..options.runs {
        // Forwards and backwards in turn: what drifts with time falls on all sets alike.
        for at in 0..SETS.len() {
            let (set, test) = SETS[if round % 2 == 0 { at } else { SETS.len() - 1 - at }];
            one(kernel.dir(), &root.join(set).join(round.to_string()), test)?;
        }
        say(&format!("round {} of {}", round + 1, options.runs));
    }
    let [old, equal, slow] = [rows(&root.join("old"))?, rows(&root.join("equal"))?, rows(&root.join("slow"))?];
    let equals = compare(&old, &equal, Question::default());
    println!("equals:\n{}", delta_text(&equals));
    let slower = compare(&old, &slow, Question::default());
    println!("slow dispatch:\n{}", delta_text(&slower));
    let [before, after] = [median(&old)?, median(&slow)?];
    println!(
        "{FIGURE}: median {before:.0} µs, {after:.0} µs with slow dispatch ({:+.0} %)",
        (after / before - 1.0) * 100.0
    );
    ensure!(alarms(&equals) == 0, "{} alarms among equals", alarms(&equals));
    let found = slower.changes.iter().any(|c| c.name == FIGURE && c.finding == Finding::Worse);
    ensure!(found, "the slow-down was not found");
    Ok(())
}

fn one(kernel: &Path, records: &Path, test: &str) -> Result<()> {
    let output = Command::new(workspace_root().join("target/debug/fixture"))
        .args(["--exact", &format!("ktstr/{test}"), "--nocapture"])
        .env("NEXTEST", "1")
        .env("KTSTR_KERNEL", kernel)
        .env("KTSTR_OVERCOMMIT", OVERCOMMIT)
        .env("KTSTR_SCHEDULER_PROFILE", "dev")
        .env("KTSTR_SIDECAR_DIR", records)
        .stdin(Stdio::null())
        .output()
        .context("failed to start the test")?;
    ensure!(output.status.success(), "{test} did not pass:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The rows of a set, all under one test's name: the sets are runs of one thing.
fn rows(dir: &Path) -> Result<Rows> {
    let mut rows = scan::<Rows>(dir)?.folded;
    rows.rows = rows.rows.into_iter().map(|(key, row)| (RowKey { test: TESTS[0].to_owned(), ..key }, row)).collect();
    Ok(rows)
}

fn alarms(comparison: &Comparison) -> usize {
    let alarm = |finding| matches!(finding, Finding::Worse | Finding::Better);
    comparison.changes.iter().filter(|c| alarm(c.finding)).count() + comparison.broke.len()
}

fn median(rows: &Rows) -> Result<f64> {
    let series = rows.rows.values().find_map(|row| row.figures.get(FIGURE));
    series.and_then(Series::median).with_context(|| format!("no {FIGURE}"))
}
