//! Runs of the canned scenarios' program (`tests/faults`), each with a directory of its own for its record.

use crate::demo::OVERCOMMIT;
use crate::step::{cargo, run, workspace_root};
use anyhow::{Context as _, Result};
use ktstr_sidecar::SidecarRecord;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program of all cells: a copy, so that building goes on beside a sweep, and a sweep that is resumed is one.
pub fn program(home: &Path, resume: bool) -> Result<PathBuf> {
    let copy = home.join("canned");
    if resume && copy.exists() {
        return Ok(copy);
    }
    run(&mut cargo(&["build", "-p", "fault-tests", "--bin", "canned", "--locked"]))?;
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("failed to clear {}", home.display()))?;
    }
    fs::create_dir_all(home).with_context(|| format!("failed to make {}", home.display()))?;
    fs::copy(workspace_root().join("target/debug/canned"), &copy).context("failed to copy the scenarios' program")?;
    Ok(copy)
}

/// Takes a cell's record, or runs it for one; what went wrong where it left none.
pub fn record(
    program: &Path,
    kernel: &Path,
    dir: &Path,
    [scenario, scheduler, topology]: [&String; 3],
) -> Result<Result<SidecarRecord, String>> {
    if let Ok(record) = recorded(dir) {
        return Ok(Ok(record));
    }
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("failed to clear {}", dir.display()))?;
    }
    let output = Command::new(program)
        .args([format!("--ktstr-test-fn={scenario}@{scheduler}"), format!("--ktstr-topo={topology}")])
        .env("NEXTEST", "1")
        .env("KTSTR_KERNEL", kernel)
        .env("KTSTR_OVERCOMMIT", OVERCOMMIT)
        .env("KTSTR_SIDECAR_DIR", dir)
        .stdin(Stdio::null())
        .output()
        .context("failed to start the test")?;
    let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
    Ok(recorded(dir).map_err(|why| format!("{why}: {last}")))
}

/// The one record below a directory.
fn recorded(dir: &Path) -> Result<SidecarRecord, String> {
    let (found, damaged) = ktstr_sidecar::read_records(dir).map_err(|e| e.to_string())?;
    match (<[SidecarRecord; 1]>::try_from(found), &damaged[..]) {
        (Ok([record]), []) => Ok(record),
        (Err(found), []) => Err(format!("{} records", found.len())),
        (_, [file, ..]) => Err(format!("damaged record {file}")),
    }
}
