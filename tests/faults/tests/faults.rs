//! Each fault on a real machine: a stock kernel, QEMU, and a published scheduler where one is named.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Stdio;

mod common;

use common::{child_named, fails_with, fixture, machines, on_kvm, on_sim, run_with, spoiled, unwrapped, wait_for};

#[test]
fn a_run_that_nothing_goes_wrong_in_passes() {
    let run = run_with("passes", |_| {});
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.records[0].passed && run.records[0].topology_read_back.is_some());
    assert_eq!(run.records[0].trace, None);
}

#[test]
fn a_failed_claim_fails_the_test() {
    fails_with(&run_with("fails", |_| {}), "claim `the answer`: 41 is not 42");
}

#[test]
fn a_pass_under_expect_err_fails() {
    fails_with(&run_with("expects_an_error", |_| {}), "expected a failure, but the test passed");
}

#[test]
fn a_panic_of_the_test_function_is_never_a_pass() {
    fails_with(&run_with("panics", |_| {}), "the test function panicked on purpose");
}

#[test]
fn a_clean_power_off_before_the_verdict_is_never_a_pass() {
    fails_with(&run_with("powers_off", |_| {}), "not complete");
}

#[test]
fn a_kernel_panic_mid_test_is_never_a_pass() {
    fails_with(&run_with("crashes_the_kernel", |_| {}), "Kernel panic - not syncing");
}

#[test]
fn a_kernel_that_never_reaches_init_is_never_a_pass() {
    fails_with(&run_with("never_reaches_init", |_| {}), "Kernel panic - not syncing");
}

#[test]
fn a_fatal_signal_in_pid_1_is_said_and_never_a_pass() {
    fails_with(&run_with("segfaults", |_| {}), "fatal signal SIGSEGV");
}

#[test]
fn a_guest_that_hangs_ends_at_its_deadline() {
    let within = if on_sim() { "within 60 s" } else { "within 3 s" };
    fails_with(&run_with("hangs", |_| {}), &format!("no end of the Test phase {within}"));
}

#[test]
fn a_monitor_killed_mid_test_is_never_a_pass() {
    spoiled("kill-monitor", if on_kvm() { "the machine was stopped" } else { "signal: 9" });
}

#[test]
fn a_truncated_stream_is_never_a_pass() {
    spoiled("cut:3000", "not complete");
}

#[test]
fn one_flipped_bit_is_never_a_pass() {
    spoiled("flip:700", "not complete: checksum of frame");
}

#[test]
fn parameters_that_are_missing_cut_or_changed_are_never_a_pass() {
    spoiled("cut-parameters:0", "0 bytes are not a parcel");
    spoiled("cut-parameters:99", "a parcel of ");
    spoiled("flip-parameter:99", "the checksum of a parcel is wrong");
}

#[test]
fn a_stream_of_an_earlier_attempt_is_never_a_pass() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("stream");
    // In simulation an attempt is its seed: the same one would be the same stream, bit for bit.
    let run = run_with("passes", |c| {
        c.env("KTSTR_KEEP_STREAM", &kept).env("KTSTR_SEED", "1");
    });
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    let replayed = run_with("passes", |c| {
        c.env("KTSTR_SPOIL", format!("replay:{}", kept.display())).env("KTSTR_SEED", "2");
    });
    fails_with(&replayed, "frame of another attempt");
}

#[test]
fn another_topology_than_the_declared_one_is_never_a_pass() {
    spoiled("topology:1n2l1c1t", "not the machine that was asked for: CPU 0: set of CPUs sharing the last-level cache");
}

#[test]
fn a_missing_monitor_is_a_skip_that_names_its_package() {
    let run = run_with("passes", |c| {
        c.env("PATH", "/nonexistent").env("KTSTR_ACCEL", "tcg").env_remove("KTSTR_NO_SKIP_MODE");
    });
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.stderr().contains("ktstr: SKIP: ") && run.stderr().contains("qemu-system-x86"), "{}", run.stderr());
    assert!(run.records[0].skipped && !run.records[0].passed);
    let strict = run_with("passes", |c| {
        c.env("PATH", "/nonexistent").env("KTSTR_ACCEL", "tcg").env("KTSTR_NO_SKIP_MODE", "");
    });
    fails_with(&strict, "qemu-system-x86");
}

#[test]
fn a_missing_scheduler_binary_is_never_a_pass() {
    fails_with(&run_with("under_another_binary", |_| {}), "was not found in the target directories or the cache");
}

#[test]
fn a_scheduler_that_exits_at_once_is_never_a_pass() {
    let run = run_with("under_another_binary", |c| {
        c.env("KTSTR_SCHEDULER", "/bin/true");
    });
    fails_with(&run, "exited with status 0 before it attached");
}

