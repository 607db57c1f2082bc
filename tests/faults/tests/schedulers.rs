//! Each fault of `scx-ktstr` is caught by the check it should trip, and the same test passes with the fault off.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Run, fails_with, run_with, scx_ktstr_is_there};

/// Runs a fixture with the scheduler as the workspace's own build has it.
fn run(test: &str) -> Option<Run> {
    scx_ktstr_is_there().then(|| {
        run_with(test, |c| {
            c.env("KTSTR_SCHEDULER_PROFILE", "dev");
        })
    })
}

fn passes(test: &str) {
    let Some(run) = run(test) else { return };
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.records[0].passed, "{}", run.stderr());
}

/// Fails for this reason, and for no other one: nothing but what `whys` name is in the verdict.
fn caught(test: &str, whys: &[&str]) {
    let Some(run) = run(test) else { return };
    for why in whys {
        fails_with(&run, why);
    }
    let failed: Vec<&str> = run.records[0]
        .outcomes
        .iter()
        .map(ktstr::verdict::Outcome::text)
        .filter(|text| !text.is_empty() && !whys.iter().any(|why| text.contains(why)))
        .collect();
    assert!(failed.is_empty(), "these checks tripped, too: {failed:?}");
}

#[test]
fn a_plain_run_passes_and_its_record_says_that_cargo_built_the_scheduler() {
    let Some(run) = run("under_ktstr") else { return };
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    let record = &run.records[0];
    assert_eq!(record.resolve_source.as_deref(), Some("build"));
    assert_eq!(record.scheduler_ops.as_deref(), Some("ktstr"));
    assert!(record.attached_at_start && record.attached_at_end);
    let enqueue = record.verifier_instructions.get("ktstr_enqueue").copied();
    assert!(enqueue.is_some_and(|n| n > 20), "{:?}", record.verifier_instructions);
    let dispatch = record.callback_profile.get("ktstr_dispatch");
    assert!(dispatch.is_some_and(|c| c.calls > 100 && c.ns > c.calls), "{:?}", record.callback_profile);
}

#[test]
fn a_scheduler_that_attaches_late_is_waited_for() {
    passes("under_late_attach");
}

#[test]
fn a_scheduler_that_loads_and_never_attaches_is_given_up() {
    caught("under_no_attach", &["used no CPU time for 10 s and never attached"]);
}

#[test]
fn a_scheduler_that_leaves_by_itself_is_caught_with_its_exit_kind() {
    caught("under_early_exit", &["kernel: exit kind 64 (unregistered from user space)"]);
}

#[test]
fn a_scheduler_that_leaves_from_inside_the_kernel_is_caught_with_its_exit_kind() {
    caught("under_bpf_exit", &["kernel: exit kind 65 (unregistered from BPF)", "disabled (unregistered from BPF)"]);
}

#[test]
fn an_error_of_the_scheduler_is_caught_with_its_message() {
    caught("under_an_error", &["kernel: exit kind 1025 (scx_bpf_error): on purpose 42", "disabled (scx_bpf_error)"]);
}

#[test]
fn a_failure_that_comes_again_in_a_second_machine_is_expected_and_leaves_that_machine_s_trace() {
    let Some(found) = scx_ktstr_is_there().then(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut command = common::fixture("comes_again", dir.path());
        let output = command.env("KTSTR_SCHEDULER_PROFILE", "dev").output().unwrap();
        (dir, output)
    }) else {
        return;
    };
    let (dir, output) = found;
    let stderr = common::unwrapped(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("reproduced as expected") && stderr.contains("on purpose 42"), "{stderr}");
    let (records, _) = ktstr_sidecar::read_records(dir.path()).unwrap();
    let repro = records[0].repro.as_ref().unwrap();
    assert!(records[0].passed && repro.same, "{repro:?}");
    let trace = repro.trace.as_ref().unwrap();
    assert!(trace.ends_with(".repro.wprof.pb"), "{trace}");
    assert!(std::fs::metadata(dir.path().join(trace)).unwrap().len() > 10_000);
}

#[test]
fn a_failure_that_does_not_come_again_stays_one_and_says_so() {
    let Some(run) = run("fails_once") else { return };
    fails_with(&run, "the machine is the first");
    assert!(run.stderr().contains("a second machine did not fail"), "{}", run.stderr());
    assert!(run.records[0].repro.as_ref().is_some_and(|repro| !repro.same), "{:?}", run.records[0].repro);
}

#[test]
fn a_stall_is_caught_with_the_task_that_waited() {
    let Some(run) = run("under_a_stall") else { return };
    fails_with(&run, "kernel: exit kind 1026 (runnable task stall): ");
    fails_with(&run, "failed to run for 2.");
}

