//! `cargo ktstr shard plan`: a gauntlet split by estimated seconds, for engines that start machines.

pub mod end;
mod engine;
pub mod merge;
mod plan;
mod split;
mod whole;

use crate::kernels::{self, Kernel};
use crate::names::TestId;
use crate::offer::Offer;
use crate::{session, test};
use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Past one machine.
#[derive(Subcommand, Debug)]
pub enum Shard {
    /// Split the tests by estimated seconds, and write what an engine takes
    #[command(
        after_help = "Examples:\n  cargo ktstr shard plan --jobs 8 --kernel 6.18 --kernel 7.3 --gauntlet\n  cargo ktstr shard plan --jobs 64 --engine slurm --out shards\n\n`cargo nextest archive --archive-file ktstr.tar.zst` makes the archive that the shards run; command.txt in the directory is what each does, its number in $SHARD. `cargo ktstr stats merge records` joins what they leave.\n\nExit codes: 0 written, 1 not."
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
    let kernels = kernels::resolve(&plan.kernel)?;
    let mut words = if plan.gauntlet { vec!["--run-ignored".to_owned(), "all".to_owned()] } else { Vec::new() };
    words.extend(plan.passed_on.iter().cloned());
    let offer = Offer::of(&words, |command| {
        if let Some(n) = plan.overcommit {
            command.env("KTSTR_OVERCOMMIT", n.to_string());
        }
        test::set_kernels(command, &kernels)
    })?;
    if offer.is_empty() {
        bail!("no test to split: give other nextest arguments, or --gauntlet");
    }
    if !offer.plain.is_empty() {
        eprintln!("ktstr: {} plain tests have no estimate and count as a second each", offer.plain.len());
    }
    let plain = offer.plain.into_iter().map(|test| (test, 1.0));
    let weighed: Vec<(TestId, f64)> =
        offer.weighed.into_iter().map(|(test, cost)| (test, cost.seconds)).chain(plain).collect();
    let shards = split::split(weighed, plan.jobs);
    if let Some(why) = engine::refusal(plan.engine, shards.len()) {
        bail!("{why}");
    }
    write(plan, &shards, &kernels)?;
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

fn write(plan: &Plan, shards: &[split::Part], kernels: &[Kernel]) -> Result<()> {
    let write_one = |name: &str, text: &str| write_file(&plan.out, name, text);
    for (at, shard) in shards.iter().enumerate() {
        let filter = crate::names::filter(&shard.tests);
        if filter.len() > MAX_FILTER {
            bail!("shard {at} has {} tests, too many for one filter; raise --jobs", shard.tests.len());
        }
        write_one(&format!("shard-{at}.filter"), &filter)?;
    }
    let labels = kernels.iter().map(|k| k.label.clone()).collect();
    let whole = plan::Plan::new(session::token(), labels, shards);
    write_one(plan::FILE, &serde_json::to_string_pretty(&whole)?)?;
    write_one("command.txt", &format!("{}\n", engine::command(&plan.kernel, &whole.id)))?;
    let (name, text) = engine::file(plan.engine, shards, &plan.kernel, &whole.id);
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
