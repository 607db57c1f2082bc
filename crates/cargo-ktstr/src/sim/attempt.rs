//! One simulated run: the test's binary as nextest would start it, with a directory of its own.

use crate::find::{Test, base_name};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use ktstr_sidecar::{SidecarRecord, read_records};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How much is perturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing
    Off,
    /// Each CPU about every 20 ms, for 50 to 500 µs
    Low,
    /// Each CPU about every 4 ms, for 20 µs to 2 ms
    High,
    /// As low, and CPUs are taken offline and brought back about every 230 ms
    #[value(name = "low+hotplug")]
    LowHotplug,
    /// As high, and CPUs are taken offline and brought back about every 90 ms
    #[value(name = "high+hotplug")]
    HighHotplug,
}

impl Level {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Low => "low",
            Self::High => "high",
            Self::LowHotplug => "low+hotplug",
            Self::HighHotplug => "high+hotplug",
        }
    }
}

/// What a run is drawn from; what is left open is the environment's, else the test's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Draw {
    /// Seed, decimal or 0x…; without one KTSTR_SEED, else one from the test's name
    #[arg(long, value_parser = parse_seed)]
    pub seed: Option<u64>,
    /// Perturbations drawn from the seed; without a level KTSTR_CHAOS, else off
    #[arg(long, value_enum)]
    pub chaos: Option<Level>,
    /// Of them only these: `0-3,7`, or `none`
    #[arg(long, value_name = "LIST", requires = "chaos")]
    pub keep: Option<String>,
}

/// Where records go.
#[derive(Clone, Debug, clap::Args)]
pub struct Out {
    /// Directory for records, consoles and streams [default: target/ktstr-sim]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub record: SidecarRecord,
    /// Where the record lies, with the console and the stream if they were kept.
    pub dir: PathBuf,
    pub wall: Duration,
}

impl Out {
    /// The directory of one run, emptied of an earlier one's files.
    pub fn dir(&self, test: &Test, run: &str) -> Result<PathBuf> {
        let root = self.out.clone().unwrap_or_else(|| beside(&test.binary.path));
        let dir = root.join(test.binary.stem()).join(test.name.replace('/', "_")).join(run);
        let cleared = std::fs::create_dir_all(&dir).and_then(|()| {
            for entry in std::fs::read_dir(&dir)?.flatten().filter(|e| e.path().is_file()) {
                std::fs::remove_file(entry.path())?;
            }
            dir.canonicalize()
        });
        cleared.with_context(|| format!("{} cannot be used; choose another with --out", dir.display()))
    }
}

/// `ktstr-sim` in the target directory of a binary, else in `target`.
fn beside(binary: &Path) -> PathBuf {
    let target = binary.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    target.unwrap_or(Path::new("target")).join("ktstr-sim")
}

impl Draw {
    /// Runs `test`, on another machine than its own when `topology` says so; its record, and all it wrote and said, lie in
    /// `dir` afterwards.
    pub fn run(
        &self,
        test: &Test,
        topology: Option<&str>,
        dir: PathBuf,
        change: impl FnOnce(&mut Command),
    ) -> Result<Ran> {
        let begin = Instant::now();
        let mut command = Command::new(&test.binary.path);
        match topology {
            None => command.args(["--exact", &test.name, "--nocapture"]),
            Some(shape) => {
                command.arg(format!("--ktstr-test-fn={}", base_name(&test.name))).arg(format!("--ktstr-topo={shape}"))
            }
        };
        command
            .current_dir(&test.binary.dir)
            .env("NEXTEST", "1")
            .env("CARGO_MANIFEST_DIR", &test.binary.dir)
            .env("KTSTR_ACCEL", "sim")
            .env("KTSTR_SIDECAR_DIR", &dir)
            .env("KTSTR_SIM_KEEP", &dir)
            .env_remove("KTSTR_RUN_EPOCH")
            .env_remove("KTSTR_GDB_STOP_NS")
            .env_remove("KTSTR_SIM_TIMES")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(seed) = self.seed {
            command.env("KTSTR_SEED", seed.to_string());
        }
        if let Some(level) = self.chaos {
            command.env("KTSTR_CHAOS", level.word()).env_remove("KTSTR_CHAOS_KEEP");
        }
        if let Some(keep) = &self.keep {
            command.env("KTSTR_CHAOS_KEEP", keep);
        }
        change(&mut command);
        die_with_us(&mut command);
        let child = command.spawn().with_context(|| format!("failed to start {}", test.binary.path.display()))?;
        let output = child.wait_with_output().with_context(|| format!("failed to run {}", test.name))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let (mut records, damaged) = read_records(&dir)?;
        let (Some(record), true, true) = (records.pop(), records.is_empty(), damaged.is_empty()) else {
            let last = said.lines().rfind(|l| !l.is_empty()).unwrap_or("it said nothing");
            bail!("{} left no record: {last}", test.name);
        };
        Ok(Ran { record, dir, wall: begin.elapsed() })
    }
}

/// A run is worth nothing when nobody waits for it.
fn die_with_us(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only system calls on plain integers are made; nothing allocates or locks.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(std::io::Error::from(std::io::ErrorKind::NotFound))
            }
        });
    }
}

/// A seed as `KTSTR_SEED` takes it.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a seed is a number from 0 to 2^64-1, or 0x and hex digits".to_owned())
}

/// `seed 7, chaos high`.
pub fn drawn(record: &SidecarRecord) -> String {
    match record.seed {
        Some(seed) => format!("seed {seed}, chaos {}", record.chaos.as_deref().unwrap_or("off")),
        None => "not simulated".to_owned(),
    }
}

/// The digest as far as a person compares it.
pub fn short(digest: Option<&str>) -> &str {
    digest.map_or("none", |d| d.get(..12).unwrap_or(d))
}

/// The first lines of a message, for a table.
pub fn brief(message: &str) -> String {
    const LINES: usize = 3;
    let mut lines: Vec<&str> = message.lines().filter(|l| !l.trim().is_empty()).take(LINES + 1).collect();
    if lines.len() > LINES {
        lines[LINES] = "…";
    }
    lines.join("\n      ")
}
