//! Everything a test file needs: `use ktstr::prelude::*;`.
//!
//! `Result` is [`anyhow::Result`], and `bail!`, `ensure!`, `anyhow!` and `Context` come with it, so that a test crate
//! needs no dependency but this one.

pub use anyhow::{Context, Result, anyhow, bail, ensure};
pub use ktstr_dispatch::{EntryError, KTSTR_SCHEDULERS, KTSTR_TESTS, KtstrTestEntry, analyze_sidecars, run_ktstr_test};
pub use ktstr_macros::{declare_scheduler, distributed_slice, ktstr_test};
pub use ktstr_scenario::{
    Assert, CgroupDef, CpusetSpec, Ctx, Scheduler, SchedulerSpec, TestFn, WorkType, execute_defs, scenarios,
};
pub use ktstr_scenario::{Worker, work};
pub use ktstr_topology::{Topology, TopologyConstraints};
pub use ktstr_verdict::{AssertResult, CheckKind, Decision, Detail, Outcome, Verdict};
