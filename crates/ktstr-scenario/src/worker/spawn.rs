//! A crew: workers forked, held at the start, released together, stopped, and never left behind.

use super::apply::Prepared;
use super::checkpoint::{Checkpoint, now_ns};
use super::cpu_mask::CpuMask;
use super::fault::Fault;
use super::handle::Worker;
use super::manner::Manner;
use super::nodes::Nodes;
use super::shared::{Seen, Shared, Standstill, stage};
use crate::cgroup::Group;
use crate::chaos;
use crate::children;
use crate::work::{Links, WorkType};
use anyhow::{Context as _, Result, bail};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group, test_kill_process_group, waitid,
    waitpid,
};
use rustix::thread::futex::{self, Flags};
use rustix::time::Timespec;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

/// How many I/O ports there are (ioperm(2)).
const ALL_PORTS: libc::c_ulong = 65536;
/// How long workers may take to notice the end before they are killed; a scheduler that never runs them again is thrown out by the
/// kernel in this time, and a host with forty busy processes for each two CPUs was seen to need more than 10 s.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How long a worker may take from its fork to the start; a scheduler that never runs it is thrown out by the kernel after 30 s.
const READY_WITHIN: Duration = Duration::from_secs(40);
/// How long what a killed worker has forked may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// Exit status of a worker whose work returned before the end.
const RETURNED_EARLY: i32 = 3;
/// Longest wait for a worker before looking whether it is alive.
const LOOK_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// The workers of one cgroup.
pub struct Crew {
    shared: Shared,
    pids: Vec<i32>,
    /// What each had used when it was ready to start.
    before: Vec<CpuTime>,
    /// Longest standstill of each that ended in a rest.
    rests: Vec<Standstill>,
    // Pipes, files and cgroups below the crew's own; there as long as the workers.
    _links: Links,
}

impl Crew {
    /// Forks `count` workers into `group`, each as `manner` says; they wait for [`start`](Self::start).
    ///
    /// # Errors
    /// A number of workers, parameters or a manner that cannot be, before anything is forked; a system call that failed, by
    /// name, value and error, before anything starts.
    pub fn gather(work: &WorkType, count: u32, manner: &Manner, group: Option<&Group>) -> Result<Self> {
        work.check_count(count)?;
        let count = usize::try_from(count)?;
        let prepared = Prepared::new(manner, count)?;
        let shared = Shared::new(count)?;
        let links = work.links(count, group.map(Group::path)).with_context(|| work.name())?;
        let nodes = Nodes::detect();
        let mut crew = Self {
            shared,
            pids: Vec::with_capacity(count),
            before: Vec::with_capacity(count),
            rests: vec![(0, 0, 0); count],
            _links: links,
        };
        for index in 0..count {
            // SAFETY: the child only runs `live`, which touches shared atomics and makes plain system calls until it
            // leaves with `_exit`: nothing in it allocates, locks or returns.
            let pid = unsafe { libc::fork() };
            match pid {
                0 => live(&crew.shared, index, count, work, &prepared, &crew._links, &nodes),
                -1 => {
                    return Err(std::io::Error::last_os_error()).context("failed to fork a worker");
                }
                _ => {
                    children::claim(pid);
                    crew.pids.push(pid);
                }
            }
            // Both do it, so that it is done whoever is first.
            let _ = rustix::process::setpgid(Pid::from_raw(pid), Pid::from_raw(pid));
            if let Some(group) = group {
                group.adopt(pid)?;
            }
            let slot = crew.shared.slot(index);
            slot.stage.store(stage::PLACED, Release);
            let _ = futex::wake(&slot.stage, Flags::empty(), 1);
        }
        for index in 0..count {
            crew.wait_ready(index)?;
            let before = CpuTime::of(crew.pids[index]);
            crew.before.push(before);
        }
        Ok(crew)
    }

