//! What a worker is to the kernel, beside its work.

use std::time::Duration;

/// Scheduling policy (sched(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// `SCHED_OTHER`.
    #[default]
    Normal,
    /// `SCHED_BATCH`.
    Batch,
    /// `SCHED_IDLE`.
    Idle,
    /// `SCHED_FIFO` with this priority, 1 to 99.
    Fifo(u32),
    /// `SCHED_RR` with this priority, 1 to 99.
    RoundRobin(u32),
    /// `SCHED_DEADLINE`: runtime ≤ deadline ≤ period.
    Deadline {
        /// CPU time in each period.
        runtime: Duration,
        /// By when, from the period's begin.
        deadline: Duration,
        /// How often.
        period: Duration,
    },
    /// `SCHED_EXT` (7, include/uapi/linux/sched.h).
    Ext,
}

/// Memory policy (set_mempolicy(2)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MemPolicy {
    /// The kernel's: the node the worker runs on.
    #[default]
    Default,
    /// These nodes only.
    Bind(Vec<u32>),
    /// These nodes in turn.
    Interleave(Vec<u32>),
    /// This node, as long as it has room.
    Preferred(u32),
}

/// How the workers of a crew stand before the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Nice value, -20 to 19.
    pub nice: i32,
    /// Scheduling policy.
    pub policy: Policy,
    /// Name of the process, 15 bytes at most; inherited when `None`.
    pub comm: Option<String>,
    /// User.
    pub uid: Option<u32>,
    /// Group of users.
    pub gid: Option<u32>,
    /// Memory policy.
    pub memory: MemPolicy,
    /// CPUs of each worker, by its index; inherited where there is none.
    pub affinity: Vec<Vec<u32>>,
}
