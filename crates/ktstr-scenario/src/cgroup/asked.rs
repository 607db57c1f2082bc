//! From a declared cgroup to what is written into the kernel's files; every bad value is an error here, before anything starts.

use super::bearing::Bearing;
use super::def::{CgroupDef, Limits};
use super::work_spec::WorkSpec;
use crate::payload::Payload;
use crate::work::WorkType;
use anyhow::{Context as _, Result, bail, ensure};
use ktstr_topology::{Topology, cpu_list};

/// Period of `cpu.max` in µs, the kernel's default.
const PERIOD_US: u64 = 100_000;
/// Bytes of one component of a name (include/uapi/linux/limits.h, `NAME_MAX`).
const NAME_BYTES: usize = 255;

/// A cgroup on a given machine.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Below the workload's root.
    pub name: String,
    /// Its cpuset; `None` for its parent's.
    pub cpus: Option<Vec<u32>>,
    /// Files and what is written to them.
    pub files: Vec<(&'static str, String)>,
    /// Its crews.
    pub works: Vec<AskedWork>,
    /// Its programs.
    pub payloads: Vec<&'static Payload>,
}

/// A crew on a given machine.
#[derive(Clone, Debug)]
pub struct AskedWork {
    /// How it is called in results: the cgroup's name, with its number where there are several.
    pub label: String,
    /// What it does.
    pub work: WorkType,
    /// How many do it.
    pub count: u32,
    /// How they stand before the kernel.
    pub bearing: Bearing,
}

impl AskedWork {
    /// A work called `label`.
    pub fn of(label: &str, spec: &WorkSpec, topology: &Topology) -> Result<Self> {
        let context = || format!("work of `{label}`");
        spec.bearing.check(topology).with_context(context)?;
        let count = spec.count_on(topology).with_context(context)?;
        Ok(Self { label: label.to_owned(), work: spec.work.clone(), count, bearing: spec.bearing.clone() })
    }
}

impl CgroupDef {
    /// The cgroup on this machine.
    pub(crate) fn asked(&self, topology: &Topology) -> Result<Asked> {
        check_name(&self.name)?;
        let inner = || -> Result<Asked> {
            let cpus = self.cpuset.as_ref().map(|c| c.resolve(topology)).transpose()?;
            self.bearing.check(topology)?;
            let specs = self.all_works();
            let works = specs.iter().zip(0..).map(|(spec, i)| {
                let label = if specs.len() == 1 { self.name.clone() } else { format!("{}#{i}", self.name) };
                AskedWork::of(&label, spec, topology)
            });
            Ok(Asked {
                name: self.name.clone(),
                cpus,
                files: self.limits.files(topology)?,
                works: works.collect::<Result<_>>()?,
                payloads: self.payloads.clone(),
            })
        };
        inner().with_context(|| format!("cgroup `{}`", self.name))
    }
}

/// One or more components, none of which the kernel could mistake for a file of its own.
fn check_name(name: &str) -> Result<()> {
    for part in name.split('/') {
        if part.is_empty() || part.contains(['.', '\n', '\0']) || part.len() > NAME_BYTES {
            bail!(
                "`{name}` is not a cgroup name: each part between `/` has 1 to {NAME_BYTES} bytes, and no `.`, which the \
                 kernel's own files have"
            );
        }
    }
    Ok(())
}

