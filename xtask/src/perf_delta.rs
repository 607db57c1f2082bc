//! `cargo xtask perf-delta`: a repository of its own with a scheduler that got slower in its last commit, and `cargo ktstr
//! perf-delta` run in it as its developer would: against the commit before, and with the two binaries.

use crate::demo::{DEFAULT_KERNEL, OVERCOMMIT, fetch_kernel};
use crate::setup::run_setup;
use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the scheduler is slower in.
const FIGURE: &str = "cgroup.p50_wake_us";
/// The line of the scheduler that each commit has its own of, and what it becomes: µs of spinning in a dispatch.
const LINE: &str = "us(flags.slow_dispatch)";
const COMMITS: [(&str, u32); 2] = [("before", 1_000), ("after", 15_000)];
/// The test: pairs that wake each other, more of them than CPUs.
const TEST: &str = "use ktstr::prelude::*;\n\n\
    declare_scheduler!(KTSTR, { name = \"ktstr\", binary = \"scx-ktstr\" });\n\n\
    #[ktstr_test(scheduler = KTSTR, llcs = 1, cores = 2, threads = 1, duration_s = 2, watchdog_timeout_s = 60)]\n\
    fn wakes(ctx: &Ctx) -> Result<AssertResult> {\n    \
    execute_defs(ctx, vec![CgroupDef::named(\"pairs\").workers(4).work_type(WorkType::FutexPingPong)])\n}\n";

/// How many.
#[derive(Args, Debug)]
pub struct PerfDelta {
    /// Runs of each side, of each of the two comparisons
    #[arg(long, default_value_t = 8)]
    runs: usize,
}

/// Both comparisons must find the slower one.
pub fn perf_delta(options: &PerfDelta) -> Result<()> {
    run_setup()?;
    let kernel = fetch_kernel(DEFAULT_KERNEL)?;
    run(&mut cargo(&["build", "-p", "cargo-ktstr", "--locked"]))?;
    let home = workspace_root().join("target/perf-delta");
    let repository = home.join("repository");
    commits(&repository)?;
    let compared = |arguments: &[&Path]| -> Result<()> {
        let mut command = Command::new(workspace_root().join("target/debug/cargo-ktstr"));
        command.args(["ktstr", "perf-delta", "--json", "--runs", &options.runs.to_string(), "--kernel"]);
        command.arg(kernel.dir()).args(arguments).args(["--", "-p", "wakes"]).current_dir(repository.join("wakes"));
        command.env("KTSTR_OVERCOMMIT", OVERCOMMIT).env("KTSTR_SCHEDULER_PROFILE", "dev").stdin(Stdio::null());
        let output = command.stderr(Stdio::inherit()).output().context("failed to start cargo-ktstr")?;
        let said: Value = serde_json::from_slice(&output.stdout).context("perf-delta printed no comparison")?;
        slower(&said)?;
        ensure!(output.status.code() == Some(1), "a loss was found, and perf-delta ended with {}", output.status);
        Ok(())
    };
    say("against the commit before");
    compared(&[Path::new("--base"), Path::new("HEAD~1")])?;
    let [old, new] =
        ["target/ktstr/perf-delta/base-target", "target"].map(|target| repository.join(target).join("debug/scx-ktstr"));
    // Copies: what cargo builds is what it finds by itself, and these must be taken because they are named.
    let [old, new] = [(old, "old"), (new, "new")].map(|(from, name)| copied(&from, &home.join(name)));
    say("with two binaries");
    compared(&[Path::new("--schedulers"), &old?, &new?])
}

fn copied(from: &Path, dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let to = dir.join("scx-ktstr");
    fs::copy(from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
    Ok(to)
}

/// A workspace with the scheduler and a test, twice committed. What was built for it before stays.
fn commits(repository: &Path) -> Result<()> {
    let root = workspace_root();
    for gone in [".git", "scx-ktstr", "wakes"] {
        let _ = fs::remove_dir_all(repository.join(gone));
    }
    let put = |path: &str, text: &str| -> Result<()> {
        let path = repository.join(path);
        fs::create_dir_all(path.parent().unwrap_or(repository))?;
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    };
    // The same dependencies and profiles, by the same lock file, with our crates where they are.
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let (_, rest) = manifest.split_once("[workspace.package]").context("Cargo.toml has no [workspace.package]")?;
    let rest = rest.replace("path = \"crates/", &format!("path = \"{}/crates/", root.display()));
    put(
        "Cargo.toml",
        &format!("[workspace]\nresolver = \"3\"\nmembers = [\"scx-ktstr\", \"wakes\"]\n\n[workspace.package]{rest}"),
    )?;
    put("Cargo.lock", &fs::read_to_string(root.join("Cargo.lock"))?)?;
    put(".gitignore", "target\n")?;
    put(
        "wakes/Cargo.toml",
        "[package]\nname = \"wakes\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\nktstr.workspace = true\n",
    )?;
    put("wakes/src/lib.rs", "//! Only a test.\n")?;
    put("wakes/tests/wakes.rs", TEST)?;
    for file in [
        "Cargo.toml",
        "build.rs",
        "src/bpf/kernel.h",
        "src/bpf/ktstr.bpf.c",
        "src/flags.rs",
        "src/main.rs",
        "src/run.rs",
        "src/signals.rs",
    ] {
        put(&format!("scx-ktstr/{file}"), &fs::read_to_string(root.join("crates/scx-ktstr").join(file))?)?;
    }
    let plain = fs::read_to_string(root.join("crates/scx-ktstr/src/run.rs"))?;
    ensure!(plain.matches(LINE).count() == 1, "scx-ktstr's run.rs has no single `{LINE}` to make slower");
    git(repository, &["init", "--quiet"])?;
    for (name, ns) in COMMITS {
        put("scx-ktstr/src/run.rs", &plain.replace(LINE, &format!("{LINE}.max({ns})")))?;
        git(repository, &["add", "."])?;
        git(repository, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", name])?;
    }
    Ok(())
}

fn git(dir: &Path, words: &[&str]) -> Result<()> {
    let status = Command::new("git").args(words).current_dir(dir).stdin(Stdio::null()).status();
    ensure!(status.context("failed to start git")?.success(), "git {} failed", words.join(" "));
    Ok(())
}

/// The figure is among what got worse, with the medians that say so.
fn slower(said: &Value) -> Result<()> {
    let changes = said["changes"].as_array().context("the comparison has no changes")?;
    for change in changes.iter().filter(|c| matches!(c["finding"].as_str(), Some("worse" | "better"))) {
        println!(
            "{} {}: {} -> {}, p {}",
            change["finding"], change["name"], change["medians"][0], change["medians"][1], change["p"]
        );
    }
    let found = changes.iter().any(|c| c["name"] == FIGURE && c["finding"] == "worse");
    ensure!(found, "the slower scheduler was not found by {FIGURE}: {said:#}");
    Ok(())
}
