//! Which cells there are.

use crate::catalogue::HostOffer;
use crate::env::Settings;
use crate::names::VERIFIER;
use crate::resolve;
use ktstr_kernel::{KernelEntry, kernel_accepts};
use ktstr_scenario::{Scheduler, SchedulerSpec};
use ktstr_topology::{Preset, presets};
use std::collections::HashSet;
use std::path::Path;

/// One scheduler on one kernel and one preset.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The scheduler.
    pub scheduler: &'static Scheduler,
    /// The kernel.
    pub kernel: &'a KernelEntry,
    /// The preset.
    pub preset: &'static Preset,
}

impl Cell<'_> {
    /// `verifier/{scheduler}/{kernel}/{preset}`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{VERIFIER}{}/{}/{}", self.scheduler.name, self.kernel.sanitized, self.preset.name)
    }
}

/// Every cell of these schedulers on the kernels of the list, and warnings for those that the names cannot carry.
///
/// A scheduler whose program is not there has none: a stat decides, nothing is built for a listing.
pub fn cells<'a>(
    declared: &[&'static Scheduler],
    settings: &'a Settings,
    host: HostOffer,
) -> (Vec<Cell<'a>>, Vec<String>) {
    let (mut cells, mut warnings) = (Vec::new(), Vec::new());
    if settings.kernels.is_empty() {
        // No cell without a kernel: nothing is looked up for a plain listing.
        return (cells, warnings);
    }
    let mut seen = HashSet::new();
    for &scheduler in declared {
        let wanted = settings.verifier_scheduler.as_deref().is_none_or(|only| only == scheduler.name);
        if !wanted || !has_program(scheduler, settings) || !seen.insert(scheduler.name) {
            continue;
        }
        if scheduler.name.contains('/') {
            warnings.push(format!("scheduler `{}` has a `/` in its name and no verifier cells", scheduler.name));
            continue;
        }
        for kernel in settings.kernels.iter().filter(|k| kernel_accepts(&k.label, scheduler.kernels)) {
            let fits = |p: &&Preset| {
                scheduler.constraints.accepts_no_perf_mode(&p.topology, host.cpu_budget)
                    && !scheduler.verifier_exclude_topologies.contains(&p.name)
                    && !p.name.contains('/')
            };
            cells.extend(presets().iter().filter(fits).map(|preset| Cell { scheduler, kernel, preset }));
        }
    }
    (cells, warnings)
}

fn has_program(scheduler: &Scheduler, settings: &Settings) -> bool {
    match scheduler.spec {
        SchedulerSpec::Eevdf | SchedulerSpec::KernelBuiltin { .. } => false,
        SchedulerSpec::Path(path) => Path::new(path).exists(),
        SchedulerSpec::Discover(binary) => resolve::is_there(binary, settings),
    }
}
