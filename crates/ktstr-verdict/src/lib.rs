#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod cgroup;
mod decision;
mod exit;
mod host_class;
mod marker;
mod monitor;
mod outcome;
mod phase;

pub use cgroup::{CgroupStats, CpuEpoch};
pub use decision::{Decision, Policy, final_outcome};
pub use exit::{EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, SidecarBits, Verdict};
pub use host_class::{
    CpuBudgetUnsatisfiable, HostClass, KernelUnavailable, PerfModeUnavailable, ResourceContention,
    TopologyInsufficient, TopologyUnrepresentable, classify_host_error,
};
pub use marker::{
    ExpectAutoReproSatisfied, HarnessFault, PostVmAssertionFailure, SchedulerBuildRefused, ScxBpfErrorMatcherMismatch,
    SurvivesStormViolated,
};
pub use monitor::{MonitorFigure, MonitorSnapshot, MonitorSummary};
pub use outcome::{AssertResult, CheckKind, Detail, Outcome};
pub use phase::{Phase, PhaseEvent};
