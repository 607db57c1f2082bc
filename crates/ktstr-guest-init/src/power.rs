//! The end of the machine.

use rustix::system::{RebootCommand, reboot};

/// Powers off; never returns.
pub fn off() -> ! {
    rustix::fs::sync();
    let _ = reboot(RebootCommand::PowerOff);
    // Not to be reached by PID 1 of a guest: leaving makes the kernel panic, which resets the machine.
    std::process::exit(1)
}
