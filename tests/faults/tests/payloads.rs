//! Programs in real machines: what they say, how they end, and what is left of them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{fails_with, run_with};

#[test]
fn programs_run_beside_and_inside_a_test_and_their_figures_are_recorded() {
    let run = run_with("payloads_run", |_| {});
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    let [record] = &run.records[..] else { panic!("{} records", run.records.len()) };
    assert!(record.passed && record.metrics["hackbench.time_s"] > 0.0, "{:?}", record.metrics);
    assert_eq!(record.payload.as_deref(), Some("hackbench"));
    assert_eq!((record.metrics["shell.cpus"], record.metrics["shell.duration_s"]), (2.0, 1.0));
    assert!(record.metrics["stress.wall_s"] >= record.metrics["hackbench.wall_s"], "{:?}", record.metrics);
}

#[test]
fn a_program_that_is_ended_leaves_no_process_and_no_cgroup() {
    let run = run_with("payloads_leave_nothing", |_| {});
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
}

#[test]
fn each_way_a_program_can_go_wrong_fails_with_its_name() {
    let run = run_with("payloads_fail", |_| {});
    for why in [
        "payload `too_slow`: `latency_ms` is 9.25, its limit is at most 5",
        "payload `mute`: metric `latency_ms` is missing: there is nothing at `/latency`",
        "payload `garbled`: its standard output is not one JSON value",
        "payload `unlucky`: exited with status 7; its last words:\n  the disk is on fire",
        "payload `killed`: was killed by signal 9",
        "payload `hanging`: did not end within its timeout of 1 s",
        "payload `absent`: `fio` is not in the guest: name it in the test's",
    ] {
        fails_with(&run, why);
    }
    assert_eq!(run.records[0].metrics["too_slow.latency_ms"], 9.25);
}

#[test]
fn a_program_that_this_host_lacks_is_a_skip_with_its_package() {
    let run = run_with("payloads_missing", |_| {});
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.stderr().contains("ktstr: SKIP: "), "{}", run.stderr());
    assert!(run.stderr().contains("apt-get install its-package"), "{}", run.stderr());
    assert!(run.records[0].skipped && !run.records[0].passed);
    let strict = run_with("payloads_missing", |c| {
        c.env("KTSTR_NO_SKIP_MODE", "");
    });
    fails_with(&strict, "apt-get install its-package");
}
