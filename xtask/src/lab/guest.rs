//! PID 1 of the outer machine: mounts, KVM's modules, one command, its exit code and records to the second serial port.

use super::LAB_DIR;
use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the job is written down.
pub const COMMAND_FILE: &str = "/lab/job.json";
/// Where tests inside write their records.
pub const RECORDS: &str = "/lab/records";
/// The port that results leave by.
const RESULTS: &str = "/dev/ttyS1";
/// First line of the results, before the archive of records.
pub const EXIT_LINE: &str = "ktstr-lab-exit ";
/// Last line of the results: without it they are not whole.
pub const END_LINE: &str = "ktstr-lab-end\n";

/// What PID 1 is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Modules to load first, in order.
    pub modules: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
}

const MOUNTS: [(&str, &str); 8] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/run"),
    ("tmpfs", "/dev/shm"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("debugfs", "/sys/kernel/debug"),
];

/// Does the job and powers off; never returns.
pub fn guest() -> ! {
    if let Err(e) = work() {
        eprintln!("lab: {e:#}");
    }
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    std::process::exit(1)
}

fn work() -> Result<()> {
    for (kind, at) in MOUNTS {
        std::fs::create_dir_all(at).with_context(|| format!("failed to create {at}"))?;
        mount(kind, at, kind, MountFlags::empty(), None).with_context(|| format!("failed to mount {kind} on {at}"))?;
    }
    let job: Job = serde_json::from_slice(&std::fs::read(COMMAND_FILE)?).context("the job is damaged")?;
    for module in &job.modules {
        let file = File::open(module).with_context(|| format!("failed to open {module}"))?;
        rustix::system::finit_module(&file, c"", 0).with_context(|| format!("failed to load {module}"))?;
    }
    std::fs::create_dir_all(RECORDS)?;
    std::fs::create_dir_all(&job.directory)?;
    let (program, arguments) = job.command.split_first().context("no command")?;
    let status = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(job.environment.iter().map(|(k, v)| (k, v)))
        .current_dir(&job.directory)
        .status();
    let code = match status {
        Ok(status) => status.code().unwrap_or(255),
        Err(e) => {
            eprintln!("lab: failed to start {program}: {e}");
            127
        }
    };
    send(code)
}

fn send(code: i32) -> Result<()> {
    let mut port = OpenOptions::new().read(true).write(true).open(RESULTS).with_context(|| format!("no {RESULTS}"))?;
    let mut termios = rustix::termios::tcgetattr(&port)?;
    termios.make_raw();
    rustix::termios::tcsetattr(&port, rustix::termios::OptionalActions::Now, &termios)?;
    port.write_all(format!("{EXIT_LINE}{code}\n").as_bytes())?;
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("records", Path::new(LAB_DIR).join("records")).context("failed to pack the records")?;
    port.write_all(&archive.into_inner()?)?;
    port.write_all(END_LINE.as_bytes())?;
    rustix::termios::tcdrain(&port)?;
    Ok(())
}
