//! Schedulers: declared, launched, changed, and watched through /sys/kernel/sched_ext.

mod builtin;
mod control;
mod exit;
mod launch;
mod maps;
mod programs;
mod spec;
mod sysctl;
mod sysfs;

pub use builtin::{KernelSwitches, echo_line, switch_holds};
pub use control::{Attachable, SchedulerControl};
pub use launch::{RunningScheduler, SchedulerLaunch};
pub use maps::PinnedMap;
pub(crate) use maps::{check_name, pin_path};
pub use programs::{count_calls, loaded_after};
pub use spec::{Scheduler, SchedulerSpec};
pub use sysfs::observe_idle;
