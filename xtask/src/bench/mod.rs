//! `cargo xtask bench`: ratios measured side by side in one run, never bare seconds.

mod boot;
mod budget;
mod command;
mod kvm;
mod list;
mod records;
mod simulation;
mod virtme;
mod worker;

use crate::step::{self, cargo};
use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What to measure.
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// A whole test against QEMU with the same kernel: under TCG here, on KVM in the lab
    Boot(boot::Boot),
    /// What `boot` runs inside the lab
    #[command(hide = true)]
    BootInside {
        /// Initramfs whose init powers off
        initrd: PathBuf,
        /// Runs of each monitor
        runs: usize,
    },
    /// Start-up of `cargo ktstr`, and what its `test` adds to plain nextest
    Command(command::Command),
    /// 1,000,000 candidates through the budget's selection
    Budget,
    /// Listing 1,000 tests × 25 presets × 4 kernels against one write of the same bytes
    List,
    /// A worker that counts all it does against a bare loop, in one machine
    Worker,
    /// An idle minute in simulation against the clock, ten busy seconds against TCG
    Simulation,
    /// Statistics of 100,000 records against reading and parsing the same files
    Records,
}

/// Measures, prints, and fails when a promise is broken.
pub fn run(bench: &Bench) -> Result<()> {
    // What `command` measures are programs of their own, which it builds as they are shipped.
    if cfg!(debug_assertions) && !matches!(bench, Bench::Command(_)) {
        return in_release();
    }
    match bench {
        Bench::Boot(options) => boot::run(options),
        Bench::BootInside { initrd, runs } => kvm::inside(initrd, *runs),
        Bench::Command(options) => command::run(options),
        Bench::Budget => budget::run(),
        Bench::List => list::run(),
        Bench::Worker => worker::run(),
        Bench::Simulation => simulation::run(),
        Bench::Records => records::run(),
    }
}

/// Figures of an unoptimised build say nothing: the same command again, built as it is shipped.
fn in_release() -> Result<()> {
    let mut again = cargo(&["run", "--release", "--quiet", "--locked", "--package", "xtask", "--"]);
    again.args(std::env::args_os().skip(1));
    step::run(&mut again)
}

/// Median of a few seconds.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds that a command takes which must succeed.
fn seconds(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output().with_context(|| format!("failed to start {}", command.get_program().display()))?;
    let took = start.elapsed().as_secs_f64();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ended with {}: {stderr}", command.get_program().display(), output.status);
    Ok(took)
}
