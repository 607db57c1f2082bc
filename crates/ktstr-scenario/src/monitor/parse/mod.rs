//! Text of the kernel as values. Nothing of it is trusted: what is not understood is an error that says so, never a zero.

mod dump;
mod events;
mod loadavg;
mod sched_debug;
mod schedstat;

pub(super) use dump::local_depths;
pub(super) use events::events;
pub(super) use loadavg::runnable;
pub(super) use sched_debug::{RunQueue, run_queues};
pub(super) use schedstat::{CpuTime, cpu_times};

#[cfg(test)]
mod tests;
