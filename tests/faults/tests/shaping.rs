//! What a test expects of its scheduler and checks after its machine, on a real one.
#![allow(clippy::unwrap_used)]

mod common;

use common::{fails_with, run_with};

#[test]
fn the_error_that_is_expected_passes_and_a_check_after_the_machine_sees_everything() {
    let run = run_with("shaped_expects_its_error", |_| {});
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    let [record] = &run.records[..] else { panic!("{} records", run.records.len()) };
    assert!(record.passed && record.expected_failure);
    assert_eq!((record.metrics["measured"], record.metrics["seen_after_the_vm"]), (7.0, 1.0));
}

#[test]
fn another_error_than_the_expected_one_fails_and_says_both() {
    let run = run_with("shaped_expects_another_error", |_| {});
    fails_with(&run, "another error than the expected one");
    fails_with(&run, "`runnable task stall|failed to run`");
    fails_with(&run, "disabled by sysrq-S");
    assert_eq!(run.records[0].metrics["measured"], 7.0, "what was measured is kept");
}

#[test]
fn a_scheduler_that_was_promised_to_survive_and_a_check_that_panics_fail_and_are_both_named() {
    let run = run_with("shaped_promises_to_survive", |_| {});
    fails_with(&run, "post_vm_unconditional panicked: passed is false, measured is Some(7.0)");
    fails_with(&run, "the test promises that the scheduler survives (survives_storm)");
}

#[test]
fn a_check_that_cannot_be_made_is_a_skip_and_the_budget_of_host_cpus_is_kept() {
    let run = run_with("shaped_cannot_be_judged_here", |_| {});
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.stderr().contains("ktstr: SKIP: post_vm: no baseline on this host"), "{}", run.stderr());
    assert!(run.records[0].skipped && !run.records[0].passed);
    assert_eq!(run.records[0].metrics["measured"], 7.0);
}
