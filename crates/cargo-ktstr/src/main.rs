//! `cargo ktstr`: one file for each subcommand.

mod find;
mod kernel;
mod perf_delta;
mod scheduler;
mod sim;
mod stats;

use anyhow::Result;
use clap::{Parser, Subcommand};
use ktstr_verdict::Verdict;
use std::process::ExitCode;

/// cargo passes the subcommand's own name as the first argument.
#[derive(Parser)]
#[command(name = "cargo", bin_name = "cargo")]
enum Cargo {
    /// Test Linux process schedulers in small machines
    Ktstr(Ktstr),
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo ktstr kernel fetch 6.18\n  cargo ktstr kernel list --json\n  cargo ktstr scheduler install scx_bpfland\n  cargo ktstr sim check --chaos high"
)]
struct Ktstr {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stock kernels: fetch, list, path, clean
    #[command(subcommand)]
    Kernel(kernel::Kernel),
    /// Published schedulers: install, list
    #[command(subcommand)]
    Scheduler(scheduler::Scheduler),
    /// Tests in virtual time, decided by a seed: run, check, search, replay
    #[command(subcommand)]
    Sim(sim::Sim),
    /// What records say: list, show, summary, html, list-metrics, show-host
    #[command(subcommand)]
    Stats(stats::Stats),
    /// Compare two sets of records, figure by figure
    PerfDelta(perf_delta::PerfDelta),
}

fn main() -> ExitCode {
    let Cargo::Ktstr(ktstr) = Cargo::parse();
    match run(&ktstr.command) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Kernel(kernel) => kernel::run(kernel)?,
        Command::Scheduler(scheduler) => scheduler::run(scheduler)?,
        Command::Sim(sim) => return sim::run(sim),
        Command::Stats(stats) => stats::run(stats)?,
        Command::PerfDelta(options) => {
            return Ok(match perf_delta::run(options)? {
                Verdict::Pass | Verdict::Skip => ExitCode::SUCCESS,
                Verdict::Fail => ExitCode::from(1),
                Verdict::Inconclusive => ExitCode::from(2),
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}
