//! The command beside what it stands on: its start-up, and `test` against plain nextest over the same tests.

use super::median;
use crate::demo::{self, DEFAULT_KERNEL, OVERCOMMIT};
use crate::step::{self, cargo, workspace_root};
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::process::{self, Stdio};
use std::time::Instant;

/// Starts of `--help`.
const STARTS: usize = 41;
/// Milliseconds that one may take.
const START_LIMIT_MS: f64 = 50.0;
/// Tests that both run.
const TESTS: usize = 20;
/// Times of plain nextest that `test` may take.
const LIMIT: f64 = 1.05;

/// How long it may take.
#[derive(clap::Args, Debug)]
pub struct Command {
    /// Pairs of runs over the tests, one of each kind in turn
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
}

/// Measures both.
pub fn run(options: &Command) -> Result<()> {
    step::run(&mut cargo(&["build", "--release", "--quiet", "--locked", "--package", "cargo-ktstr"]))?;
    let program = workspace_root().join("target/release/cargo-ktstr");
    let start = start_up(&program)?;
    println!("command: --help {start:.1} ms (limit {START_LIMIT_MS} ms), median of {STARTS}");
    let ratio = beside_nextest(&program, options.runs)?;
    ensure!(start <= START_LIMIT_MS, "`cargo ktstr --help` takes {start:.1} ms");
    ensure!(ratio <= LIMIT, "`cargo ktstr test` takes {ratio:.3} times as long as nextest");
    Ok(())
}

fn start_up(program: &Path) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let mut command = process::Command::new(program);
        took.push(seconds(command.args(["ktstr", "--help"]))? * 1e3);
    }
    Ok(median(took))
}

/// Each in turn, so that a slow spell of the host hits both.
fn beside_nextest(program: &Path, pairs: u8) -> Result<f64> {
    let kernel = demo::fetch_kernel(DEFAULT_KERNEL)?.dir().to_owned();
    let tests = first_tests(&kernel)?;
    let filter = tests.join(" + ");
    let plain = |filter: &str| {
        let mut command = cargo(&["nextest", "run", "--run-ignored", "all", "-E", filter]);
        seconds(command.env("KTSTR_KERNEL", &kernel).env("KTSTR_OVERCOMMIT", OVERCOMMIT))
    };
    let ours = || {
        let mut command = process::Command::new(program);
        command.args(["ktstr", "test", "--overcommit", OVERCOMMIT, "--kernel"]).arg(&kernel);
        seconds(command.args(["--", "--run-ignored", "all", "-E", &filter]).current_dir(workspace_root()))
    };
    // The listing has built them; what is left to be made once are the layers of their initramfs.
    plain(&tests[0])?;
    let (mut ours_s, mut plain_s) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        ours_s.push(ours()?);
        plain_s.push(plain(&filter)?);
    }
    let (ours_s, plain_s) = (median(ours_s), median(plain_s));
    let ratio = ours_s / plain_s;
    println!(
        "command: {TESTS} tests, `cargo ktstr test` {ours_s:.2} s, plain nextest {plain_s:.2} s, ratio {ratio:.3} (limit {LIMIT}), medians of {pairs}"
    );
    Ok(ratio)
}

/// Filters for those tests of the examples that boot a machine, the smallest.
fn first_tests(kernel: &Path) -> Result<Vec<String>> {
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
    let mut machines: Vec<(String, String)> =
        ids.filter(|(_, name)| name.starts_with("ktstr/") || name.starts_with("gauntlet/")).collect();
    machines.sort_by_key(|(_, name)| cpus(name));
    let chosen: Vec<String> =
        machines.into_iter().take(TESTS).map(|(id, name)| format!("(binary_id(={id}) & test(={name}))")).collect();
    ensure!(chosen.len() == TESTS, "the examples have {} such tests, not {TESTS}", chosen.len());
    Ok(chosen)
}

/// Of the preset that a name ends in (`4cpu-1llc-nosmt`); declared machines come first.
fn cpus(name: &str) -> u32 {
    let preset = name.strip_prefix("gauntlet/").and_then(|rest| rest.rsplit('/').next());
    preset.and_then(|preset| preset.split_once("cpu")?.0.parse().ok()).unwrap_or(0)
}

fn seconds(command: &mut process::Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took = start.elapsed().as_secs_f64();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}
