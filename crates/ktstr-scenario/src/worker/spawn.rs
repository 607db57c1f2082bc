//! A crew: workers forked, held at the start, released together, stopped, and never left behind.

use super::manner::Manner;
use super::slot::{Checkpoint, Seen, Shared, now_ns};
use crate::cgroup::Group;
use crate::children;
use crate::work::{Links, WorkType};
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

/// How many I/O ports there are (ioperm(2)).
const ALL_PORTS: libc::c_ulong = 65536;
/// How long workers may take to notice the end before they are killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The workers of one cgroup.
pub struct Crew {
    shared: Shared,
    pids: Vec<i32>,
    /// Longest standstill of each worker that ended in a rest: length, end and CPU.
    rests: Vec<(u64, u64, u32)>,
    // Pipes and the like; held open as long as the workers.
    _links: Links,
}

impl Crew {
    /// Forks `count` workers into `group`; they wait for [`start`](Self::start).
    pub fn gather(work: &WorkType, count: u32, manner: &Manner, group: Option<&Group>) -> Result<Self> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let shared = Shared::new(count)?;
        let links = work.links(count)?;
        let mut crew = Self { shared, pids: Vec::with_capacity(count), rests: vec![(0, 0, 0); count], _links: links };
        for index in 0..count {
            // SAFETY: the child only runs `worker`, which touches shared atomics and makes plain system calls until it
            // leaves with `_exit`: nothing in it allocates, locks or returns.
            let pid = unsafe { libc::fork() };
            match pid {
                0 => worker(&crew.shared, index, work, &crew._links),
                -1 => {
                    return Err(std::io::Error::last_os_error()).context("failed to fork a worker");
                }
                _ => {
                    children::claim(pid);
                    crew.pids.push(pid);
                }
            }
            if manner.nice != 0 {
                rustix::process::setpriority_process(Pid::from_raw(pid), manner.nice)
                    .with_context(|| format!("failed to set nice {}", manner.nice))?;
            }
            if let Some(group) = group {
                group.adopt(pid)?;
            }
            if let Some(cpus) = manner.affinity.get(index).filter(|cpus| !cpus.is_empty()) {
                let mut set = rustix::thread::CpuSet::new();
                for cpu in cpus {
                    set.set(usize::try_from(*cpu)?);
                }
                rustix::thread::sched_setaffinity(Pid::from_raw(pid), &set)
                    .with_context(|| format!("failed to bind a worker to CPUs {cpus:?}"))?;
            }
        }
        Ok(crew)
    }

    /// Their processes, by index.
    pub fn pids(&self) -> &[i32] {
        &self.pids
    }

    /// The cpuset of all has changed: CPUs seen from here on are judged by the new one. The answer is what each worker was
    /// seen on before.
    pub fn moved(&self) -> Vec<Vec<u32>> {
        self.shared.moved()
    }

    /// All workers are frozen: what they stood still for so far counts, and nothing more until [`resume`](Self::resume).
    pub fn rest(&mut self) {
        let now = now_ns();
        for (index, rest) in self.rests.iter_mut().enumerate() {
            *rest = self.shared.standstill(index, now).max(*rest);
        }
    }

    /// The workers are about to be thawed.
    pub fn resume(&self) {
        self.shared.head().resumed_ns.store(now_ns(), Release);
    }

    /// Lets all workers go at once.
    pub fn start(&self) {
        let head = self.shared.head();
        head.start_ns.store(now_ns(), Release);
        head.state.store(1, Release);
        let everyone = u32::MAX >> 1;
        let _ = rustix::thread::futex::wake(&head.state, rustix::thread::futex::Flags::empty(), everyone);
    }

    /// Ends the work and reads what was done.
    pub fn stop(mut self) -> Result<Vec<Seen>> {
        let end = now_ns();
        let head = self.shared.head();
        head.state.store(2, Release);
        let everyone = u32::MAX >> 1;
        let _ = rustix::thread::futex::wake(&head.state, rustix::thread::futex::Flags::empty(), everyone);
        let count = self.pids.len();
        self.reap(STOP_WITHIN)?;
        // Read when nobody writes any more, so that the counters of partners agree.
        Ok((0..count).map(|i| self.shared.seen(i, end, self.rests[i])).collect())
    }

    fn reap(&mut self, within: Duration) -> Result<()> {
        let start = Instant::now();
        let mut trouble = Vec::new();
        while let Some(&pid) = self.pids.last() {
            let Some(raw) = Pid::from_raw(pid) else { break };
            match waitpid(Some(raw), WaitOptions::NOHANG) {
                Ok(None) if start.elapsed() > within => {
                    trouble.push(format!("worker process {pid} did not stop within {} s", within.as_secs()));
                    let _ = kill_process(raw, Signal::KILL);
                    let _ = waitpid(Some(raw), WaitOptions::empty());
                }
                Ok(None) => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Ok(Some((_, status))) if status.exit_status() != Some(0) => {
                    trouble.push(format!("worker process {pid} ended early: {status:?}"));
                }
                Ok(Some(_)) | Err(_) => {}
            }
            self.pids.pop();
            children::release(pid);
        }
        anyhow::ensure!(trouble.is_empty(), "{}", trouble.join("\n"));
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for &pid in &self.pids {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.reap(STOP_WITHIN);
    }
}

