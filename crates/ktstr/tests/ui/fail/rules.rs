use ktstr::prelude::*;

declare_scheduler!(BPFLAND, { name = "bpfland", binary = "scx_bpfland" });

#[ktstr_test(llcs = 0)]
fn zero_size(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(numa_nodes = 2, llcs = 3)]
fn llcs_not_a_multiple(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(min_llcs = 4, max_llcs = 2)]
fn min_above_max(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(performance_mode, no_perf_mode)]
fn perf_and_no_perf(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(cpu_budget = 2)]
fn cpu_budget_alone(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(host_only, scheduler = BPFLAND)]
fn host_only_with_a_scheduler(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(survives_storm, expect_err, scheduler = BPFLAND)]
fn storm_with_expect_err(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(survives_storm)]
fn storm_without_scheduler(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(expect_auto_repro, expect_err, scheduler = BPFLAND)]
fn repro_with_expect_err(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(expect_auto_repro, host_only)]
fn repro_with_host_only(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(expect_auto_repro)]
fn repro_without_scheduler(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(expect_scx_bpf_error_contains = "stall", scheduler = BPFLAND)]
fn matcher_without_expect_err(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(expect_err, expect_scx_bpf_error_contains = "", scheduler = BPFLAND)]
fn matcher_that_says_nothing(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(host_only, post_vm = check)]
fn post_vm_without_a_machine(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn check(_: &VmResult) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

declare_scheduler!(BUILT_IN, {
    name = "built_in",
    kernel_builtin_enable = ["echo 1 > /sys/x"],
    kernel_builtin_disable = ["echo 0 > /sys/x"],
});

#[ktstr_test(host_only, staged_schedulers = [BPFLAND])]
fn host_only_with_staged(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(staged_schedulers = [BUILT_IN])]
fn staged_without_a_program(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(scheduler = BPFLAND, staged_schedulers = [BPFLAND])]
fn staged_twice(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(scheduler = BPFLAND, config = "a = 1")]
fn config_without_a_place(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn main() {}
