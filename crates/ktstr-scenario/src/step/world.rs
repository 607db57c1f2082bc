//! What is alive between two operations, and which CPUs each cgroup has: rules of the kernel as a pure model.
//!
//! The plan runs a scenario through it before anything starts, and the engine asks it where workers may be seen.

use super::op::Op;
use crate::affinity::AffinityIntent;
use crate::cgroup::Asked;
use crate::scheduler::{check_name, pin_path};
use anyhow::{Result, bail, ensure};
use ktstr_topology::Topology;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The machine and what a scenario has made of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// CPUs of the workload's root.
    base: Vec<u32>,
    /// The host's CPUs and interrupts belong to others.
    on_host: bool,
    groups: BTreeMap<String, Life>,
    offline: BTreeSet<u32>,
    /// Programs that run, with their cgroup and whether they last to the end.
    payloads: BTreeMap<&'static str, (Option<String>, bool)>,
    /// Where BPF maps are pinned.
    pinned: BTreeSet<PathBuf>,
}

/// One cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Life {
    cpus: Option<Vec<u32>>,
    frozen: bool,
    crews: usize,
    lasting: bool,
}

impl World {
    /// Nothing but the machine.
    pub fn new(topology: &Topology, on_host: bool) -> Self {
        let base = (0..topology.total_cpus()).filter(|cpu| topology.is_online(*cpu)).collect();
        Self {
            base,
            on_host,
            groups: BTreeMap::new(),
            offline: BTreeSet::new(),
            payloads: BTreeMap::new(),
            pinned: BTreeSet::new(),
        }
    }

    /// The workload's root has these CPUs only.
    pub fn confine(&mut self, cpus: Vec<u32>) {
        self.base = cpus;
    }

    /// CPUs of the workload's root, those that are offline by now included.
    pub fn base(&self) -> &[u32] {
        &self.base
    }

    /// CPUs that a cgroup has, as `cpuset.cpus.effective` shows them: its own that its parent has and that are online, and
    /// its parent's when that is none (kernel/cgroup/cpuset.c, `update_cpumasks_hier`).
    pub fn allowed(&self, cgroup: Option<&str>) -> Vec<u32> {
        let Some(name) = cgroup else {
            return self.base.iter().copied().filter(|cpu| !self.offline.contains(cpu)).collect();
        };
        let above = self.allowed(parent(name));
        match self.groups.get(name).and_then(|life| life.cpus.as_ref()) {
            None => above,
            Some(own) => {
                let mine: Vec<u32> = above.iter().copied().filter(|cpu| own.contains(cpu)).collect();
                if mine.is_empty() { above } else { mine }
            }
        }
    }

    /// Whether a cpuset of its own or of a cgroup above holds it.
    pub fn is_limited(&self, cgroup: &str) -> bool {
        self.up_from(cgroup).any(|life| life.cpus.is_some())
    }

    /// Whether it or a cgroup above is frozen.
    pub fn is_frozen(&self, cgroup: &str) -> bool {
        self.up_from(cgroup).any(|life| life.frozen)
    }

    /// Cgroups that are themselves frozen, outer ones first.
    pub fn frozen(&self) -> Vec<String> {
        self.groups.iter().filter(|(_, life)| life.frozen).map(|(name, _)| name.clone()).collect()
    }

    /// A cgroup's own cpuset.
    pub fn cpuset(&self, cgroup: &str) -> Option<&Vec<u32>> {
        self.groups.get(cgroup)?.cpus.as_ref()
    }

