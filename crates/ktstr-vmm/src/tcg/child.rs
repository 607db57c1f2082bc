//! The QEMU process: started, fed, and never left behind.

use super::args::{FD_CHANNEL, FD_CONSOLE, FD_INITRD, FD_TIMES, qemu_arguments};
use super::turns;
use crate::accel::Accel;
use crate::config::{Spoil, VmConfig};
use crate::host::tsc::tsc_khz;
use crate::initramfs::cpio;
use anyhow::{Context as _, Result};
use ktstr_verdict::{KernelUnavailable, ResourceContention};
use ktstr_wire::PARAMS_PATH;
use rustix::process::{Resource, Rlimit};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};

/// The program.
pub const QEMU_PROGRAM: &str = "qemu-system-x86_64";
/// The Debian package that brings it.
pub const QEMU_PACKAGE: &str = "qemu-system-x86";

/// Bytes that a simulated machine may write to its console before it is ended; its memory is this process's.
const CONSOLE_BYTES: u64 = 512 << 20;

/// Bytes of a file that says when each byte was written.
const TIMES_BYTES: u64 = 32;

/// The reading ends of what the machine writes.
pub(crate) struct Pipes {
    /// A pipe, or a simulated machine's file.
    pub console: File,
    /// Where to write what is typed, when the console is a terminal.
    pub keyboard: Option<ChildStdin>,
    pub channel: File,
    pub stderr: ChildStderr,
}

/// A running QEMU; dropping it kills it and waits.
pub(crate) struct Monitor {
    child: Child,
}

