//! A test harness for Linux process schedulers, `sched_ext` first.
//!
//! A test is a function marked [`#[ktstr_test]`](macro@ktstr_test). Running it boots a kernel in a small machine whose
//! topology the test declares, loads the scheduler under test, runs a workload, and gives one verdict.
//!
//! ```no_run
//! use ktstr::prelude::*;
//!
//! declare_scheduler!(BPFLAND, {
//!     name = "bpfland",
//!     binary = "scx_bpfland",
//! });
//!
//! #[ktstr_test(scheduler = BPFLAND, llcs = 2, cores = 2, threads = 1, duration_s = 3, not_stuck)]
//! fn two_groups(ctx: &Ctx) -> Result<AssertResult> {
//!     execute_defs(ctx, vec![
//!         CgroupDef::named("fast").workers(2).work_type(WorkType::SpinWait).cpu_weight(200),
//!         CgroupDef::named("slow").workers(2).work_type(WorkType::bursty_ms(50, 100)),
//!     ])
//! }
//! # fn main() {}
//! ```
//!
//! `cargo nextest run` runs such tests, each on its declared topology; `--run-ignored all` adds their gauntlet variants.
//! This crate only re-exports: what its pieces do, and what else they offer, is said in the crates they come from.
#![deny(missing_docs)]

pub use ktstr_dispatch::{
    EntryError, KTSTR_SCHEDULERS, KTSTR_TESTS, KtstrTestEntry, PostVmFn, VmResult, analyze_sidecars, post_vm_skip,
    run_ktstr_test,
};
pub use ktstr_macros::{Payload, declare_scheduler, distributed_slice, ktstr_test};
pub use linkme;

/// The topology type, presets and constraints.
pub use ktstr_topology as topology;

/// Outcomes, verdicts and markers of errors.
pub use ktstr_verdict as verdict;

/// Contexts, cgroups, workloads and checks.
pub use ktstr_scenario as scenario;

pub mod prelude;

#[doc(hidden)]
pub mod __private;
