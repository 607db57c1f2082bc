//! Schedulers, workloads and checks; the same code runs in a guest and for `host_only` tests.
#![deny(missing_docs)]

mod assert;
mod canned;
mod cgroup;
pub mod children;
mod claim;
mod cpuset;
mod ctx;
pub mod dmesg;
mod monitor;
mod payload;
mod run;
pub mod scheduler;
pub mod work;
mod worker;

pub use assert::Assert;
pub use canned::scenarios;
pub use cgroup::CgroupDef;
pub use claim::{Claim, ClaimValue};
pub use cpuset::CpusetSpec;
pub use ctx::{Ctx, CtxParams, TestFn};
pub use monitor::Monitor;
pub use payload::{Payload, RunningPayload};
pub use run::execute_defs;
pub use scheduler::{RunningScheduler, Scheduler, SchedulerControl, SchedulerLaunch, SchedulerSpec, observe_idle};
pub use work::WorkType;
pub use worker::{MemPolicy, Policy, Worker};
#[doc(hidden)]
pub use worker::{Overhead, worker_overhead};
