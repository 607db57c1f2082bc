//! Every field of a declared scheduler, visibilities, attributes, and its use in constants.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

use ktstr::prelude::*;

const ARG: &str = "--slice";

declare_scheduler!(
    /// All there is.
    pub(crate) FULL, {
        name = "full",
        binary = "scx_full",
        topology = (2, 4, 2, 1),
        constraints = TopologyConstraints { max_cpus: Some(16), ..TopologyConstraints::DEFAULT },
        sched_args = [ARG, "20"],
        kargs = ["nosmt"],
        sysctls = [("kernel.sched_schedstats", "1")],
        config_file = "full.json",
        config_file_def = ("--config={file}", "/etc/full.json"),
        cgroup_parent = "/full",
        kernels = ["6.18..7.3", "7.4-rc1", "debian"],
        assert = Assert { not_stuck: Some(true), ..Assert::NONE },
        verifier_exclude_topologies = ["252cpu-14llc-smt"],
    }
);

declare_scheduler!(BUILT_IN, {
    name = "built_in",
    kernel_builtin_enable = ["echo 1 > /sys/kernel/debug/sched/on"],
    kernel_builtin_disable = ["echo 0 > /sys/kernel/debug/sched/on"],
});

declare_scheduler!(
    #[cfg(any())]
    NEVER, { name = "never", binary = "scx_never" }
);

const BY_CONSTANT: &Scheduler = &FULL;

#[ktstr_test(scheduler = FULL)]
fn under_full(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

declare_scheduler!(OTHER, { name = "other", binary = "scx_other" });

const STAGED: &[&Scheduler] = &[&OTHER];

#[ktstr_test(scheduler = FULL, staged_schedulers = [OTHER], config = "a = 1")]
fn under_full_and_another(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(staged_schedulers = STAGED)]
fn under_eevdf_and_another(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(scheduler = Scheduler::EEVDF, llcs = 1)]
fn under_eevdf(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn main() {
    let mut names: Vec<_> = KTSTR_SCHEDULERS.iter().map(|s| s.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["built_in", "full", "other"]);
    assert_eq!(BY_CONSTANT.topology, Some((2, 4, 2, 1)));
    assert_eq!(BY_CONSTANT.sched_args, ["--slice", "20"]);
    assert_eq!(BY_CONSTANT.sysctls, [("kernel.sched_schedstats", "1")]);
    assert_eq!(BY_CONSTANT.config_file_def, Some(("--config={file}", "/etc/full.json")));
    assert_eq!(BY_CONSTANT.kernels.len(), 3);
    assert_eq!(BY_CONSTANT.constraints.max_cpus, Some(16));
    assert_eq!(BY_CONSTANT.assert.not_stuck, Some(true));
    assert!(matches!(BUILT_IN.spec, SchedulerSpec::KernelBuiltin { enable: [_], disable: [_] }));
}
