//! The threads that do what a plan says.

use super::{Perturbation, What, hotplug, workers};
use crate::children;
use crate::worker::now_ns;
use anyhow::{Context as _, Result, bail};
use rustix::process::Pid;
use rustix::thread::{ClockId, CpuSet, clock_nanosleep_absolute, sched_getaffinity, sched_setaffinity};
use rustix::time::Timespec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// Priority of perturbers: above every ordinary task, below the kernel's own stoppers.
const PRIORITY: i32 = 50;
/// Longest single sleep before the end is looked for, ns.
const LOOK_AFTER_NS: u64 = 20_000_000;

/// Perturbers at work; dropping them ends them.
pub struct Perturbers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Perturbers {
    /// Settles how workers begin, and starts a thread for each CPU that the plan keeps busy and one that confines processes and
    /// takes CPUs away.
    ///
    /// # Errors
    /// A CPU that cannot be had, or no right to the real-time policy: a run that was to be perturbed and was not proves nothing.
    pub fn start(plan: &[Perturbation]) -> Result<Self> {
        let mut perturbers = Self { stop: Arc::default(), threads: Vec::new() };
        let begin = now_ns();
        workers::settle(plan);
        let busy_on = |entry: &Perturbation| match entry.what {
            What::Busy { cpu } => Some(cpu),
            _ => None,
        };
        let mut cpus: Vec<u32> = plan.iter().filter_map(busy_on).collect();
        cpus.sort_unstable();
        cpus.dedup();
        for cpu in cpus {
            let entries = plan.iter().copied().filter(|p| busy_on(p) == Some(cpu)).collect();
            perturbers.spawn(&format!("chaos/{cpu}"), Some(cpu), entries, begin)?;
        }
        // One after the other: a process that is confined must not lose its CPU.
        let is_move = |p: &Perturbation| matches!(p.what, What::Confined { .. } | What::Offline { .. });
        let moves: Vec<_> = plan.iter().copied().filter(is_move).collect();
        if !moves.is_empty() {
            perturbers.spawn("chaos/confine", None, moves, begin)?;
        }
        Ok(perturbers)
    }

    fn spawn(&mut self, name: &str, cpu: Option<u32>, entries: Vec<Perturbation>, begin: u64) -> Result<()> {
        let stop = Arc::clone(&self.stop);
        let (ready, outcome) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let handle = thread.spawn(move || {
            let placed = place(cpu);
            let go_on = placed.is_ok();
            let _ = ready.send(placed);
            if go_on { perturb(&entries, begin, &stop) } else { Ok(()) }
        });
        self.threads.push(handle.context("no thread for a perturber")?);
        outcome.recv().context("a perturber ended early")?.with_context(|| format!("perturber {name}"))
    }

    /// Ends them.
    ///
    /// # Errors
    /// One that could not put back what it took.
    pub fn end(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.stop.store(true, Relaxed);
        workers::settle(&[]);
        let ends = self.threads.drain(..).map(|thread| match thread.join() {
            Ok(end) => end,
            Err(_) => bail!("a perturber panicked"),
        });
        ends.fold(Ok(()), Result::and)
    }
}

impl Drop for Perturbers {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

/// The calling thread before all ordinary tasks, on one CPU or wherever it is.
fn place(cpu: Option<u32>) -> Result<()> {
    if let Some(cpu) = cpu {
        pin(cpu).context("sched_setaffinity")?;
    }
    let param = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: a plain system call on the calling thread, which reads `param` and keeps nothing of it.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("sched_setscheduler(SCHED_FIFO): it needs CAP_SYS_NICE");
    }
    Ok(())
}

fn pin(cpu: u32) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu as usize);
    sched_setaffinity(None, &set)
}

fn perturb(entries: &[Perturbation], begin: u64, stop: &AtomicBool) -> Result<()> {
    for entry in entries {
        let due = begin.saturating_add(nanos(entry.at));
        sleep_until(due, stop);
        if stop.load(Relaxed) {
            break;
        }
        let until = now_ns().saturating_add(nanos(entry.length));
        match entry.what {
            // A CPU that was away meanwhile has lost its perturber to another; one that still is cannot be busy.
            What::Busy { cpu } if pin(cpu).is_ok() => {
                while now_ns() < until && !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            }
            What::Confined { pick, cpu } => {
                if let Some(pid) = children::drawn(pick).and_then(Pid::from_raw) {
                    confine(pid, cpu, until, stop);
                }
            }
            What::Offline { cpu } => hotplug::without(cpu, || sleep_until(until, stop))?,
            What::Busy { .. } | What::Numbers { .. } | What::Order { .. } => {}
        }
    }
    Ok(())
}

/// A process on one of its CPUs until then. Whoever has moved it meanwhile has the last word.
fn confine(pid: Pid, cpu: u32, until: u64, stop: &AtomicBool) {
    let mut one = CpuSet::new();
    one.set(cpu as usize);
    match sched_getaffinity(Some(pid)) {
        Ok(before) if before.is_set(cpu as usize) && before != one => {
            // A process that has ended is no longer in anybody's way.
            if sched_setaffinity(Some(pid), &one).is_err() {
                return;
            }
            sleep_until(until, stop);
            if sched_getaffinity(Some(pid)).is_ok_and(|now| now == one) {
                let _ = sched_setaffinity(Some(pid), &before);
            }
        }
        _ => {}
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn sleep_until(due: u64, stop: &AtomicBool) {
    while now_ns() < due && !stop.load(Relaxed) {
        let ns = due.min(now_ns().saturating_add(LOOK_AFTER_NS));
        let at = Timespec {
            tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0),
        };
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_confined_and_let_go_and_one_that_somebody_moved_stays_there() {
        let allowed = sched_getaffinity(None).unwrap();
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).take(2).collect();
        let [one, other] = cpus[..] else { return };
        let only = |cpu: usize| {
            let mut set = CpuSet::new();
            set.set(cpu);
            set
        };
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let stop = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let confined = scope.spawn(|| confine(pid, u32::try_from(one).unwrap(), u64::MAX, &stop));
            while sched_getaffinity(Some(pid)).unwrap() == allowed && !confined.is_finished() {
                std::hint::spin_loop();
            }
            let seen = sched_getaffinity(Some(pid)).unwrap();
            stop.store(true, Relaxed);
            seen
        });
        assert_eq!((seen, sched_getaffinity(Some(pid)).unwrap()), (only(one), allowed));
        stop.store(false, Relaxed);
        std::thread::scope(|scope| {
            let confined = scope.spawn(|| confine(pid, u32::try_from(one).unwrap(), u64::MAX, &stop));
            while sched_getaffinity(Some(pid)).unwrap() == allowed && !confined.is_finished() {
                std::hint::spin_loop();
            }
            sched_setaffinity(Some(pid), &only(other)).unwrap();
            stop.store(true, Relaxed);
        });
        assert_eq!(sched_getaffinity(Some(pid)).unwrap(), only(other));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
