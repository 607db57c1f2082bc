//! /sys/kernel/sched_ext (kernel: Documentation/scheduler/sched-ext.rst), with a root of its own for tests of faults.

use ktstr_wire::{ProcessSeen, SchedulerSeen, When};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where the kernel shows it.
pub(super) const SYSFS: &str = "/sys/kernel/sched_ext";
/// State of a kernel that has no `sched_ext`.
const ABSENT: &str = "absent";

/// What is seen of `sched_ext` when no scheduler was launched.
#[must_use]
pub fn observe_idle(when: When) -> SchedulerSeen {
    observe(Path::new(SYSFS), when, ProcessSeen::None)
}

pub(super) fn observe(root: &Path, when: When, process: ProcessSeen) -> SchedulerSeen {
    let text = |name: &str| fs::read_to_string(root.join(name)).ok().map(|t| t.trim().to_owned());
    let number = |name: &str| text(name).and_then(|t| t.parse().ok()).unwrap_or(0);
    SchedulerSeen {
        when,
        name: None,
        state: text("state").unwrap_or_else(|| ABSENT.to_owned()),
        ops: text("root/ops").filter(|ops| !ops.is_empty()),
        enable_seq: number("enable_seq"),
        nr_rejected: number("nr_rejected"),
        hotplug_seq: number("hotplug_seq"),
        process,
        exit_info: None,
        events: text("root/events").map_or_else(BTreeMap::new, |t| events(&t)),
        switches: Vec::new(),
        programs: BTreeMap::new(),
    }
}

/// `NAME value` lines.
fn events(text: &str) -> BTreeMap<String, i64> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(char::is_whitespace)?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

/// Whether `ops` is one of the names: equal, or longer by a suffix that begins with `_`; `-` counts as `_`.
pub(super) fn ops_match(ops: &str, accepted: &[String]) -> bool {
    let plain = |text: &str| text.replace('-', "_");
    let ops = plain(ops);
    accepted.iter().map(|name| plain(name)).any(|name| {
        !name.is_empty() && ops.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versioned_ops_name_is_its_scheduler_s_and_a_longer_word_is_not() {
        let accepted = ["bpfland".to_owned(), "my-sched".to_owned()];
        assert!(ops_match("bpfland_1.1.4_x86_64_unknown_linux_gnu", &accepted));
        assert!(ops_match("my_sched", &accepted));
        assert!(!ops_match("bpflandia", &accepted) && !ops_match("", &accepted));
        assert!(!ops_match("anything", &[String::new()]));
    }

    #[test]
    fn a_kernel_without_sched_ext_says_so() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(observe(dir.path(), When::Attach, ProcessSeen::None).state, "absent");
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("state"), "enabled\n").unwrap();
        fs::write(dir.path().join("root/events"), "SCX_EV_A 3\nSCX_EV_B -1\n").unwrap();
        let seen = observe(dir.path(), When::Attach, ProcessSeen::None);
        assert_eq!((seen.state.as_str(), seen.events["SCX_EV_A"], seen.events["SCX_EV_B"]), ("enabled", 3, -1));
    }
}
