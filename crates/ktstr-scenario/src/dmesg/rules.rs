//! Words that no healthy kernel logs.

use super::text_of;

/// A rule's name, the words that break it, and where the kernel writes them.
struct Rule {
    name: &'static str,
    words: &'static [&'static str],
}

const RULES: &[Rule] = &[
    // kernel/panic.c, vpanic
    Rule { name: "panic", words: &["Kernel panic - not syncing"] },
    // mm/kasan/report.c, mm/kfence/report.c, kernel/kcsan/report.c, mm/kmsan/report.c, lib/ubsan.c
    Rule {
        name: "sanitizer",
        words: &["BUG: KASAN:", "BUG: KFENCE:", "BUG: KCSAN:", "BUG: KMSAN:", "UBSAN: ", "new suspected memory leaks"],
    },
    // kernel/watchdog.c, kernel/watchdog_perf.c
    Rule { name: "lockup", words: &["soft lockup", "hard LOCKUP", "Hard lockup", "Soft lockup"] },
    // kernel/rcu/tree_stall.h, kernel/rcu/tasks.h
    Rule {
        name: "RCU stall",
        words: &["self-detected stall", "detected stalls on", "detected expedited stalls on", "kthread starved for"],
    },
    // kernel/hung_task.c
    Rule { name: "hung task", words: &["blocked for more than", "blocked in I/O wait for more than"] },
    // kernel/locking/lockdep.c
    Rule {
        name: "lockdep",
        words: &[
            "possible circular locking",
            "possible recursive locking",
            "possible irq lock inversion",
            "inconsistent lock state",
            "bad unlock balance",
            "suspicious RCU usage",
            "lock held when returning to user space",
        ],
    },
    // arch/x86/kernel/dumpstack.c, arch/x86/kernel/traps.c, lib/bug.c, arch/x86/mm/fault.c
    Rule {
        name: "oops",
        words: &["Oops: ", "kernel BUG at", "BUG: ", "general protection fault", "divide error: ", "invalid opcode: "],
    },
    // kernel/panic.c, __warn: `WARNING: CPU: 0 PID: 1 at FILE:LINE`, without the CPU since 6.19
    Rule { name: "WARN", words: &["WARNING: "] },
    // arch/x86/kernel/smpboot.c, topology_sane
    Rule { name: "topology", words: &["sibling is not on the same node"] },
];

/// Lines that carry such words and mean nothing: boot messages of stock kernels (arch/x86/kernel/cpu/bugs.c).
const HARMLESS: &[&str] = &["Speculative Return Stack Overflow: WARNING:", "Spectre V2 : WARNING:", "MDS: WARNING:"];

/// What begins every WARN and BUG, before the line that names it (include/asm-generic/bug.h, CUT_HERE).
const CUT_HERE: &str = "[ cut here ]";
/// How far behind that line the naming one may be.
const NEAR: usize = 8;

/// The rule that this line breaks.
pub fn broken(lines: &[String], index: usize) -> Option<&'static str> {
    let line = &lines[index];
    if begins_a_splat(line) {
        // The line that names the splat is judged, and allowed, by itself; one that is not there is not judged at all.
        let named = lines.iter().skip(index + 1).take(NEAR).any(|next| rule_of(next).is_some());
        return (!named).then_some("a splat without the line that names it");
    }
    rule_of(line)
}

/// Whether the next line names a splat.
pub fn begins_a_splat(line: &str) -> bool {
    line.contains(CUT_HERE)
}

fn rule_of(line: &str) -> Option<&'static str> {
    let text = text_of(line);
    if HARMLESS.iter().any(|word| text.contains(word)) {
        return None;
    }
    RULES.iter().find(|rule| rule.words.iter().any(|word| text.contains(word))).map(|rule| rule.name)
}
