//! The kernel's log, read for what must not be in it.

mod attach;
mod rules;

use ktstr_verdict::{CheckKind, Detail, Outcome};

/// How the reader of the log says that some of it is missing; a log with such a line is never a good one.
pub const LOST: &str = "(kernel log lines were lost";

/// Lines of a complaint that are worth keeping: registers and a call trace.
const SPLAT: usize = 40;

/// How the first line of a kernel's log begins (init/main.c, `start_kernel`: `pr_notice("%s", linux_banner)`).
pub const BOOT: &str = "Linux version ";

/// [`check_from`] of the log of a whole boot.
#[must_use]
pub fn check(lines: &[String], allowed: &[&str]) -> Vec<Outcome> {
    check_from(BOOT, lines, allowed)
}

/// One outcome for each line that breaks a rule and holds none of the `allowed` words.
///
/// A log that was not read whole is a failure that no word allows: one without a line, one whose first line does not hold
/// `first`, one with lines lost or garbled. What was not read proves nothing.
#[must_use]
pub fn check_from(first: &str, lines: &[String], allowed: &[&str]) -> Vec<Outcome> {
    let fail = |kind, message: String| Outcome::Fail { detail: Detail::new(kind, message) };
    let mut found: Vec<Outcome> = incomplete(first, lines)
        .into_iter()
        .map(|why| fail(CheckKind::KernelLog, format!("kernel log: {why}")))
        .collect();
    let allows = |line: &str| allowed.iter().any(|word| !word.trim().is_empty() && line.contains(word));
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| !allows(line)) {
        if let Some(said) = attach::thrown_out(lines, i) {
            found.push(fail(CheckKind::Scheduler, format!("kernel log: {said}")));
        } else if let Some(rule) = rules::broken(lines, i) {
            found.push(fail(CheckKind::KernelLog, format!("kernel log: {line} ({rule})")));
        }
    }
    found
}

/// The first complaint of a log: the line that breaks a rule, the mark before it, and what follows, to the end of the trace or
/// 40 lines. Empty where no rule is broken.
#[must_use]
pub fn splat(lines: &[String]) -> &[String] {
    let broken = |i: &usize| attach::thrown_out(lines, *i).is_some() || rules::broken(lines, *i).is_some();
    let Some(found) = (0..lines.len()).find(broken) else {
        return &[];
    };
    let from = if found > 0 && rules::begins_a_splat(&lines[found - 1]) { found - 1 } else { found };
    let rest = &lines[from..lines.len().min(from + SPLAT)];
    let end = rest.iter().position(|line| line.contains("---[ end trace")).map_or(rest.len(), |i| i + 1);
    &rest[..end]
}

/// Why this is not the whole log from the line with these words on.
fn incomplete(words: &str, lines: &[String]) -> Vec<String> {
    let Some(first) = lines.iter().find(|l| !l.trim().is_empty()) else {
        return vec!["it is empty: nothing was checked".to_owned()];
    };
    let mut why = Vec::new();
    if !first.contains(words) && !is_loss(first) {
        why.push(format!("it does not begin with `{words}` but with: {first}"));
    }
    why.extend(lines.iter().filter(|l| is_loss(l)).map(|l| format!("lines are missing: {l}")));
    why.extend(lines.iter().find(|l| is_garbled(l)).map(|l| format!("a line is garbled: {}", l.escape_debug())));
    why
}

/// The reader's own words, and the kernel's (kernel/printk/printk.c, printk_get_next_message).
fn is_loss(line: &str) -> bool {
    line.starts_with(LOST) || (line.contains("** ") && line.contains(" printk messages dropped **"))
}

/// The kernel writes what is not printable as `\xNN` (Documentation/ABI/testing/dev-kmsg): none of this comes from it.
fn is_garbled(line: &str) -> bool {
    line.chars().any(|c| c == char::REPLACEMENT_CHARACTER || (c.is_control() && c != '\t'))
}

/// The line without its time.
fn text_of(line: &str) -> &str {
    line.strip_prefix('[').and_then(|l| l.split_once("] ")).map_or(line, |(_, text)| text)
}

#[cfg(test)]
mod tests;
