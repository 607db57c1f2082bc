//! A cgroup as a test declares it.

use crate::cpuset::CpusetSpec;
use crate::work::WorkType;
use crate::worker::Manner;

/// A cgroup with its workers: `CgroupDef::named("fast").workers(2).work_type(WorkType::SpinWait).cpu_weight(200)`.
#[derive(Clone, Debug)]
#[must_use]
pub struct CgroupDef {
    pub(crate) name: String,
    pub(crate) workers: u32,
    pub(crate) work: WorkType,
    pub(crate) cpuset: Option<CpusetSpec>,
    pub(crate) manner: Manner,
    pub(crate) cpu_weight: Option<u32>,
    pub(crate) cpu_quota_pct: Option<u32>,
    pub(crate) memory_max_mib: Option<u64>,
}

impl CgroupDef {
    /// One spinning worker, no limits.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            workers: 1,
            work: WorkType::SpinWait,
            cpuset: None,
            manner: Manner::default(),
            cpu_weight: None,
            cpu_quota_pct: None,
            memory_max_mib: None,
        }
    }

    /// How many workers.
    pub fn workers(mut self, count: u32) -> Self {
        self.workers = count;
        self
    }

    /// What they do.
    pub fn work_type(mut self, work: WorkType) -> Self {
        self.work = work;
        self
    }

    /// Where they may run.
    pub fn cpuset(mut self, spec: CpusetSpec) -> Self {
        self.cpuset = Some(spec);
        self
    }

    /// Their nice value, -20 to 19.
    pub fn nice(mut self, nice: i32) -> Self {
        self.manner.nice = nice;
        self
    }

    /// `cpu.weight`, 1 to 10000; 100 is the kernel's default.
    pub fn cpu_weight(mut self, weight: u32) -> Self {
        self.cpu_weight = Some(weight);
        self
    }

    /// `cpu.max` in percent of one CPU, over periods of 100 ms.
    pub fn cpu_quota(mut self, percent: u32) -> Self {
        self.cpu_quota_pct = Some(percent);
        self
    }

    /// `memory.max` in MiB.
    pub fn memory_max(mut self, mib: u64) -> Self {
        self.memory_max_mib = Some(mib);
        self
    }
}