/// The whole life of a worker process.
fn worker(shared: &Shared, index: usize, work: &WorkType, links: &Links) -> ! {
    // A worker whose parent is gone must not spin on.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Nor does it need the channel's port, whose permission would cost every switch to it a look at the bitmap.
    // SAFETY: ioperm takes three integers; this one gives back what was inherited (arch/x86/kernel/ioport.c).
    unsafe { libc::ioperm(0, ALL_PORTS, 0) };
    let head = shared.head();
    while head.state.load(Acquire) == 0 {
        let _ = rustix::thread::futex::wait(&head.state, rustix::thread::futex::Flags::empty(), 0, None);
    }
    let checkpoint = Checkpoint::new(shared, index);
    checkpoint.begin();
    work.run(index, &checkpoint, shared, links);
    // SAFETY: `_exit` ends the process at once, without the parent's destructors.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::quantile_ns;

    fn run(work: &WorkType, count: u32) -> Vec<Seen> {
        let crew = Crew::gather(work, count, &Manner::default(), None).unwrap();
        crew.start();
        // The workload's own duration, not a wait for something to happen.
        std::thread::sleep(Duration::from_millis(300));
        crew.stop().unwrap()
    }

    #[test]
    fn spinning_workers_progress_and_never_wake() {
        for worker in run(&WorkType::SpinWait, 2) {
            assert!(worker.iterations > 0 && worker.wakes == 0 && !worker.cpus.is_empty(), "{worker:?}");
        }
    }

    #[test]
    fn yielding_workers_count_their_yields() {
        for worker in run(&WorkType::YieldHeavy, 2) {
            assert!(worker.events > 0 && worker.events >= worker.iterations, "{worker:?}");
        }
    }

    #[test]
    fn bursty_workers_sleep_and_wake() {
        let seen = run(&WorkType::bursty_ms(5, 10), 2);
        for worker in &seen {
            assert!(worker.wakes >= 3 && worker.iterations > 0, "{worker:?}");
        }
        assert!(quantile_ns(&seen, 0.99).is_some());
    }

    #[test]
    fn futex_partners_wake_each_other() {
        let seen = run(&WorkType::FutexPingPong, 2);
        let given: u64 = seen.iter().map(|w| w.events).sum();
        let taken: u64 = seen.iter().map(|w| w.wakes).sum();
        assert!(given > 10 && taken > 10 && taken <= given, "{seen:?}");
    }

    #[test]
    fn pipe_partners_move_bytes() {
        for worker in run(&WorkType::PipeIo, 2) {
            assert!(worker.events > 10, "{worker:?}");
        }
    }

    #[test]
    fn cpus_seen_before_a_change_are_not_those_after_it() {
        let crew = Crew::gather(&WorkType::SpinWait, 1, &Manner::default(), None).unwrap();
        crew.start();
        let mut before = crew.moved();
        let start = Instant::now();
        while before[0].is_empty() && start.elapsed() < STOP_WITHIN {
            before = crew.moved();
        }
        assert!(!before[0].is_empty(), "it was never seen anywhere");
        crew.shared.head().state.store(2, Release);
        assert_eq!(crew.moved().len(), 1);
    }

    #[test]
    fn a_rest_is_no_standstill_and_what_came_before_it_is() {
        let signal = |crew: &Crew, signal| {
            for pid in crew.pids() {
                kill_process(Pid::from_raw(*pid).unwrap(), signal).unwrap();
            }
        };
        let run = |stop_before_ms: u64, rest_ms: u64| {
            let mut crew = Crew::gather(&WorkType::SpinWait, 1, &Manner::default(), None).unwrap();
            crew.start();
            let start = Instant::now();
            while crew.shared.slot(0).iterations() == 0 && start.elapsed() < STOP_WITHIN {
                std::thread::yield_now();
            }
            // A stopped process stands still; the times are the workload's own.
            signal(&crew, Signal::STOP);
            std::thread::sleep(Duration::from_millis(stop_before_ms));
            crew.rest();
            std::thread::sleep(Duration::from_millis(rest_ms));
            crew.resume();
            signal(&crew, Signal::CONT);
            crew.stop().unwrap()[0].gap_ns / 1_000_000
        };
        assert!(run(0, 1500) < 1000, "a rest was taken for a standstill");
        assert!(run(600, 100) >= 600, "a standstill was hidden by the rest after it");
    }

    #[test]
    fn a_dropped_crew_leaves_no_process() {
        let crew = Crew::gather(&WorkType::SpinWait, 3, &Manner::default(), None).unwrap();
        crew.start();
        let pids = crew.pids().to_vec();
        drop(crew);
        for pid in pids {
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
        }
    }
}