    fn wait_ready(&self, index: usize) -> Result<()> {
        let (slot, pid) = (self.shared.slot(index), self.pids[index]);
        let since = Instant::now();
        loop {
            match slot.stage.load(Acquire) {
                stage::READY => return Ok(()),
                stage::FAILED => match slot.fault.load() {
                    Some(fault) => bail!("worker {index} is not ready to start: {fault}"),
                    None => bail!("worker {index} is not ready to start"),
                },
                now => {
                    let _ = futex::wait(&slot.stage, Flags::empty(), now, Some(&LOOK_AFTER));
                }
            }
            let dead = Pid::from_raw(pid).is_some_and(|pid| has_ended(pid) != Ok(false));
            if dead && slot.stage.load(Acquire) == stage::PLACED {
                bail!("worker {index}, process {pid}, has ended before the start");
            }
            if since.elapsed() > READY_WITHIN {
                let waited = READY_WITHIN.as_secs();
                bail!("worker {index}, process {pid}, was not ready within {waited} s of its fork: it got no CPU time");
            }
        }
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

    /// Lets all workers go at once, or as a perturbation says.
    pub fn start(&self) {
        let head = self.shared.head();
        let order = chaos::next_order();
        head.in_turn.store(u32::from(order.is_some()), Release);
        head.start_ns.store(now_ns(), Release);
        head.state.store(1, Release);
        let everyone = u32::MAX >> 1;
        let _ = futex::wake(&head.state, Flags::empty(), everyone);
        let Some(order) = order else { return };
        for index in order.of(self.pids.len()) {
            let turn = &self.shared.slot(index).turn;
            turn.store(1, Release);
            let _ = futex::wake(turn, Flags::empty(), 1);
            std::thread::sleep(order.apart);
        }
    }

    /// The counters as they are now; CPU times come at the end.
    #[cfg(test)]
    pub fn look(&self) -> Vec<Seen> {
        let now = now_ns();
        (0..self.pids.len()).map(|i| self.shared.seen(i, now, self.rests[i])).collect()
    }

    /// Ends the work and reads what was done.
    ///
    /// # Errors
    /// A worker that died, failed or did not stop, by index and reason.
    pub fn stop(mut self) -> Result<Vec<Seen>> {
        let end = now_ns();
        let head = self.shared.head();
        head.state.store(2, Release);
        let everyone = u32::MAX >> 1;
        let _ = futex::wake(&head.state, Flags::empty(), everyone);
        let count = self.pids.len();
        for index in 0..count {
            let slot = self.shared.slot(index);
            slot.stage.store(stage::OVER, Release);
            let _ = futex::wake(&slot.stage, Flags::empty(), 1);
        }
        let used = self.reap(STOP_WITHIN)?;
        // Read when nobody writes any more, so that the counters of partners agree.
        let seen = used.into_iter().enumerate().map(|(index, used)| {
            let used = used.since(self.before[index]);
            Seen {
                run_ns: used.run_ns,
                run_delay_ns: used.run_delay_ns,
                timeslices: used.timeslices,
                ..self.shared.seen(index, end, self.rests[index])
            }
        });
        Ok(seen.collect())
    }

    /// Waits for all; the answer is what each has used.
    fn reap(&mut self, within: Duration) -> Result<Vec<CpuTime>> {
        let start = Instant::now();
        let mut used = vec![CpuTime::default(); self.pids.len()];
        let mut trouble = Vec::new();
        while let Some(&pid) = self.pids.last() {
            let index = self.pids.len() - 1;
            let Some(raw) = Pid::from_raw(pid) else { break };
            if has_ended(raw) == Ok(false) {
                if start.elapsed() <= within {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                trouble.push(format!("worker {index}, process {pid}, did not stop within {} s", within.as_secs()));
                let _ = kill_process(raw, Signal::KILL);
            }
            let _ = waitid(WaitId::Pid(raw), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            // While it is a zombie its number is its own, and so is its group: nobody else is hit.
            used[index] = CpuTime::of(pid);
            let _ = kill_process_group(raw, Signal::KILL);
            if let Ok(Some((_, status))) = waitpid(Some(raw), WaitOptions::empty())
                && status.exit_status() != Some(0)
            {
                let why = match self.shared.slot(index).fault.load() {
                    Some(fault) => fault.to_string(),
                    None if status.exit_status() == Some(RETURNED_EARLY) => "its work returned before the end".into(),
                    None => format!("{status:?}"),
                };
                trouble.push(format!("worker {index}, process {pid}, ended early: {why}"));
            }
            wait_gone(raw);
            self.pids.pop();
            children::release(pid);
        }
        trouble.reverse();
        anyhow::ensure!(trouble.is_empty(), "{}", trouble.join("\n"));
        Ok(used)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for pid in self.pids.iter().filter_map(|&pid| Pid::from_raw(pid)) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.reap(STOP_WITHIN);
    }
}

/// Whether a child has ended; it stays to be waited for.
fn has_ended(pid: Pid) -> rustix::io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).map(|ended| ended.is_some())
}

/// What a worker had forked was killed with its group; its zombies are left to whoever is the parent of orphans.
fn wait_gone(group: Pid) {
    let start = Instant::now();
    while test_kill_process_group(group).is_ok() && lives(group) && start.elapsed() < GONE_WITHIN {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process of the group is no zombie (proc_pid_stat(5): fields 3 and 5).
fn lives(group: Pid) -> bool {
    let group = group.as_raw_pid().to_string();
    std::fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().take(3).collect();
        matches!(fields[..], [state, _, of] if of == group && state != "Z" && state != "X")
    })
}

/// `/proc/PID/schedstat` (kernel: Documentation/scheduler/sched-stats.rst), which a zombie still has.
#[derive(Clone, Copy, Debug, Default)]
struct CpuTime {
    run_ns: u64,
    run_delay_ns: u64,
    timeslices: u64,
}

impl CpuTime {
    fn of(pid: i32) -> Self {
        let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        let mut numbers = text.split_ascii_whitespace().map(|n| n.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { run_ns: next(), run_delay_ns: next(), timeslices: next() }
    }

    const fn since(self, before: Self) -> Self {
        Self {
            run_ns: self.run_ns.saturating_sub(before.run_ns),
            run_delay_ns: self.run_delay_ns.saturating_sub(before.run_delay_ns),
            timeslices: self.timeslices.saturating_sub(before.timeslices),
        }
    }
}

/// Leaves the process whatever happens: unwinding past the fork would run the parent's destructors a second time.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        leave(1);
    }
}

