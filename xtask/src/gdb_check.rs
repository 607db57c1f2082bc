//! `cargo xtask gdb-check`: a failed run under a real gdb, stopped before its failure.

use crate::demo::{DEFAULT_KERNEL, OVERCOMMIT, fetch_kernel};
use crate::setup::{run_gdb_setup, run_setup};
use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A fixture whose scheduler, one of the workspace's, stops dispatching; the kernel's watchdog looks once a second.
const TEST: &str = "under_a_stall";
/// Long enough before the watchdog's complaint.
const AT: &str = "failure-300ms";
/// The watchdog (kernel/sched/ext.c).
const FUNCTION: &str = "scx_watchdog_workfn";

/// What gdb may take, for timeout(1).
const LONGEST: &str = "300";

/// Set-up, a run that fails, its replay under gdb: once as far as the stop, and from there to the watchdog.
pub fn gdb_check() -> Result<()> {
    run_setup()?;
    run_gdb_setup()?;
    let kernel = fetch_kernel(DEFAULT_KERNEL)?;
    run(&mut cargo(&["build", "-p", "fault-tests", "--bin", "fixture", "-p", "cargo-ktstr", "--locked"]))?;
    let target = workspace_root().join("target/debug");
    let out = tempfile::tempdir().context("no directory for records")?;
    let sim = |words: &[&str]| {
        let mut command = Command::new(target.join("cargo-ktstr"));
        command
            .args(["ktstr", "sim"])
            .args(words)
            .arg("--binary")
            .arg(target.join("fixture"))
            .arg("--out")
            .arg(out.path());
        command.current_dir(workspace_root()).env("KTSTR_KERNEL", kernel.dir()).env("KTSTR_OVERCOMMIT", OVERCOMMIT);
        command.env("KTSTR_SCHEDULER_PROFILE", "dev").stdin(Stdio::null());
        command
    };
    let failed =
        sim(&["run", TEST, "--chaos", "low", "--seed", "3"]).output().context("failed to start cargo-ktstr")?;
    ensure!(!failed.status.success(), "`{TEST}` has passed, so it has no failure to stop before: {}", text(&failed));
    let record = out.path().join("fixture").join(format!("ktstr_{TEST}")).join("run");
    let socket = out.path().join("gdb");
    let words = out.path().join("stderr");
    let mut replay = sim(&["replay", &record.to_string_lossy(), "--gdb", &socket.to_string_lossy(), "--at", AT]);
    replay.stdout(Stdio::piped()).stderr(File::create(&words).context("no file for what the replay says")?);
    let mut replay = Ended(replay.spawn().context("failed to start cargo-ktstr")?);
    let listens = wait_for(&socket, &mut replay.0)?;
    let said = std::fs::read_to_string(&words).context("failed to read what the replay says")?;
    ensure!(listens, "no machine came to wait for gdb:\n{said}");
    let gdb = debug(&said)?;
    if !gdb.status.success() {
        // It may wait for gdb for ever.
        let _ = replay.0.kill();
    }
    let status = replay.0.wait().context("failed to wait for cargo-ktstr")?;
    let mut told = String::new();
    if let Some(mut stdout) = replay.0.stdout.take() {
        stdout.read_to_string(&mut told).context("failed to read what the replay says")?;
    }
    let seen = text(&gdb);
    say(&format!("the replay said:\n{said}{told}and gdb:\n{seen}"));
    ensure!(gdb.status.success(), "gdb ended with {}", gdb.status);
    ensure!(seen.contains("received signal SIGINT"), "the machine has not stopped by itself");
    ensure!(seen.contains(&format!("in {FUNCTION} ()")), "a breakpoint by name was not met behind the stop");
    ensure!(told.contains("under gdb: the recorded run up to its stop"), "the run under gdb was not the recorded one");
    ensure!(status.success(), "the replay ended with {status}");
    Ok(())
}

/// A process that does not outlive this check, and takes its machine with it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Until QEMU listens, or the replay has ended without.
fn wait_for(socket: &Path, replay: &mut Child) -> Result<bool> {
    loop {
        if socket.exists() {
            return Ok(true);
        }
        if replay.try_wait().context("failed to look after cargo-ktstr")?.is_some() {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The command that the replay has printed, which goes on to the stop, and from there to the watchdog.
fn debug(said: &str) -> Result<Output> {
    let printed = said.lines().map(str::trim).find(|line| line.starts_with("gdb "));
    let printed = printed.with_context(|| format!("the replay names no command for gdb:\n{said}"))?;
    let rest = format!("-ex 'info threads' -ex 'break {FUNCTION}' -ex continue -ex kill");
    let mut gdb = Command::new("timeout");
    gdb.args([LONGEST, "sh", "-c", &format!("{printed} -nx -batch {rest}")]);
    gdb.stdin(Stdio::null()).output().context("failed to start gdb")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
