//! `cargo xtask grid`: schedulers × kernels × topologies × repeats, and the report of them.

use crate::canned;
use crate::demo::{DEMO_SCHEDULER, fetch_kernel, install_scheduler};
use crate::report_check;
use crate::setup::run_setup;
use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Result, anyhow, ensure};
use clap::Args;
use ktstr_sidecar::{Gathered, Report, html, scan};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The kernel's own scheduler, which is not installed.
const EEVDF: &str = "eevdf";

/// Which cells.
#[derive(Args, Debug)]
pub struct Grid {
    /// Schedulers by their installed names, and eevdf
    #[arg(long, value_delimiter = ',', default_values = [EEVDF, DEMO_SCHEDULER, "scx_rusty"])]
    schedulers: Vec<String>,
    /// Kernels (versions or ranges)
    #[arg(long, value_delimiter = ',', default_values = ["6.18", "7.3"])]
    kernels: Vec<String>,
    /// Topologies: NnNlNcNt, presets or oddities
    #[arg(long, value_delimiter = ',', default_values = ["1n1l2c1t", "1n2l2c1t", "1n2l2c2t", "2n4l2c1t"])]
    topologies: Vec<String>,
    /// Canned scenarios
    #[arg(long, value_delimiter = ',', default_value = "mixed_workloads")]
    scenarios: Vec<String>,
    /// Runs of each cell
    #[arg(long, default_value_t = 2)]
    repeats: usize,
    /// Go on with the last grid: its program, and the cells that have a record, stay
    #[arg(long)]
    resume: bool,
    /// Write the picture of the report that the README shows
    #[arg(long)]
    picture: bool,
}

/// Runs all cells, writes the report, and says what did not pass. A red cell is a finding, not an error of this verb.
pub fn grid(options: &Grid) -> Result<()> {
    run_setup()?;
    for scheduler in options.schedulers.iter().filter(|s| *s != EEVDF) {
        install_scheduler(scheduler)?;
    }
    let root = workspace_root().join("target/grid");
    let program = canned::program(&root, options.resume)?;
    let start = Instant::now();
    let mut runs = 0u64;
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    // Repeats outermost: what a busy host does to one cell it does not do to all repeats of it.
    for repeat in 0..options.repeats {
        for request in &options.kernels {
            let kernel = fetch_kernel(request)?;
            let version = &kernel.metadata().version;
            for (scheduler, topology) in
                options.schedulers.iter().flat_map(|s| options.topologies.iter().map(move |t| (s, t)))
            {
                for scenario in &options.scenarios {
                    let dir = root.join(format!("{version}/{repeat}/{scheduler}-{topology}-{scenario}"));
                    // Without a record it would be a hole in the report.
                    let record = canned::record(&program, kernel.dir(), &dir, [scenario, scheduler, topology])?
                        .map_err(|why| anyhow!("{scenario} under {scheduler} on {topology} left no record: {why}"))?;
                    runs += 1;
                    let verdict = record.verdict().to_string();
                    let why = record.message.lines().next().unwrap_or_default();
                    println!("{runs:>3} {version:<8} {scheduler:<13} {topology:<10} {scenario} {verdict} {why}");
                    *verdicts.entry(verdict).or_default() += 1;
                }
            }
        }
    }
    let page = report(&root, runs)?;
    say(&format!("{runs} runs in {:.0} s, {verdicts:?}; {}", start.elapsed().as_secs_f64(), page.display()));
    // Read again from the page: each number against the records that it names.
    let mut trace = cargo(&["nextest", "run", "-p", "ktstr-sidecar", "--locked", "--run-ignored", "only"]);
    run(trace.args(["-E", "binary(report) & test(of_a_real_report)"]).env("KTSTR_GRID", &root))?;
    if options.picture {
        report_check::picture(&page, &workspace_root().join("docs/report.png"))?;
    }
    Ok(())
}

fn report(root: &Path, runs: u64) -> Result<PathBuf> {
    let scanned = scan::<Gathered>(root)?;
    ensure!(scanned.damaged.is_empty(), "damaged records: {:?}", scanned.damaged);
    ensure!(scanned.records == runs, "{runs} runs left {} records", scanned.records);
    let page = html(&Report { title: "Schedulers, kernels, topologies", scanned: &scanned, root, against: None });
    let path = root.join("report.html");
    std::fs::write(&path, page)?;
    Ok(path)
}
