//! Orphans become children of PID 1 and are reaped here; children that somebody waits for are left to them.

use ktstr_scenario::children;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::time::Duration;

/// How long an ended child that is somebody else's is left alone before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Reaps for the rest of the machine's life.
pub fn start() {
    std::thread::spawn(|| {
        loop {
            match ended_child() {
                Some(pid) if !children::is_claimed(pid.as_raw_nonzero().get()) && !is_own_thread_child(pid) => {
                    let _ = waitpid(Some(pid), WaitOptions::NOHANG);
                }
                // No child at all, or one that is waited for.
                _ => std::thread::sleep(LOOK_AGAIN),
            }
        }
    });
}

/// Children that this process started itself and has not claimed yet: between fork and claim they are young.
fn is_own_thread_child(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // starttime in ticks of 10 ms since boot (proc_pid_stat(5), field 22), against uptime.
    let start = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse::<f64>().ok())
        .unwrap_or(0.0);
    let uptime = std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|t| t.split_ascii_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(f64::MAX);
    uptime - start / 100.0 < 1.0
}

/// Waits until a child has ended, and leaves it to be waited for; `None` when there are no children.
fn ended_child() -> Option<Pid> {
    // SAFETY: `siginfo_t` is plain data, for which zero is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: waitid fills in the structure it is given, which lives across the call.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
    if result != 0 {
        return None;
    }
    // SAFETY: after a successful waitid the child fields of the union are the ones that are set (waitid(2)).
    Pid::from_raw(unsafe { info.si_pid() })
}
