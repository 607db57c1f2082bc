//! What a test says of how workers stand before the kernel; what it leaves open comes from their cgroup.

use crate::affinity::AffinityIntent;
use crate::worker::{Manner, MemPolicy, Policy};
use anyhow::{Result, bail, ensure};
use ktstr_topology::Topology;
use std::time::Duration;

/// Least runtime of `SCHED_DEADLINE` (kernel/sched/deadline.c, `__checkparam_dl`).
const DEADLINE_LEAST: Duration = Duration::from_nanos(1024);
/// Bytes of a process's name without its NUL (include/linux/sched.h, `TASK_COMM_LEN`).
const COMM_BYTES: usize = 15;

/// As far as somebody said so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bearing {
    pub nice: Option<i32>,
    pub policy: Option<Policy>,
    pub comm: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub memory: Option<MemPolicy>,
    pub affinity: Option<AffinityIntent>,
}

impl Bearing {
    /// Own words first, the cgroup's where there are none.
    pub fn or(&self, cgroup: &Self) -> Self {
        let (own, other) = (self.clone(), cgroup.clone());
        Self {
            nice: own.nice.or(other.nice),
            policy: own.policy.or(other.policy),
            comm: own.comm.or(other.comm),
            uid: own.uid.or(other.uid),
            gid: own.gid.or(other.gid),
            memory: own.memory.or(other.memory),
            affinity: own.affinity.or(other.affinity),
        }
    }

    /// Where the workers may run.
    pub fn affinity(&self) -> AffinityIntent {
        self.affinity.clone().unwrap_or_default()
    }

    /// For workers whose CPUs are these.
    pub fn manner(&self, affinity: Vec<Vec<u32>>) -> Manner {
        Manner {
            nice: self.nice.unwrap_or(0),
            policy: self.policy.unwrap_or_default(),
            comm: self.comm.clone(),
            uid: self.uid,
            gid: self.gid,
            memory: self.memory.clone().unwrap_or_default(),
            affinity,
        }
    }

    /// Whether the kernel can take all of it.
    pub fn check(&self, topology: &Topology) -> Result<()> {
        if let Some(nice) = self.nice {
            ensure!((-20..=19).contains(&nice), "nice {nice} is not from -20 to 19");
        }
        match self.policy {
            Some(Policy::Fifo(priority) | Policy::RoundRobin(priority)) => {
                ensure!((1..=99).contains(&priority), "real-time priority {priority} is not from 1 to 99");
            }
            Some(Policy::Deadline { runtime, deadline, period }) => ensure!(
                runtime >= DEADLINE_LEAST && runtime <= deadline && deadline <= period,
                "policy deadline: runtime {runtime:?} ≤ deadline {deadline:?} ≤ period {period:?} does not hold, \
                 or the runtime is below {DEADLINE_LEAST:?}"
            ),
            _ => {}
        }
        if let Some(comm) = &self.comm {
            ensure!(
                (1..=COMM_BYTES).contains(&comm.len()) && !comm.contains(['\0', '\n']),
                "comm `{comm}` has {} bytes, and a process's name has 1 to {COMM_BYTES}, without NUL or line end",
                comm.len()
            );
        }
        let nodes = match &self.memory {
            Some(MemPolicy::Bind(nodes) | MemPolicy::Interleave(nodes)) => {
                ensure!(!nodes.is_empty(), "memory policy {:?} names no node", self.memory);
                nodes.clone()
            }
            Some(MemPolicy::Preferred(node)) => vec![*node],
            Some(MemPolicy::Default) | None => Vec::new(),
        };
        if let Some(node) = nodes.iter().find(|n| **n >= topology.numa_nodes) {
            bail!("memory policy: node {node} is not from 0 to {}", topology.numa_nodes.saturating_sub(1));
        }
        Ok(())
    }
}

/// The same words for a cgroup and for one of several works in it.
macro_rules! bearing_setters {
    () => {
        /// Nice value, -20 to 19.
        pub fn nice(mut self, nice: i32) -> Self {
            self.bearing.nice = Some(nice);
            self
        }

        /// Scheduling policy.
        pub fn policy(mut self, policy: crate::worker::Policy) -> Self {
            self.bearing.policy = Some(policy);
            self
        }

        /// Name of the processes, 1 to 15 bytes.
        pub fn comm(mut self, name: impl Into<String>) -> Self {
            self.bearing.comm = Some(name.into());
            self
        }

        /// User of the processes.
        pub fn uid(mut self, uid: u32) -> Self {
            self.bearing.uid = Some(uid);
            self
        }

        /// Group of users of the processes.
        pub fn gid(mut self, gid: u32) -> Self {
            self.bearing.gid = Some(gid);
            self
        }

        /// Memory policy.
        pub fn mem_policy(mut self, policy: crate::worker::MemPolicy) -> Self {
            self.bearing.memory = Some(policy);
            self
        }

        /// Where single workers may run.
        pub fn affinity(mut self, intent: crate::affinity::AffinityIntent) -> Self {
            self.bearing.affinity = Some(intent);
            self
        }
    };
}
pub(crate) use bearing_setters;
