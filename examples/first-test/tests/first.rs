//! Your first scheduler test. Run it with
//!
//! ```text
//! cargo nextest run -p first-test                    # each test on the machine it declares
//! cargo nextest run -p first-test --run-ignored all  # and on every preset that fits: the gauntlet
//! cargo nextest list -p first-test --run-ignored all # what there is
//! ```
//!
//! A test boots a stock kernel in a small machine, so that nothing here can harm yours. It wants a kernel with
//! `sched_ext` (`cargo ktstr kernel fetch`) and, for `steady_bpfland`, the scheduler (`cargo ktstr scheduler install
//! scx_bpfland`); a test that lacks one is a skip which says what to run.

use ktstr::prelude::*;

// A scheduler is declared once and named by every test that wants it. `name` is how tests show it and how the kernel
// must call it; `binary` is the program, as `cargo install` names it. A file you built yourself: `binary_path = "…"`.
declare_scheduler!(BPFLAND, {
    name = "bpfland",
    binary = "scx_bpfland",
});

// No scheduler named: this runs under EEVDF, the kernel's own. It is the control: what fails here is no fault of a
// sched_ext scheduler.
//
// `llcs`, `cores` and `threads` are the machine: two last-level caches with two cores each, one thread in a core, so
// four CPUs. `max_cpus` keeps the gauntlet to presets that a laptop can boot. `not_stuck` and `isolation` are the
// checks: every worker makes progress, and none leaves the CPUs its cgroup was given.
#[ktstr_test(llcs = 2, cores = 2, threads = 1, max_cpus = 16, duration_s = 2, not_stuck, isolation)]
fn steady_eevdf(ctx: &Ctx) -> Result<AssertResult> {
    // Two cgroups that keep every CPU busy for `duration_s`; what they did is checked and returned.
    scenarios::steady(ctx)
}

// The same under a sched_ext scheduler. It must be attached when the workload starts and still be attached when it ends.
#[ktstr_test(
    scheduler = BPFLAND,
    llcs = 2,
    cores = 2,
    threads = 1,
    max_cpus = 16,
    duration_s = 2,
    not_stuck,
    isolation
)]
fn steady_bpfland(ctx: &Ctx) -> Result<AssertResult> {
    // Look at `scenarios::steady` and write your own: `execute_defs` takes any number of cgroups.
    execute_defs(
        ctx,
        vec![
            CgroupDef::named("fast").workers(2).work_type(WorkType::SpinWait).cpu_weight(200),
            CgroupDef::named("slow").workers(2).work_type(WorkType::bursty_ms(50, 100)),
        ],
    )
}

// `host_only` runs right here, without a machine: for what needs no scheduler, or the real hardware. This one creates
// no cgroup, so it needs no rights.
#[ktstr_test(host_only)]
fn the_host_has_a_cpu(ctx: &Ctx) -> Result<AssertResult> {
    // A claim compares a value and says both sides when it does not hold.
    ctx.claim("CPUs of this host").value(ctx.topology().total_cpus()).at_least(1);
    Ok(AssertResult::pass())
}

// Plain tests live in the same file.
#[test]
fn the_declaration_says_what_was_written() {
    assert_eq!(BPFLAND.name, "bpfland");
    assert_eq!(BPFLAND.spec, SchedulerSpec::Discover("scx_bpfland"));
}
