//! The whole scenario, looked through before anything starts: how long each step holds, and whether each operation can be done
//! where it stands.

use super::op::Op;
use super::spec::{Backdrop, HoldSpec, Step};
use super::world::World;
use crate::cgroup::AskedWork;
use anyhow::{Context as _, Result, ensure};
use ktstr_topology::Topology;
use std::time::Duration;

/// Rounds of a loop that are looked through when they never come back to where they were.
const ROUNDS: usize = 1000;
/// What sums of fractions may be off by.
const ROUNDING: f64 = 1e-9;

/// How long each step holds.
pub fn plan(
    topology: &Topology,
    on_host: bool,
    duration: Duration,
    backdrop: &Backdrop,
    steps: &[Step],
) -> Result<Vec<Duration>> {
    ensure!(!steps.is_empty(), "a scenario needs at least one step: nothing would be tested");
    let holds = shares(duration, steps)?;
    let mut world = World::new(topology, on_host);
    for def in &backdrop.cgroups {
        world.declare(&def.asked(topology)?, topology, true).context("backdrop")?;
    }
    for work in &backdrop.works {
        AskedWork::of("backdrop", work, topology)?;
        work.bearing.affinity().resolve(topology, &world.allowed(None), 1).context("backdrop")?;
    }
    for payload in &backdrop.payloads {
        world.run(payload.name, None, true).context("backdrop")?;
    }
    for (i, (step, hold)) in steps.iter().zip(&holds).enumerate() {
        let at = || format!("step {} of {}", i + 1, steps.len());
        for def in &step.setup {
            def.asked(topology).and_then(|asked| world.declare(&asked, topology, false)).with_context(at)?;
        }
        walk(&mut world, step, *hold, topology).with_context(at)?;
    }
    ensure!(has_load(backdrop, steps), "no step has a worker or a program: nothing would be tested");
    Ok(holds)
}

/// All rounds of a step's operations, until they repeat themselves.
fn walk(world: &mut World, step: &Step, hold: Duration, topology: &Topology) -> Result<()> {
    let rounds = match step.hold {
        HoldSpec::Loop { interval } => usize::try_from(hold.as_nanos().div_ceil(interval.as_nanos().max(1)))?,
        _ => 1,
    };
    let mut been = Vec::new();
    for round in 0..rounds.min(ROUNDS) {
        if been.contains(world) {
            break;
        }
        been.push(world.clone());
        for (i, op) in step.ops.iter().enumerate() {
            let in_round = if round == 0 { String::new() } else { format!(" in round {}", round + 1) };
            world.apply(op, topology).with_context(|| format!("operation {} (`{op}`){in_round}", i + 1))?;
        }
    }
    Ok(())
}

fn shares(duration: Duration, steps: &[Step]) -> Result<Vec<Duration>> {
    let mut sum = 0.0;
    let mut taken = Duration::ZERO;
    for (i, step) in steps.iter().enumerate() {
        let at = || format!("step {} of {}", i + 1, steps.len());
        match step.hold {
            HoldSpec::Frac(share) => {
                ensure!((0.0..=1.0).contains(&share), "{}: Frac({share}) is not from 0 to 1", at());
                sum += share;
                taken += duration.mul_f64(share);
            }
            HoldSpec::Fixed(time) => taken = taken.saturating_add(time),
            HoldSpec::Loop { interval } => {
                ensure!(!interval.is_zero(), "{}: Loop with an interval of 0 is no loop", at());
                ensure!(!step.ops.is_empty(), "{}: Loop has no operations to repeat", at());
            }
            HoldSpec::Rest => {}
        }
    }
    ensure!(
        sum <= 1.0 + ROUNDING,
        "the fractions of all steps are {sum} together, at most 1: HoldSpec::FULL takes the rest"
    );
    let takers = steps.iter().filter(|s| matches!(s.hold, HoldSpec::Rest | HoldSpec::Loop { .. })).count();
    // A nanosecond or two of rounding is no overrun.
    ensure!(
        taken <= duration + Duration::from_micros(1),
        "the steps hold for {taken:?}, and the test's duration is {duration:?}: raise duration_s"
    );
    let part = duration.saturating_sub(taken) / u32::try_from(takers.max(1))?;
    ensure!(
        takers == 0 || part > Duration::from_millis(1),
        "{takers} steps share what the others leave of {duration:?}, and that is nothing"
    );
    let holds = steps.iter().enumerate().map(|(i, step)| match step.hold {
        HoldSpec::Frac(share) => Ok(duration.mul_f64(share)),
        HoldSpec::Fixed(time) => Ok(time),
        HoldSpec::Rest => Ok(part),
        HoldSpec::Loop { interval } => {
            ensure!(
                interval < part,
                "step {} of {}: Loop every {interval:?} within {part:?} is done once: shorten the interval",
                i + 1,
                steps.len()
            );
            Ok(part)
        }
    });
    holds.collect()
}

fn has_load(backdrop: &Backdrop, steps: &[Step]) -> bool {
    let loaded = |def: &crate::cgroup::CgroupDef| !def.all_works().is_empty() || !def.payloads.is_empty();
    let op_loads = |op: &Op| match op {
        Op::AddCgroup(def) => loaded(def),
        Op::Spawn { .. } | Op::RunPayload { .. } => true,
        _ => false,
    };
    !backdrop.works.is_empty()
        || !backdrop.payloads.is_empty()
        || backdrop.cgroups.iter().any(loaded)
        || steps.iter().any(|s| s.setup.iter().any(loaded) || s.ops.iter().any(op_loads))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
