//! `cargo xtask scenarios`: every canned scenario under some schedulers on some topologies.

mod findings;

use crate::canned;
use crate::demo::{DEFAULT_KERNEL, DEMO_SCHEDULER, fetch_kernel, install_scheduler};
use crate::setup::run_setup;
use crate::step::{say, workspace_root};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use ktstr_sidecar::SidecarRecord;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The kernel's own; nothing to install.
const EEVDF: &str = "eevdf";
/// The smallest machine with two CPUs; caches; caches with threads; nodes.
const TOPOLOGIES: &str = "1n1l2c1t,1n2l2c1t,1n2l2c2t,2n4l2c1t";

/// Which cells.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cargo xtask scenarios\n  \
                        cargo xtask scenarios --schedulers eevdf,scx_bpfland,scx_rusty --scenarios steady,hotplug_storm\n  \
                        cargo xtask scenarios --resume --write docs/findings.md")]
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
    /// Go on with the last sweep: its program, and the cells that have a record, stay
    #[arg(long)]
    resume: bool,
    /// Put the tables into this file, between its two marks
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// One run.
struct Cell {
    scenario: String,
    scheduler: String,
    topology: String,
    /// What it left; what went wrong where it left none.
    record: Result<SidecarRecord, String>,
}

impl Cell {
    /// Without a record there is nothing to stand on, whatever the exit code.
    fn verdict(&self) -> String {
        self.record.as_ref().map_or_else(|_| "NO RECORD".to_owned(), |r| r.verdict().to_string())
    }

    /// First line of what the operator hears.
    fn message(&self) -> &str {
        let text = self.record.as_ref().map_or_else(String::as_str, |r| r.message.as_str());
        text.lines().next().unwrap_or_default()
    }

    fn is_bad(&self) -> bool {
        !matches!(self.verdict().as_str(), "PASS" | "SKIP")
    }
}

/// Set-up, all cells, the tables.
pub fn scenarios(options: &Scenarios) -> Result<()> {
    run_setup()?;
    let kernel = fetch_kernel(&options.kernel)?;
    for scheduler in options.schedulers.iter().filter(|s| *s != EEVDF) {
        install_scheduler(scheduler)?;
    }
    let home = workspace_root().join("target/scenarios");
    let program = canned::program(&home, options.resume)?;
    let chosen = chosen(&program, options)?;
    let all = options.schedulers.len() * options.topologies.len() * chosen.len();
    let mut cells: Vec<Cell> = Vec::with_capacity(all);
    for scheduler in &options.schedulers {
        for topology in &options.topologies {
            for scenario in &chosen {
                let dir = home.join(scheduler).join(topology).join(scenario);
                let record = canned::record(&program, kernel.dir(), &dir, [scenario, scheduler, topology])?;
                let cell = Cell {
                    scenario: scenario.clone(),
                    scheduler: scheduler.clone(),
                    topology: topology.clone(),
                    record,
                };
                let seconds = cell.record.as_ref().map_or(0.0, |r| r.wall_ms as f64 / 1000.0);
                println!(
                    "{:>3}/{all} {scenario:<18} {scheduler:<13} {topology:<10} {:<12} {seconds:>6.1} s  {}",
                    cells.len() + 1,
                    cell.verdict(),
                    cell.message()
                );
                cells.push(cell);
            }
        }
    }
    let text = findings::text(&cells, &options.topologies);
    println!("{text}");
    if let Some(file) = &options.write {
        findings::write(file, &text)?;
    }
    say(&format!("records: {}", home.display()));
    let bad = cells.iter().filter(|c| c.is_bad()).count();
    ensure!(bad == 0, "{bad} of {all} runs did not pass: each is a fault of ours or a finding");
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
