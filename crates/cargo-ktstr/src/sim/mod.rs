//! `cargo ktstr sim …`: tests in machines whose time is the count of their instructions.

mod attempt;
mod check;
mod compare;
mod coverage;
mod difference;
mod figures;
mod frames;
mod instant;
mod load;
mod pool;
mod reduce;
mod replay;
mod run;
mod search;
mod shrink;
mod symbols;

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
    /// Run a test with many seeds, and shrink what fails to the fewest perturbations
    #[command(
        after_help = "Exit code: 0 when no seed failed, 1 when one did, 2 when one was inconclusive and none failed.\n\nExamples:\n  cargo ktstr sim search fairness --seeds 0..300 --until-fail\n  cargo ktstr sim search fairness --seeds 0..50 --chaos low --jobs 2 --json"
    )]
    Search(search::Search),
    /// Run a test under two schedulers, or two sets of arguments, in the same machine; every difference is theirs
    #[command(
        after_help = "Exit code: 0 when both sides passed, whatever differs; 1 when one did not, or nothing could be compared.\n\nExamples:\n  cargo ktstr sim compare fairness\n  cargo ktstr sim compare fairness --args-b '--slice-us 5000'\n  cargo ktstr sim compare fairness --scheduler-a ./old/scx_mine --scheduler-b ./new/scx_mine --seed 7 --chaos high --json"
    )]
    Compare(compare::Compare),
    /// Run what a record tells of again, and confirm that it is the same, bit for bit
    #[command(
        after_help = "Exit code: 0 when the digest is the record's, and with --at the run under gdb was the same up to its stop; 1 when not.\n\nExamples:\n  cargo ktstr sim replay target/ktstr-sim/my_tests/ktstr_fairness/seed-13-shrunk\n  cargo ktstr sim replay fairness.ktstr.json --binary ./fairness-tests\n  cargo ktstr sim replay fairness.ktstr.json --gdb --at failure-2ms"
    )]
    Replay(replay::Replay),
}

/// Runs one of them.
pub fn run(command: &Sim) -> Result<ExitCode> {
    match command {
        Sim::Run(run) => run::run(run),
        Sim::Check(check) => check::run(check),
        Sim::Search(search) => search::run(search),
        Sim::Compare(compare) => compare::run(compare),
        Sim::Replay(replay) => replay::run(replay),
    }
}
