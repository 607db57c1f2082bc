//! Carries a planned scenario out: cgroups and crews made, operations done, everything judged and put back.

use super::hotplug::Machine;
use super::op::Op;
use super::party::{Party, allowed, either};
use super::spec::{Backdrop, HoldSpec, Step};
use super::timeline::Timeline;
use super::world::World;
use crate::affinity::AffinityIntent;
use crate::cgroup::{Asked, AskedWork, Group, Root, WorkSpec};
use crate::ctx::Ctx;
use crate::monitor::Monitor;
use crate::payload::{Payload, RunningPayload};
use crate::worker::Crew;
use anyhow::{Context as _, Result};
use ktstr_verdict::{AssertResult, CheckKind, HarnessFault, Outcome};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Marks what the harness could not do: no expectation of a failing test may be met by it.
pub fn fault(e: anyhow::Error) -> anyhow::Error {
    e.context(HarnessFault::new("the scenario could not be carried out"))
}

/// Cgroups in the order they were made; they go in the other.
#[derive(Default)]
struct Groups(Vec<(String, Group)>);

impl Groups {
    fn get(&self, name: &str) -> Result<&Group> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, group)| group).with_context(|| format!("the cgroup `{name}` is gone"))
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        match self.0.iter().position(|(n, _)| n == name) {
            Some(i) => self.0.remove(i).1.remove(),
            None => Ok(()),
        }
    }

    fn remove_all(&mut self) -> Result<()> {
        let mut removed = Ok(());
        while let Some((_, group)) = self.0.pop() {
            removed = removed.and(group.remove());
        }
        removed
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// A program that was started, and where.
struct Program {
    name: &'static str,
    group: Option<String>,
    running: RunningPayload,
}

/// A scenario that runs. Fields are dropped in this order: workers and programs end before their cgroups go.
pub struct Engine<'a> {
    ctx: &'a Ctx,
    world: World,
    parties: Vec<Party>,
    programs: Vec<Program>,
    /// Crews that each cgroup has had: the next one's number.
    crews: BTreeMap<String, usize>,
    groups: Groups,
    root: Root,
    machine: Machine,
    timeline: Timeline,
    result: AssertResult,
    monitor: Option<Monitor>,
    zero: Instant,
}

/// Runs what has been planned.
pub fn run(ctx: &Ctx, backdrop: &Backdrop, steps: &[Step], holds: &[Duration]) -> Result<AssertResult> {
    let root = Root::open(ctx, controllers(ctx, backdrop, steps)).map_err(fault)?;
    let mut world = World::new(ctx.topology(), ctx.is_host_only());
    if let Some(cpus) = root.effective_cpus().filter(|cpus| !cpus.is_empty()) {
        world.confine(cpus);
    }
    let mut engine = Engine {
        ctx,
        world,
        parties: Vec::new(),
        programs: Vec::new(),
        crews: BTreeMap::new(),
        groups: Groups::default(),
        root,
        machine: Machine::default(),
        timeline: Timeline::default(),
        result: AssertResult::default(),
        monitor: None,
        zero: Instant::now(),
    };
    engine.prepare(backdrop)?;
    for (i, (step, hold)) in steps.iter().zip(holds).enumerate() {
        let of = steps.len();
        engine.step(i, of, step, *hold).with_context(|| format!("step {} of {of}", i + 1))?;
    }
    engine.finish()
}

/// Controllers whose files the scenario writes.
fn controllers(ctx: &Ctx, backdrop: &Backdrop, steps: &[Step]) -> Vec<&'static str> {
    let added = steps.iter().flat_map(|s| &s.ops).filter_map(|op| match op {
        Op::AddCgroup(def) => Some(&**def),
        _ => None,
    });
    let defs = backdrop.cgroups.iter().chain(steps.iter().flat_map(|s| &s.setup)).chain(added);
    let files = defs.filter_map(|def| def.asked(ctx.topology()).ok()).flat_map(|asked| asked.files);
    files.filter_map(|(file, _)| Some(file.split_once('.')?.0)).collect()
}

