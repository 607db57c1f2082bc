//! `cargo xtask trace-check`: traces of real runs, asked what a person would ask of them.

use crate::demo::{DEFAULT_KERNEL, DEMO_SCHEDULER, fetch_kernel, install_scheduler};
use crate::setup::{run_python_setup, run_setup};
use crate::step::{cargo, run, say, workspace_root};
use crate::trace_processor;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Perfetto's Python package: its schema, and what fetches its trace processor.
const PERFETTO: &str = "perfetto==0.59.1";
/// Fixtures that ask for a trace, under a scheduler of ours and under a published one, and whether the kernel counts an event of
/// `sched_ext` meanwhile.
const TESTS: [(&str, bool); 2] = [("is_traced", true), ("is_traced_under_bpfland", false)];
/// Their CPUs.
const CPUS: &str = "2";
/// Names Perfetto's trace processor for the Python package.
const PROCESSOR: &str = "PERFETTO_BIN";

/// Which trace.
#[derive(Args, Debug)]
pub struct TraceCheck {
    /// A trace; without it some are made
    file: Option<PathBuf>,
    /// CPUs of its machine
    #[arg(long, default_value = CPUS)]
    cpus: String,
    /// Perfetto's trace processor must be there (`PERFETTO_BIN` names one that is here already)
    #[arg(long)]
    sql: bool,
    /// Build Perfetto's trace processor from Debian's source first, once: about a gigabyte to fetch, and long to compile
    #[arg(long)]
    build_processor: bool,
}

/// Makes traces where none is given, and asks.
pub fn trace_check(options: &TraceCheck) -> Result<()> {
    run_python_setup()?;
    let root = workspace_root();
    let python = environment(&root.join("target/perfetto"), PERFETTO)?;
    let processor = if options.build_processor { Some(trace_processor::build()?) } else { trace_processor::built()? };
    let files = match &options.file {
        Some(file) => vec![(file.clone(), false)],
        None => traced(&root.join("target/trace-check"))?,
    };
    for (file, sched_ext) in files {
        let mut check = Command::new(&python);
        check.arg("-B").arg(root.join("crates/ktstr-sidecar/tests/trace/check.py")).arg(file).arg(&options.cpus);
        if options.sql || options.build_processor {
            check.arg("--sql");
        }
        if sched_ext {
            check.arg("--sched-ext");
        }
        if let (Some(processor), None) = (&processor, std::env::var_os(PROCESSOR)) {
            check.env(PROCESSOR, processor);
        }
        run(&mut check)?;
    }
    Ok(())
}

/// An environment of its own for a Python package, made once; the answer is its interpreter.
pub fn environment(dir: &Path, package: &str) -> Result<PathBuf> {
    let (python, ready) = (dir.join("bin/python"), dir.join("ready"));
    if std::fs::read_to_string(&ready).ok().as_deref() != Some(package) {
        run(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]))?;
        std::fs::write(ready, package)?;
    }
    Ok(python)
}

/// Runs the fixtures that ask for one.
fn traced(root: &Path) -> Result<Vec<(PathBuf, bool)>> {
    run_setup()?;
    let kernel = fetch_kernel(DEFAULT_KERNEL)?;
    install_scheduler(DEMO_SCHEDULER)?;
    run(&mut cargo(&["build", "-p", "fault-tests", "--bin", "fixture", "--locked"]))?;
    let _ = std::fs::remove_dir_all(root);
    TESTS.iter().map(|(name, events)| Ok((trace_of(name, &root.join(name), kernel.dir())?, *events))).collect()
}

fn trace_of(name: &str, records: &Path, kernel: &Path) -> Result<PathBuf> {
    let mut test = Command::new(workspace_root().join("target/debug/fixture"));
    test.args(["--exact", &format!("ktstr/{name}"), "--nocapture"]);
    test.env("NEXTEST", "1").env("KTSTR_KERNEL", kernel).env("KTSTR_SIDECAR_DIR", records);
    run(&mut test)?;
    let (found, _) = ktstr_sidecar::read_records(records)?;
    let file = found.first().and_then(|record| record.trace.clone()).context("the record names no trace")?;
    let trace = records.join(file);
    ensure!(trace.is_file(), "{} is not there", trace.display());
    say(&format!("trace: {}", trace.display()));
    Ok(trace)
}
