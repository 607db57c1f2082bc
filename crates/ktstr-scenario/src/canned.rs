//! Scenarios to start from.

/// Ready-made scenarios, each a function of its context.
pub mod scenarios {
    use crate::{CgroupDef, Ctx, WorkType, execute_defs};
    use ktstr_verdict::AssertResult;

    /// Two cgroups that together keep every CPU busy: one spins, the other works in bursts.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn steady(ctx: &Ctx) -> anyhow::Result<AssertResult> {
        let half = (ctx.topology().total_cpus() / 2).max(1);
        execute_defs(
            ctx,
            vec![
                CgroupDef::named("steady_spin").workers(half).work_type(WorkType::SpinWait),
                CgroupDef::named("steady_burst").workers(half).work_type(WorkType::bursty_ms(20, 10)),
            ],
        )
    }
}
