//! A worker that counts all it does against a bare loop, side by side on one CPU of one machine.

use crate::step::{self, cargo, workspace_root};
use anyhow::{Context as _, Result, ensure};
use ktstr_sidecar::read_records;
use std::process::{Command, Stdio};

/// What counting must leave of a bare loop's speed.
const LIMIT: f64 = 0.95;
/// Counting makes nothing faster: past this the host was too busy for a figure.
const MOST: f64 = 1.05;

/// Runs the fixture under the accelerator of this machine and reads its figures from the record.
pub fn run() -> Result<()> {
    step::run(&mut cargo(&["build", "--quiet", "--locked", "--package", "fault-tests", "--bins"]))?;
    let dir = tempfile::tempdir()?;
    let mut fixture = Command::new(workspace_root().join("target/debug/fixture"));
    fixture.args(["--exact", "ktstr/counts_what_counting_costs", "--nocapture"]).env("NEXTEST", "1");
    let output = fixture.env("KTSTR_SIDECAR_DIR", dir.path()).stdin(Stdio::null()).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the fixture ended with {}: {stderr}", output.status);
    let (records, _) = read_records(dir.path())?;
    let record = records.first().context("the fixture left no record")?;
    let figure = |name: &str| record.metrics.get(name).copied().with_context(|| format!("no `{name}` in the record"));
    let (bare, spin, ratio) = (figure("bare_per_s")?, figure("spin_per_s")?, figure("ratio")?);
    println!(
        "worker, {}: bare loop {:.1} M rounds/s, counting {:.1} M rounds/s, fastest slices, ratio {ratio:.3} (limit {LIMIT})",
        record.accelerator.as_deref().unwrap_or("?"),
        bare / 1e6,
        spin / 1e6,
    );
    ensure!(ratio <= MOST, "ratio {ratio:.3} is no measurement: this host is too busy, run it alone");
    ensure!(ratio >= LIMIT, "counting leaves {ratio:.3} of a bare loop's speed");
    Ok(())
}
