//! Why a scheduler left, in the kernel's own words.

use crate::kmsg;

/// What the kernel calls each way to leave, and its number (`scx_exit_reason` in kernel/sched/ext.c, `scx_exit_kind` in
/// kernel/sched/ext_internal.h).
const KINDS: &[(&str, u32)] = &[
    ("unregistered from user space", 64),
    ("unregistered from BPF", 65),
    ("unregistered from the main kernel", 66),
    ("disabled by sysrq-S", 67),
    ("parent exiting", 68),
    ("runtime error", 1024),
    ("scx_bpf_error", 1025),
    ("runnable task stall", 1026),
];

/// Reads the log for the last scheduler that left.
pub fn exit_info() -> Option<String> {
    let mut lines = Vec::new();
    kmsg::each_line(|line| {
        if line.contains("sched_ext: ") {
            lines.push(line.to_owned());
        }
    });
    last_exit(&lines)
}

/// `exit kind 1026 (runnable task stall): a[123] failed to run for 2.016s`, from the last `BPF scheduler "…" disabled (…)` and
/// the line of its message behind it.
fn last_exit(lines: &[String]) -> Option<String> {
    let marker = "sched_ext: BPF scheduler \"";
    let at = lines.iter().rposition(|l| l.contains(marker) && l.contains("\" disabled ("))?;
    let (name, rest) = lines[at].split_once(marker)?.1.split_once("\" disabled (")?;
    let reason = rest.trim_end().strip_suffix(')')?;
    let kind = KINDS.iter().find(|(text, _)| *text == reason).map_or("unknown".to_owned(), |(_, n)| n.to_string());
    let own = format!("sched_ext: {name}: ");
    let message = lines.get(at + 1).and_then(|l| l.split_once(&own)).map(|(_, message)| message.trim());
    Some(message.map_or_else(
        || format!("exit kind {kind} ({reason})"),
        |message| format!("exit kind {kind} ({reason}): {message}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(log: &str) -> Option<String> {
        last_exit(&log.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn kind_and_message_of_the_last_one_are_read() {
        let log = "[ 1.0] sched_ext: BPF scheduler \"a\" enabled\n\
                   [ 2.0] sched_ext: BPF scheduler \"a\" disabled (unregistered from user space)\n\
                   [ 3.0] sched_ext: BPF scheduler \"b_1.2\" enabled\n\
                   [ 5.6] sched_ext: BPF scheduler \"b_1.2\" disabled (runnable task stall)\n\
                   [ 5.6] sched_ext: b_1.2: fixture[97] failed to run for 2.016s";
        assert_eq!(
            exit(log).as_deref(),
            Some("exit kind 1026 (runnable task stall): fixture[97] failed to run for 2.016s")
        );
    }

    #[test]
    fn an_exit_without_a_message_borrows_no_other_line() {
        let log = "[ 2.0] sched_ext: BPF scheduler \"a\" disabled (unregistered from the main kernel)\n\
                   [ 3.0] sched_ext: BPF scheduler \"a\" enabled";
        assert_eq!(exit(log).as_deref(), Some("exit kind 66 (unregistered from the main kernel)"));
        assert_eq!(exit("[ 1.0] sched_ext: BPF scheduler \"a\" enabled"), None);
        let new = "[ 2.0] sched_ext: BPF scheduler \"a\" disabled (moonlight)";
        assert_eq!(exit(new).as_deref(), Some("exit kind unknown (moonlight)"));
    }
}
