//! What simulation costs: a minute of sleep against the clock, ten busy seconds against TCG.

use super::{median, seconds};
use crate::demo::{self, DEFAULT_KERNEL};
use crate::step::{self, cargo, workspace_root};
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

/// Runs of each.
const RUNS: usize = 3;
/// Wall seconds that a test of 60 idle seconds may take, boot and all.
const IDLE_LIMIT_S: f64 = 20.0;
/// Times of TCG that a busy test may take.
const BUSY_LIMIT: f64 = 6.0;

/// Measures on 2 CPUs.
pub fn run() -> Result<()> {
    step::run(&mut cargo(&["build", "--quiet", "--locked", "--package", "fault-tests", "--bins"]))?;
    let kernel = demo::fetch_kernel(DEFAULT_KERNEL)?.dir().to_owned();
    let dir = tempfile::tempdir()?;
    let test = |name: &str, accel: &str| one(name, accel, &kernel, dir.path());
    let (mut idle, mut busy, mut tcg) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        idle.push(test("sleeps_a_minute", "sim")?);
        busy.push(test("works_ten_seconds", "sim")?);
        tcg.push(test("works_ten_seconds", "tcg")?);
    }
    let (idle, busy, tcg) = (median(idle), median(busy), median(tcg));
    let ratio = busy / tcg;
    println!("simulation: 60 s idle in {idle:.1} s of wall time, median of {RUNS} (limit {IDLE_LIMIT_S})");
    println!(
        "simulation: 10 s busy, sim {busy:.1} s, tcg {tcg:.1} s, medians of {RUNS}, ratio {ratio:.2} (limit {BUSY_LIMIT})"
    );
    ensure!(idle <= IDLE_LIMIT_S, "an idle minute takes {idle:.1} s");
    ensure!(ratio <= BUSY_LIMIT, "a busy test takes {ratio:.2} times as long as under TCG");
    Ok(())
}

fn one(name: &str, accel: &str, kernel: &Path, records: &Path) -> Result<f64> {
    let mut command = Command::new(workspace_root().join("target/debug/fixture"));
    command.args(["--exact", &format!("ktstr/{name}"), "--nocapture"]).env("NEXTEST", "1");
    command.env("KTSTR_ACCEL", accel).env("KTSTR_KERNEL", kernel).env("KTSTR_SIDECAR_DIR", records);
    command.env_remove("KTSTR_CHAOS").env_remove("KTSTR_SEED");
    seconds(&mut command)
}
