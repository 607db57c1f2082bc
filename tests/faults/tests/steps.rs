//! Scenarios in steps, on a stock kernel.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Run, fails_with, run_with};

fn passes(test: &str) -> Run {
    let run = run_with(test, |_| {});
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.records[0].passed);
    run
}

#[test]
fn every_canned_scenario_passes_under_the_kernel_s_own_scheduler_and_leaves_nothing() {
    let run = passes("every_canned_scenario");
    let record = &run.records[0];
    let offline = record.phases.iter().flat_map(|p| &p.events).filter(|e| e.what == "cpu_offline 3").count();
    assert!(offline >= 2, "{offline} rounds of hotplug: {:?}", record.phases);
    assert!(record.cgroups.iter().any(|c| c.name == "outer/a" && c.epochs.len() == 7), "{:?}", record.cgroups);
}

#[test]
fn a_canned_scenario_says_what_it_wants_of_a_machine() {
    passes("canned_scenarios_on_one_cpu");
}

#[test]
fn each_operation_does_what_it_says_to_running_workers() {
    passes("each_operation_does_what_it_says");
}

#[test]
fn a_worker_outside_its_cpuset_in_an_earlier_step_fails_with_worker_cpu_and_time() {
    let run = run_with("a_worker_escapes", |_| {});
    fails_with(&run, "cgroup `a`: worker 0: seen on CPUs [");
    assert!(run.stderr().contains("outside [1], which it had from 0."), "{}", run.stderr());
    // Workers that ran for seconds have left their tracks; a body that only returns may have left none.
    assert!(run.records[0].trace.is_some(), "what the CPUs did is not kept");
    // The story of the run beside the table of its cgroups.
    let printed = String::from_utf8_lossy(&run.output.stderr);
    assert!(printed.contains("\ntimeline:\n      0.000 s  step 1\n"), "{printed}");
}

#[test]
fn a_scenario_that_cannot_be_carried_out_is_not_the_failure_a_test_expects() {
    let run = run_with("names_a_cgroup_that_is_gone", |_| {});
    fails_with(&run, "step 2 of 2: operation 2 (`freeze a`): there is no cgroup `a` at this point");
}

#[test]
fn a_scheduler_that_a_hotplug_sends_away_is_never_a_pass() {
    fails_with(&run_with("hotplug_under_bpfland", |_| {}), "did not last through the test");
}

#[test]
fn nothing_is_left_of_a_scenario_that_passed_failed_panicked_or_was_killed() {
    passes("nothing_is_left");
}