impl Engine<'_> {
    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    fn prepare(&mut self, backdrop: &Backdrop) -> Result<()> {
        for def in &backdrop.cgroups {
            let asked = def.asked(self.ctx.topology()).map_err(fault)?;
            self.admit(&asked, true)?;
        }
        for spec in &backdrop.works {
            let work = AskedWork::of("backdrop", spec, self.ctx.topology()).map_err(fault)?;
            self.gather(&work, None)?;
        }
        for payload in &backdrop.payloads {
            self.launch(payload, None, true)?;
        }
        Ok(())
    }

    /// Makes a cgroup with its crews, which wait, and its programs.
    fn admit(&mut self, asked: &Asked, lasting: bool) -> Result<()> {
        let group = self.root.group(asked).map_err(fault)?;
        self.groups.0.push((asked.name.clone(), group));
        let bare = Asked { payloads: Vec::new(), ..asked.clone() };
        self.world.declare(&bare, self.ctx.topology(), lasting).map_err(fault)?;
        for work in &asked.works {
            self.gather(work, Some(&asked.name))?;
        }
        *self.crews.entry(asked.name.clone()).or_default() += asked.works.len();
        for payload in &asked.payloads {
            self.launch(payload, Some(&asked.name), lasting)?;
        }
        Ok(())
    }

    fn gather(&mut self, work: &AskedWork, group: Option<&str>) -> Result<()> {
        let allowed = self.world.allowed(group);
        let affinity = work.bearing.affinity().resolve(self.ctx.topology(), &allowed, work.count).map_err(fault)?;
        let place = group.map(|name| self.groups.get(name)).transpose().map_err(fault)?;
        let crew = Crew::gather(&work.work, work.count, &work.bearing.manner(affinity.clone()), place)
            .with_context(|| format!("cgroup `{}`", work.label))
            .map_err(fault)?;
        let now = self.now();
        self.parties.push(Party::new(work.label.clone(), group.map(str::to_owned), crew, affinity, now));
        Ok(())
    }

    fn launch(&mut self, payload: &'static Payload, group: Option<&str>, lasting: bool) -> Result<()> {
        self.world.run(payload.name, group, lasting).map_err(fault)?;
        let path = group.map(|name| self.groups.get(name)).transpose().map_err(fault)?.map(Group::path);
        let running = RunningPayload::spawn(self.ctx, payload, path)?;
        self.programs.push(Program { name: payload.name, group: group.map(str::to_owned), running });
        Ok(())
    }

    /// Lets the crews from this one on go.
    fn start_from(&mut self, first: usize) {
        let zero = self.zero;
        for party in &mut self.parties[first..] {
            party.start(zero.elapsed());
        }
    }

    fn step(&mut self, index: usize, of: usize, step: &Step, hold: Duration) -> Result<()> {
        let first = if index == 0 { 0 } else { self.parties.len() };
        if index > 0 {
            self.timeline.begin(index, step.name.as_deref(), self.now());
        }
        for def in &step.setup {
            let asked = def.asked(self.ctx.topology()).map_err(fault)?;
            self.admit(&asked, false)?;
            self.timeline.event(self.now(), || format!("made {}", asked.name));
        }
        if index == 0 {
            self.monitor = Some(Monitor::start(self.ctx)?);
            self.zero = Instant::now();
            self.timeline.begin(index, step.name.as_deref(), Duration::ZERO);
        }
        self.start_from(first);
        let began = Instant::now();
        self.perform_all(&step.ops)?;
        if let HoldSpec::Loop { interval } = step.hold {
            let mut due = interval;
            while due < hold {
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                self.perform_all(&step.ops)?;
                due = (due + interval).max(began.elapsed());
            }
            std::thread::sleep(hold.saturating_sub(began.elapsed()));
        } else {
            // What operations took is not taken from the hold: a step that was asked to hold does.
            let from = if step.ops.is_empty() { began } else { Instant::now() };
            std::thread::sleep(hold.saturating_sub(from.elapsed()));
        }
        if index + 1 < of {
            self.timeline.end(self.now());
        }
        Ok(())
    }

    fn perform_all(&mut self, ops: &[Op]) -> Result<()> {
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
            // Those above have returned, and the plan has refused a pin.
            Op::AddCgroup(_) | Op::Spawn { .. } | Op::RunPayload { .. } | Op::PinBpfMap { .. } => {}
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
    fn changing<'b>(&'b mut self, next: &'b World, frozen_now: bool) -> impl Iterator<Item = &'b mut Party> {
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
        for party in &mut self.parties {
            let now_has = next.allowed(party.group.as_deref());
            // The kernel forgets what a task was bound to when none of it is left (`cpuset_cpus_allowed_fallback`).
            for bound in party.affinity.iter_mut().filter(|b| !b.iter().any(|cpu| now_has.contains(cpu))) {
                bound.clear();
            }
        }
        Ok(())
    }

    /// Stops and judges everything in a cgroup, and removes it.
    fn retire(&mut self, cgroup: &str) -> Result<()> {
        for name in self.world.frozen().iter().filter(|name| *name == cgroup) {
            self.thaw(name)?;
        }
        self.stop(cgroup);
        while let Some(i) = self.programs.iter().position(|p| p.group.as_deref() == Some(cgroup)) {
            let judged = self.programs.remove(i).running.kill()?;
            self.result.merge(judged);
        }
        self.groups.remove(cgroup).map_err(fault)
    }

    fn stop(&mut self, cgroup: &str) {
        while let Some(i) = self.parties.iter().position(|p| p.group.as_deref() == Some(cgroup)) {
            let party = self.parties.remove(i);
            self.judge(party);
        }
    }

    fn judge(&mut self, party: Party) {
        let now = self.now();
        let from = party.from;
        let (mut judged, gap) = party.finish(&self.world, now, self.ctx.assert());
        for outcome in &mut judged.outcomes {
            if let Outcome::Fail { detail } | Outcome::Inconclusive { detail } = outcome {
                let at = if detail.kind == CheckKind::Progress { (gap, gap) } else { (from, now) };
                detail.message.push_str(&self.timeline.steps_between(at.0, at.1));
            }
        }
        self.result.merge(judged);
    }

    fn end_payload(&mut self, name: &str, end: fn(RunningPayload) -> Result<AssertResult>) -> Result<()> {
        if let Some(i) = self.programs.iter().position(|p| p.name == name) {
            let judged = end(self.programs.remove(i).running)?;
            self.result.merge(judged);
        }
        Ok(())
    }

    /// Thaws a cgroup that may be below another frozen one.
    fn thaw(&mut self, name: &str) -> Result<()> {
        let mut next = self.world.clone();
        next.apply(&Op::unfreeze(name), self.ctx.topology()).map_err(fault)?;
        let now = self.now();
        for party in self.changing(&next, true) {
            party.thaw(now);
        }
        self.world = next;
        self.groups.get(name).map_err(fault)?.freeze(false)
    }

    fn finish(mut self) -> Result<AssertResult> {
        self.timeline.end(self.now());
        if let Some(monitor) = self.monitor.take() {
            self.result.merge(monitor.finish());
        }
        for name in self.world.frozen() {
            self.thaw(&name)?;
        }
        while !self.programs.is_empty() {
            let judged = self.programs.remove(0).running.kill()?;
            self.result.merge(judged);
        }
        while !self.parties.is_empty() {
            let party = self.parties.remove(0);
            self.judge(party);
        }
        self.groups.remove_all().map_err(fault)?;
        self.machine.restore().map_err(fault)?;
        self.result.phases = std::mem::take(&mut self.timeline).into_phases();
        Ok(std::mem::take(&mut self.result))
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
