//! Running the fixtures as nextest would.
#![allow(dead_code, clippy::unwrap_used)] // Each test file uses its part.

use ktstr_sidecar::{SidecarRecord, read_records};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Whether the caller has chosen a true KVM for all of them, as the lab does.
pub fn on_kvm() -> bool {
    std::env::var("KTSTR_ACCEL").is_ok_and(|a| a == "kvm")
}

/// Whether the caller has chosen simulation for all of them: its limits are 20 times as long.
pub fn on_sim() -> bool {
    std::env::var("KTSTR_ACCEL").is_ok_and(|a| a == "sim")
}

/// KVM machines that any process holds open.
pub fn machines() -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let files = processes.filter_map(|p| std::fs::read_dir(p.path().join("fd")).ok()).flat_map(Iterator::flatten);
    files.filter(|f| std::fs::read_link(f.path()).is_ok_and(|l| l.to_string_lossy().contains("kvm-vm"))).count()
}

pub struct Run {
    pub output: Output,
    pub records: Vec<SidecarRecord>,
}

impl Run {
    pub fn stderr(&self) -> String {
        unwrapped(&self.output.stderr)
    }
}

/// What was said, with the lines whole again that were broken for a terminal.
pub fn unwrapped(stderr: &[u8]) -> String {
    String::from_utf8_lossy(stderr).replace("\n      ", " ")
}

pub fn fixture(test: &str, records: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fixture"));
    command
        .args(["--exact", &format!("ktstr/{test}"), "--nocapture"])
        .env("NEXTEST", "1")
        .env("KTSTR_SIDECAR_DIR", records)
        .env_remove("KTSTR_KERNEL_LIST")
        .env_remove("KTSTR_NO_SKIP_MODE")
        .stdin(Stdio::null());
    command
}

pub fn run_with(test: &str, change: impl FnOnce(&mut Command)) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let mut command = fixture(test, dir.path());
    change(&mut command);
    let output = command.output().unwrap();
    let (records, damaged) = read_records(dir.path()).unwrap();
    assert!(damaged.is_empty());
    Run { output, records }
}

/// Gives one command what another was told of its environment.
pub fn same_environment(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}

/// A fixture on another shape than its own: a preset, an oddity, or NnNlNcNt.
pub fn on_shape(test: &str, shape: &str, spoil: Option<&str>) -> Run {
    run_with(test, |command| {
        let mut other = Command::new(env!("CARGO_BIN_EXE_fixture"));
        other.args([format!("--ktstr-test-fn={test}"), format!("--ktstr-topo={shape}")]).stdin(Stdio::null());
        same_environment(command, &mut other);
        *command = other;
        command.envs(spoil.map(|spoil| ("KTSTR_SPOIL", spoil)));
    })
}

/// Exit code 1, no flag in the record, and the reason on stderr; expect_err of the fixtures has changed nothing.
pub fn fails_with(run: &Run, why: &str) {
    let stderr = run.stderr();
    assert_eq!(run.output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("ktstr: FAIL: "), "{stderr}");
    assert!(stderr.contains(why), "`{why}` is not in:\n{stderr}");
    let [record] = &run.records[..] else { panic!("{} records", run.records.len()) };
    assert!(!record.passed && !record.skipped && !record.inconclusive);
}

pub fn spoiled(spoil: &str, why: &str) {
    fails_with(
        &run_with("passes", |c| {
            c.env("KTSTR_SPOIL", spoil);
        }),
        why,
    );
}

/// Looks again and again until there is an answer, for at most 20 s.
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it never happened");
        std::thread::yield_now();
    }
}

pub fn child_named(parent: u32, name: &str) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    tasks.flatten().find_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim().starts_with(&name[..15]))
        })
    })
}

/// Whether the fault scheduler can be built here; where it cannot, says which package is missing, and fails if nothing may be
/// skipped.
pub fn scx_ktstr_is_there() -> bool {
    // Where there is no cargo to build it, as in the lab, what was packed is what counts.
    let packed = std::path::Path::new(env!("CARGO_BIN_EXE_fixture")).with_file_name("scx-ktstr");
    if std::env::var_os("CARGO").is_none() && packed.is_file() {
        return true;
    }
    let named = ["BPF_CLANG", "CLANG"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    let clang = named.unwrap_or_else(|| "clang-19".into());
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&dirs).any(|dir| dir.join(&clang).is_file()) {
        return true;
    }
    let message = format!("scx-ktstr needs {clang}; install the package clang-19");
    assert!(std::env::var_os("KTSTR_NO_SKIP_MODE").is_none(), "{message}");
    eprintln!("ktstr: SKIP: {message}");
    false
}
