//! What a worker is to the kernel, beside its work.

use anyhow::{Result, ensure};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Nice values (sched(7)).
const NICE_RANGE: RangeInclusive<i32> = -20..=19;
/// Priorities of the real-time policies (sched(7)).
pub(crate) const SCHED_FIFO_RANGE: RangeInclusive<u32> = 1..=99;
/// Bytes of a process's name (kernel: `TASK_COMM_LEN` of include/linux/sched.h, less its NUL).
const COMM_BYTES: usize = 15;
/// Least runtime of a deadline task, ns (kernel: `DL_SCALE` of kernel/sched/deadline.c, 2^10).
const LEAST_RUNTIME: Duration = Duration::from_nanos(1024);

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
    /// Nice value, -20 to 19; inherited when 0.
    pub nice: i32,
    /// Scheduling policy; inherited when `Normal`.
    pub policy: Policy,
    /// Name of the process, 15 bytes at most; inherited when `None`.
    pub comm: Option<String>,
    /// User.
    pub uid: Option<u32>,
    /// Group of users.
    pub gid: Option<u32>,
    /// Memory policy.
    pub memory: MemPolicy,
    /// CPUs of each worker, by its index; inherited where there are none.
    pub affinity: Vec<Vec<u32>>,
}

impl Manner {
    /// Whether it can be said to the kernel at all.
    ///
    /// # Errors
    /// A value out of its range, by name; more affinities than workers.
    pub(crate) fn check(&self, workers: usize) -> Result<()> {
        ensure!(NICE_RANGE.contains(&self.nice), "nice {} is not from -20 to 19", self.nice);
        self.policy.check()?;
        if let Some(comm) = &self.comm {
            let fits = !comm.is_empty() && comm.len() <= COMM_BYTES && !comm.contains('\0');
            ensure!(fits, "`{}` is not a process name: 1 to {COMM_BYTES} bytes, no NUL", comm.escape_debug());
        }
        let given = self.affinity.len();
        ensure!(given <= workers, "affinities of {given} workers were given, and there are {workers} workers");
        Ok(())
    }
}

impl Policy {
    pub(crate) fn check(&self) -> Result<()> {
        match *self {
            Self::Fifo(priority) | Self::RoundRobin(priority) => {
                ensure!(SCHED_FIFO_RANGE.contains(&priority), "{self:?}: a priority is from 1 to 99");
            }
            Self::Deadline { runtime, deadline, period } => {
                let ordered = LEAST_RUNTIME <= runtime && runtime <= deadline && deadline <= period;
                ensure!(ordered, "{self:?}: wants {LEAST_RUNTIME:?} ≤ runtime ≤ deadline ≤ period");
            }
            Self::Normal | Self::Batch | Self::Idle | Self::Ext => {}
        }
        Ok(())
    }
}
