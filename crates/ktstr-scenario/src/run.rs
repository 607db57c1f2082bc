//! Running cgroups of workers for a test's duration, and judging them.

use crate::assert::check_group;
use crate::cgroup::{CgroupDef, Group, Root};
use crate::ctx::Ctx;
use crate::monitor::Monitor;
use crate::worker::Crew;
use anyhow::{Context as _, Result, bail, ensure};
use ktstr_verdict::AssertResult;
use std::collections::BTreeSet;
use std::time::Instant;

struct Party {
    name: String,
    cpus: Vec<u32>,
    crew: Crew,
    _group: Group,
}

/// Runs all cgroups side by side for the test's duration and checks their workers.
///
/// # Errors
/// Wrong group sizes, names or cpusets before anything starts; cgroups or workers that could not be made.
pub fn execute_defs(ctx: &Ctx, defs: Vec<CgroupDef>) -> Result<AssertResult> {
    let cpusets = plan(ctx, &defs)?;
    let root = Root::open(ctx)?;
    let mut parties = Vec::with_capacity(defs.len());
    for (def, cpus) in defs.into_iter().zip(cpusets) {
        let group = root.group(&def, cpus.as_deref())?;
        let crew = Crew::gather(&def.work, def.workers, &def.manner, Some(&group))
            .with_context(|| format!("cgroup `{}`", def.name))?;
        parties.push(Party { name: def.name, cpus: cpus.unwrap_or_default(), crew, _group: group });
    }
    let monitor = Monitor::start(ctx)?;
    let start = Instant::now();
    for party in &parties {
        party.crew.start();
    }
    std::thread::sleep(ctx.duration().saturating_sub(start.elapsed()));
    let mut result = monitor.finish();
    for party in parties {
        let ran = start.elapsed();
        let seen = party.crew.stop().with_context(|| format!("cgroup `{}`", party.name))?;
        result.merge(check_group(&party.name, &seen, &party.cpus, ran, ctx.assert()));
    }
    Ok(result)
}

fn plan(ctx: &Ctx, defs: &[CgroupDef]) -> Result<Vec<Option<Vec<u32>>>> {
    ensure!(!defs.is_empty(), "execute_defs needs at least one CgroupDef: nothing would be tested");
    let mut names = BTreeSet::new();
    for def in defs {
        if def.name.is_empty() || def.name.contains('/') || def.name.starts_with('.') {
            bail!("`{}` is not a cgroup name: it must be one path component", def.name);
        }
        ensure!(names.insert(&def.name), "two cgroups are named `{}`", def.name);
        def.work.check_count(def.workers).with_context(|| format!("cgroup `{}`", def.name))?;
    }
    defs.iter().map(|d| d.cpuset.as_ref().map(|c| c.resolve(ctx.topology())).transpose()).collect()
}
