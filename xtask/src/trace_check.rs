//! `cargo xtask trace-check`: a trace of a real run, asked what a person would ask of it.

use crate::demo::{DEFAULT_KERNEL, fetch_kernel};
use crate::setup::{run_python_setup, run_setup};
use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Perfetto's Python package: its schema, and what fetches its trace processor.
const PERFETTO: &str = "perfetto==0.59.1";
/// The fixture that asks for a trace, and its CPUs.
const TEST: (&str, &str) = ("is_traced", "2");

/// Which trace.
#[derive(Args, Debug)]
pub struct TraceCheck {
    /// A trace; without it one is made
    file: Option<PathBuf>,
    /// CPUs of its machine
    #[arg(long, default_value = TEST.1)]
    cpus: String,
    /// Perfetto's trace processor must be there (`PERFETTO_BIN` names one that is here already)
    #[arg(long)]
    sql: bool,
}

/// Makes a trace where none is given, and asks.
pub fn trace_check(options: &TraceCheck) -> Result<()> {
    run_python_setup()?;
    let root = workspace_root();
    let python = environment(&root.join("target/perfetto"), PERFETTO)?;
    let file = match &options.file {
        Some(file) => file.clone(),
        None => traced(&root.join("target/trace-check"))?,
    };
    let mut check = Command::new(python);
    check.arg(root.join("crates/ktstr-sidecar/tests/trace/check.py")).arg(file).arg(&options.cpus);
    if options.sql {
        check.arg("--sql");
    }
    run(&mut check)
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

/// Runs the fixture that asks for one.
fn traced(records: &Path) -> Result<PathBuf> {
    run_setup()?;
    let kernel = fetch_kernel(DEFAULT_KERNEL)?;
    run(&mut cargo(&["build", "-p", "fault-tests", "--bin", "fixture", "--locked"]))?;
    let _ = std::fs::remove_dir_all(records);
    let mut test = Command::new(workspace_root().join("target/debug/fixture"));
    test.args(["--exact", &format!("ktstr/{}", TEST.0), "--nocapture"]);
    test.env("NEXTEST", "1").env("KTSTR_KERNEL", kernel.dir()).env("KTSTR_SIDECAR_DIR", records);
    run(&mut test)?;
    let (found, _) = ktstr_sidecar::read_records(records)?;
    let name = found.first().and_then(|record| record.trace.clone()).context("the record names no trace")?;
    let trace = records.join(name);
    ensure!(trace.is_file(), "{} is not there", trace.display());
    say(&format!("trace: {}", trace.display()));
    Ok(trace)
}
