//! The command line: which faults are on.

use anyhow::{Result, ensure};
use clap::Parser;
use std::time::Duration;

/// Bytes of a task's name in the kernel, the zero at its end included (include/linux/sched.h, TASK_COMM_LEN).
pub const COMM_LEN: usize = 16;
/// Bytes of a message, the zero at its end included.
pub const TEXT_LEN: usize = 128;
/// The kernel's own watchdog, which a scheduler may only shorten (kernel/sched/ext.c, SCX_WATCHDOG_MAX_TIMEOUT), ms.
const WATCHDOG_MS: u32 = 30_000;
/// Longest delay of one dispatch, µs: the run queue's lock is held while it lasts.
const MAX_SPIN_US: u64 = 100_000;
/// Longest delay of one wake-up, µs: interrupts are off on the waker's CPU while it lasts.
const MAX_WAKEUP_US: u64 = 5_000_000;

/// A small sched_ext scheduler: one queue for the whole machine, first in first out. Without faults it does its work; each
/// fault is switched on by a flag. Times count from the attach.
#[derive(Debug, Parser)]
// The last of two words for one thing counts: `KTSTR_SCHEDULER_ARGS` come behind those of the declaration.
#[command(version, verbatim_doc_comment, args_override_self = true)]
pub struct Flags {
    /// How long a task runs before the next one, in µs
    #[arg(long, value_name = "US", default_value_t = 20_000)]
    pub slice_us: u64,

    /// Throw this scheduler out when a task waits so long (at most 30000, the kernel's own limit)
    #[arg(long, value_name = "MS")]
    pub timeout_ms: Option<u32>,

    /// Load and never attach
    #[arg(long, help_heading = "Faults of attaching")]
    pub never_attach: bool,

    /// Load, and attach after so many ms
    #[arg(long, value_name = "MS", help_heading = "Faults of attaching")]
    pub attach_late: Option<u64>,

    /// Leave by itself, with status 0
    #[arg(long, value_name = "MS", help_heading = "Faults of leaving")]
    pub exit_after: Option<u64>,

    /// Leave from inside the kernel by scx_bpf_exit, with status 0
    #[arg(long, value_name = "MS", help_heading = "Faults of leaving")]
    pub bpf_exit_after: Option<u64>,

    /// Fail by scx_bpf_error
    #[arg(long, value_name = "MS", help_heading = "Faults of leaving")]
    pub error_after: Option<u64>,

    /// What --error-after and --bpf-exit-after say (at most 127 bytes)
    #[arg(long, value_name = "TEXT", default_value = "on purpose", help_heading = "Faults of leaving")]
    pub message: String,

    /// Let the kernel throw it out, with status 0, as soon as a CPU comes or goes
    #[arg(long, help_heading = "Faults of leaving")]
    pub leave_on_hotplug: bool,

    /// Unregister and register again at once: in between all tasks run in the kernel's bypass mode
    #[arg(long, value_name = "MS", help_heading = "Faults of leaving")]
    pub leak_bypass: Option<u64>,

    /// Take tasks and never give them back, kernel threads excepted: the watchdog fires
    #[arg(long, value_name = "MS", help_heading = "Faults of scheduling")]
    pub stall_after: Option<u64>,

    /// Spin so many µs before each dispatch (at most 100000)
    #[arg(long, value_name = "US", help_heading = "Faults of scheduling")]
    pub slow_dispatch: Option<u64>,

    /// Spin so many µs, interrupts off, before a CPU is chosen for a task that may not use all (at most 5000000)
    #[arg(long, value_name = "US", help_heading = "Faults of scheduling")]
    pub slow_wakeup: Option<u64>,

    /// Never run the task of this PID or thread group, or whose name begins so (at most 16 bytes)
    #[arg(long, value_name = "PID|COMM", help_heading = "Faults of scheduling")]
    pub starve: Option<String>,

    /// Never run tasks of this nice value (-20 to 19, not 0)
    #[arg(
        long,
        value_name = "NICE",
        allow_negative_numbers = true,
        conflicts_with = "starve",
        help_heading = "Faults of scheduling"
    )]
    pub starve_nice: Option<i32>,

    /// Run a starved task once in so many ms rather than never: it can be killed then
    #[arg(long, value_name = "MS", help_heading = "Faults of scheduling")]
    pub starve_every: Option<u64>,

    /// Never dispatch on this CPU; tasks that can run nowhere else still do
    #[arg(long, value_name = "CPU", help_heading = "Faults of scheduling")]
    pub ignore_cpu: Option<u32>,

    /// Starve user tasks that can run nowhere else, too
    #[arg(long, requires = "ignore_cpu", help_heading = "Faults of scheduling")]
    pub ignore_pinned: bool,

    /// Send every task that may run there to this CPU
    #[arg(long, value_name = "CPU", help_heading = "Faults of scheduling")]
    pub pile_on_cpu: Option<u32>,

    /// Choose a forbidden CPU for every task that may not use all of them: the kernel falls back to another
    #[arg(long, help_heading = "Faults of scheduling")]
    pub misplace: bool,

    /// Leave the last task of a CPU to the kernel rather than be asked
    #[arg(long, help_heading = "Faults of scheduling")]
    pub keep_last: bool,

    /// An ordering bug: of two CPUs that enqueue within so many µs, one's wake-up is lost (at most 100000)
    #[arg(long, value_name = "US", help_heading = "Faults of scheduling")]
    pub lost_wakeup: Option<u64>,
}

/// The task to starve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Victim {
    /// Its PID or thread group; 0 for none.
    pub pid: i32,
    /// The beginning of its name; all zero for none.
    pub comm: [i8; COMM_LEN],
}

