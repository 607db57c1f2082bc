//! `cargo ktstr sim …`: tests in machines whose time is the count of their instructions.

mod attempt;
mod check;
mod difference;
mod load;
mod pool;
mod run;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

/// Deterministic runs: the same seed, the same run, bit for bit.
#[derive(Subcommand)]
pub enum Sim {
    /// Run tests in simulation, each once
    #[command(
        after_help = "Exit code: 0 when every test passed or was skipped, 1 when one failed, 2 when one was inconclusive and none failed.\n\nExamples:\n  cargo ktstr sim run\n  cargo ktstr sim run fairness --seed 7 --chaos high\n  cargo ktstr sim run gauntlet/fairness/medium-4llc -- -p my-tests"
    )]
    Run(run::Run),
    /// Run tests twice, the second time on a loaded host, and compare them bit for bit
    #[command(
        after_help = "Exit code: 0 when the two runs of every test were the same, whatever their verdict; 1 when not, or when nothing could be compared.\n\nExamples:\n  cargo ktstr sim check\n  cargo ktstr sim check fairness --seed 7 --chaos high --json"
    )]
    Check(check::Check),
}

/// Runs one of them.
pub fn run(command: &Sim) -> Result<ExitCode> {
    match command {
        Sim::Run(run) => run::run(run),
        Sim::Check(check) => check::run(check),
    }
}
