//! The other life of PID 1: a machine for a person, or for one command.

use crate::grace::Hurry;
use crate::init::{clock_ns, hello, report_panics};
use crate::link::Link;
use crate::{mount, params, port, power, reaper};
use anyhow::{Context as _, Result};
use ktstr_scenario::{RunningScheduler, SchedulerLaunch, children, observe_idle};
use ktstr_topology::Topology;
use ktstr_wire::{Message, Nonce, When};
use rustix::termios::{Winsize, tcsetwinsize};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The console that a person types at.
const CONSOLE: &str = "/dev/ttyS0";
/// Where files for the shell are, and where it starts.
const HOME: &str = "/root";
/// Bytes of output in one frame.
const PIECE: usize = 16 << 10;

/// A machine with a shell, seen from inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShellParams {
    /// [`PARAMS_SCHEMA`](crate::PARAMS_SCHEMA) of the host.
    pub schema: u32,
    /// Nonce of the attempt.
    pub nonce: u64,
    /// The machine that was asked for.
    pub topology: Topology,
    /// The scheduler to launch; `None` for EEVDF.
    pub scheduler: Option<SchedulerLaunch>,
    /// One command, by `/bin/sh -c`; its output is sent in frames.
    pub exec: Option<String>,
    /// What sits in front of the console, when a person does.
    pub terminal: Option<Terminal>,
}

/// A terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Its kind (`TERM`).
    pub kind: String,
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Opens the shell that the host asked for, and powers off when it ends.
pub fn run_shell() -> ! {
    let began_ns = clock_ns();
    if let Err(e) = mount::mount_all().and_then(|hurry| live(hurry, began_ns)) {
        // Without a channel there is only the console; the host takes the missing end for what it is.
        eprintln!("ktstr: the shell's machine failed: {e:#}");
    }
    power::off()
}

fn live(hurry: Hurry, began_ns: u64) -> Result<()> {
    let cmdline = std::fs::read_to_string("/proc/cmdline").context("failed to read /proc/cmdline")?;
    port::open(&cmdline)?;
    let params: ShellParams = params::receive()?;
    let link = Arc::new(Link::new(Nonce(params.nonce)));
    report_panics(&link);
    hello(params.schema, &params.topology, &link, began_ns)?;
    mount::name_and_loopback();
    reaper::start();
    hurry.end()?;
    let busybox = "/bin/busybox";
    if std::path::Path::new(busybox).exists() {
        wait(&mut Command::new(busybox).args(["--install", "-s", "/bin"]).spawn()?)?;
    }
    let scheduler = params.scheduler.as_ref().and_then(|launch| attach(launch, &link));
    if scheduler.is_none() {
        link.send(&Message::Scheduler(observe_idle(When::Attach)));
    }
    let status = match &params.exec {
        Some(command) => execute(command, &link)?,
        None => interact(params.terminal.as_ref())?,
    };
    if let Some(scheduler) = scheduler {
        link.send(&Message::Scheduler(scheduler.stop(When::Stopped)));
    }
    // As shells say it: a signal is 128 and its number.
    link.send(&Message::ExitCode(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))));
    link.bye();
    Ok(())
}

/// A shell without its scheduler is of use still: to find out why.
fn attach(launch: &SchedulerLaunch, link: &Arc<Link>) -> Option<RunningScheduler> {
    let log = Arc::clone(link);
    let started = RunningScheduler::launch(launch, move |line| log.send(&Message::SchedulerLog(line)));
    let attached = started.and_then(|mut running| running.wait_attached().map(|seen| (running, seen)));
    match attached {
        Ok((running, seen)) => {
            link.send(&Message::Scheduler(seen));
            Some(running)
        }
        Err(e) => {
            let text = format!("ktstr: WARNING: the scheduler is not attached: {e:#}\n");
            link.send(&Message::Output { error: true, bytes: text.into_bytes() });
            None
        }
    }
}

fn shell() -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .current_dir(HOME)
        .env_clear()
        .env("HOME", HOME)
        .env("PATH", "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin")
        .env("PS1", "[ktstr] \\w # ");
    command
}

fn execute(text: &str, link: &Arc<Link>) -> Result<ExitStatus> {
    let mut command = shell();
    command.args(["-c", text]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("failed to start /bin/sh in the guest")?;
    children::claim(raw_pid(&child));
    let outputs = [
        child.stdout.take().map(|from| forward(from, false, link)),
        child.stderr.take().map(|from| forward(from, true, link)),
    ];
    let status = wait(&mut child)?;
    for output in outputs.into_iter().flatten() {
        let _ = output.join();
    }
    Ok(status)
}

fn forward(mut from: impl Read + Send + 'static, error: bool, link: &Arc<Link>) -> JoinHandle<()> {
    let link = Arc::clone(link);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            link.send(&Message::Output { error, bytes: piece[..count].to_vec() });
        }
    })
}

fn interact(terminal: Option<&Terminal>) -> Result<ExitStatus> {
    let console = File::options().read(true).write(true).open(CONSOLE).context(CONSOLE)?;
    let mut command = shell();
    command.arg("-i");
    if let Some(Terminal { kind, rows, columns }) = terminal {
        command.env("TERM", kind);
        let size = Winsize { ws_row: *rows, ws_col: *columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&console, size).context("failed to set the console's size")?;
    }
    command.stdin(console.try_clone()?).stdout(console.try_clone()?).stderr(console);
    // SAFETY: between fork and exec only system calls on plain integers are made.
    unsafe {
        command.pre_exec(|| {
            // A session with this terminal: Ctrl-C becomes a signal of the foreground job (tty_ioctl(4)).
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
    let mut child = command.spawn().context("failed to start /bin/sh in the guest")?;
    children::claim(raw_pid(&child));
    wait(&mut child)
}

fn wait(child: &mut Child) -> Result<ExitStatus> {
    children::claim(raw_pid(child));
    let status = child.wait().context("failed to wait for the shell");
    children::release(raw_pid(child));
    status
}

fn raw_pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or(i32::MAX)
}
