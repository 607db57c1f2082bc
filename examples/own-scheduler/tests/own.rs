//! Tests of a scheduler of your own. Run them with
//!
//! ```text
//! cargo nextest run -p own-scheduler
//! KTSTR_SCHEDULER=target/debug/my_scheduler cargo nextest run -p own-scheduler    # another build of it
//! ```

use ktstr::prelude::*;

// One declaration for all tests. `name` is how the kernel calls it (`/sys/kernel/sched_ext/root/ops`, up to a `_`). A file
// you built yourself is `binary_path = "/home/me/sched/target/release/my_scheduler"` (`concat!(env!("…"), "/…")` works too);
// `binary` names a program that is looked for in the target directories, beside this test, and among the installed ones.
//
// What all of its tests have in common stands here: the machine, the arguments, the checks. A test may say otherwise.
declare_scheduler!(MINE, {
    name = "bpfland",
    binary = "scx_bpfland",
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

// How it must fail: `expect_err` alone is content with any failure of the scheduler, the matcher with this one. Here the
// kernel is asked to throw it out (sysrq-S); for a bug of your own, match what `scx_bpf_error()` says.
#[ktstr_test(
    scheduler = MINE,
    duration_s = 1,
    expect_err,
    expect_scx_bpf_error_contains = "disabled by sysrq-S",
    post_vm = it_said_goodbye
)]
fn is_thrown_out_by_sysrq(_ctx: &Ctx) -> Result<AssertResult> {
    std::fs::write("/proc/sysrq-trigger", "S")?;
    while std::fs::read_to_string("/sys/kernel/sched_ext/state")?.trim() != "disabled" {
        std::thread::yield_now();
    }
    Ok(AssertResult::pass())
}

// Runs on the host when the machine has ended and the test would pass: logs, metrics and the kernel's words are there.
fn it_said_goodbye(vm: &VmResult) -> Result<AssertResult> {
    ensure!(!vm.scheduler_log.is_empty(), "the scheduler left without a word");
    ensure!(vm.kernel_log.iter().any(|line| line.contains("sched_ext")), "the kernel never spoke of it");
    Ok(AssertResult::pass())
}
