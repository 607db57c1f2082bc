//! Cpusets that change under a running load. Run it with `cargo nextest run -p cpuset-change`.

use ktstr::prelude::*;

declare_scheduler!(BPFLAND, { name = "bpfland", binary = "scx_bpfland" });

/// Half of the machine: the first or the second.
fn half(index: u32) -> CpusetSpec {
    CpusetSpec::Disjoint { index, of: 2 }
}

// A step makes cgroups, does its operations, and lets the load run on for its share of `duration_s`. Cgroups stay until they
// are removed. `isolation` holds in every step: a worker seen outside the cpuset that it has *now* fails the test, with the
// worker, the CPU and the time.
#[ktstr_test(
    scheduler = BPFLAND,
    llcs = 2,
    cores = 2,
    threads = 1,
    max_cpus = 16,
    duration_s = 3,
    not_stuck,
    isolation
)]
fn halves_swap_and_open(ctx: &Ctx) -> Result<AssertResult> {
    execute_steps(
        ctx,
        vec![
            // Each on its half.
            Step::with_defs(
                vec![
                    CgroupDef::named("left").workers(2).work_type(WorkType::SpinWait).cpuset(half(0)),
                    CgroupDef::named("right").workers(2).work_type(WorkType::bursty_ms(5, 5)).cpuset(half(1)),
                ],
                HoldSpec::Frac(0.3),
            ),
            // Each on the other's: what runs must be pulled over, what sleeps must wake up there.
            Step::with_ops(vec![Op::swap_cpusets("left", "right")], HoldSpec::Frac(0.3)).named("swapped"),
            // Both on everything. `FULL` is what the other steps leave.
            Step::with_ops(vec![Op::clear_cpuset("left"), Op::clear_cpuset("right")], HoldSpec::FULL).named("open"),
        ],
    )
}
