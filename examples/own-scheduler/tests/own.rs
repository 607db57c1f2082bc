//! Tests of a scheduler of your own. Run them with
//!
//! ```text
//! cargo nextest run -p own-scheduler
//! KTSTR_SCHEDULER=target/debug/my_scheduler cargo nextest run -p own-scheduler    # another build of it
//! ```
//!
//! `scx-ktstr`, the small scheduler of this workspace, stands for yours. It has faults to switch on by flags.

use ktstr::prelude::*;

// One declaration for all tests. `name` is how the kernel calls it (`/sys/kernel/sched_ext/root/ops`, up to a `_`). `binary`
// names a package of the workspace, which is built before it is tested, or a program that was installed; a file that you
// build yourself is `binary_path = "/home/me/sched/target/release/my_scheduler"`.
//
// What all of its tests have in common stands here: the machine, the arguments, the checks. A test may say otherwise.
declare_scheduler!(MINE, {
    name = "ktstr",
    binary = "scx-ktstr",
    topology = (1, 2, 2, 1),
    sched_args = ["--slice-us", "5000"],
    assert = Assert { not_stuck: Some(true), ..Assert::NONE },
});

// It must be attached from the first to the last moment, and no worker may stand still: that is checked for every test.
// `survives_storm` says so in words: a scheduler that dies here is a failure that no expectation can turn around.
#[ktstr_test(scheduler = MINE, max_cpus = 16, duration_s = 2, survives_storm)]
fn keeps_everybody_running(ctx: &Ctx) -> Result<AssertResult> {
    execute_defs(
        ctx,
        vec![
            CgroupDef::named("hogs").workers(4).work_type(WorkType::SpinWait),
            CgroupDef::named("sleepers").workers(4).work_type(WorkType::bursty_ms(5, 10)),
        ],
    )
}

// How it must fail: `expect_err` alone is content with any failure, a matcher with this one, as `scx_bpf_error()` says it in the
// kernel's log (`expect_scx_bpf_error_matches` takes a regular expression).
#[ktstr_test(
    scheduler = MINE,
    extra_sched_args = ["--error-after", "2000", "--message", "queue 7 is corrupt"],
    duration_s = 3,
    expect_err,
    expect_scx_bpf_error_contains = "queue 7 is corrupt",
    post_vm = it_said_why
)]
fn a_corrupt_queue_ends_it(ctx: &Ctx) -> Result<AssertResult> {
    execute_defs(ctx, vec![CgroupDef::named("hogs").workers(4).work_type(WorkType::SpinWait)])
}

// Runs on the host when the machine has ended and the test would pass: logs, metrics and the kernel's words are there.
fn it_said_why(vm: &VmResult) -> Result<AssertResult> {
    let said = vm.scheduler_log.iter().any(|line| line.contains("queue 7 is corrupt"));
    ensure!(said, "the scheduler's process left without saying why: {:?}", vm.scheduler_log);
    Ok(AssertResult::pass())
}
