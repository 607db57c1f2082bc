//! `cargo ktstr`: one file for each subcommand.

mod affected;
mod budget;
mod cargo;
mod cleanup;
mod completions;
mod coverage;
mod doctor;
mod export;
mod find;
mod git;
mod kernel;
mod kernels;
mod locks;
mod names;
mod offer;
mod paths;
mod perf_delta;
mod place;
mod replay;
mod router;
mod scheduler;
mod session;
mod shard;
mod shell;
mod sim;
mod stats;
mod test;
mod thresholds;
mod topo;
mod verifier;

use anyhow::Result;
use clap::{Parser, Subcommand};
use ktstr_verdict::Verdict;
use std::ffi::OsString;
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
    version,
    after_help = "Examples:\n  cargo ktstr doctor\n  cargo ktstr kernel fetch 6.18\n  cargo ktstr scheduler install scx_bpfland\n  cargo ktstr test --kernel 6.18 --kernel 7.3 --gauntlet --budget 300\n  cargo ktstr replay\n  cargo ktstr sim check --chaos high\n\nExit codes: those of nextest for `test` and `replay`, else 0 done, 1 not done, 2 not understood."
)]
struct Ktstr {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run tests: kernels and switches, then nextest, then what really ran
    #[command(
        visible_alias = "nextest",
        after_help = "Examples:\n  cargo ktstr test --kernel 6.18 -- -p first-test\n  cargo ktstr test --kernel 6.16..7.1 --gauntlet --overcommit 8\n\nExit codes: nextest's (0 passed, 4 no tests, 100 some failed)."
    )]
    Test(test::Test),
    /// Run tests with coverage counted, in the guests too, as one lcov file
    #[command(
        visible_alias = "llvm-cov",
        after_help = "Examples:\n  cargo ktstr coverage --kernel 6.18\n  cargo ktstr coverage --output cov.info -- -p first-test\n\nThe build is one of its own, in target/ktstr-coverage. Exit codes: nextest's, 1 when there is no report."
    )]
    Coverage(coverage::Coverage),
    /// Run again what failed last
    Replay(replay::Replay),
    /// Which declared schedulers a git diff touches, as JSON
    Affected(affected::Affected),
    /// The sweep: load, attach and dispatch every declared scheduler, on each kernel and preset
    #[command(
        after_help = "Examples:\n  cargo ktstr verifier --kernel 6.18 --kernel 7.3\n  cargo ktstr verifier --scheduler bpfland --preset tiny-1llc --raw\n\nExit codes: 0 every cell passed, 1 a cell did not or there are none."
    )]
    Verifier(verifier::Verifier),
    /// A machine for a person, or for one command
    #[command(
        after_help = "Examples:\n  cargo ktstr shell --topology 1n2l4c1t\n  cargo ktstr shell --test two_groups\n  cargo ktstr shell --exec 'uname -r; cat /sys/kernel/sched_ext/state'\n\nExit codes: the shell's or CMD's, 125 when the machine failed."
    )]
    Shell(shell::Shell),
    /// One file that repeats a test on a real machine
    #[command(
        after_help = "Example:\n  cargo ktstr export two_groups -o two_groups.run && scp two_groups.run box: && ssh box sudo ./two_groups.run\n\nExit codes: 0 written, 1 no such test, 2 it cannot be exported. Of the file: 0 pass or skip, 1 fail, 2 inconclusive, 3 that machine cannot run it."
    )]
    Export(export::Export),
    /// Past one machine: plan
    #[command(subcommand)]
    Shard(shard::Shard),
    /// Kernels: fetch, build, list, path, clean
    #[command(subcommand)]
    Kernel(kernel::Kernel),
    /// Published schedulers: install, list
    #[command(subcommand)]
    Scheduler(scheduler::Scheduler),
    /// Tests in virtual time, decided by a seed: run, check, search, replay
    #[command(subcommand)]
    Sim(sim::Sim),
    /// What records say: list, show, summary, html, list-metrics, show-host, merge
    #[command(subcommand)]
    Stats(stats::Stats),
    /// Compare two sets of records, figure by figure
    PerfDelta(perf_delta::PerfDelta),
    /// What this machine can run, and the fix for each "no"
    Doctor(doctor::Doctor),
    /// This host's topology
    Topo(topo::Topo),
    /// Who holds which host CPU
    Locks(locks::Locks),
    /// Remove what crashed runs left behind
    Cleanup(cleanup::Cleanup),
    /// The checks of a test, all layers merged
    ShowThresholds(thresholds::ShowThresholds),
    /// Completions for a shell, on stdout
    Completions(completions::Completions),
    /// Man pages, into a directory
    Man(completions::Man),
}

fn main() -> ExitCode {
    // In a guest this program is the shell's init.
    if std::process::id() == 1 && std::path::Path::new(ktstr_wire::GUEST_MARKER).exists() {
        ktstr_guest_init::run_shell();
    }
    if std::env::args().nth(1).as_deref() == Some(shell::RESTORE) {
        shell::restore_when_orphaned();
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(coverage::WRAPPER).is_some() {
        return coverage::rustc();
    }
    let Cargo::Ktstr(ktstr) = Cargo::parse_from(words());
    if !matches!(ktstr.command, Command::Shell(_)) {
        end_when_nobody_reads();
    }
    match run(&ktstr.command) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// `| head` is a reader that has seen enough: no reason for a panic's words. A shell's machine has its own end to come to.
fn end_when_nobody_reads() {
    // SAFETY: the default disposition installs no handler, and no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// As cargo gives them; whoever starts the program itself may leave the subcommand's own name out.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_none_or(|first| first != "ktstr") {
        words.insert(1.min(words.len()), "ktstr".into());
    }
    words
}

fn run(command: &Command) -> Result<ExitCode> {
    let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
    match command {
        Command::Test(test) => test::run(test),
        Command::Coverage(coverage) => coverage::run(coverage),
        Command::Replay(replay) => replay::run(replay),
        Command::Affected(affected) => affected::run(affected),
        Command::Verifier(verifier) => verifier::run(verifier),
        Command::Shell(shell) => shell::run(shell),
        Command::Export(export) => export::run(export),
        Command::Shard(shard) => shard::run(shard),
        Command::Kernel(kernel) => done(kernel::run(kernel)),
        Command::Scheduler(scheduler) => done(scheduler::run(scheduler)),
        Command::Sim(sim) => sim::run(sim),
        Command::Stats(stats) => stats::run(stats),
        Command::PerfDelta(options) => Ok(match perf_delta::run(options)? {
            Verdict::Pass | Verdict::Skip => ExitCode::SUCCESS,
            Verdict::Fail => ExitCode::from(1),
            Verdict::Inconclusive => ExitCode::from(2),
        }),
        Command::Doctor(doctor) => doctor::run(doctor),
        Command::Topo(topo) => topo::run(topo),
        Command::Locks(locks) => locks::run(locks),
        Command::Cleanup(cleanup) => cleanup::run(cleanup),
        Command::ShowThresholds(show) => thresholds::run(show),
        Command::Completions(completions) => completions::run(completions),
        Command::Man(man) => completions::man(man),
    }
}
