//! One cell, and one run of it.

use anyhow::{Context as _, Result};
use ktstr_sidecar::{SidecarRecord, read_records};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The seed that is nobody's own.
const OTHER_SEED: &str = "4242";
/// Busy processes for each host CPU under load.
const LOAD: usize = 2;

/// A test under a scheduler on a topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub test: String,
    pub scheduler: String,
    pub topology: String,
}

/// What a run is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Draw {
    /// The test's own seed, undisturbed; the number of the run.
    Own(u32),
    /// Another seed, and chaos.
    Other,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    #[serde(flatten)]
    pub cell: Cell,
    pub draw: Draw,
    pub verdict: String,
    pub digest: Option<String>,
    pub seconds: f64,
    /// First line of the operator's message.
    pub message: String,
    /// What the host was made of for it: SHA-256 of the program and of the kernel, and QEMU's version.
    pub machine: [Option<String>; 3],
}

impl Draw {
    /// Every second run of a cell.
    pub const fn is_loaded(self) -> bool {
        matches!(self, Self::Own(run) if run % 2 == 1)
    }
}

impl Cell {
    /// Runs it once.
    pub fn run(&self, program: &Path, kernel: &Path, draw: Draw) -> Result<Done> {
        let dir = tempfile::tempdir().context("no directory for a record")?;
        let mut command = Command::new(program);
        command
            .arg(format!("--ktstr-test-fn={}@{}", self.test, self.scheduler))
            .arg(format!("--ktstr-topo={}", self.topology))
            .envs([("NEXTEST", "1"), ("KTSTR_ACCEL", "sim")])
            .env("KTSTR_KERNEL", kernel)
            .env("KTSTR_SIDECAR_DIR", dir.path())
            .env_remove("KTSTR_SEED")
            .env_remove("KTSTR_CHAOS")
            .env_remove("KTSTR_CHAOS_KEEP")
            .stdin(Stdio::null());
        if draw == Draw::Other {
            command.envs([("KTSTR_SEED", OTHER_SEED), ("KTSTR_CHAOS", "high")]);
        }
        let begin = Instant::now();
        let output = command.output().with_context(|| format!("failed to start {}", program.display()))?;
        let seconds = begin.elapsed().as_secs_f64();
        let (records, _) = read_records(dir.path())?;
        // Without a record there is nothing to stand on, whatever the exit code.
        let record = records.into_iter().next().unwrap_or_else(|| SidecarRecord {
            message: String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it said nothing").to_owned(),
            ..SidecarRecord::default()
        });
        Ok(Done {
            cell: self.clone(),
            draw,
            verdict: record.verdict().to_string(),
            digest: record.digest.clone(),
            seconds,
            message: record.message.lines().next().unwrap_or_default().to_owned(),
            machine: [record.binary_hash, record.kernel_hash, record.qemu_version],
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.test, self.scheduler, self.topology)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.draw {
            Draw::Own(run) if self.draw.is_loaded() => format!("run {}, host loaded", run + 1),
            Draw::Own(run) => format!("run {}", run + 1),
            Draw::Other => "another seed, chaos high".to_owned(),
        };
        let digest = self.digest.as_deref().and_then(|d| d.get(..12)).unwrap_or("none");
        write!(f, "{}  {what}  {}  digest {digest}  {:.1} s  {}", self.cell, self.verdict, self.seconds, self.message)
    }
}

/// A loaded host; dropping it ends the load.
pub struct Load(Child);

impl Load {
    /// Busy processes, more than there are CPUs.
    pub fn start() -> Result<Self> {
        let count = LOAD * std::thread::available_parallelism().map_or(1, usize::from);
        let child = Command::new("stress-ng")
            .args(["--quiet", "--cpu", &count.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .context("failed to start stress-ng; the package stress-ng has it")?;
        Ok(Self(child))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // SIGTERM, which it passes on to its own.
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}