impl Flags {
    /// Checks what the parser cannot.
    ///
    /// # Errors
    /// A number out of its range, a text too long.
    pub fn check(&self) -> Result<()> {
        ensure!(self.slice_us > 0, "--slice-us must be above zero");
        if let Some(ms) = self.timeout_ms {
            ensure!((1..=WATCHDOG_MS).contains(&ms), "--timeout-ms must be from 1 to {WATCHDOG_MS}");
        }
        for (flag, us, most) in [
            ("--slow-dispatch", self.slow_dispatch, MAX_SPIN_US),
            ("--lost-wakeup", self.lost_wakeup, MAX_SPIN_US),
            ("--slow-wakeup", self.slow_wakeup, MAX_WAKEUP_US),
        ] {
            ensure!(us.is_none_or(|us| us <= most), "{flag} must be at most {most} µs");
        }
        for (flag, cpu) in [("--ignore-cpu", self.ignore_cpu), ("--pile-on-cpu", self.pile_on_cpu)] {
            ensure!(cpu.is_none_or(|cpu| i32::try_from(cpu).is_ok()), "{flag} is not a CPU number");
        }
        ensure!(
            self.starve_nice.is_none_or(|nice| nice != 0 && (-20..=19).contains(&nice)),
            "--starve-nice must be from -20 to 19 and not 0, which is everybody's"
        );
        let starves = self.starve.is_some() || self.starve_nice.is_some() || self.ignore_pinned;
        ensure!(
            starves || self.starve_every.is_none(),
            "--starve-every needs --starve, --starve-nice or --ignore-pinned"
        );
        text::<TEXT_LEN>(&self.message, "--message")?;
        self.victim().map(drop)
    }

    /// Whom to starve; digits alone are a PID.
    ///
    /// # Errors
    /// A name that is empty or too long.
    pub fn victim(&self) -> Result<Victim> {
        let Some(who) = &self.starve else { return Ok(Victim::default()) };
        if let Ok(pid) = who.parse::<i32>() {
            ensure!(pid > 0, "--starve {pid} is not a PID");
            return Ok(Victim { pid, ..Victim::default() });
        }
        ensure!(!who.is_empty(), "--starve needs a PID or the beginning of a name");
        // The kernel cuts names to 15 bytes, so a full one ends with the zero.
        let mut comm = text::<{ COMM_LEN + 1 }>(who, "--starve")?.into_iter();
        Ok(Victim { pid: 0, comm: std::array::from_fn(|_| comm.next().unwrap_or(0)) })
    }
}

/// A text as C has it, padded with zeros.
///
/// # Errors
/// It does not fit with the zero at its end.
pub fn text<const N: usize>(text: &str, flag: &str) -> Result<[i8; N]> {
    ensure!(text.len() < N, "{flag} is longer than {} bytes", N - 1);
    ensure!(!text.contains('\0'), "{flag} holds a zero byte");
    let mut bytes = text.bytes().map(u8::cast_signed);
    Ok(std::array::from_fn(|_| bytes.next().unwrap_or(0)))
}

/// ns of an optional number of ms; 0 is off, and so 0 ms is the first instant after.
pub fn ms(value: Option<u64>) -> u64 {
    value.map_or(0, |ms| ms.saturating_mul(1_000_000).max(1))
}

/// ns of an optional number of µs; 0 is off.
pub fn us(value: Option<u64>) -> u64 {
    value.map_or(0, |us| us.saturating_mul(1000))
}

/// An optional time.
pub fn duration(ms: Option<u64>) -> Option<Duration> {
    ms.map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Result<Flags> {
        let flags = Flags::try_parse_from(format!("scx-ktstr {line}").split_ascii_whitespace())?;
        flags.check()?;
        Ok(flags)
    }

    #[test]
    fn without_flags_no_fault_is_on() {
        let plain = flags("").unwrap();
        assert_eq!(plain.victim().unwrap(), Victim::default());
        assert_eq!((ms(plain.stall_after), us(plain.slow_dispatch), plain.ignore_cpu), (0, 0, None));
        assert!(!plain.never_attach && !plain.misplace && !plain.keep_last && !plain.leave_on_hotplug);
    }

    #[test]
    fn the_last_of_two_words_for_one_fault_counts() {
        let twice = flags("--lost-wakeup 2 --slow-dispatch 1 --lost-wakeup 0").unwrap();
        assert_eq!((us(twice.lost_wakeup), us(twice.slow_dispatch)), (0, 1000));
    }

    #[test]
    fn a_victim_is_a_pid_or_the_beginning_of_a_name() {
        assert_eq!(flags("--starve 42").unwrap().victim().unwrap().pid, 42);
        let named = flags("--starve a").unwrap().victim().unwrap();
        assert_eq!((named.pid, named.comm[0], named.comm[1]), (0, 97, 0));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_loaded() {
        for line in [
            "--timeout-ms 30001",
            "--timeout-ms 0",
            "--slice-us 0",
            "--slow-dispatch 100001",
            "--lost-wakeup 100001",
            "--slow-wakeup 5000001",
            "--starve -1",
            "--starve a-name-longer-than-any-in-the-kernel",
            "--starve-every 10",
            "--ignore-pinned",
            "--starve-nice 0",
            "--starve-nice 20",
            "--starve-nice 3 --starve a",
            "--ignore-cpu 3000000000",
            "--no-such-fault",
        ] {
            assert!(flags(line).is_err(), "{line}");
        }
        assert!(text::<4>("abcd", "--message").is_err() && text::<4>("abc", "--message").is_ok());
    }

    #[test]
    fn at_once_is_not_never() {
        assert_eq!((ms(Some(0)), ms(Some(2)), ms(None)), (1, 2_000_000, 0));
    }
}
