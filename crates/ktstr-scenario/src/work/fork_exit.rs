//! Forks a child that ends at once, and reaps it.

use super::Work;
use crate::worker::{Fault, Worker};
use rustix::process::{Pid, WaitOptions, waitpid};

pub struct ForkExit;

impl Work for ForkExit {
    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            // SAFETY: without a flag that shares memory this is fork(2), and the child ends in the next line.
            let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            if child == 0 {
                // SAFETY: `_exit` ends the child at once.
                unsafe { libc::_exit(0) };
            }
            let Some(pid) = i32::try_from(child).ok().filter(|&pid| pid > 0).and_then(Pid::from_raw) else {
                return Err(Fault::last("clone of a child, flags", 0));
            };
            let reaped = waitpid(Some(pid), WaitOptions::empty());
            reaped.map_err(|e| Fault::new("waitpid of", i64::from(pid.as_raw_pid()), e))?;
            worker.event(1);
            worker.progress(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::until;
    use crate::worker::Manner;

    #[test]
    fn every_child_is_reaped() {
        let mut most = 0;
        let seen = until(&WorkType::ForkExit, 2, &Manner::default(), |seen, crew| {
            for pid in crew.pids() {
                let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
                most = most.max(children.split_ascii_whitespace().count());
            }
            seen.iter().all(|w| w.events > 20)
        });
        assert!(most <= 1 && seen.iter().all(|w| w.events == w.iterations), "{most} children, {seen:?}");
    }
}