#[test]
fn a_machine_left_in_bypass_for_a_moment_is_caught_by_the_count_of_enables() {
    let Some(run) = run("under_a_leak") else { return };
    fails_with(&run, "it was enabled again during the test (enable_seq 1 then 2)");
    // Nothing else shows it: attached at both ends, by one process.
    assert!(run.records[0].attached_at_start && run.records[0].attached_at_end);
}

#[test]
fn a_crew_on_all_cpus_passes_without_a_fault() {
    passes("under_ktstr_crew");
}

#[test]
fn a_starved_task_is_caught_as_a_stuck_worker_by_name_and_time() {
    caught("under_starvation", &["cgroup `nice`: worker 0"]);
}

#[test]
fn an_ignored_cpu_is_caught_by_where_the_workers_ran() {
    caught("under_an_ignored_cpu", &["claim `CPUs that cgroup `all` ran on`: 1 is not 2"]);
}

#[test]
fn a_task_on_an_ignored_cpu_is_caught_as_a_stuck_worker_there() {
    caught(
        "under_a_forbidden_cpu",
        &["cgroup `pinned`: worker 0", "claim `CPUs that cgroup `all` ran on`: 1 is not 2"],
    );
}

#[test]
fn a_crowd_on_one_cpu_passes_without_a_fault() {
    passes("under_ktstr_crowd");
}

#[test]
fn slow_dispatching_is_caught_by_the_gaps_it_makes() {
    caught("under_slow_dispatch", &["cgroup `crowd`: worker 0"]);
}

#[test]
fn pairs_and_a_worker_alone_pass_under_the_monitor_s_limits_without_a_fault() {
    passes("under_ktstr_watched");
}

#[test]
fn tasks_piled_on_one_cpu_are_caught_by_its_local_queue() {
    caught("under_a_pile", &["tasks in a local dispatch queue on CPU 1, at most 3: 1 samples in a row from "]);
}

#[test]
fn tasks_sent_where_they_may_not_run_are_caught_by_the_kernel_s_count_of_fallbacks() {
    caught("under_misplacement", &["SCX_EV_SELECT_CPU_FALLBACK a second, at most 0.5: 1 samples in a row from "]);
}

#[test]
fn tasks_that_the_kernel_had_to_keep_are_caught_by_its_count() {
    caught("under_keep_last", &["SCX_EV_DISPATCH_KEEP_LAST a second, at most 0.5: 1 samples in a row from "]);
}

#[test]
fn a_cpu_whose_clock_stands_still_is_caught_by_its_number() {
    passes("under_ktstr_clocked");
    caught("under_slow_wakeups", &["the run queue's clock of CPU "]);
}

#[test]
fn partners_pass_without_a_fault() {
    passes("under_ktstr_partners");
}

#[test]
fn a_lost_wake_up_is_caught() {
    let Some(run) = run("under_lost_wakeups") else { return };
    fails_with(&run, "failed to run for 2.");
}

#[test]
fn a_cpu_that_leaves_and_comes_back_is_survived_without_a_fault() {
    passes("under_ktstr_hotplug");
}

#[test]
fn a_scheduler_that_the_kernel_unregisters_with_status_0_never_passes() {
    let whys =
        ["kernel: exit kind 66 (unregistered from the main kernel)", "disabled (unregistered from the main kernel)"];
    caught("under_a_hotplug_exit", &whys);
    let Some(expected) = run("under_an_expected_hotplug_exit") else { return };
    assert_eq!(expected.output.status.code(), Some(0), "{}", expected.stderr());
    let record = &expected.records[0];
    assert!(record.passed && record.expected_failure, "a pass that says it is an expected failure: {}", record.message);
    assert!(record.scheduler_log.iter().any(|l| l.contains("exit kind 66")), "{:?}", record.scheduler_log);
}

#[test]
fn schedulers_are_detached_attached_replaced_and_restarted_in_a_running_test() {
    passes("changes_its_scheduler");
}

#[test]
fn a_test_may_come_from_eevdf_and_go_back() {
    passes("comes_from_eevdf_and_goes_back");
}

#[test]
fn an_attach_that_failed_in_a_running_test_is_never_a_pass() {
    caught("hides_a_failed_attach", &["`broken` was not attached in the running test"]);
}

#[test]
fn everything_a_declaration_says_reaches_the_guest() {
    passes("declares_everything");
}

#[test]
fn a_scheduler_of_the_kernel_is_switched_on_and_off() {
    passes("under_a_scheduler_of_the_kernel");
}

#[test]
fn a_scheduler_of_the_kernel_that_is_switched_off_in_secret_is_caught() {
    caught("switches_the_kernel_s_off", &["/proc/sys/kernel/sched_autogroup_enabled should say `0`"]);
}

#[test]
fn a_switch_that_switches_nothing_is_never_a_pass() {
    caught("under_a_switch_that_switches_nothing", &["/dev/null was given `1` and says ``"]);
}
