//! What a step does besides holding still.

use crate::affinity::AffinityIntent;
use crate::cgroup::{CgroupDef, WorkSpec};
use crate::cpuset::CpusetSpec;
use crate::payload::Payload;
use std::fmt;

/// One operation on the running scenario; the functions of the same names make them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// Makes a cgroup and starts its workers.
    AddCgroup(Box<CgroupDef>),
    /// Stops and judges what is in a cgroup, and removes it.
    RemoveCgroup {
        /// Which.
        cgroup: String,
    },
    /// Changes a cpuset.
    SetCpuset {
        /// Whose.
        cgroup: String,
        /// To what.
        cpus: CpusetSpec,
    },
    /// Takes a cpuset away: the parent's holds.
    ClearCpuset {
        /// Whose.
        cgroup: String,
    },
    /// Lets two cgroups trade their cpusets.
    SwapCpusets {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// Starts more workers in a cgroup.
    Spawn {
        /// Where.
        cgroup: String,
        /// What they do.
        work: Box<WorkSpec>,
    },
    /// Stops and judges the workers in a cgroup; it stays.
    Stop {
        /// Where.
        cgroup: String,
    },
    /// Changes where the single workers in a cgroup may run.
    SetAffinity {
        /// Where.
        cgroup: String,
        /// To what; `Inherit` takes it away.
        intent: AffinityIntent,
    },
    /// Moves everything in one cgroup to another.
    MoveTasks {
        /// From here.
        from: String,
        /// To there.
        to: String,
    },
    /// Freezes a cgroup with all below it.
    Freeze {
        /// Which.
        cgroup: String,
    },
    /// Thaws a cgroup.
    Unfreeze {
        /// Which.
        cgroup: String,
    },
    /// Starts a program.
    RunPayload {
        /// Which.
        payload: &'static Payload,
        /// Where; outside of all cgroups when `None`.
        cgroup: Option<String>,
    },
    /// Waits until a program ends, and judges it.
    WaitPayload {
        /// Its name.
        payload: String,
    },
    /// Ends a program, and judges what it had to say by then.
    KillPayload {
        /// Its name.
        payload: String,
    },
    /// Attaches a staged scheduler where none is attached.
    AttachScheduler {
        /// Its declared name.
        scheduler: String,
    },
    /// Stops the scheduler.
    DetachScheduler,
    /// Stops the scheduler and starts it anew.
    RestartScheduler,
    /// Stops the scheduler and attaches a staged one.
    ReplaceScheduler {
        /// Its declared name.
        scheduler: String,
    },
    /// Takes a CPU offline; it comes back at the end of the scenario. Not CPU 0, and not on the host.
    CpuOffline {
        /// Its number.
        cpu: u32,
    },
    /// Brings a CPU back.
    CpuOnline {
        /// Its number.
        cpu: u32,
    },
    /// Takes a named snapshot of the monitor.
    Snapshot {
        /// Its name.
        name: String,
    },
    /// Has an interrupt handled by these CPUs until the end of the scenario (kernel: Documentation/core-api/irq/irq-affinity.rst).
    /// Not on the host.
    SteerIrq {
        /// Its number in /proc/interrupts.
        irq: u32,
        /// By whom.
        cpus: CpusetSpec,
    },
    /// Pins a BPF map of the attached scheduler at /sys/fs/bpf/ktstr/NAME, `_` for each dot, until the end of the scenario:
    /// a test can open it there. Not on the host.
    PinBpfMap {
        /// The map's name, as bpftool shows it.
        map: String,
    },
}

impl Op {
    /// [`AddCgroup`](Self::AddCgroup).
    #[must_use]
    pub fn add_cgroup(def: CgroupDef) -> Self {
        Self::AddCgroup(Box::new(def))
    }

    /// [`RemoveCgroup`](Self::RemoveCgroup).
    #[must_use]
    pub fn remove_cgroup(cgroup: impl Into<String>) -> Self {
        Self::RemoveCgroup { cgroup: cgroup.into() }
    }

    /// [`SetCpuset`](Self::SetCpuset).
    #[must_use]
    pub fn set_cpuset(cgroup: impl Into<String>, cpus: CpusetSpec) -> Self {
        Self::SetCpuset { cgroup: cgroup.into(), cpus }
    }

    /// [`ClearCpuset`](Self::ClearCpuset).
    #[must_use]
    pub fn clear_cpuset(cgroup: impl Into<String>) -> Self {
        Self::ClearCpuset { cgroup: cgroup.into() }
    }

    /// [`SwapCpusets`](Self::SwapCpusets).
    #[must_use]
    pub fn swap_cpusets(first: impl Into<String>, second: impl Into<String>) -> Self {
        Self::SwapCpusets { first: first.into(), second: second.into() }
    }

    /// [`Spawn`](Self::Spawn).
    #[must_use]
    pub fn spawn(cgroup: impl Into<String>, work: WorkSpec) -> Self {
        Self::Spawn { cgroup: cgroup.into(), work: Box::new(work) }
    }

    /// [`Stop`](Self::Stop).
    #[must_use]
    pub fn stop(cgroup: impl Into<String>) -> Self {
        Self::Stop { cgroup: cgroup.into() }
    }

    /// [`SetAffinity`](Self::SetAffinity).
    #[must_use]
    pub fn set_affinity(cgroup: impl Into<String>, intent: AffinityIntent) -> Self {
        Self::SetAffinity { cgroup: cgroup.into(), intent }
    }

    /// [`MoveTasks`](Self::MoveTasks).
    #[must_use]
    pub fn move_tasks(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self::MoveTasks { from: from.into(), to: to.into() }
    }

