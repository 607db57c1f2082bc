//! The host's terminal while a guest has it: raw, and itself again whatever happens.
//!
//! A program that is killed cannot tidy up, so a second one does: it remembers the terminal, waits until the first is gone,
//! and puts the terminal back. It does so on every path, and what was put back already is put back to the same.

use anyhow::{Context as _, Result};
use ktstr_guest_init::Terminal;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// First word of the second program's command line.
pub const RESTORE: &str = "__restore-terminal";

/// The terminal, raw; itself again when dropped.
pub struct RawTerminal {
    saved: Termios,
    keeper: Child,
}

impl RawTerminal {
    /// Takes it.
    pub fn enter() -> Result<Self> {
        let stdin = rustix::stdio::stdin();
        let saved = tcgetattr(stdin).context("failed to read the terminal's settings")?;
        let keeper = keeper()?;
        let mut raw = saved.clone();
        raw.make_raw();
        // What the guest prints has its own carriage returns; what this process prints keeps its.
        tcsetattr(stdin, OptionalActions::Drain, &raw).context("failed to set the terminal")?;
        Ok(Self { saved, keeper })
    }

    /// What it is, for the guest.
    pub fn described(&self) -> Terminal {
        let size = tcgetwinsize(rustix::stdio::stdin());
        // A size that is not known is what terminals had.
        let (rows, columns) = size.map_or((24, 80), |s| (s.ws_row, s.ws_col));
        Terminal { kind: std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned()), rows, columns }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.saved);
        // Closing its stdin is the sign; it must not come too late, when somebody else has the terminal.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Starts the second program, and waits until it has seen the terminal as it is.
fn keeper() -> Result<Child> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new(program);
    command.arg(RESTORE).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    // Out of the terminal's job: what is typed or hung up here is not for it.
    command.process_group(0);
    let mut keeper = command.spawn().context("failed to start the terminal's keeper")?;
    let mut ready = [0];
    let said = keeper.stdout.take().map(|mut from| from.read_exact(&mut ready));
    anyhow::ensure!(matches!(said, Some(Ok(()))), "the terminal's keeper did not start");
    Ok(keeper)
}

/// The second program: its terminal is stderr, its sign the end of stdin.
pub fn restore_when_orphaned() {
    for signal in [libc::SIGTTOU, libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: ignoring a signal installs no handler. A job in the background may set the terminal only so (tcsetattr(3)).
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let terminal = rustix::stdio::stderr();
    let Ok(saved) = tcgetattr(terminal) else { return };
    let mut out = std::io::stdout();
    if out.write_all(b"r").and_then(|()| out.flush()).is_err() {
        return;
    }
    let mut end = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut end);
    let _ = tcsetattr(terminal, OptionalActions::Now, &saved);
}