fn leave(code: i32) -> ! {
    // SAFETY: `_exit` ends the process at once, without the parent's destructors.
    unsafe { libc::_exit(code) }
}

/// The whole life of a worker process.
fn live(
    shared: &Shared,
    index: usize,
    count: usize,
    work: &WorkType,
    manner: &Prepared,
    links: &Links,
    nodes: &Nodes,
) -> ! {
    let _leave = Leave;
    // A worker whose parent is gone must not spin on.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::process::setpgid(None, None);
    // Nor does it need the channel's port, whose permission would cost every switch to it a look at the bitmap.
    // SAFETY: ioperm takes three integers; this one gives back what was inherited (arch/x86/kernel/ioport.c).
    unsafe { libc::ioperm(0, ALL_PORTS, 0) };
    let slot = shared.slot(index);
    while slot.stage.load(Acquire) == stage::FORKED {
        let _ = futex::wait(&slot.stage, Flags::empty(), stage::FORKED, None);
    }
    let (checkpoint, home, bounds) = (Checkpoint::new(shared, index, nodes), CpuMask::ALL, manner.bounds(index));
    let mut worker = Worker { index, count, checkpoint, shared, links, nodes, home, bounds };
    if let Err(fault) = prepare(&mut worker, work, manner) {
        worker.checkpoint.fault(&fault);
        slot.stage.store(stage::FAILED, Release);
        let _ = futex::wake(&slot.stage, Flags::empty(), 1);
        leave(1);
    }
    slot.stage.store(stage::READY, Release);
    let _ = futex::wake(&slot.stage, Flags::empty(), 1);
    let head = shared.head();
    while head.state.load(Acquire) == 0 {
        let _ = futex::wait(&head.state, Flags::empty(), 0, None);
    }
    while head.in_turn.load(Acquire) != 0 && slot.turn.load(Acquire) == 0 {
        let _ = futex::wait(&slot.turn, Flags::empty(), 0, None);
    }
    worker.checkpoint.begin();
    if let Err(fault) = work.run(&worker) {
        worker.checkpoint.fault(&fault);
        leave(1);
    }
    // Who returns while the others work on would stand for a worker that has worked to the end.
    leave(if worker.running() { RETURNED_EARLY } else { 0 })
}

fn prepare(worker: &mut Worker<'_>, work: &WorkType, manner: &Prepared) -> Result<(), Fault> {
    manner.put_on(worker.index)?;
    worker.home = CpuMask::allowed()?;
    work.settle(worker)
}

#[cfg(test)]
#[path = "spawn_tests.rs"]
mod tests;
