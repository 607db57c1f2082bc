//! Pairs that send each other signals while they compute.

use super::{GroupSize, Work, burn};
use crate::worker::{Fault, Worker};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Rounds of arithmetic between two signals.
const ROUNDS: u64 = 2000;

/// Signals that this process has received: its own after the fork.
static RECEIVED: AtomicU64 = AtomicU64::new(0);

pub struct SignalStorm;

extern "C" fn count(_signal: libc::c_int) {
    RECEIVED.fetch_add(1, Relaxed);
}

impl Work for SignalStorm {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        // SAFETY: `sigaction` is plain integers, for which zero is valid.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler does one atomic addition; the kernel reads the structure, which lives across the call.
        if unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) } < 0 {
            return Err(Fault::last("sigaction of signal", i64::from(libc::SIGUSR1)));
        }
        say_pid(worker);
        Ok(())
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let Some(partner) = pid_of(worker, worker.index() ^ 1) else {
            return Err(Fault::missing("the partner's process"));
        };
        let mut counted = 0;
        while worker.running() {
            burn(ROUNDS);
            match kill_process(partner, Signal::USR1) {
                Ok(()) => {}
                // It has ended before this one, as somebody must.
                Err(Errno::SRCH) if !worker.running() => {}
                Err(e) => return Err(Fault::new("kill with SIGUSR1 of", i64::from(partner.as_raw_pid()), e)),
            }
            let received = RECEIVED.load(Relaxed);
            worker.event(received - counted);
            counted = received;
            worker.progress(1);
        }
        Ok(())
    }
}

/// Tells the others its process.
pub fn say_pid(worker: &Worker<'_>) {
    let pid = rustix::process::getpid().as_raw_pid();
    worker.baton(worker.index()).word.store(pid.unsigned_abs(), Relaxed);
}

/// The process of another, who has told it before the start.
pub fn pid_of(worker: &Worker<'_>, index: usize) -> Option<Pid> {
    Pid::from_raw(worker.baton(index).word.load(Relaxed).cast_signed())
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn signals_reach_the_partner() {
        let seen = run(&WorkType::SignalStorm, 2, |seen| seen.iter().all(|w| w.events > 20));
        // Signals of one kind that wait to be handled are one.
        assert!(seen[0].events <= seen[1].iterations + 1 && seen[1].events <= seen[0].iterations + 1, "{seen:?}");
    }
}
