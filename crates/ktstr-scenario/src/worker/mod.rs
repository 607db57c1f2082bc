//! Workers: forked processes that count what they do in shared memory.

mod apply;
mod checkpoint;
mod cpu_mask;
mod fault;
mod handle;
mod latency;
mod manner;
mod nodes;
mod overhead;
mod shared;
mod spawn;

pub(crate) use apply::set_policy;
pub(crate) use checkpoint::now_ns;
pub(crate) use cpu_mask::{CpuMask, MAX_CPUS};
pub(crate) use fault::Fault;
pub use handle::Worker;
pub(crate) use handle::{LOOK_AFTER, timespec};
pub(crate) use latency::{latencies, quantile_ns};
pub(crate) use manner::SCHED_FIFO_RANGE;
pub use manner::{Manner, MemPolicy, Policy};
#[cfg(test)]
pub(crate) use nodes::Nodes;
pub use overhead::{Overhead, worker_overhead};
pub(crate) use shared::{Baton, Seen};
pub(crate) use spawn::Crew;
