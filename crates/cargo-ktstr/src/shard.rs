//! `cargo ktstr shard plan`: a gauntlet split by estimated seconds, for engines that start machines.

mod engine;
mod split;

use crate::kernels;
use crate::router::question;
use crate::{cargo, test};
use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

/// Past one machine.
#[derive(Subcommand, Debug)]
pub enum Shard {
    /// Split the tests by estimated seconds, and write what an engine takes
    #[command(
        after_help = "Examples:\n  cargo ktstr shard plan --jobs 8 --kernel 6.18 --kernel 7.3 --gauntlet\n  cargo ktstr shard plan --jobs 64 --engine slurm --out shards\n\nEach shard runs `cargo nextest run --archive-file ARCHIVE -E \"$(cat shard-N.filter)\"` on the archive that `cargo nextest archive --archive-file ktstr.tar.zst` makes."
    )]
    Plan(Plan),
}

/// Split the tests by estimated seconds.
#[derive(clap::Args, Debug)]
pub struct Plan {
    /// Number of shards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    jobs: u32,
    /// Version, range, .deb, path or cache entry; may be repeated
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// Every preset that fits the machines of the shards, too
    #[arg(long)]
    gauntlet: bool,
    /// CPUs of those machines for each one of this, as --overcommit
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = test::overcommit)]
    overcommit: Option<f64>,
    /// Who will start them
    #[arg(long, default_value = "github")]
    engine: Engine,
    /// Directory for the filters, the plan and the engine's file
    #[arg(long, default_value = "shards", value_name = "DIR")]
    out: PathBuf,
    /// For nextest, as they are
    #[arg(last = true, value_name = "NEXTEST ARGS")]
    passed_on: Vec<String>,
}

/// An engine that starts machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// A matrix for GitHub Actions
    Github,
    /// A job array for Slurm
    Slurm,
    /// An Indexed Job for Kubernetes
    Kubernetes,
}

/// Longest argument that a program can be given (kernel: `MAX_ARG_STRLEN`, 32 pages), with room to spare.
const MAX_FILTER: usize = 120 << 10;

/// Runs it.
pub fn run(shard: &Shard) -> Result<ExitCode> {
    let Shard::Plan(plan) = shard;
    let (names, binaries) = tests(plan)?;
    if names.is_empty() {
        bail!("no test to split: give other nextest arguments, or --gauntlet");
    }
    let costs = costs(&binaries, plan)?;
    let unknown = names.iter().filter(|name| !costs.contains_key(*name)).count();
    if unknown > 0 {
        eprintln!("ktstr: {unknown} plain tests have no estimate and count as a second each");
    }
    let weighed: Vec<(String, f64)> =
        names.into_iter().map(|name| (name.clone(), costs.get(&name).copied().unwrap_or(1.0))).collect();
    let shards = split::split(weighed, plan.jobs);
    write(plan, &shards)?;
    let seconds = |s: &split::Part| s.seconds;
    let longest = shards.iter().map(seconds).fold(0.0, f64::max);
    let total: f64 = shards.iter().map(seconds).sum();
    eprintln!(
        "ktstr: {} tests, {total:.0} s, in {} shards, the longest {longest:.0} s; {}",
        shards.iter().map(|s| s.tests.len()).sum::<usize>(),
        shards.len(),
        plan.out.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Names that nextest would run, and the binaries they are in.
fn tests(plan: &Plan) -> Result<(BTreeSet<String>, Vec<PathBuf>)> {
    let mut command = cargo::nextest()?;
    command.args(["list", "--message-format", "json", "--cargo-quiet"]);
    if plan.gauntlet {
        command.args(["--run-ignored", "all"]);
    }
    command.args(&plan.passed_on);
    let kernels = kernels::resolve(&plan.kernel)?;
    test::set_kernels(&mut command, &kernels)?;
    if let Some(n) = plan.overcommit {
        command.env("KTSTR_OVERCOMMIT", n.to_string());
    }
    let output = command.stderr(Stdio::inherit()).output().context("failed to start cargo nextest")?;
    if !output.status.success() {
        bail!("the tests could not be listed");
    }
    let listed: Value = serde_json::from_slice(&output.stdout).context("nextest answered something else than JSON")?;
    let (mut names, mut binaries) = (BTreeSet::new(), Vec::new());
    for (_, suite) in listed["rust-suites"].as_object().into_iter().flatten() {
        let cases = suite["testcases"].as_object().into_iter().flatten();
        let before = names.len();
        names.extend(cases.filter(|(_, c)| c["filter-match"]["status"] == "matches").map(|(name, _)| name.clone()));
        let path = PathBuf::from(suite["binary-path"].as_str().unwrap_or_default());
        if names.len() > before && cargo::links_the_harness(&path) {
            binaries.push(path);
        }
    }
    Ok((names, binaries))
}

/// What a test binary estimates (`--ktstr-list-costs`).
#[derive(Deserialize)]
struct Cost {
    name: String,
    seconds: f64,
}

fn costs(binaries: &[PathBuf], plan: &Plan) -> Result<BTreeMap<String, f64>> {
    let kernels = kernels::resolve(&plan.kernel)?;
    let mut all = BTreeMap::new();
    for path in binaries {
        let output = question(path, "--ktstr-list-costs", |command| {
            if let Some(n) = plan.overcommit {
                command.env("KTSTR_OVERCOMMIT", n.to_string());
            }
            test::set_kernels(command, &kernels)
        })?;
        for line in output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let cost: Cost = serde_json::from_slice(line).with_context(|| format!("what {} said", path.display()))?;
            all.insert(cost.name, cost.seconds);
        }
    }
    Ok(all)
}

fn write(plan: &Plan, shards: &[split::Part]) -> Result<()> {
    let write_one = |name: &str, text: &str| write_file(&plan.out, name, text);
    for (at, shard) in shards.iter().enumerate() {
        let filter = crate::replay::filter(&shard.tests);
        if filter.len() > MAX_FILTER {
            bail!("shard {at} has {} tests, too many for one filter; raise --jobs", shard.tests.len());
        }
        write_one(&format!("shard-{at}.filter"), &filter)?;
    }
    let parts: Vec<Value> =
        shards.iter().enumerate().map(|(at, s)| json!({"shard": at, "seconds": s.seconds, "tests": s.tests})).collect();
    // What a merged result must hold to be whole.
    write_one("plan.json", &serde_json::to_string_pretty(&json!({"kernels": plan.kernel, "shards": parts}))?)?;
    let (name, text) = engine::file(plan.engine, shards, &plan.kernel);
    write_one(name, &text)?;
    if plan.engine == Engine::Github {
        print!("{text}");
    }
    Ok(())
}

fn write_file(dir: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
    let path = dir.join(name);
    std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
}
