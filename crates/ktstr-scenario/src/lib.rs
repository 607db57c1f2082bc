//! Schedulers, workloads and checks; the same code runs in a guest and for `host_only` tests.
#![deny(missing_docs)]

mod affinity;
mod assert;
mod canned;
mod cgroup;
pub mod chaos;
pub mod children;
mod claim;
mod cpuset;
mod ctx;
pub mod dmesg;
pub mod kmsg;
mod monitor;
mod payload;
pub mod profile;
mod random;
mod report;
mod run;
pub mod scheduler;
mod step;
mod words;
pub mod work;
mod worker;

pub use affinity::AffinityIntent;
pub use assert::Assert;
pub use canned::scenarios;
pub use cgroup::{CgroupDef, WorkSpec};
pub use claim::{Claim, ClaimOver, ClaimValue, Series};
pub use cpuset::CpusetSpec;
pub use ctx::{Ctx, CtxParams, TestFn};
pub use monitor::{EventCounts, Monitor};
pub use payload::{
    FromMetric, PROGRAMS, Payload, PayloadMetric, PayloadOutput, PayloadReport, RunningPayload, TestBody, on_path,
};
pub use report::{panic_text, report};
pub use run::{execute_defs, execute_scenario, execute_steps};
pub use scheduler::{
    Attachable, KernelSwitches, RunningScheduler, Scheduler, SchedulerControl, SchedulerLaunch, SchedulerSpec,
    count_calls, loaded_after, observe_idle,
};
pub use step::{Backdrop, HoldSpec, Op, Step};
pub use words::last_lines;
pub use work::WorkType;
pub use worker::{MemPolicy, Policy, Worker};
#[doc(hidden)]
pub use worker::{Overhead, worker_overhead};
