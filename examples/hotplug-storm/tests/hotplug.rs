//! CPUs that come and go under load. Run it with `cargo nextest run -p hotplug-storm`.
//!
//! `scx-ktstr`, the small scheduler of this workspace, stands for yours: it copes with hotplug, and a flag takes that away.

use ktstr::prelude::*;
use std::time::Duration;

declare_scheduler!(KTSTR, { name = "ktstr", binary = "scx-ktstr" });

// A scheduler that says it copes: it is still attached at the end, and every worker has made progress through the storm. The
// canned scenario is where to begin.
#[ktstr_test(scheduler = KTSTR, llcs = 1, cores = 3, threads = 1, duration_s = 2, watchdog_timeout_s = 30, not_stuck, survives_storm)]
fn copes_with_the_storm(ctx: &Ctx) -> Result<AssertResult> {
    scenarios::hotplug_storm(ctx)
}

// A scheduler without hotplug callbacks: the kernel unregisters it when the first CPU goes, and its process, which is meant to
// start anew, ends with status 0. That is no pass: the kernel's state is what counts, never the process.
#[ktstr_test(
    scheduler = KTSTR,
    extra_sched_args = ["--leave-on-hotplug"],
    llcs = 1,
    cores = 3,
    threads = 1,
    duration_s = 2,
    expect_err,
    expect_scx_bpf_error_contains = "unregistered from the main kernel"
)]
fn is_sent_away_by_the_first_cpu(ctx: &Ctx) -> Result<AssertResult> {
    let storm = vec![Op::cpu_offline(2), Op::cpu_online(2)];
    let spin = CgroupDef::named("spin").workers(3).work_type(WorkType::SpinWait);
    execute_steps(
        ctx,
        vec![
            Step::with_defs(vec![spin], HoldSpec::Frac(0.3)),
            // The operations come again in every interval.
            Step::with_ops(storm, HoldSpec::Loop { interval: Duration::from_millis(200) }).named("storm"),
        ],
    )
}
