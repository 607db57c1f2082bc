//! Workers: forked processes that count what they do in shared memory.

mod manner;
mod slot;
mod spawn;

pub use manner::{Manner, MemPolicy, Policy};
pub(crate) use slot::{Checkpoint, Seen, Shared, latencies, now_ns, quantile_ns};
pub(crate) use spawn::Crew;
