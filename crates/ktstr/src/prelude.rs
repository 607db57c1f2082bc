//! Everything a test file needs: `use ktstr::prelude::*;`.
//!
//! `Result` is [`anyhow::Result`], and `bail!`, `ensure!`, `anyhow!` and `Context` come with it, so that a test crate
//! needs no dependency but this one.

pub use anyhow::{Context, Result, anyhow, bail, ensure};
pub use ktstr_dispatch::{
    EntryError, KTSTR_SCHEDULERS, KTSTR_TESTS, KtstrTestEntry, PerfDeltaAssertion, VmResult, analyze_sidecars,
    post_vm_skip, run_ktstr_test,
};
pub use ktstr_macros::{Payload, declare_scheduler, distributed_slice, ktstr_test};
pub use ktstr_scenario::{
    AffinityIntent, Assert, Backdrop, CgroupDef, CpusetSpec, Ctx, HoldSpec, MemPolicy, Op, Payload, PayloadMetric,
    PayloadOutput, PayloadReport, Policy, RunningPayload, Scheduler, SchedulerSpec, Series, Step, TestFn, WorkSpec,
    WorkType, Worker, execute_defs, execute_scenario, execute_steps, scenarios, work,
};
pub use ktstr_topology::{Topology, TopologyConstraints};
pub use ktstr_verdict::{AssertResult, CheckKind, Decision, Detail, Outcome, Verdict};