impl Limits {
    fn files(&self, topology: &Topology) -> Result<Vec<(&'static str, String)>> {
        let mut files = Vec::new();
        let within = |field: &str, value: u64, low: u64, high: u64| -> Result<()> {
            ensure!((low..=high).contains(&value), "{field} {value} is not from {low} to {high}");
            Ok(())
        };
        if let Some(nodes) = &self.mems {
            let last = topology.numa_nodes.saturating_sub(1);
            ensure!(!nodes.is_empty(), "mems names no node; there are 0 to {last}");
            if let Some(node) = nodes.iter().find(|n| **n > last) {
                bail!("mems {node} is not from 0 to {last}");
            }
            files.push(("cpuset.mems", cpu_list(nodes)));
        }
        if let Some(weight) = self.cpu_weight {
            within("cpu_weight", weight.into(), 1, 10_000)?;
            ensure!(!self.cpu_idle, "cpu_weight {weight} beside cpu_idle: an idle cgroup has no weight");
            files.push(("cpu.weight", weight.to_string()));
        }
        if self.cpu_idle {
            files.push(("cpu.idle", "1".to_owned()));
        }
        if let Some(percent) = self.cpu_quota_pct {
            within("cpu_quota", percent.into(), 1, 100_000)?;
            files.push(("cpu.max", format!("{} {PERIOD_US}", PERIOD_US * u64::from(percent) / 100)));
        }
        if let Some(micros) = self.cpu_burst_us {
            let percent = self.cpu_quota_pct.context("cpu_max_burst without cpu_quota has nothing to exceed")?;
            within("cpu_max_burst", micros, 0, PERIOD_US * u64::from(percent) / 100)?;
            files.push(("cpu.max.burst", micros.to_string()));
        }
        for (field, file, mib) in
            [("memory_max", "memory.max", self.memory_max_mib), ("memory_high", "memory.high", self.memory_high_mib)]
        {
            if let Some(mib) = mib {
                within(field, mib, 1, u64::MAX >> 20)?;
                files.push((file, (mib << 20).to_string()));
            }
        }
        if let Some(weight) = self.io_weight {
            within("io_weight", weight.into(), 1, 10_000)?;
            files.push(("io.weight", format!("default {weight}")));
        }
        if let Some(count) = self.pids_max {
            // kernel/cgroup/pids.c, PIDS_MAX with 4 Mi processes.
            within("pids_max", count.into(), 1, 4 << 20)?;
            files.push(("pids.max", count.to_string()));
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::WorkSpec;
    use crate::worker::{MemPolicy, Policy};
    use crate::{AffinityIntent, CpusetSpec};
    use std::time::Duration;

    fn machine() -> Topology {
        Topology::new(1, 2, 2, 1).unwrap()
    }

    fn error(def: &CgroupDef) -> String {
        format!("{:#}", def.asked(&machine()).unwrap_err())
    }

    #[test]
    fn a_bad_value_is_an_error_that_names_field_value_and_range() {
        let a = || CgroupDef::named("a");
        let ms = Duration::from_millis;
        for (def, wanted) in [
            (a().nice(20), "nice 20 is not from -20 to 19"),
            (a().cpu_weight(0), "cpu_weight 0 is not from 1 to 10000"),
            (a().cpu_weight(5).cpu_idle(), "cpu_weight 5 beside cpu_idle"),
            (a().cpu_quota(0), "cpu_quota 0 is not from 1 to 100000"),
            (a().cpu_max_burst(1), "cpu_max_burst without cpu_quota"),
            (a().cpu_quota(10).cpu_max_burst(10_001), "cpu_max_burst 10001 is not from 0 to 10000"),
            (a().memory_max(0), "memory_max 0 is not from 1"),
            (a().io_weight(10_001), "io_weight 10001 is not from 1 to 10000"),
            (a().pids_max(0), "pids_max 0 is not from 1"),
            (a().mems([1]), "mems 1 is not from 0 to 0"),
            (a().mems([]), "mems names no node"),
            (a().policy(Policy::Fifo(0)), "real-time priority 0 is not from 1 to 99"),
            (
                a().policy(Policy::Deadline { runtime: ms(3), deadline: ms(2), period: ms(4) }),
                "runtime 3ms ≤ deadline 2ms ≤ period 4ms does not hold",
            ),
            (a().comm("a name of sixteen"), "has 17 bytes, and a process's name has 1 to 15"),
            (a().mem_policy(MemPolicy::Bind(vec![1])), "node 1 is not from 0 to 0"),
            (a().workers(0), "workers 0"),
            (a().workers_pct(0.0), "workers_pct 0 is not above 0"),
            (a().work_type(WorkType::PipeIo).workers(3), "workers 3"),
            (a().cpuset(CpusetSpec::Llc(2)), "is empty"),
            (a().work(WorkSpec::new(WorkType::SpinWait).nice(-21)), "nice -21 is not from -20 to 19"),
        ] {
            let text = error(&def);
            assert!(text.contains(wanted) && text.contains("cgroup `a`"), "`{wanted}` is not in `{text}`");
        }
    }

    #[test]
    fn a_name_the_kernel_could_mistake_is_refused() {
        for bad in ["", "a//b", "/a", "a/", "cgroup.procs", "..", "a\nb"] {
            assert!(error(&CgroupDef::named(bad)).contains("is not a cgroup name"), "{bad}");
        }
        assert!(CgroupDef::named("outer/inner-1").asked(&machine()).is_ok());
    }

    #[test]
    fn a_share_of_the_cpus_is_rounded_up_to_what_the_work_takes() {
        let count = |work: WorkType, percent| {
            CgroupDef::named("a").work_type(work).workers_pct(percent).asked(&machine()).unwrap().works[0].count
        };
        assert_eq!(count(WorkType::SpinWait, 50.0), 2);
        assert_eq!(count(WorkType::SpinWait, 51.0), 3);
        assert_eq!(count(WorkType::PipeIo, 51.0), 4);
        assert_eq!(count(WorkType::SpinWait, 1.0), 1);
    }

    #[test]
    fn several_works_take_from_the_cgroup_what_they_leave_open() {
        let def = CgroupDef::named("a")
            .nice(3)
            .affinity(AffinityIntent::SingleCpu)
            .work(WorkSpec::new(WorkType::SpinWait).workers(2))
            .work(WorkSpec::new(WorkType::YieldHeavy).nice(5));
        let asked = def.asked(&machine()).unwrap();
        let seen: Vec<_> = asked.works.iter().map(|w| (w.label.as_str(), w.count, w.bearing.nice)).collect();
        assert_eq!(seen, [("a#0", 2, Some(3)), ("a#1", 1, Some(5))]);
        assert_eq!(asked.works[1].bearing.affinity(), AffinityIntent::SingleCpu);
        assert!(CgroupDef::empty("a").asked(&machine()).unwrap().works.is_empty());
        assert_eq!(CgroupDef::named("a").asked(&machine()).unwrap().works.len(), 1);
    }

    #[test]
    fn limits_become_the_kernel_s_files() {
        let def = CgroupDef::named("a").cpu_quota(150).cpu_max_burst(1000).memory_max(64).pids_max(9).io_weight(50);
        let files = def.asked(&machine()).unwrap().files;
        let want = [
            ("cpu.max", "150000 100000"),
            ("cpu.max.burst", "1000"),
            ("memory.max", "67108864"),
            ("io.weight", "default 50"),
            ("pids.max", "9"),
        ];
        assert_eq!(files.iter().map(|(f, v)| (*f, v.as_str())).collect::<Vec<_>>(), want);
    }
}