    /// [`Freeze`](Self::Freeze).
    #[must_use]
    pub fn freeze(cgroup: impl Into<String>) -> Self {
        Self::Freeze { cgroup: cgroup.into() }
    }

    /// [`Unfreeze`](Self::Unfreeze).
    #[must_use]
    pub fn unfreeze(cgroup: impl Into<String>) -> Self {
        Self::Unfreeze { cgroup: cgroup.into() }
    }

    /// [`RunPayload`](Self::RunPayload) in a cgroup.
    #[must_use]
    pub fn run_payload(payload: &'static Payload, cgroup: impl Into<String>) -> Self {
        Self::RunPayload { payload, cgroup: Some(cgroup.into()) }
    }

    /// [`RunPayload`](Self::RunPayload) outside of all cgroups.
    #[must_use]
    pub fn run_payload_outside(payload: &'static Payload) -> Self {
        Self::RunPayload { payload, cgroup: None }
    }

    /// [`WaitPayload`](Self::WaitPayload).
    #[must_use]
    pub fn wait_payload(payload: impl Into<String>) -> Self {
        Self::WaitPayload { payload: payload.into() }
    }

    /// [`KillPayload`](Self::KillPayload).
    #[must_use]
    pub fn kill_payload(payload: impl Into<String>) -> Self {
        Self::KillPayload { payload: payload.into() }
    }

    /// [`AttachScheduler`](Self::AttachScheduler).
    #[must_use]
    pub fn attach_scheduler(scheduler: impl Into<String>) -> Self {
        Self::AttachScheduler { scheduler: scheduler.into() }
    }

    /// [`DetachScheduler`](Self::DetachScheduler).
    #[must_use]
    pub const fn detach_scheduler() -> Self {
        Self::DetachScheduler
    }

    /// [`RestartScheduler`](Self::RestartScheduler).
    #[must_use]
    pub const fn restart_scheduler() -> Self {
        Self::RestartScheduler
    }

    /// [`ReplaceScheduler`](Self::ReplaceScheduler).
    #[must_use]
    pub fn replace_scheduler(scheduler: impl Into<String>) -> Self {
        Self::ReplaceScheduler { scheduler: scheduler.into() }
    }

    /// [`CpuOffline`](Self::CpuOffline).
    #[must_use]
    pub const fn cpu_offline(cpu: u32) -> Self {
        Self::CpuOffline { cpu }
    }

    /// [`CpuOnline`](Self::CpuOnline).
    #[must_use]
    pub const fn cpu_online(cpu: u32) -> Self {
        Self::CpuOnline { cpu }
    }

    /// [`Snapshot`](Self::Snapshot).
    #[must_use]
    pub fn snapshot(name: impl Into<String>) -> Self {
        Self::Snapshot { name: name.into() }
    }

    /// [`SteerIrq`](Self::SteerIrq).
    #[must_use]
    pub const fn steer_irq(irq: u32, cpus: CpusetSpec) -> Self {
        Self::SteerIrq { irq, cpus }
    }

    /// [`PinBpfMap`](Self::PinBpfMap).
    #[must_use]
    pub fn pin_bpf_map(map: impl Into<String>) -> Self {
        Self::PinBpfMap { map: map.into() }
    }
}

/// As the functions are called, with names only: how a timeline and an error call an operation.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddCgroup(def) => write!(f, "add_cgroup {}", def.name),
            Self::RemoveCgroup { cgroup } => write!(f, "remove_cgroup {cgroup}"),
            Self::SetCpuset { cgroup, cpus } => write!(f, "set_cpuset {cgroup} {cpus:?}"),
            Self::ClearCpuset { cgroup } => write!(f, "clear_cpuset {cgroup}"),
            Self::SwapCpusets { first, second } => write!(f, "swap_cpusets {first} {second}"),
            Self::Spawn { cgroup, work } => write!(f, "spawn {cgroup} {:?}", work.work),
            Self::Stop { cgroup } => write!(f, "stop {cgroup}"),
            Self::SetAffinity { cgroup, intent } => write!(f, "set_affinity {cgroup} {intent:?}"),
            Self::MoveTasks { from, to } => write!(f, "move_tasks {from} {to}"),
            Self::Freeze { cgroup } => write!(f, "freeze {cgroup}"),
            Self::Unfreeze { cgroup } => write!(f, "unfreeze {cgroup}"),
            Self::RunPayload { payload, cgroup: Some(cgroup) } => write!(f, "run_payload {} {cgroup}", payload.name),
            Self::RunPayload { payload, cgroup: None } => write!(f, "run_payload_outside {}", payload.name),
            Self::WaitPayload { payload } => write!(f, "wait_payload {payload}"),
            Self::KillPayload { payload } => write!(f, "kill_payload {payload}"),
            Self::AttachScheduler { scheduler } => write!(f, "attach_scheduler {scheduler}"),
            Self::DetachScheduler => f.write_str("detach_scheduler"),
            Self::RestartScheduler => f.write_str("restart_scheduler"),
            Self::ReplaceScheduler { scheduler } => write!(f, "replace_scheduler {scheduler}"),
            Self::CpuOffline { cpu } => write!(f, "cpu_offline {cpu}"),
            Self::CpuOnline { cpu } => write!(f, "cpu_online {cpu}"),
            Self::Snapshot { name } => write!(f, "snapshot {name}"),
            Self::SteerIrq { irq, cpus } => write!(f, "steer_irq {irq} {cpus:?}"),
            Self::PinBpfMap { map } => write!(f, "pin_bpf_map {map}"),
        }
    }
}