impl Monitor {
    /// Starts it. The calling thread must outlive it: the kernel ties the parent-death signal to the thread (prctl(2)).
    pub fn start(config: &VmConfig) -> Result<(Self, Pipes)> {
        let built = match &config.spoil {
            Spoil::Topology(other) => other,
            _ => &config.topology,
        };
        let args = qemu_arguments(&with_clock_rate(config), built)?;
        let simulated = config.accel == Accel::Sim;
        let (console_read, console_write) = if simulated { written_at_once()? } else { pipe()? };
        let (channel_read, channel_write) = pipe()?;
        let initrd = initrd(config)?;
        let turns = simulated.then(turns::library).transpose()?;
        let mut inherited = vec![
            (console_write.as_raw_fd(), FD_CONSOLE),
            (channel_write.as_raw_fd(), FD_CHANNEL),
            (initrd.as_raw_fd(), FD_INITRD),
        ];
        let parent = rustix::process::getpid();
        let largest_file = if config.times.is_some() { CONSOLE_BYTES * TIMES_BYTES } else { CONSOLE_BYTES };
        let mut command = Command::new(QEMU_PROGRAM);
        command.args(&args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if config.terminal {
            command.stdin(Stdio::piped()).stdout(console_write.try_clone().context("no console for the machine")?);
        }
        if let Some(library) = &turns {
            inherited.push((library.as_raw_fd(), turns::FD));
            command.env("LD_PRELOAD", turns::path());
        }
        // Whatever this process was started with.
        command.env_remove("KTSTR_QEMU_STOP_NS").env_remove("KTSTR_QEMU_TIMES");
        if let Some(at) = config.stop_at_ns {
            can_stop(qemu_version().as_deref(), config.topology.total_cpus())?;
            command.env("KTSTR_QEMU_STOP_NS", at.to_string());
        }
        let times = config.times.as_deref().map(create).transpose()?;
        if let Some(times) = &times {
            inherited.push((times.as_raw_fd(), FD_TIMES));
            command.env("KTSTR_QEMU_TIMES", "1");
        }
        // SAFETY: between fork and exec only system calls on plain integers are made; nothing allocates or locks.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
                if rustix::process::getppid() != Some(parent) {
                    return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
                }
                rustix::process::setpgid(None, None)?;
                if simulated {
                    let limit = Rlimit { current: Some(largest_file), maximum: Some(largest_file) };
                    rustix::process::setrlimit(Resource::Fsize, limit)?;
                }
                for (from, to) in &inherited {
                    if libc::dup2(*from, *to) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(start_error)?;
        drop((console_write, channel_write));
        let stderr = child.stderr.take().context("the monitor has no stderr")?;
        let keyboard = child.stdin.take();
        let pipes = Pipes { console: console_read.into(), keyboard, channel: channel_read.into(), stderr };
        Ok((Self { child }, pipes))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills it and waits; harmless when it has ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A guest that is told how fast its clock runs need not find out on a busy host; simulated time is not the host's.
fn with_clock_rate(config: &VmConfig) -> VmConfig {
    let mut config = config.clone();
    if config.accel == Accel::Tcg
        && let Some(khz) = tsc_khz()
    {
        config.cmdline_extra.insert(0, format!("tsc_early_khz={khz}"));
    }
    config
}

/// What QEMU says its version is; part of what decides a simulated run.
#[must_use]
pub fn qemu_version() -> Option<String> {
    let output = Command::new(QEMU_PROGRAM).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim_start_matches("QEMU emulator version ").to_owned())
}

fn start_error(e: std::io::Error) -> anyhow::Error {
    match e.kind() {
        std::io::ErrorKind::NotFound => anyhow::Error::new(KernelUnavailable::new(
            format!("{QEMU_PROGRAM} is not installed"),
            format!("run `apt-get install {QEMU_PACKAGE}`"),
        )),
        std::io::ErrorKind::OutOfMemory | std::io::ErrorKind::WouldBlock => {
            anyhow::Error::new(ResourceContention::new(format!("{QEMU_PROGRAM} could not be started: {e}")))
        }
        _ => anyhow::Error::new(e).context(format!("failed to start {QEMU_PROGRAM}")),
    }
}

/// A file instead of a pipe: QEMU's UART waits in virtual time where a pipe is full, and how soon that is emptied is the host's.
fn written_at_once() -> Result<(OwnedFd, OwnedFd)> {
    let made = rustix::fs::memfd_create("ktstr-console", rustix::fs::MemfdFlags::CLOEXEC);
    let file = made.context("failed to create the console's file")?;
    let same = file.try_clone().context("failed to create the console's file")?;
    Ok((file, same))
}

/// From 8.1 on QEMU gives each CPU a share of the time to the next timer, our own included: with one more timer the turns before it are
/// others (accel/tcg/tcg-accel-ops-icount.c, `icount_percpu_budget`).
fn can_stop(qemu: Option<&str>, cpus: u32) -> Result<()> {
    let qemu = qemu.unwrap_or_default();
    let mut numbers = qemu.split('.').map(|n| n.parse::<u32>().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    let shares = major.is_none_or(|major| (major, minor.unwrap_or(0)) >= (8, 1));
    anyhow::ensure!(
        cpus == 1 || !shares,
        "QEMU {qemu} would run a machine of {cpus} CPUs in other turns before a stop at an instant than without one; up to QEMU 8.0 it \
         can be stopped"
    );
    Ok(())
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("failed to create {}", path.display()))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| anyhow::Error::new(ResourceContention::new(format!("no pipe for the machine: {e}"))))
}

/// All archives in one anonymous file, the last one with the parameters, for QEMU's port has no way in: nothing to clean up, whatever happens.
fn initrd(config: &VmConfig) -> Result<File> {
    let fd = rustix::fs::memfd_create("ktstr-initramfs", rustix::fs::MemfdFlags::CLOEXEC)
        .context("failed to create the initramfs")?;
    let mut file = File::from(fd);
    for layer in &config.initramfs {
        let mut from = File::open(layer).with_context(|| format!("failed to open {}", layer.display()))?;
        std::io::copy(&mut from, &mut file).context("failed to copy the initramfs: is memory short?")?;
    }
    let mut last = cpio::Writer::new();
    last.file(PARAMS_PATH, 0o644, &config.told());
    file.write_all(&last.finish()).context("failed to copy the initramfs: is memory short?")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qemu_whose_turns_hang_on_every_timer_does_not_stop_at_an_instant() {
        for (version, cpus, can) in [
            ("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", 16, true),
            ("8.0.5", 2, true),
            ("8.1.0", 2, false),
            ("8.1.0", 1, true),
            ("10.0.2", 4, false),
            ("unknown", 4, false),
        ] {
            assert_eq!(can_stop(Some(version), cpus).is_ok(), can, "{version}, {cpus} CPUs");
        }
        assert!(can_stop(None, 2).is_err());
    }
}
