//! `cargo xtask scenarios`: every canned scenario under some schedulers on some topologies.

use crate::demo::{DEFAULT_KERNEL, DEMO_SCHEDULER, OVERCOMMIT, fetch_kernel, install_scheduler};
use crate::setup::run_setup;
use crate::step::{cargo, run, workspace_root};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use ktstr_sidecar::SidecarRecord;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The kernel's own; nothing to install.
const EEVDF: &str = "eevdf";
/// The smallest machine with two CPUs; caches; caches with threads; nodes.
const TOPOLOGIES: &str = "1n1l2c1t,1n2l2c1t,1n2l2c2t,2n4l2c1t";

/// Which cells.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cargo xtask scenarios\n  \
                        cargo xtask scenarios --schedulers eevdf,scx_bpfland,scx_rusty --scenarios steady,hotplug_storm")]
pub struct Scenarios {
    /// Schedulers by their installed names, and eevdf
    #[arg(long, value_delimiter = ',', default_values = [EEVDF, DEMO_SCHEDULER])]
    schedulers: Vec<String>,
    /// Topologies: NnNlNcNt, presets or oddities
    #[arg(long, value_delimiter = ',', default_value = TOPOLOGIES)]
    topologies: Vec<String>,
    /// Only these scenarios
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Kernel (version or range)
    #[arg(long, default_value = DEFAULT_KERNEL)]
    kernel: String,
}

/// One run.
struct Cell {
    scenario: String,
    scheduler: String,
    topology: String,
    verdict: String,
    seconds: f64,
    /// First line of the operator's message.
    message: String,
    record: Option<PathBuf>,
}

/// Set-up, all cells, the tables.
pub fn scenarios(options: &Scenarios) -> Result<()> {
    run_setup()?;
    let kernel = fetch_kernel(&options.kernel)?;
    for scheduler in options.schedulers.iter().filter(|s| *s != EEVDF) {
        install_scheduler(scheduler)?;
    }
    run(&mut cargo(&["build", "-p", "fault-tests", "--bin", "canned", "--locked"]))?;
    let program = workspace_root().join("target/debug/canned");
    let chosen = chosen(&program, options)?;
    let records = workspace_root().join("target/scenarios");
    if records.exists() {
        std::fs::remove_dir_all(&records).with_context(|| format!("failed to clear {}", records.display()))?;
    }
    let mut cells = Vec::new();
    for scheduler in &options.schedulers {
        for topology in &options.topologies {
            for scenario in &chosen {
                let mut test = Command::new(&program);
                test.env("KTSTR_KERNEL", kernel.dir()).env("KTSTR_OVERCOMMIT", OVERCOMMIT);
                test.env("KTSTR_SIDECAR_DIR", &records);
                let cell = cell(test, scenario, scheduler, topology)?;
                println!(
                    "{:<18} {:<13} {:<10} {:<12} {:>6.1} s  {}",
                    cell.scenario, cell.scheduler, cell.topology, cell.verdict, cell.seconds, cell.message
                );
                cells.push(cell);
            }
        }
    }
    println!("{}", table(&cells, &options.topologies));
    println!("records: {}", records.display());
    let bad = cells.iter().filter(|c| !matches!(c.verdict.as_str(), "PASS" | "SKIP")).count();
    ensure!(bad == 0, "{bad} of {} runs did not pass: each is a fault of ours or a finding", cells.len());
    Ok(())
}

/// Scenarios that the program has for all schedulers that were asked for.
fn chosen(program: &Path, options: &Scenarios) -> Result<Vec<String>> {
    let listing = Command::new(program)
        .args(["--list", "--format", "terse"])
        .env("NEXTEST", "1")
        .stdin(Stdio::null())
        .output()
        .context("failed to list the scenarios")?;
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let names: Vec<(&str, &str)> = listing
        .lines()
        .filter_map(|line| line.strip_prefix("ktstr/")?.strip_suffix(": test")?.split_once('@'))
        .collect();
    for scheduler in &options.schedulers {
        ensure!(
            names.iter().any(|(_, s)| s == scheduler),
            "`{scheduler}` is not declared in tests/faults/src/bin/canned.rs: add it there"
        );
    }
    let mut all: Vec<&str> = names.iter().filter(|(_, s)| *s == EEVDF).map(|(scenario, _)| *scenario).collect();
    all.sort_unstable();
    if let Some(unknown) = options.scenarios.iter().find(|s| !all.contains(&s.as_str())) {
        bail!("`{unknown}` is not a canned scenario; there are {}", all.join(", "));
    }
    let wanted = |name: &&str| options.scenarios.is_empty() || options.scenarios.iter().any(|s| s == name);
    Ok(all.into_iter().filter(wanted).map(str::to_owned).collect())
}

fn cell(mut test: Command, scenario: &str, scheduler: &str, topology: &str) -> Result<Cell> {
    let start = Instant::now();
    let output = test
        .args([format!("--ktstr-test-fn={scenario}@{scheduler}"), format!("--ktstr-topo={topology}")])
        .env("NEXTEST", "1")
        .stdin(Stdio::null())
        .output()
        .context("failed to start the test")?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = |prefix: &str| stderr.lines().find_map(|line| line.strip_prefix(prefix));
    let record = said("ktstr: record: ").map(PathBuf::from);
    let read: Option<SidecarRecord> =
        record.as_ref().and_then(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok());
    // Without a record there is nothing to stand on, whatever the exit code.
    let verdict = read.as_ref().map_or_else(|| "NO RECORD".to_owned(), |r| r.verdict().to_string());
    let message = read.map_or_else(|| stderr.lines().last().unwrap_or_default().to_owned(), |r| r.message);
    Ok(Cell {
        scenario: scenario.to_owned(),
        scheduler: scheduler.to_owned(),
        topology: topology.to_owned(),
        verdict,
        seconds: start.elapsed().as_secs_f64(),
        message: message.lines().next().unwrap_or_default().to_owned(),
        record,
    })
}

/// One table for each scheduler in Markdown, then what did not pass with its record.
fn table(cells: &[Cell], topologies: &[String]) -> String {
    let mut out = String::new();
    let mut by_scheduler: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        by_scheduler.entry(&cell.scheduler).or_default().push(cell);
    }
    for (scheduler, cells) in by_scheduler {
        out.push_str(&format!(
            "\n| {scheduler} | {} |\n|---|{}\n",
            topologies.join(" | "),
            "---|".repeat(topologies.len())
        ));
        let mut rows: Vec<&str> = Vec::new();
        for cell in &cells {
            if !rows.contains(&cell.scenario.as_str()) {
                rows.push(&cell.scenario);
            }
        }
        for row in rows {
            let verdicts = topologies.iter().map(|topology| {
                let cell = cells.iter().find(|c| c.scenario == row && c.topology == *topology);
                cell.map_or("-", |c| c.verdict.as_str())
            });
            out.push_str(&format!("| {row} | {} |\n", verdicts.collect::<Vec<_>>().join(" | ")));
        }
    }
    for cell in cells.iter().filter(|c| c.verdict != "PASS") {
        let record = cell.record.as_ref().map_or_else(|| "no record".to_owned(), |path| path.display().to_string());
        out.push_str(&format!(
            "\n* {} {} {} {}: {}\n  {record}",
            cell.verdict, cell.scenario, cell.scheduler, cell.topology, cell.message
        ));
    }
    out
}
