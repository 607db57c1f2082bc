use super::*;
use proptest::prelude::*;

/// The whole log of a stock 6.18 under QEMU, from its boot to the test.
const BOOT: &str = include_str!("../../testdata/kernel_log/boot.txt");
/// What schedulers added to such logs, each in a guest of its own.
const DETACH: &str = include_str!("../../testdata/kernel_log/scheduler_detach.txt");
const HOTPLUG: &str = include_str!("../../testdata/kernel_log/scheduler_hotplug.txt");
const SYSRQ: &str = include_str!("../../testdata/kernel_log/scheduler_sysrq.txt");
const ERROR: &str = include_str!("../../testdata/kernel_log/scheduler_error.txt");
const STALL: &str = include_str!("../../testdata/kernel_log/scheduler_stall.txt");
/// Splats in the kernel's words, from its sources.
const SPLATS: &str = include_str!("../../testdata/kernel_log/splats.txt");

fn lines(log: &str) -> Vec<String> {
    log.lines().map(str::to_owned).collect()
}

/// Kinds and messages of a boot followed by these lines.
fn after_boot(more: &str, allowed: &[&str]) -> Vec<(CheckKind, String)> {
    found(&format!("{BOOT}{more}"), allowed)
}

fn found(log: &str, allowed: &[&str]) -> Vec<(CheckKind, String)> {
    let outcomes = check(&lines(log), allowed).into_iter();
    outcomes
        .map(|o| match o {
            Outcome::Fail { detail } => (detail.kind, detail.message),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_healthy_boot_and_a_scheduler_that_came_and_went_are_quiet() {
    assert_eq!(after_boot("", &[]), []);
    assert_eq!(after_boot(DETACH, &[]), []);
}

#[test]
fn a_scheduler_that_the_kernel_threw_out_is_the_scheduler_s_failure_with_its_reason() {
    for (log, said) in [
        (HOTPLUG, "\"bpfland_1.1.4_x86_64_unknown_linux_gnu\" disabled (unregistered from the main kernel)"),
        (SYSRQ, "\"bpfland_1.1.4_x86_64_unknown_linux_gnu\" disabled (disabled by sysrq-S)"),
        (ERROR, "\"ktstr\" disabled (scx_bpf_error): on purpose"),
        (STALL, "\"ktstr\" disabled (runnable task stall): init[137] failed to run for 1.984s"),
    ] {
        let found = after_boot(log, &[]);
        let [(kind, message)] = &found[..] else { panic!("{found:?}") };
        assert!(*kind == CheckKind::Scheduler && message.ends_with(said), "{message}");
    }
}

#[test]
fn a_complaint_is_kept_from_its_mark_to_the_end_of_its_trace() {
    assert!(splat(&lines(BOOT)).is_empty() && splat(&[]).is_empty());
    let log = lines(&format!("{BOOT}{STALL}"));
    assert!(splat(&log)[0].contains("disabled (runnable task stall)"), "{:?}", splat(&log));
    let mut warned = lines(BOOT);
    let more = ["[ cut here ]", "WARNING: CPU: 0 PID: 1 at a.c:1", "Call Trace:", "---[ end trace 0 ]---", "later"];
    warned.extend(more.map(|text| format!("[    9.000000] {text}")));
    let kept = splat(&warned);
    assert!(kept.len() == 4 && kept[0].ends_with("[ cut here ]") && kept[3].contains("end trace"), "{kept:?}");
}

#[test]
fn other_errors_of_sched_ext_are_the_scheduler_s_too() {
    for line in [
        "[    9.000000] sched_ext: Soft lockup - CPU1 stuck for 22s, disabling \"x\"",
        "[    9.000000] sched_ext: ops.init() failed (-22)",
        "[    9.000000] sched_ext: x: a message whose exit nobody logged: error",
    ] {
        assert_eq!(after_boot(line, &[]).iter().map(|f| f.0).collect::<Vec<_>>(), [CheckKind::Scheduler], "{line}");
    }
    // A warning of every published scheduler under cgroups.
    assert_eq!(after_boot("[    9.0] sched_ext: \"x\" does not implement cgroup cpu.weight", &[]), []);
}

#[test]
fn a_scheduler_s_name_cannot_hide_its_exit() {
    let line = "[    9.0] sched_ext: BPF scheduler \"a\" enabled b\" disabled (runtime error)";
    assert_eq!(after_boot(line, &[]).len(), 1);
    let line =
        "[    9.0] sched_ext: BPF scheduler \"a\" disabled (unregistered from user space)\" disabled (runtime error)";
    assert_eq!(after_boot(line, &[]).len(), 1);
}

#[test]
fn every_splat_is_found_once_under_its_name_and_allowed_by_its_line() {
    let mut names = Vec::new();
    for splat in SPLATS.split("\n\n").filter(|s| !s.trim().is_empty()) {
        let (name, text) = splat.trim_start().split_once('\n').unwrap();
        let name = name.strip_prefix("# ").unwrap();
        let found = after_boot(text, &[]);
        let [(kind, message)] = &found[..] else { panic!("{name}: {found:?}") };
        assert!(*kind == CheckKind::KernelLog && message.ends_with(&format!(" ({name})")), "{name}: {message}");
        let line = message.strip_prefix("kernel log: ").unwrap().strip_suffix(&format!(" ({name})")).unwrap();
        assert_eq!(after_boot(text, &[text_of(line)]), [], "{name}");
        names.push(name);
    }
    names.dedup();
    assert!(names.len() >= 8, "{names:?}");
}

#[test]
fn a_splat_whose_naming_line_is_lost_is_still_one() {
    let found = after_boot("[    9.0] ------------[ cut here ]------------\n[    9.0] CPU: 0 PID: 1 Comm: init", &[]);
    assert!(found[0].1.ends_with("(a splat without the line that names it)"), "{found:?}");
}

#[test]
fn an_empty_a_cut_and_a_garbled_log_fail_whatever_is_allowed() {
    let all: Vec<&str> = vec!["", " ", "e", "Linux", "[", "lost", "lines"];
    for (log, why) in [
        (String::new(), "it is empty"),
        ("\n \n".to_owned(), "it is empty"),
        (BOOT.lines().skip(40).collect::<Vec<_>>().join("\n"), "does not begin with `Linux version `"),
        (format!("{BOOT}{LOST}: 12 before this one)\n"), "lines are missing"),
        (format!("{BOOT}[    5.0] ** 31 printk messages dropped **\n"), "lines are missing"),
        (format!("{BOOT}[    5.0] \u{fffd}\u{fffd}x\n"), "a line is garbled"),
        (format!("{BOOT}[    5.0] a\u{0}b\n"), "a line is garbled"),
    ] {
        for allowed in [&[][..], &all] {
            let found = found(&log, allowed);
            assert!(found.len() == 1 && found[0].0 == CheckKind::KernelLog, "{why}: {found:?}");
            assert!(found[0].1.contains(why), "{why}: {found:?}");
        }
    }
}

#[test]
fn an_empty_word_allows_nothing() {
    assert_eq!(after_boot("[    9.0] WARNING: CPU: 0 PID: 1 at a.c:1", &["", "  "]).len(), 1);
}

#[test]
fn what_stock_kernels_say_of_their_cpus_is_harmless() {
    for line in ["Spectre V2 : WARNING: Unprivileged eBPF is enabled", "MDS: WARNING: Microcode is missing"] {
        assert_eq!(after_boot(&format!("[    0.1] {line}"), &[]), [], "{line}");
    }
}

proptest! {
    /// A splat is found wherever it stands in a log, and no other line can take it away.
    #[test]
    fn a_splat_anywhere_is_found(at: prop::sample::Index, line in "[ -~]{0,60}") {
        let mut log = lines(BOOT);
        let place = 1 + at.index(log.len());
        log.insert(place, "[    9.0] WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1 f+0x1/0x2".to_owned());
        log.insert(place + 1, line);
        prop_assert!(!check(&log, &[]).is_empty());
    }

    /// Every beginning that is missing is noticed, and any text is survived.
    #[test]
    fn a_log_without_its_first_lines_fails(skip in 1usize..350, junk in "\\PC{0,80}") {
        let mut log: Vec<String> = BOOT.lines().skip(skip).map(str::to_owned).collect();
        prop_assert!(!check(&log, &[]).is_empty());
        log.push(junk);
        let _ = check(&log, &["a"]);
    }
}
