use ktstr::prelude::*;

#[ktstr_test(
    llcs,
    cores = "2",
    threads = -1,
    memory_mib = 1.5,
    max_cpus = 4294967296,
    max_spread_pct = "15",
    max_wake_latency_cv = -0.5,
    not_stuck = 1,
    extra_sched_args = "--verbose",
    workload_root_cgroup = 7,
    scheduler = "bpfland",
    watch_bpf_maps = [1],
    post_vm = "check",
    expect_scx_bpf_error_matches = "(stall"
)]
fn wrong_shapes(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(llcs(2))]
fn wrong_syntax(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

const TEXT: &str = "2";

#[ktstr_test(llcs = TEXT)]
fn wrong_constant(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn takes_nothing() {}

#[ktstr_test(post_vm = takes_nothing)]
fn wrong_function(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn main() {}
