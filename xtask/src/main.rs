//! Project tasks: one file for each verb.

mod bench;
mod canned;
mod ci;
mod conformance;
mod demo;
mod fuzz;
mod gdb_check;
mod grid;
mod kernel_source;
mod lab;
mod manifests;
mod matrix;
mod pairs;
mod perf_delta;
mod report_check;
mod scenarios;
mod setup;
mod simulations;
mod statistics;
mod step;
mod topologies;
mod trace_check;
mod trace_processor;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Project tasks",
    after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --kernel 7.3\n  cargo xtask ci"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Set up, then test a published scheduler on a stock kernel across topologies
    Demo(demo::Demo),
    /// Set up, then run every check
    Ci,
    /// Run the VM tests, or a command, on real KVM nested in QEMU
    Lab(lab::Lab),
    /// PID 1 of the lab's outer machine
    #[command(hide = true)]
    LabGuest,
    /// Fuzz what a guest can say
    Fuzz(fuzz::Fuzz),
    /// Boot every shape up to 32 CPUs on KVM in the lab
    Topologies(topologies::Topologies),
    /// What `topologies` runs inside the lab
    #[command(hide = true)]
    TopologiesInside(topologies::Topologies),
    /// Run every canned scenario under some schedulers on some topologies
    Scenarios(scenarios::Scenarios),
    /// Run tests under some schedulers on some topologies many times in simulation, and compare the digests
    Simulations(simulations::Simulations),
    /// Measure what was promised
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Open the sample report in a browser, at two widths and in two colour schemes
    ReportCheck(report_check::ReportCheck),
    /// Stop a failed run under gdb before its failure
    GdbCheck,
    /// Build a real source tree by `cargo ktstr kernel build`, and boot it
    KernelSource(kernel_source::KernelSource),
    /// Hold what `shard plan` writes against the engines' published schemas
    Manifests,
    /// Ask scipy for the answers that the comparison is held against
    Statistics,
    /// Run schedulers × kernels × topologies × repeats, and write the report
    Grid(grid::Grid),
    /// Compare real runs of equals, and of a slow-down
    Pairs(pairs::Pairs),
    /// Compare two commits, and two binaries of a scheduler, by `cargo ktstr perf-delta`
    PerfDelta(perf_delta::PerfDelta),
    /// Ask a trace of a real run what a person would ask of it
    TraceCheck(trace_check::TraceCheck),
    /// Run the vectors of a directory against the crates
    Conformance {
        /// Directory of JSON files
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> Result<()> {
    match verb {
        Verb::Demo(options) => demo::demo(options),
        Verb::Ci => ci::ci(),
        Verb::Lab(options) => lab::lab(options),
        Verb::LabGuest => lab::guest(),
        Verb::Fuzz(options) => fuzz::fuzz(options),
        Verb::Topologies(options) => topologies::topologies(options),
        Verb::TopologiesInside(options) => topologies::inside(options),
        Verb::Scenarios(options) => scenarios::scenarios(options),
        Verb::Simulations(options) => simulations::simulations(options),
        Verb::Bench(bench) => bench::run(bench),
        Verb::ReportCheck(options) => report_check::report_check(options),
        Verb::GdbCheck => gdb_check::gdb_check(),
        Verb::KernelSource(options) => kernel_source::kernel_source(options),
        Verb::Manifests => manifests::manifests(),
        Verb::Statistics => statistics::statistics(),
        Verb::Grid(options) => grid::grid(options),
        Verb::Pairs(options) => pairs::pairs(options),
        Verb::PerfDelta(options) => perf_delta::perf_delta(options),
        Verb::TraceCheck(options) => trace_check::trace_check(options),
        Verb::Conformance { dir } => {
            ensure!(conformance::run(dir)?, "conformance vectors failed");
            Ok(())
        }
    }
}
