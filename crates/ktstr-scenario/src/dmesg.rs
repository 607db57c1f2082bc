//! The kernel's log, read for what must not be in it.

use ktstr_verdict::{CheckKind, Detail, Outcome};

/// Words that no healthy kernel logs, with the kernel's source of each.
const SPLATS: &[&str] = &[
    "WARNING: CPU:",                   // kernel/panic.c, __warn
    "WARNING: ",                       // the same since 6.19, and lockdep's reports
    "BUG: ",                           // mm/kasan/report.c, kernel/sched/core.c, arch/x86/mm/fault.c
    "kernel BUG at",                   // lib/bug.c
    "Oops: ",                          // arch/x86/kernel/dumpstack.c
    "general protection fault",        // arch/x86/kernel/traps.c
    "Kernel panic - not syncing",      // kernel/panic.c
    "self-detected stall",             // kernel/rcu/tree_stall.h
    "detected stalls on CPUs",         // kernel/rcu/tree_stall.h
    "blocked for more than",           // kernel/hung_task.c
    "soft lockup",                     // kernel/watchdog.c
    "hard LOCKUP",                     // kernel/watchdog_perf.c
    "possible circular locking",       // kernel/locking/lockdep.c
    "inconsistent lock state",         // kernel/locking/lockdep.c
    "sibling is not on the same node", // arch/x86/kernel/smpboot.c, topology_sane
];

/// Lines that carry such words and mean nothing: boot messages of stock kernels.
const HARMLESS: &[&str] = &["Speculative Return Stack Overflow: WARNING:", "Spectre V2 : WARNING:", "MDS: WARNING:"];

/// One outcome for each line that breaks a rule and holds none of the `allowed` words; a log without a single line is a
/// failure of its own: what was not read proves nothing.
#[must_use]
pub fn check(lines: &[String], allowed: &[&str]) -> Vec<Outcome> {
    let fail = |kind, message: String| Outcome::Fail { detail: Detail::new(kind, message) };
    if lines.iter().all(|l| l.trim().is_empty()) {
        return vec![fail(CheckKind::KernelLog, "the kernel's log is empty: nothing was checked".to_owned())];
    }
    lines
        .iter()
        .filter(|line| !allowed.iter().chain(HARMLESS).any(|word| line.contains(word)))
        .filter_map(|line| {
            if is_scheduler_error(line) {
                Some(fail(CheckKind::Scheduler, format!("kernel log: {line}")))
            } else if SPLATS.iter().any(|word| line.contains(word)) {
                Some(fail(CheckKind::KernelLog, format!("kernel log: {line}")))
            } else {
                None
            }
        })
        .collect()
}

/// A scheduler thrown out by the kernel (kernel/sched/ext.c: `BPF scheduler "…" disabled (reason)`); its own exit is not one.
fn is_scheduler_error(line: &str) -> bool {
    line.contains("sched_ext: BPF scheduler")
        && line.contains(" disabled (")
        && !line.contains("(unregistered from user space)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(log: &str) -> Vec<CheckKind> {
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        check(&lines, &[])
            .into_iter()
            .map(|o| match o {
                Outcome::Fail { detail } => detail.kind,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_healthy_log_is_quiet() {
        let log = "Linux version 6.18.15\nsched_ext: BPF scheduler \"bpfland\" enabled\n\
                   sched_ext: BPF scheduler \"bpfland\" disabled (unregistered from user space)";
        assert!(kinds(log).is_empty());
    }

    #[test]
    fn an_empty_log_fails() {
        assert_eq!(kinds("\n \n"), [CheckKind::KernelLog]);
    }

    #[test]
    fn each_kind_of_splat_is_found() {
        for line in [
            "[ 1.0] WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1 f+0x1/0x2",
            "[ 1.0] BUG: KASAN: use-after-free in f+0x1/0x2",
            "[ 1.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a:1]",
            "[ 1.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[ 1.0] INFO: task a:1 blocked for more than 120 seconds.",
            "[ 1.0] sched: CPU #1's llc-sibling is not on the same node! [node: 1 != 0]. Ignoring dependency.",
        ] {
            assert_eq!(kinds(line), [CheckKind::KernelLog], "{line}");
        }
    }

    #[test]
    fn a_scheduler_that_was_thrown_out_is_the_scheduler_s_fault() {
        let log = "sched_ext: BPF scheduler \"x\" disabled (runnable task stall)";
        assert_eq!(kinds(log), [CheckKind::Scheduler]);
    }

    #[test]
    fn an_allowed_line_passes_by_name() {
        let lines = ["[ 1.0] WARNING: CPU: 0 at a.c:1".to_owned()];
        assert!(check(&lines, &["a.c:1"]).is_empty());
    }
}