    /// Names of all cgroups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    fn up_from(&self, cgroup: &str) -> impl Iterator<Item = &Life> {
        std::iter::successors(Some(cgroup), |name| parent(name)).filter_map(|name| self.groups.get(name))
    }

    fn life(&mut self, cgroup: &str) -> Result<&mut Life> {
        if !self.groups.contains_key(cgroup) {
            let living: Vec<&str> = self.names().collect();
            bail!("there is no cgroup `{cgroup}` at this point; there are {living:?}");
        }
        self.groups.get_mut(cgroup).ok_or_else(|| anyhow::anyhow!("no cgroup `{cgroup}`"))
    }

    fn has_children(&self, cgroup: &str) -> bool {
        self.names().any(|name| parent(name) == Some(cgroup))
    }

    fn has_payloads(&self, cgroup: &str) -> bool {
        self.payloads.values().any(|(at, _)| at.as_deref() == Some(cgroup))
    }

    /// A cgroup is made, with all its workers and programs.
    pub fn declare(&mut self, asked: &Asked, topology: &Topology, lasting: bool) -> Result<()> {
        let name = asked.name.as_str();
        ensure!(!self.groups.contains_key(name), "there is a cgroup `{name}` already");
        if let Some(above) = parent(name) {
            let crews = self.life(above)?.crews;
            ensure!(
                crews == 0 && !self.has_payloads(above),
                "`{name}` cannot be made in `{above}`, which has workers of its own: declare it with CgroupDef::empty"
            );
            self.thawed(above)?;
        }
        self.groups.insert(
            name.to_owned(),
            Life { cpus: asked.cpus.clone(), frozen: false, crews: asked.works.len(), lasting },
        );
        for work in &asked.works {
            self.aim(name, &work.bearing.affinity(), work.count, topology)?;
        }
        for payload in &asked.payloads {
            self.run(payload.name, Some(name), lasting)?;
        }
        Ok(())
    }

    /// A program starts.
    pub fn run(&mut self, payload: &'static str, cgroup: Option<&str>, lasting: bool) -> Result<()> {
        if let Some(name) = cgroup {
            self.life(name)?;
            self.thawed(name)?;
            self.leaf(name)?;
        }
        ensure!(!self.payloads.contains_key(payload), "payload `{payload}` runs already");
        self.payloads.insert(payload, (cgroup.map(str::to_owned), lasting));
        Ok(())
    }

    fn aim(&self, cgroup: &str, intent: &AffinityIntent, count: u32, topology: &Topology) -> Result<()> {
        intent.resolve(topology, &self.allowed(Some(cgroup)), count).map(drop)
    }

    fn thawed(&self, cgroup: &str) -> Result<()> {
        ensure!(!self.is_frozen(cgroup), "`{cgroup}` is frozen at this point: unfreeze it first");
        Ok(())
    }

    fn leaf(&self, cgroup: &str) -> Result<()> {
        ensure!(!self.has_children(cgroup), "`{cgroup}` has cgroups in it, and so can have no process (cgroup v2)");
        Ok(())
    }

    fn passing(&mut self, cgroup: &str) -> Result<()> {
        ensure!(!self.life(cgroup)?.lasting, "`{cgroup}` is the backdrop's: it lasts through all steps as it is");
        Ok(())
    }

    /// The operation is done, or says why it cannot be.
    pub fn apply(&mut self, op: &Op, topology: &Topology) -> Result<()> {
        match op {
            Op::AddCgroup(def) => self.declare(&def.asked(topology)?, topology, false)?,
            Op::RemoveCgroup { cgroup } => {
                self.passing(cgroup)?;
                ensure!(!self.has_children(cgroup), "`{cgroup}` has cgroups in it: remove them first");
                self.groups.remove(cgroup);
                self.payloads.retain(|_, (at, _)| at.as_ref() != Some(cgroup));
            }
            Op::SetCpuset { cgroup, cpus } => self.life(cgroup)?.cpus = Some(cpus.resolve(topology)?),
            Op::ClearCpuset { cgroup } => {
                let life = self.life(cgroup)?;
                ensure!(life.cpus.is_some(), "`{cgroup}` has no cpuset to clear");
                life.cpus = None;
            }
            Op::SwapCpusets { first, second } => {
                ensure!(first != second, "`{first}` cannot trade its cpuset with itself");
                let (one, other) = (self.life(first)?.cpus.clone(), self.life(second)?.cpus.clone());
                ensure!(one.is_some() && other.is_some(), "`{first}` and `{second}` need a cpuset each to trade them");
                self.life(first)?.cpus = other;
                self.life(second)?.cpus = one;
            }
            Op::Spawn { cgroup, work } => {
                self.life(cgroup)?.crews += 1;
                self.thawed(cgroup)?;
                self.leaf(cgroup)?;
                work.bearing.check(topology)?;
                self.aim(cgroup, &work.bearing.affinity(), work.count_on(topology)?, topology)?;
            }
            Op::Stop { cgroup } => {
                self.passing(cgroup)?;
                let crews = std::mem::take(&mut self.life(cgroup)?.crews);
                ensure!(crews > 0, "`{cgroup}` has no workers to stop");
            }
            Op::SetAffinity { cgroup, intent } => {
                ensure!(self.life(cgroup)?.crews > 0, "`{cgroup}` has no workers to bind to CPUs");
                self.aim(cgroup, intent, 1, topology)?;
            }
            Op::MoveTasks { from, to } => self.relocate(from, to)?,
            Op::Freeze { cgroup } => {
                ensure!(!std::mem::replace(&mut self.life(cgroup)?.frozen, true), "`{cgroup}` is frozen already");
            }
            Op::Unfreeze { cgroup } => {
                ensure!(std::mem::take(&mut self.life(cgroup)?.frozen), "`{cgroup}` is not frozen");
                self.thawed(cgroup)?;
            }
            Op::RunPayload { payload, cgroup } => self.run(payload.name, cgroup.as_deref(), false)?,
            Op::WaitPayload { payload } | Op::KillPayload { payload } => match self.payloads.get(payload.as_str()) {
                None => bail!("payload `{payload}` does not run at this point"),
                Some((_, true)) => bail!("payload `{payload}` is the backdrop's: it lasts through all steps"),
                Some(_) => drop(self.payloads.remove(payload.as_str())),
            },
            Op::CpuOffline { cpu } | Op::CpuOnline { cpu } => self.hotplug(*cpu, matches!(op, Op::CpuOnline { .. }))?,
            Op::SteerIrq { cpus, .. } => {
                ensure!(!self.on_host, "a host_only test leaves the host's interrupts alone");
                let cpus = cpus.resolve(topology)?;
                ensure!(
                    cpus.iter().any(|cpu| self.allowed(None).contains(cpu)),
                    "none of the CPUs {cpus:?} is online at this point"
                );
            }
            Op::PinBpfMap { map } => {
                ensure!(!self.on_host, "a host_only test leaves the host's scheduler alone");
                check_name(map)?;
                ensure!(self.pinned.insert(pin_path(map)), "the BPF map `{map}` is pinned already");
            }
            Op::AttachScheduler { .. } | Op::DetachScheduler | Op::RestartScheduler | Op::ReplaceScheduler { .. } => {
                ensure!(!self.on_host, "a host_only test leaves the host's scheduler alone");
            }
            Op::Snapshot { .. } => {}
        }
        Ok(())
    }

    fn relocate(&mut self, from: &str, to: &str) -> Result<()> {
        ensure!(from != to, "`{from}` cannot be moved to itself");
        self.passing(from)?;
        self.thawed(from)?;
        self.life(to)?;
        self.thawed(to)?;
        self.leaf(to)?;
        let crews = std::mem::take(&mut self.life(from)?.crews);
        ensure!(crews > 0 || self.has_payloads(from), "`{from}` has nothing to move");
        self.life(to)?.crews += crews;
        for (at, _) in self.payloads.values_mut() {
            if at.as_deref() == Some(from) {
                *at = Some(to.to_owned());
            }
        }
        Ok(())
    }

    fn hotplug(&mut self, cpu: u32, online: bool) -> Result<()> {
        ensure!(!self.on_host, "a host_only test leaves the host's CPUs alone");
        ensure!(cpu != 0, "CPU 0 stays online: the kernel's clock and the workload's last resort are there");
        ensure!(self.base.contains(&cpu), "CPU {cpu} is not one of {:?}, which the machine has online", self.base);
        let changed = if online { self.offline.remove(&cpu) } else { self.offline.insert(cpu) };
        ensure!(changed, "CPU {cpu} is {} already", if online { "online" } else { "offline" });
        Ok(())
    }
}

/// The cgroup above; `None` for one below the root.
fn parent(name: &str) -> Option<&str> {
    Some(name.rsplit_once('/')?.0)
}
