//! `cargo ktstr`: one file for each subcommand.

mod kernel;
mod scheduler;
mod stats;

use anyhow::Result;
use clap::{Parser, Subcommand};
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
    after_help = "Examples:\n  cargo ktstr kernel fetch 6.18\n  cargo ktstr kernel list --json\n  cargo ktstr scheduler install scx_bpfland"
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
    /// What records say: list, show, summary, list-metrics, show-host
    #[command(subcommand)]
    Stats(stats::Stats),
}

fn main() -> ExitCode {
    let Cargo::Ktstr(ktstr) = Cargo::parse();
    match run(&ktstr.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Kernel(kernel) => kernel::run(kernel),
        Command::Scheduler(scheduler) => scheduler::run(scheduler),
        Command::Stats(stats) => stats::run(stats),
    }
}
