//! The same tests on two sides, run in turn: an older commit and this one, or two binaries of a scheduler.

use crate::cargo;
use crate::git::git;
use crate::kernels::{self, Kernel};
use crate::test::set_kernels;
use anyhow::{Context as _, Result, anyhow, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One side.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    /// Where its runs' records go, each below it in a directory of its own.
    records: PathBuf,
    /// The checkout.
    checkout: PathBuf,
    /// What cargo builds into; the checkout's own when there is none.
    target: Option<PathBuf>,
    /// The scheduler's binary, when it is given.
    scheduler: Option<PathBuf>,
}

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// The older commit, or a name of it.
    pub base: Option<&'a str>,
    /// Two binaries of the scheduler.
    pub schedulers: &'a [PathBuf],
    /// Kernels as people name them.
    pub kernels: &'a [String],
    /// Runs of each side.
    pub runs: usize,
    /// For nextest.
    pub passed_on: &'a [String],
}

/// Builds both sides, runs them in turn, and answers with the directories of their records.
///
/// # Errors
/// No such commit, a side that does not build, or one that leaves no record.
pub fn run(wanted: &Wanted<'_>) -> Result<(PathBuf, PathBuf)> {
    let home = cargo::harness_dir(&[])?.join("perf-delta");
    let records = home.join("records");
    if records.exists() {
        std::fs::remove_dir_all(&records).with_context(|| format!("failed to clear {}", records.display()))?;
    }
    let here = Side {
        records: records.join("new"),
        checkout: std::env::current_dir().context("no working directory")?,
        target: None,
        scheduler: wanted.schedulers.get(1).cloned(),
    };
    let mut old = Side { records: records.join("old"), scheduler: wanted.schedulers.first().cloned(), ..here.clone() };
    let worktree = wanted.base.map(|base| Worktree::add(&here.checkout, &home.join("base"), base)).transpose()?;
    if let Some(worktree) = &worktree {
        // Where a person stands in a repository, below its top as well.
        let below = git(&here.checkout, &["rev-parse", "--show-prefix"])?;
        old.checkout = worktree.path.join(below.trim_end());
        ensure!(old.checkout.is_dir(), "{} is not there at {}", below.trim_end(), wanted.base.unwrap_or_default());
        old.target = Some(home.join("base-target"));
    }
    let kernels = kernels::resolve(wanted.kernels)?;
    for side in [&old, &here] {
        // What does not build is said before an hour of runs, and building is no part of them.
        let status = nextest(side, &kernels, wanted.passed_on)?.arg("--no-run").status();
        ensure!(status.context("failed to start cargo")?.success(), "{} does not build", side.checkout.display());
    }
    for (round, first) in order(wanted.runs).into_iter().enumerate() {
        for side in if first { [&old, &here] } else { [&here, &old] } {
            let records = side.records.join(round.to_string());
            eprintln!("ktstr: round {} of {}: {}", round + 1, wanted.runs, records.display());
            let mut tests = nextest(side, &kernels, wanted.passed_on)?;
            tests.arg("--no-fail-fast").env("KTSTR_SIDECAR_DIR", &records).env_remove("KTSTR_RUN_EPOCH");
            // A test that fails is a finding of the comparison, and its record says so; a run without records is none.
            tests.status().context("failed to start cargo nextest")?;
            // With several kernels each has a directory of its own there.
            let found = ktstr_sidecar::scan::<ktstr_sidecar::Rows>(&records)?;
            ensure!(
                found.records > 0 || !found.damaged.is_empty(),
                "no test of the harness ran in {}",
                side.checkout.display()
            );
        }
    }
    Ok((old.records, here.records))
}

/// Whether the old side goes first, by round: in turn, so that what drifts with time falls on both alike.
fn order(runs: usize) -> Vec<bool> {
    (0..runs).map(|round| round % 2 == 0).collect()
}

fn nextest(side: &Side, kernels: &[Kernel], passed_on: &[String]) -> Result<Command> {
    let mut command = cargo::nextest()?;
    command.arg("run").args(passed_on).current_dir(&side.checkout).stdin(Stdio::null());
    if let Some(target) = &side.target {
        command.env("CARGO_TARGET_DIR", target);
    }
    if let Some(scheduler) = &side.scheduler {
        command.env("KTSTR_SCHEDULER", scheduler);
    }
    set_kernels(&mut command, kernels)?;
    Ok(command)
}

/// A second checkout of the repository, removed when it is no longer looked at.
struct Worktree {
    repository: PathBuf,
    path: PathBuf,
}

impl Worktree {
    fn add(repository: &Path, path: &Path, base: &str) -> Result<Self> {
        // git says nothing of its own here.
        let commit =
            git(repository, &["rev-parse", "--verify", "--quiet", &format!("{base}^{{commit}}")]).map_err(|_| {
                anyhow!(
                    "--base {base} is no commit of this repository: name a branch, a tag or a hash that `git log` knows"
                )
            })?;
        let worktree = Self { repository: repository.to_owned(), path: path.to_owned() };
        // One that a killed run left.
        worktree.remove();
        let path = path.to_string_lossy();
        git(repository, &["worktree", "add", "--detach", "--quiet", &path, commit.trim_end()])?;
        Ok(worktree)
    }

    fn remove(&self) {
        let path = self.path.to_string_lossy();
        let _ = git(&self.repository, &["worktree", "remove", "--force", &path]);
        let _ = git(&self.repository, &["worktree", "prune"]);
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_goes_first_as_often_as_the_other() {
        for runs in [0, 2, 10, 40] {
            assert_eq!(order(runs).iter().filter(|first| **first).count() * 2, runs);
        }
        assert_eq!(order(3), [true, false, true]);
    }

    #[test]
    fn a_worktree_holds_the_base_and_is_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().join("repository");
        std::fs::create_dir(&repository).unwrap();
        let run = |args: &[&str]| git(&repository, args).unwrap();
        run(&["init", "--quiet"]);
        for text in ["old", "new"] {
            std::fs::write(repository.join("file"), text).unwrap();
            run(&["add", "file"]);
            run(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", text]);
        }
        let path = dir.path().join("base");
        for _ in 0..2 {
            // The second finds what a killed run would have left.
            let worktree = Worktree::add(&repository, &path, "HEAD~1").unwrap();
            assert_eq!(std::fs::read_to_string(path.join("file")).unwrap(), "old");
            std::mem::forget(worktree);
        }
        drop(Worktree { repository: repository.clone(), path: path.clone() });
        assert!(!path.exists());
        assert!(Worktree::add(&repository, &path, "nowhere").is_err() && !path.exists());
    }
}
