//! The command beside what it stands on: its start-up, and `test` against plain nextest over the same tests.

use super::median;
use crate::demo::{self, DEFAULT_KERNEL, OVERCOMMIT};
use crate::step::{self, cargo, workspace_root};
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Starts of `--help`.
const STARTS: usize = 41;
/// Milliseconds that one may take.
const START_LIMIT_MS: f64 = 50.0;
/// Tests that both run.
const TESTS: usize = 20;
/// Pairs of runs, one of each kind in turn.
const PAIRS: usize = 3;
/// Times of plain nextest that `test` may take.
const LIMIT: f64 = 1.05;

/// Measures both.
pub fn run() -> Result<()> {
    step::run(&mut cargo(&["build", "--release", "--quiet", "--locked", "--package", "cargo-ktstr"]))?;
    let program = workspace_root().join("target/release/cargo-ktstr");
    let start = start_up(&program)?;
    println!("command: --help {start:.1} ms (limit {START_LIMIT_MS} ms), median of {STARTS}");
    let ratio = beside_nextest(&program)?;
    ensure!(start <= START_LIMIT_MS, "`cargo ktstr --help` takes {start:.1} ms");
    ensure!(ratio <= LIMIT, "`cargo ktstr test` takes {ratio:.3} times as long as nextest");
    Ok(())
}

fn start_up(program: &Path) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let mut command = Command::new(program);
        took.push(seconds(command.args(["ktstr", "--help"]))? * 1e3);
    }
    Ok(median(took))
}

/// Each in turn, so that a slow spell of the host hits both.
fn beside_nextest(program: &Path) -> Result<f64> {
    let kernel = demo::fetch_kernel(DEFAULT_KERNEL)?.dir().to_owned();
    let filter = first_tests(&kernel)?;
    let plain = || {
        let mut command = cargo(&["nextest", "run", "--run-ignored", "all", "-E", &filter]);
        seconds(command.env("KTSTR_KERNEL", &kernel).env("KTSTR_OVERCOMMIT", OVERCOMMIT))
    };
    let ours = || {
        let mut command = Command::new(program);
        command.args(["ktstr", "test", "--overcommit", OVERCOMMIT, "--kernel"]).arg(&kernel);
        seconds(command.args(["--", "--run-ignored", "all", "-E", &filter]).current_dir(workspace_root()))
    };
    plain().context("the first run also builds")?;
    let (mut ours_s, mut plain_s) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        ours_s.push(ours()?);
        plain_s.push(plain()?);
    }
    let (ours_s, plain_s) = (median(ours_s), median(plain_s));
    let ratio = ours_s / plain_s;
    println!(
        "command: {TESTS} tests, `cargo ktstr test` {ours_s:.2} s, plain nextest {plain_s:.2} s, ratio {ratio:.3} (limit {LIMIT}), medians of {PAIRS}"
    );
    Ok(ratio)
}

/// A filter for the first tests of the examples that boot a machine.
fn first_tests(kernel: &Path) -> Result<String> {
    let mut list = cargo(&["nextest", "list", "--run-ignored", "all", "--message-format", "json", "--cargo-quiet"]);
    list.args(["-E", "package(first-test) + package(ab-against-eevdf) + package(payload)"]);
    list.env("KTSTR_KERNEL", kernel).env("KTSTR_OVERCOMMIT", OVERCOMMIT);
    let output = list.stderr(Stdio::inherit()).output().context("failed to start cargo nextest")?;
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).context("nextest listed nothing")?;
    let suites = listed["rust-suites"].as_object().into_iter().flatten();
    let ids = suites.flat_map(|(id, suite)| {
        let cases = suite["testcases"].as_object().into_iter().flatten();
        cases
            .filter(|(_, case)| case["filter-match"]["status"] == "matches")
            .map(move |(name, _)| (id.clone(), name.clone()))
    });
    let machines = ids.filter(|(_, name)| name.starts_with("ktstr/") || name.starts_with("gauntlet/"));
    let chosen: Vec<String> =
        machines.take(TESTS).map(|(id, name)| format!("(binary_id(={id}) & test(={name}))")).collect();
    ensure!(chosen.len() == TESTS, "the examples have {} such tests, not {TESTS}: raise the overcommit", chosen.len());
    Ok(chosen.join(" + "))
}

fn seconds(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took = start.elapsed().as_secs_f64();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}
