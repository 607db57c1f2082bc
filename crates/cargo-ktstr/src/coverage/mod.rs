//! `cargo ktstr coverage`: what host and guests ran, as one lcov file.

mod lcov;
mod llvm;
mod wrapper;

pub use wrapper::{WRAPPER, rustc};

use crate::test::Test;
use crate::{cargo, kernels, test};
use anyhow::{Context as _, Result, bail};
use llvm::Llvm;
use serde_json::json;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Run tests with coverage counted.
#[derive(clap::Args, Debug)]
pub struct Coverage {
    /// The report
    #[arg(long, short, default_value = "lcov.info", value_name = "FILE")]
    output: PathBuf,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    test: Test,
}

/// Runs it.
pub fn run(coverage: &Coverage) -> Result<ExitCode> {
    // Before anything is built: a missing tool, or a report that cannot be written, costs no test run.
    writable(&coverage.output)?;
    let llvm = Llvm::find()?;
    let kernels = kernels::resolve(&coverage.test.kernel)?;
    let harness = cargo::harness_dir(&coverage.test.passed_on)?;
    let place = Place::new(harness.with_file_name("ktstr-coverage"))?;
    let code = test::run_on(&coverage.test, &kernels, |command| {
        place.set(command);
        if std::env::var_os("KTSTR_RUNS_ROOT").is_none_or(|v| v.is_empty()) {
            // Where `replay` and `stats` look, whatever the target directory of this build is.
            command.env("KTSTR_RUNS_ROOT", &harness);
        }
    })?;
    let (host, guest) = place.profiles()?;
    if guest.is_empty() {
        eprintln!("ktstr: WARNING: no guest left a profile: every machine was skipped, or died before its end");
    }
    if host.is_empty() && guest.is_empty() {
        bail!("nothing was counted, so there is no report; what nextest said is above");
    }
    let binaries = cargo::test_binaries(&coverage.test.passed_on, |command| place.set(command))?;
    let objects: Vec<&Path> = binaries.iter().map(|b| b.path.as_path()).collect();
    let all: Vec<PathBuf> = host.iter().chain(&guest).cloned().collect();
    let metadata = cargo::metadata(&coverage.test.passed_on, false)?;
    let sources = Path::new(metadata["workspace_root"].as_str().unwrap_or("/"));
    let report = llvm.lcov(&all, &objects, sources, &place.dir.join("all.profdata"))?;
    let of_host = llvm.lcov(&host, &objects, sources, &place.dir.join("host.profdata"))?;
    std::fs::write(&coverage.output, &report)
        .with_context(|| format!("failed to write {}", coverage.output.display()))?;
    let counted = lcov::compare(&report, &of_host);
    if coverage.json {
        println!(
            "{}",
            json!({"report": coverage.output, "lines": counted.lines, "ran": counted.ran, "only_in_guests": counted.only_here,
                "guests": guest.len()})
        );
    }
    eprintln!(
        "ktstr: {} of {} lines ran, {} of them only in a guest ({} guests); {}",
        counted.ran,
        counted.lines,
        counted.only_here,
        guest.len(),
        coverage.output.display()
    );
    Ok(code)
}

/// Whether a report could be written there, which leaves nothing.
fn writable(report: &Path) -> Result<()> {
    let open = |how: &mut OpenOptions| how.open(report);
    match open(OpenOptions::new().write(true).create_new(true)) {
        Ok(_) => std::fs::remove_file(report),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => open(OpenOptions::new().append(true)).map(drop),
        Err(e) => Err(e),
    }
    .with_context(|| format!("failed to write {}", report.display()))
}

/// A target directory of its own, so that neither build undoes the other's.
struct Place {
    dir: PathBuf,
    profiles: PathBuf,
}

impl Place {
    fn new(dir: PathBuf) -> Result<Self> {
        let profiles = dir.join("profraw");
        match std::fs::remove_dir_all(&profiles) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("failed to empty {}", profiles.display()));
            }
            _ => {}
        }
        std::fs::create_dir_all(&profiles).with_context(|| format!("failed to make {}", profiles.display()))?;
        Ok(Self { dir, profiles })
    }

    fn set(&self, command: &mut Command) {
        if let Ok(own) = std::env::current_exe() {
            command.env("RUSTC_WRAPPER", own).env(WRAPPER, "1");
        }
        command
            .env("CARGO_TARGET_DIR", &self.dir)
            .env("LLVM_PROFILE_FILE", self.profiles.join("host-%p-%m.profraw"))
            .env_remove("RUSTC_WORKSPACE_WRAPPER");
    }

    /// Those of this host's processes, and those that guests sent.
    fn profiles(&self) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let entries =
            std::fs::read_dir(&self.profiles).with_context(|| format!("failed to list {}", self.profiles.display()))?;
        let all = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "profraw"));
        let of_guest = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("ktstr-guest-"));
        let (mut guest, mut host): (Vec<_>, Vec<_>) = all.partition(of_guest);
        guest.sort();
        host.sort();
        Ok((host, guest))
    }
}
