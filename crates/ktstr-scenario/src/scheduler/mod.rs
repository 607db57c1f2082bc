//! Schedulers: declared, launched, and watched through /sys/kernel/sched_ext.

mod launch;
mod spec;
mod sysfs;

pub use launch::{RunningScheduler, SchedulerLaunch};
pub use spec::{Scheduler, SchedulerSpec};
pub use sysfs::observe_idle;
