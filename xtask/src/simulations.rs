//! `cargo xtask simulations`: tests under schedulers on topologies, each many times in simulation, half of them on a loaded host.
//! All digests of a cell must be one, and another seed with chaos must give another.
//!
//! What has run is kept, one line of JSON a run, and not run again as long as the program is the same.

mod cell;
mod results;

use crate::demo::{DEFAULT_KERNEL, DEMO_SCHEDULER, fetch_kernel, install_scheduler};
use crate::setup::run_setup;
use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use cell::{Cell, Done, Draw, Load};
use clap::Args;
use results::{Results, table};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;

/// The kernel's own; nothing to install.
const EEVDF: &str = "eevdf";
/// The workspace's own; nothing to install either.
const OURS: &str = "scx-ktstr";
/// Canned scenarios: steady load, too much of it, mixed work, cgroups that come, affinities that change, tasks that move.
const TESTS: &str = "steady,oversubscribed,mixed_workloads,cgroup_add,affinity_change,nested_task_move";
/// 4, 8 and 16 CPUs.
const TOPOLOGIES: &str = "1n2l2c1t,1n2l2c2t,2n4l2c1t";

/// Which cells, and how often.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 when the digests of every cell are one, and another seed with chaos gives another; 1 when not.\n\n\
                  Examples:\n  cargo xtask simulations --runs 2\n  \
                  cargo xtask simulations --tests steady --schedulers eevdf --topologies 1n2l2c1t"
)]
pub struct Simulations {
    /// Canned scenarios
    #[arg(long, value_delimiter = ',', default_value = TESTS)]
    tests: Vec<String>,
    /// Schedulers by their installed names, scx-ktstr, and eevdf
    #[arg(long, value_delimiter = ',', default_values = [EEVDF, DEMO_SCHEDULER, OURS])]
    schedulers: Vec<String>,
    /// Topologies: NnNlNcNt, presets or oddities
    #[arg(long, value_delimiter = ',', default_value = TOPOLOGIES)]
    topologies: Vec<String>,
    /// Runs of each cell; every second one on a loaded host
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    runs: u32,
    /// Machines at once [default: the host's CPUs]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Forget what has run
    #[arg(long)]
    fresh: bool,
    /// Kernel (version or range)
    #[arg(long, default_value = DEFAULT_KERNEL)]
    kernel: String,
}

/// Set-up, all runs that are missing, the table.
pub fn simulations(options: &Simulations) -> Result<()> {
    run_setup()?;
    let kernel = fetch_kernel(&options.kernel)?;
    for scheduler in options.schedulers.iter().filter(|s| *s != EEVDF && *s != OURS) {
        install_scheduler(scheduler)?;
    }
    run(&mut cargo(&["build", "-p", "fault-tests", "--bin", "canned", "--locked"]))?;
    let program = workspace_root().join("target/debug/canned");
    let dir = workspace_root().join("target/simulations");
    if options.fresh && dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("failed to clear {}", dir.display()))?;
    }
    let mut results = Results::open(&dir, &program, kernel.dir())?;
    let cells = cells(options);
    // Run by run and not cell by cell: whatever has been done when somebody ends this has been done everywhere.
    let passes = (0..options.runs).map(Draw::Own).chain([Draw::Other]);
    let total = cells.len() * (options.runs as usize + 1);
    let mut count = 0;
    for draw in passes {
        let missing: Vec<&Cell> = cells.iter().filter(|cell| !results.has(cell, draw)).collect();
        count += cells.len() - missing.len();
        let load = (draw.is_loaded() && !missing.is_empty()).then(Load::start).transpose()?;
        let one = |cell: &Cell| cell.run(&program, kernel.dir(), draw);
        let keep = |done: Done| {
            count += 1;
            say(&format!("{count} of {total}: {done}"));
            results.add(done)
        };
        each(&missing, jobs(options), one, keep)?;
        drop(load);
    }
    println!("{}", table(&cells, &results, options.runs));
    println!("results: {}", results.file().display());
    let bad = cells.iter().filter(|cell| !results.holds(cell, options.runs)).count();
    ensure!(bad == 0, "{bad} of {} cells do not repeat themselves: the host has found a way in", cells.len());
    Ok(())
}

fn jobs(options: &Simulations) -> usize {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    options.jobs.and_then(|jobs| usize::try_from(jobs).ok()).unwrap_or(all)
}

/// Runs some cells at once and keeps what comes of each as soon as it is there; the first error ends it.
fn each(
    cells: &[&Cell],
    jobs: usize,
    run: impl Fn(&Cell) -> Result<Done> + Sync,
    mut keep: impl FnMut(Done) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (next, run) = (&next, &run);
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..jobs {
            let send = send.clone();
            scope.spawn(move || {
                while let Some(cell) = cells.get(next.fetch_add(1, Relaxed)) {
                    // Nobody listens once there was an error.
                    if send.send(run(cell)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        receive.into_iter().try_for_each(|done| keep(done?))
    })
}

fn cells(options: &Simulations) -> Vec<Cell> {
    let mut cells = Vec::new();
    for topology in &options.topologies {
        for scheduler in &options.schedulers {
            for test in &options.tests {
                cells.push(Cell { test: test.clone(), scheduler: scheduler.clone(), topology: topology.clone() });
            }
        }
    }
    cells
}
