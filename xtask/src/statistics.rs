//! `cargo xtask statistics`: asks scipy for the answers that the comparison's tests hold against ours.

use crate::setup::run_python_setup;
use crate::step::{say, workspace_root};
use crate::trace_check::environment;
use anyhow::{Context as _, Result, ensure};
use std::process::Command;

/// The version that gave the answers which are checked in.
const SCIPY: &str = "scipy==1.17.1";

/// Makes an environment below the target directory, runs the script, keeps what it prints.
pub fn statistics() -> Result<()> {
    run_python_setup()?;
    let root = workspace_root();
    let python = environment(&root.join("target/scipy"), SCIPY)?;
    let folder = root.join("crates/ktstr-sidecar/tests/statistics");
    let output = Command::new(&python).arg(folder.join("reference.py")).output().context("failed to run python")?;
    ensure!(output.status.success(), "reference.py failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let file = folder.join("scipy.json");
    let same = std::fs::read(&file).is_ok_and(|kept| kept == output.stdout);
    std::fs::write(&file, &output.stdout)?;
    say(if same { "scipy says what it said before" } else { "scipy.json is new: run the tests" });
    Ok(())
}
