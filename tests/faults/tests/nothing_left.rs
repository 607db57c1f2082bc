//! What a test in a machine leaves on its host, listed before and after: nothing, whether it passed, failed or was killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{fixture, wait_for};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Directories of this test's own for everything that a test could put somewhere.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for dir in ["tmp", "locks", "cache", "records"] {
            fs::create_dir(home.dir(dir)).unwrap();
        }
        home
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, test: &str) -> Command {
        let mut command = fixture(test, &self.dir("records"));
        command.env("TMPDIR", self.dir("tmp")).env("KTSTR_LOCK_DIR", self.dir("locks")).stderr(Stdio::null());
        // A kernel that is named needs no cache, so this one can be the test's own.
        if std::env::var("KTSTR_KERNEL").is_ok_and(|k| k.starts_with('/')) {
            command.env("KTSTR_CACHE_DIR", self.dir("cache"));
        }
        command
    }

    /// Processes, mounts, cgroups, temporary files and locks of tests that were run here.
    fn left(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mark = format!("TMPDIR={}", self.dir("tmp").display());
        for process in fs::read_dir("/proc").unwrap().flatten().map(|p| p.path()) {
            // Whoever a test starts inherits its environment, and keeps it when it becomes another's child.
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            if environment.split(|b| *b == 0).any(|word| word == mark.as_bytes()) {
                let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
                found.insert(format!("process {} {}", process.display(), comm.trim()));
            }
        }
        let here = self.0.path().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(mounts.lines().filter(|m| m.contains(&here)).map(|m| format!("mount {m}")));
        found.extend(files(&self.dir("tmp")).map(|f| format!("file {}", f.display())));
        let hidden = |f: &PathBuf| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        let stores = ["cache", "records"].map(|dir| self.dir(dir));
        found.extend(stores.iter().flat_map(|d| files(d)).filter(hidden).map(|f| format!("file {}", f.display())));
        for lock in files(&self.dir("locks")) {
            if File::open(&lock).unwrap().try_lock().is_err() {
                found.insert(format!("lock {}", lock.display()));
            }
        }
        found
    }

    fn records(&self) -> usize {
        files(&self.dir("records")).filter(|f| f.to_string_lossy().ends_with(".ktstr.json")).count()
    }
}

/// All files below a directory.
fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) { dirs.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.into_iter()
}

/// Cgroups of a runner on its host.
fn cgroups_of(runner: u32) -> bool {
    Path::new(&format!("/sys/fs/cgroup/ktstr/run-{runner}")).exists()
}

#[test]
fn nothing_is_left_on_the_host_of_a_test_that_passed_failed_or_was_killed() {
    let home = Home::new();
    assert_eq!(home.left(), BTreeSet::new(), "before anything ran");
    for (test, code) in [("passes", 0), ("fails", 1)] {
        let mut runner = home.run(test).spawn().unwrap();
        let status = runner.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{test}");
        assert_eq!(home.left(), BTreeSet::new(), "after {test}");
        assert!(!cgroups_of(runner.id()), "cgroups of {test}");
    }
    assert_eq!(home.records(), 2);

    let mut runner = home.run("hangs").spawn().unwrap();
    // Its machine runs: a process of QEMU's, or an open machine of KVM's own.
    wait_for(|| (is_machine(runner.id())).then_some(()));
    assert!(!home.left().is_empty(), "what is there is seen");
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_for(|| home.left().is_empty().then_some(()));
    assert!(!cgroups_of(runner.id()));
    assert_eq!(home.records(), 2, "a killed test has no record");
}

fn is_machine(runner: u32) -> bool {
    let opened = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let kvm = opened(runner).any(|f| fs::read_link(f.path()).is_ok_and(|l| l.to_string_lossy().contains("kvm-vm")));
    kvm || common::child_named(runner, "qemu-system-x86").is_some()
}