#[test]
fn a_scheduler_that_never_attaches_is_never_a_pass() {
    let run = run_with("under_another_binary", |c| {
        c.env("KTSTR_SCHEDULER", "/bin/sleep");
    });
    fails_with(&run, "and never attached");
}

#[test]
fn a_scheduler_that_leaves_cleanly_mid_test_fails_it() {
    fails_with(&run_with("scheduler_leaves", |_| {}), "did not last through the test");
}

#[test]
fn a_scheduler_that_is_killed_mid_test_fails_it() {
    fails_with(&run_with("scheduler_is_killed", |_| {}), "did not last through the test");
}

#[test]
fn an_attribute_without_its_machinery_fails_loudly() {
    fails_with(&run_with("wants_what_is_not_there_yet", |_| {}), "not supported yet: num_snapshots");
}

#[test]
fn a_cached_kernel_with_a_flipped_byte_is_never_booted() {
    let found = run_with("passes", |_| {});
    let cache = ktstr_kernel::cache::Cache::open().unwrap();
    let entry = cache.newest().unwrap().expect("the set-up has cached a kernel");
    assert_eq!(found.output.status.code(), Some(0), "{}", found.stderr());
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("kernel");
    std::fs::create_dir(&copy).unwrap();
    for file in ["vmlinuz", "vmlinux", "config", "metadata.json"] {
        std::fs::copy(entry.dir().join(file), copy.join(file)).unwrap();
    }
    let vmlinux = copy.join("vmlinux");
    let mut bytes = std::fs::read(&vmlinux).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&vmlinux, bytes).unwrap();
    let run = run_with("expects_an_error", |c| {
        c.env("KTSTR_KERNEL", &copy);
    });
    fails_with(&run, "is damaged");
}

#[test]
fn a_record_that_cannot_be_written_leaves_the_verdict_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("records");
    let run = fixture("passes", &below).output().unwrap();
    let stderr = unwrapped(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("the record is missing, the verdict stands"), "{stderr}");
    let failed = fixture("fails", &below).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
}

#[test]
fn a_full_disk_under_the_record_leaves_the_verdict_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mounted =
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", rustix::mount::MountFlags::empty(), Some(c"size=4k"));
    assert!(mounted.is_ok(), "this test mounts a file system of its own and needs root");
    let filler = std::fs::write(dir.path().join("filler"), [0u8; 4096]);
    let passes = fixture("passes", dir.path()).output().unwrap();
    let fails = fixture("fails", dir.path()).output().unwrap();
    rustix::mount::unmount(dir.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(filler.is_ok());
    let stderr = unwrapped(&passes.stderr);
    assert_eq!(passes.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("no space for the record"), "{stderr}");
    assert_eq!(fails.status.code(), Some(1));
}

#[test]
fn a_disk_that_is_full_after_the_trace_leaves_a_record_that_names_none() {
    let dir = tempfile::tempdir().unwrap();
    // Three files: the directory itself, the record, the trace. The record that names the trace is written beside the first.
    let options = Some(c"nr_inodes=3");
    let mounted = rustix::mount::mount("tmpfs", dir.path(), "tmpfs", rustix::mount::MountFlags::empty(), options);
    assert!(mounted.is_ok(), "this test mounts a file system of its own and needs root");
    let fails = fixture("works_and_fails", dir.path()).env_remove("KTSTR_RUN_EPOCH").output().unwrap();
    let records = ktstr_sidecar::read_records(dir.path());
    rustix::mount::unmount(dir.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    let stderr = unwrapped(&fails.stderr);
    assert_eq!(fails.status.code(), Some(1));
    assert!(stderr.contains("the record is there and does not name its trace"), "{stderr}");
    assert!(!stderr.contains("the record is missing"), "{stderr}");
    let (records, damaged) = records.unwrap();
    assert!(damaged.is_empty() && records.len() == 1 && records[0].trace.is_none(), "{damaged:?} {records:?}");
    let said = |what: &str| stderr.lines().any(|line| line.trim_start().starts_with(what));
    assert!(said("ktstr: record: ") && said("ktstr: trace: "), "{stderr}");
}

#[test]
fn a_runner_that_is_killed_leaves_no_monitor_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut runner = fixture("hangs", dir.path()).stderr(Stdio::null()).spawn().unwrap();
    if on_kvm() {
        wait_for(|| (machines() > 0).then_some(()));
    }
    let monitor = if on_kvm() { runner.id() } else { wait_for(|| child_named(runner.id(), "qemu-system-x86")) };
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_for(|| (!Path::new(&format!("/proc/{monitor}/exe")).exists()).then_some(()));
    if on_kvm() {
        assert_eq!(machines(), 0);
    }
}
