//! A cgroup as a test declares it.

use super::bearing::{Bearing, bearing_setters};
use super::work_spec::{Count, WorkSpec};
use crate::cpuset::CpusetSpec;
use crate::payload::Payload;
use crate::work::WorkType;

/// A cgroup with its workers: `CgroupDef::named("fast").workers(2).work_type(WorkType::SpinWait).cpu_weight(200)`.
///
/// A name with `/` is a cgroup inside another, which must be there and have no workers of its own (cgroup v2 keeps
/// processes out of inner cgroups): `CgroupDef::empty("outer")`, then `CgroupDef::named("outer/inner")`.
#[derive(Clone, Debug)]
#[must_use]
pub struct CgroupDef {
    pub(crate) name: String,
    /// What `workers` and `work_type` speak of; `None` until they do, if other works were given.
    pub(crate) own: Option<WorkSpec>,
    pub(crate) works: Vec<WorkSpec>,
    pub(crate) empty: bool,
    pub(crate) bearing: Bearing,
    pub(crate) cpuset: Option<CpusetSpec>,
    pub(crate) limits: Limits,
    pub(crate) payloads: Vec<&'static Payload>,
}

/// The cgroup's own files, as far as somebody said so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub cpu_weight: Option<u32>,
    pub cpu_idle: bool,
    pub cpu_quota_pct: Option<u32>,
    pub cpu_burst_us: Option<u64>,
    pub memory_max_mib: Option<u64>,
    pub memory_high_mib: Option<u64>,
    pub io_weight: Option<u32>,
    pub pids_max: Option<u32>,
    pub mems: Option<Vec<u32>>,
}

impl CgroupDef {
    /// One spinning worker, no limits.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            own: None,
            works: Vec::new(),
            empty: false,
            bearing: Bearing::default(),
            cpuset: None,
            limits: Limits::default(),
            payloads: Vec::new(),
        }
    }

    /// No worker: a cgroup to hold others, or to move tasks into.
    pub fn empty(name: impl Into<String>) -> Self {
        Self { empty: true, ..Self::named(name) }
    }

    fn own(&mut self) -> &mut WorkSpec {
        self.own.get_or_insert_with(|| WorkSpec::new(WorkType::SpinWait))
    }

    /// How many workers.
    pub fn workers(mut self, count: u32) -> Self {
        self.own().count = Count::Exactly(count);
        self
    }

    /// Workers for this share of the machine's CPUs, in percent, rounded up to a number that the work can take.
    pub fn workers_pct(mut self, percent: f64) -> Self {
        self.own().count = Count::Percent(percent);
        self
    }

    /// What they do.
    pub fn work_type(mut self, work: WorkType) -> Self {
        self.own().work = work;
        self
    }

    /// One more work beside the others; a cgroup that has only such works has no other worker.
    pub fn work(mut self, work: WorkSpec) -> Self {
        self.works.push(work);
        self
    }

    /// A program that runs in the cgroup as long as the cgroup is there.
    pub fn payload(mut self, payload: &'static Payload) -> Self {
        self.payloads.push(payload);
        self
    }

    bearing_setters!();

    /// Where they may run.
    pub fn cpuset(mut self, spec: CpusetSpec) -> Self {
        self.cpuset = Some(spec);
        self
    }

    /// `cpuset.mems`: nodes their memory may come from.
    pub fn mems(mut self, nodes: impl Into<Vec<u32>>) -> Self {
        self.limits.mems = Some(nodes.into());
        self
    }

    /// `cpu.weight`, 1 to 10000; 100 is the kernel's default.
    pub fn cpu_weight(mut self, weight: u32) -> Self {
        self.limits.cpu_weight = Some(weight);
        self
    }

    /// `cpu.idle`: only what nobody else wants; excludes a weight.
    pub fn cpu_idle(mut self) -> Self {
        self.limits.cpu_idle = true;
        self
    }

    /// `cpu.max` in percent of one CPU, 1 to 100000, over periods of 100 ms.
    pub fn cpu_quota(mut self, percent: u32) -> Self {
        self.limits.cpu_quota_pct = Some(percent);
        self
    }

    /// `cpu.max.burst` in µs, at most the quota; wants a quota.
    pub fn cpu_max_burst(mut self, micros: u64) -> Self {
        self.limits.cpu_burst_us = Some(micros);
        self
    }

    /// `memory.max` in MiB.
    pub fn memory_max(mut self, mib: u64) -> Self {
        self.limits.memory_max_mib = Some(mib);
        self
    }

    /// `memory.high` in MiB.
    pub fn memory_high(mut self, mib: u64) -> Self {
        self.limits.memory_high_mib = Some(mib);
        self
    }

    /// `io.weight`, 1 to 10000; 100 is the kernel's default.
    pub fn io_weight(mut self, weight: u32) -> Self {
        self.limits.io_weight = Some(weight);
        self
    }

    /// `pids.max`: most processes and threads, 1 or more.
    pub fn pids_max(mut self, count: u32) -> Self {
        self.limits.pids_max = Some(count);
        self
    }

    /// The works in it, each with what it left open filled in.
    pub(crate) fn all_works(&self) -> Vec<WorkSpec> {
        let spin = (!self.empty && self.works.is_empty()).then(|| WorkSpec::new(WorkType::SpinWait));
        let own = self.own.clone().or(spin);
        let filled = |mut work: WorkSpec| {
            work.bearing = work.bearing.or(&self.bearing);
            work
        };
        own.into_iter().chain(self.works.iter().cloned()).map(filled).collect()
    }
}
