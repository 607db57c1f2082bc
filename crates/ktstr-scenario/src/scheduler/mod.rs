//! Schedulers: declared, launched, and watched through /sys/kernel/sched_ext.

mod control;
mod launch;
mod spec;
mod sysfs;

pub use control::SchedulerControl;
pub use launch::{RunningScheduler, SchedulerLaunch};
pub use spec::{Scheduler, SchedulerSpec};
pub use sysfs::observe_idle;
