//! What each operation does to the kernel, and to what workers may be seen on.

use super::engine::{Engine, fault};
use super::op::Op;
use super::party::{Party, allowed, either};
use super::world::World;
use crate::affinity::AffinityIntent;
use crate::cgroup::{AskedWork, WorkSpec};
use crate::payload::RunningPayload;
use anyhow::{Context as _, Result};
use ktstr_verdict::AssertResult;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

impl Engine<'_> {
    pub(super) fn perform_all(&mut self, ops: &[Op]) -> Result<()> {
        for op in ops {
            self.perform(op).with_context(|| format!("operation `{op}`"))?;
            self.timeline.event(self.now(), || op.to_string());
        }
        Ok(())
    }

    fn perform(&mut self, op: &Op) -> Result<()> {
        let topology = self.ctx.topology();
        let mut next = self.world.clone();
        match op {
            Op::AddCgroup(def) => {
                let first = self.parties.len();
                self.admit(&def.asked(topology).map_err(fault)?, false)?;
                self.start_from(first);
                return Ok(());
            }
            Op::Spawn { cgroup, work } => {
                next.apply(op, topology).map_err(fault)?;
                let first = self.parties.len();
                self.spawn(cgroup, work)?;
                self.start_from(first);
                self.world = next;
                return Ok(());
            }
            Op::RunPayload { payload, cgroup } => return self.launch(payload, cgroup.as_deref(), false),
            _ => next.apply(op, topology).map_err(fault)?,
        }
        match op {
            Op::RemoveCgroup { cgroup } => self.retire(cgroup)?,
            Op::SetCpuset { cgroup, .. } | Op::ClearCpuset { cgroup } => {
                self.shift(&next, &[], |e| e.write_cpusets(&next, &[cgroup])).map_err(fault)?;
            }
            Op::SwapCpusets { first, second } => {
                self.shift(&next, &[], |e| e.write_cpusets(&next, &[first, second])).map_err(fault)?;
            }
            Op::Stop { cgroup } => self.stop(cgroup),
            Op::SetAffinity { cgroup, intent } => self.bind(cgroup, intent).map_err(fault)?,
            Op::MoveTasks { from, to } => self.relocate(&next, from, to).map_err(fault)?,
            Op::Freeze { cgroup } => {
                self.groups.get(cgroup).map_err(fault)?.freeze(true)?;
                let now = self.now();
                for party in self.changing(&next, false) {
                    party.freeze(now);
                }
            }
            Op::Unfreeze { cgroup } => {
                let now = self.now();
                for party in self.changing(&next, true) {
                    party.thaw(now);
                }
                self.groups.get(cgroup).map_err(fault)?.freeze(false)?;
            }
            Op::WaitPayload { payload } => self.end_payload(payload, RunningPayload::wait)?,
            Op::KillPayload { payload } => self.end_payload(payload, RunningPayload::kill)?,
            Op::AttachScheduler { scheduler } => self.ctx.scheduler_control().attach(scheduler)?,
            Op::DetachScheduler => self.ctx.scheduler_control().detach()?,
            Op::RestartScheduler => self.ctx.scheduler_control().restart()?,
            Op::ReplaceScheduler { scheduler } => self.ctx.scheduler_control().replace(scheduler)?,
            Op::CpuOffline { cpu } => self.hotplug(&next, *cpu, false).map_err(fault)?,
            Op::CpuOnline { cpu } => self.hotplug(&next, *cpu, true).map_err(fault)?,
            Op::Snapshot { name } => {
                if let Some(monitor) = &mut self.monitor {
                    monitor.snapshot(name);
                }
            }
            Op::SteerIrq { irq, cpus } => {
                let cpus = cpus.resolve(topology).map_err(fault)?;
                self.machine.steer(*irq, &cpus).map_err(fault)?;
            }
            Op::PinBpfMap { map } => self.pins.push(self.ctx.scheduler_control().pin_map(map)?),
            // Those above have returned.
            Op::AddCgroup(_) | Op::Spawn { .. } | Op::RunPayload { .. } => {}
        }
        self.world = next;
        Ok(())
    }

    fn spawn(&mut self, cgroup: &str, spec: &WorkSpec) -> Result<()> {
        let crews = self.crews.entry(cgroup.to_owned()).or_default();
        let label = format!("{cgroup}#{crews}");
        *crews += 1;
        let work = AskedWork::of(&label, spec, self.ctx.topology()).map_err(fault)?;
        self.gather(&work, Some(cgroup))
    }

    /// Parties that are frozen now and not then, or the other way round.
    pub(super) fn changing<'b>(&'b mut self, next: &'b World, frozen_now: bool) -> impl Iterator<Item = &'b mut Party> {
        let world = &self.world;
        self.parties.iter_mut().filter(move |party| {
            let frozen = |w: &World| party.group.as_deref().is_some_and(|name| w.is_frozen(name));
            frozen(world) == frozen_now && frozen(next) != frozen_now
        })
    }

    /// Does what changes CPUs: before it the old ones hold, while it is done both (and `more`), after it the new ones.
    fn shift(&mut self, next: &World, more: &[u32], act: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let places: Vec<_> = self.parties.iter().map(|p| (p.group.clone(), p.affinity.clone())).collect();
        self.shift_to(next, &places, more, act)
    }

    fn shift_to(
        &mut self,
        next: &World,
        places: &[(Option<String>, Vec<Vec<u32>>)],
        more: &[u32],
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let before: Vec<_> = self.parties.iter().map(|p| p.allowed(&self.world)).collect();
        let sets = self.parties.iter().zip(places);
        let after: Vec<_> =
            sets.map(|(p, (group, bound))| allowed(next, group.as_deref(), bound, p.crew.pids().len())).collect();
        let now = self.now();
        for ((party, before), after) in self.parties.iter_mut().zip(&before).zip(&after) {
            if before != after {
                party.close(before.clone(), now);
            }
        }
        act(self)?;
        let now = self.now();
        for (((party, before), after), place) in self.parties.iter_mut().zip(&before).zip(&after).zip(places) {
            if before != after {
                party.close(either(before, after, more), now);
            }
            (party.group, party.affinity) = place.clone();
        }
        self.check_effective(next)
    }

    fn write_cpusets(&self, next: &World, names: &[&String]) -> Result<()> {
        for name in names {
            // A cpuset with tasks in it cannot be emptied (kernel/cgroup/cpuset.c, `validate_change`); all CPUs are as good.
            self.groups.get(name)?.set_cpus(next.cpuset(name).map_or(next.base(), Vec::as_slice))?;
        }
        Ok(())
    }

    /// Isolation is judged by the model: where the kernel has another view, nothing may be concluded from it.
    fn check_effective(&self, world: &World) -> Result<()> {
        for (name, group) in &self.groups.0 {
            let want = world.allowed(Some(name));
            if let Some(have) = group.effective_cpus().filter(|have| *have != want) {
                anyhow::bail!(
                    "cgroup `{name}` has the CPUs {have:?}, expected {want:?}: was its cpuset changed by somebody?"
                );
            }
        }
        Ok(())
    }

    fn bind(&mut self, cgroup: &str, intent: &AffinityIntent) -> Result<()> {
        let topology = self.ctx.topology();
        let allowed = self.world.allowed(Some(cgroup));
        let mut places = Vec::with_capacity(self.parties.len());
        for party in &self.parties {
            let here = party.group.as_deref() == Some(cgroup);
            let count = u32::try_from(party.crew.pids().len())?;
            let bound = if here { intent.resolve(topology, &allowed, count)? } else { party.affinity.clone() };
            places.push((party.group.clone(), bound));
        }
        let all = self.world.allowed(None);
        let world = self.world.clone();
        let to = places.clone();
        self.shift_to(&world, &places, &[], |e| {
            for (party, (_, bound)) in e.parties.iter().zip(&to).filter(|(p, _)| p.group.as_deref() == Some(cgroup)) {
                for (i, pid) in party.crew.pids().iter().enumerate() {
                    bind_process(*pid, bound.get(i).unwrap_or(&all))?;
                }
            }
            Ok(())
        })
    }

    fn relocate(&mut self, next: &World, from: &str, to: &str) -> Result<()> {
        let place = |group: &Option<String>| {
            if group.as_deref() == Some(from) { Some(to.to_owned()) } else { group.clone() }
        };
        let places: Vec<_> = self.parties.iter().map(|p| (place(&p.group), p.affinity.clone())).collect();
        self.shift_to(next, &places, &[], |e| e.groups.get(to)?.adopt_all(e.groups.get(from)?))?;
        for program in &mut self.programs {
            program.group = place(&program.group);
        }
        Ok(())
    }

    fn hotplug(&mut self, next: &World, cpu: u32, online: bool) -> Result<()> {
        // On its way a task may be anywhere (kernel/sched/core.c, `select_fallback_rq`).
        let all = self.world.allowed(None);
        self.shift(next, &all, |e| e.machine.set_online(cpu, online))?;
        if online {
            return Ok(());
        }
        for party in &mut self.parties {
            let left = next.allowed(party.group.as_deref());
            // The kernel forgets what a task was bound to with the last CPU of it (`cpuset_cpus_allowed_fallback`).
            let lost = |bound: &Vec<u32>| bound.contains(&cpu) && !bound.iter().any(|cpu| left.contains(cpu));
            for bound in party.affinity.iter_mut().filter(|bound| lost(bound)) {
                bound.clear();
            }
        }
        Ok(())
    }

    fn end_payload(&mut self, name: &str, end: fn(RunningPayload) -> Result<AssertResult>) -> Result<()> {
        if let Some(i) = self.programs.iter().position(|p| p.name == name) {
            let judged = end(self.programs.remove(i).running)?;
            self.result.merge(judged);
        }
        Ok(())
    }
}

/// All threads of a process.
fn bind_process(pid: i32, cpus: &[u32]) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(usize::try_from(*cpu)?);
    }
    let dir = format!("/proc/{pid}/task");
    for task in std::fs::read_dir(&dir).with_context(|| format!("failed to list {dir}"))?.flatten() {
        let thread = task.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        match sched_setaffinity(thread, &set) {
            // It has ended since.
            Err(rustix::io::Errno::SRCH) => {}
            bound => bound.with_context(|| format!("failed to bind process {pid} to CPUs {cpus:?}"))?,
        }
    }
    Ok(())
}
