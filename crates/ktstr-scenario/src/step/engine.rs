//! Carries a planned scenario out: cgroups and crews made, operations done, everything judged and put back.

use super::hotplug::Machine;
use super::op::Op;
use super::party::Party;
use super::spec::{Backdrop, HoldSpec, Step};
use super::timeline::Timeline;
use super::world::World;
use crate::cgroup::{Asked, AskedWork, Group, Root};
use crate::ctx::Ctx;
use crate::monitor::Monitor;
use crate::payload::{Payload, RunningPayload};
use crate::scheduler::PinnedMap;
use crate::worker::Crew;
use anyhow::{Context as _, Result};
use ktstr_verdict::{AssertResult, CheckKind, HarnessFault, Outcome};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Marks what the harness could not do: no expectation of a failing test may be met by it.
pub fn fault(e: anyhow::Error) -> anyhow::Error {
    e.context(HarnessFault::new("the scenario could not be carried out"))
}

/// Cgroups in the order they were made; they go in the other.
#[derive(Default)]
pub struct Groups(pub Vec<(String, Group)>);

impl Groups {
    pub fn get(&self, name: &str) -> Result<&Group> {
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
pub struct Program {
    pub name: &'static str,
    pub group: Option<String>,
    pub running: RunningPayload,
}

/// A scenario that runs. Fields are dropped in this order: workers and programs end before their cgroups go.
pub struct Engine<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) world: World,
    pub(super) parties: Vec<Party>,
    pub(super) programs: Vec<Program>,
    /// Crews that each cgroup has had: the next one's number.
    pub(super) crews: BTreeMap<String, usize>,
    pub(super) groups: Groups,
    pub(super) root: Root,
    pub(super) machine: Machine,
    /// BPF maps, pinned as long as it runs.
    pub(super) pins: Vec<PinnedMap>,
    pub(super) timeline: Timeline,
    pub(super) result: AssertResult,
    pub(super) monitor: Option<Monitor>,
    pub(super) zero: Instant,
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
        pins: Vec::new(),
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
    pub(super) fn now(&self) -> Duration {
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
    pub(super) fn admit(&mut self, asked: &Asked, lasting: bool) -> Result<()> {
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

    pub(super) fn gather(&mut self, work: &AskedWork, group: Option<&str>) -> Result<()> {
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

    pub(super) fn launch(&mut self, payload: &'static Payload, group: Option<&str>, lasting: bool) -> Result<()> {
        self.world.run(payload.name, group, lasting).map_err(fault)?;
        let path = group.map(|name| self.groups.get(name)).transpose().map_err(fault)?.map(Group::path);
        let running = RunningPayload::spawn(self.ctx, payload, path)?;
        self.programs.push(Program { name: payload.name, group: group.map(str::to_owned), running });
        Ok(())
    }

    /// Lets the crews from this one on go.
    pub(super) fn start_from(&mut self, first: usize) {
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

    /// Stops and judges everything in a cgroup, and removes it.
    pub(super) fn retire(&mut self, cgroup: &str) -> Result<()> {
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

    pub(super) fn stop(&mut self, cgroup: &str) {
        while let Some(i) = self.parties.iter().position(|p| p.group.as_deref() == Some(cgroup)) {
            let party = self.parties.remove(i);
            self.judge(party);
        }
    }

    fn judge(&mut self, party: Party) {
        let now = self.now();
        let from = party.from;
        let mut judged = party.finish(&self.world, now, self.ctx.assert());
        for outcome in &mut judged.result.outcomes {
            if let Outcome::Fail { detail } | Outcome::Inconclusive { detail } = outcome {
                let at = match detail.kind {
                    CheckKind::Progress => (judged.standstill, judged.standstill),
                    CheckKind::Isolation => judged.escape,
                    _ => (from, now),
                };
                detail.message.push_str(&self.timeline.steps_between(at.0, at.1));
            }
        }
        self.result.merge(judged.result);
    }

    /// Thaws a cgroup that may be below another frozen one.
    pub(super) fn thaw(&mut self, name: &str) -> Result<()> {
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
