//! Waiting for the signal that asks to leave.

use anyhow::{Result, ensure};
use std::time::Duration;

/// SIGTERM and SIGINT, blocked in this thread and in those it starts, to be waited for.
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks both.
    pub fn block() -> Result<Self> {
        // SAFETY: `sigset_t` is plain data, for which zero is valid; the calls below fill it in.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: all three are given one set that lives across the calls.
        let blocked = unsafe {
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
        };
        ensure!(blocked == 0, "failed to block signals: {}", std::io::Error::from_raw_os_error(blocked));
        Ok(Self(set))
    }

    /// Whether one came within `time`.
    pub fn came_within(&self, time: Duration) -> bool {
        let limit = libc::timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        // SAFETY: sigtimedwait reads the set and the time, and is not asked for details.
        unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), &raw const limit) > 0 }
    }
}
