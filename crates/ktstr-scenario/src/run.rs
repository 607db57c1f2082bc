//! Entry points: cgroups side by side, steps one after another, and what lives behind them.

use crate::cgroup::CgroupDef;
use crate::ctx::Ctx;
use crate::step::{Backdrop, HoldSpec, Step, fault, plan, run};
use anyhow::Result;
use ktstr_verdict::AssertResult;

/// Runs all cgroups side by side for the test's duration and checks their workers.
///
/// # Errors
/// Wrong group sizes, names, values or cpusets before anything starts; cgroups or workers that could not be made.
pub fn execute_defs(ctx: &Ctx, defs: Vec<CgroupDef>) -> Result<AssertResult> {
    execute_steps(ctx, vec![Step::with_defs(defs, HoldSpec::FULL)])
}

/// Runs steps one after another and checks all workers.
///
/// # Errors
/// As [`execute_scenario`].
#[allow(clippy::needless_pass_by_value, reason = "steps are written where they are run")]
pub fn execute_steps(ctx: &Ctx, steps: Vec<Step>) -> Result<AssertResult> {
    execute_scenario(ctx, Backdrop::new(), steps)
}

/// Runs steps one after another, with something that lives from the first to the last, and checks all workers.
///
/// Operations take time of their own, which is not taken from the holds: `watchdog_timeout_s` must leave room for it.
///
/// # Errors
/// Before anything starts: names, sizes, values, fractions, CPUs and references to cgroups that do not fit where they stand.
/// Later: cgroups or workers that could not be made, operations that the kernel or the scheduler refused.
#[allow(clippy::needless_pass_by_value, reason = "steps are written where they are run")]
pub fn execute_scenario(ctx: &Ctx, backdrop: Backdrop, steps: Vec<Step>) -> Result<AssertResult> {
    let holds = plan(ctx.topology(), ctx.is_host_only(), ctx.duration(), &backdrop, &steps).map_err(fault)?;
    run(ctx, &backdrop, &steps, &holds)
}
