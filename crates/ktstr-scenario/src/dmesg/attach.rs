//! What the kernel says of `sched_ext` schedulers (kernel/sched/ext.c, scx_disable_workfn, handle_lockup).

use super::text_of;

/// Begins every line about the scheduler that comes or goes.
const ABOUT: &str = "sched_ext: BPF scheduler \"";
/// Its own exit, the only one that is no error.
const OWN_EXIT: &str = " disabled (unregistered from user space)";
/// Words of other lines that mean that the scheduler has failed.
const FAILURES: &[&str] = &["lockup", "failed", "timed out", "stall", "error"];

/// What is to be said of a scheduler that the kernel threw out, with its reason from the line behind; its own exit is nothing
/// to speak of.
pub fn thrown_out(lines: &[String], index: usize) -> Option<String> {
    let line = &lines[index];
    let text = text_of(line);
    let Some(about) = text.strip_prefix(ABOUT) else {
        let failed = text.starts_with("sched_ext: ") && FAILURES.iter().any(|word| text.contains(word));
        return (failed && !is_reason(lines, index)).then(|| line.clone());
    };
    let (name, what) = about.rsplit_once("\" ").unwrap_or((about, ""));
    // A name with quotation marks and a reason in it must not hide the true one, which is at the end.
    if what == "enabled" || text.ends_with(OWN_EXIT) {
        return None;
    }
    let reason = lines.iter().skip(index + 1).map(|l| text_of(l)).take_while(|t| !t.starts_with(ABOUT));
    let reason = reason.filter_map(|t| t.strip_prefix("sched_ext: ")?.strip_prefix(name)?.strip_prefix(": ")).next();
    Some(reason.map_or_else(|| line.clone(), |reason| format!("{line}: {reason}")))
}

/// Whether the line belongs to the exit before it, which says it already.
fn is_reason(lines: &[String], index: usize) -> bool {
    let before = lines[..index].iter().rposition(|l| text_of(l).starts_with(ABOUT));
    let Some(said) = before.and_then(|b| thrown_out(lines, b)) else { return false };
    text_of(&lines[index])
        .split_once(": ")
        .and_then(|(_, rest)| rest.split_once(": "))
        .is_some_and(|(_, why)| said.ends_with(&format!(": {why}")))
}
