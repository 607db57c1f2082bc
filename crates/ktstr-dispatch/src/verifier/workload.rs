//! What runs in a cell's guest while the scheduler is attached: threads that run and sleep, and the question who ran them.

use anyhow::{Result, ensure};
use ktstr_scenario::{Ctx, loaded_after};
use ktstr_verdict::{AssertResult, CheckKind, Detail, Outcome};
use std::time::{Duration, Instant};

/// The name under which a guest finds [`exercise`]; no test can have it.
pub const FUNCTION: &str = "/verifier";
/// Start of the metrics' names that hold instruction counts.
pub const INSNS: &str = "verified_insns/";

/// Threads for each CPU: enough that they must wait for each other.
const THREADS_PER_CPU: u32 = 2;
/// A thread's turn and its sleep after it.
const TURN: Duration = Duration::from_millis(2);
/// Kernel: include/uapi/linux/sched.h.
const SCHED_EXT: libc::c_int = 7;

/// Counts what the verifier went through, then lets threads run; each must have been the scheduler's.
pub fn exercise(ctx: &Ctx) -> Result<AssertResult> {
    let mut result = AssertResult::pass();
    let programs = loaded_after(0)?;
    ensure!(!programs.is_empty(), "the kernel has no BPF program loaded");
    for (program, seen) in programs {
        #[allow(clippy::cast_precision_loss)]
        result.metrics.insert(format!("{INSNS}{program}"), seen.verified_insns as f64);
    }
    let until = Instant::now() + ctx.duration();
    let count = ctx.topology().total_cpus().saturating_mul(THREADS_PER_CPU);
    let threads: Vec<_> = (0..count).map(|_| std::thread::spawn(move || run_until(until))).collect();
    for (number, thread) in threads.into_iter().enumerate() {
        let seen = thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
        if let Err(why) = seen.and_then(|sched| judge(&sched)) {
            let message = format!("thread {number} of {count} was not dispatched by the scheduler: {why}");
            result.push(Outcome::Fail { detail: Detail::new(CheckKind::Scheduler, message) });
        }
    }
    Ok(result)
}

/// Runs at least once, and answers /proc/thread-self/sched as it was while the scheduler was there.
fn run_until(until: Instant) -> Result<String, String> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // A scheduler that takes all tasks does not need this, one that takes only those that ask does.
    // SAFETY: the parameter lives until the call returns.
    if unsafe { libc::sched_setscheduler(0, SCHED_EXT, &raw const parameter) } != 0 {
        return Err(format!("it cannot ask for sched_ext: {}", std::io::Error::last_os_error()));
    }
    loop {
        let turn = Instant::now();
        while turn.elapsed() < TURN {
            std::hint::spin_loop();
        }
        std::thread::sleep(TURN);
        if Instant::now() >= until {
            return std::fs::read_to_string("/proc/thread-self/sched").map_err(|e| format!("its sched file: {e}"));
        }
    }
}

/// A thread that has ended has run; this says under whom.
fn judge(sched: &str) -> Result<(), String> {
    // Kernel: kernel/sched/debug.c, proc_sched_show_task.
    let line = sched.lines().find(|l| l.starts_with("ext.enabled"));
    match line.and_then(|l| l.rsplit_once(':')).map(|(_, value)| value.trim()) {
        Some("1") => Ok(()),
        Some(value) => Err(format!("it ran, and ext.enabled is {value}")),
        None => Err("the kernel does not say ext.enabled".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_ran_under_sched_ext_was_dispatched() {
        let with = |value: &str| format!("t (1, #threads: 1)\nse.exec_start :  12.3\next.enabled   :   {value}\n");
        assert_eq!(judge(&with("1")), Ok(()));
        assert!(judge(&with("0")).unwrap_err().contains("ext.enabled is 0"));
        assert!(judge("").unwrap_err().contains("does not say"));
    }
}
