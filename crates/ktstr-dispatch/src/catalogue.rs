//! Which names a binary has: tests × presets × kernels, before any of them runs.

use crate::entry::KtstrTestEntry;
use crate::measured::Measured;
use crate::names::{BASE, DEMO_PREFIX, GAUNTLET};
use ktstr_budget::{Candidate, Features, Secs, estimate_duration};
use ktstr_kernel::sanitize_kernel_label;
use ktstr_topology::{Preset, presets};

/// What the host offers to presets, all counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostOffer {
    /// CPUs this process may run on, times the overcommit.
    pub cpu_budget: u32,
    /// CPUs this process may run on.
    pub cpus: u32,
    /// Last-level caches of the host.
    pub llcs: u32,
    /// CPUs in the largest of them.
    pub max_cpus_per_llc: u32,
}

/// Everything that decides the list of names.
#[derive(Debug)]
pub struct Catalogue<'a> {
    entries: Vec<&'a KtstrTestEntry>,
    kernel_tails: Vec<String>,
    host: HostOffer,
    base_only: bool,
    perf_possible: bool,
}

/// One name of the catalogue, in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The test.
    pub entry: &'a KtstrTestEntry,
    /// The preset, `None` for the declared topology.
    pub preset: Option<&'static Preset>,
    tail: &'a str,
}

impl Item<'_> {
    /// Whether nextest leaves it out unless asked: variants, and base tests whose name starts with `demo_`.
    #[must_use]
    pub fn ignored(&self) -> bool {
        self.preset.is_some() || self.entry.name.starts_with(DEMO_PREFIX)
    }

    /// Appends the full name.
    pub fn push_name(&self, out: &mut Vec<u8>) {
        match self.preset {
            None => {
                out.extend_from_slice(BASE.as_bytes());
                out.extend_from_slice(self.entry.name.as_bytes());
            }
            Some(preset) => {
                out.extend_from_slice(GAUNTLET.as_bytes());
                out.extend_from_slice(self.entry.name.as_bytes());
                out.push(b'/');
                out.extend_from_slice(preset.name.as_bytes());
            }
        }
        out.extend_from_slice(self.tail.as_bytes());
    }

    /// The full name.
    #[must_use]
    pub fn name(&self) -> String {
        let mut out = Vec::new();
        self.push_name(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// What the budget weighs: features and estimated seconds, from what such machines took here before when that is known.
    #[must_use]
    pub fn candidate(&self, measured: &Measured) -> Candidate {
        let name = self.name();
        let declared = self.entry.dimensions();
        let (numa_nodes, llcs, cores, threads) = self.preset.map_or(declared, |p| {
            let t = &p.topology;
            (t.numa_nodes, t.llcs, t.cores_per_llc, t.threads_per_core)
        });
        let cpus = llcs.saturating_mul(cores).saturating_mul(threads);
        let mask = Features {
            scheduler: self.entry.scheduler.name,
            test: &name,
            cpus,
            llcs,
            numa_nodes,
            smt: threads > 1,
            perf: self.entry.performance_mode,
            host_only: self.entry.host_only,
            expect_err: self.entry.expect_err,
            duration_s: self.entry.duration_s,
            gauntlet: self.preset.is_some(),
        }
        .mask();
        let (duration_s, perf) = (self.entry.duration_s, self.entry.performance_mode);
        let secs = match measured.of_cpus(cpus) {
            Some(phases) if !self.entry.host_only => phases.estimate(duration_s, perf),
            _ => estimate_duration(cpus, duration_s, self.entry.host_only, perf),
        };
        Candidate { secs: Secs::new(secs).unwrap_or(Secs::ZERO), name, mask }
    }
}

impl<'a> Catalogue<'a> {
    /// `kernel_labels` holds the raw labels when two or more kernels are listed, else nothing.
    #[must_use]
    pub fn new(entries: Vec<&'a KtstrTestEntry>, kernel_labels: &[&str], host: HostOffer) -> Self {
        let kernel_tails = if kernel_labels.is_empty() {
            vec![String::new()]
        } else {
            kernel_labels.iter().map(|l| format!("/{}", sanitize_kernel_label(l).as_str())).collect()
        };
        Self { entries, kernel_tails, host, base_only: false, perf_possible: true }
    }

    /// Leaves out every variant (`KTSTR_CARGO_TEST_MODE`).
    #[must_use]
    pub fn base_only(mut self, yes: bool) -> Self {
        self.base_only = yes;
        self
    }

    /// With `KTSTR_NO_PERF_MODE` performance tests are filtered like all others: they will only be skipped.
    #[must_use]
    pub fn without_perf_mode(mut self, yes: bool) -> Self {
        self.perf_possible = !yes;
        self
    }

    /// Whether a preset is one of this test's variants on this host.
    #[must_use]
    pub fn accepts(&self, entry: &KtstrTestEntry, preset: &Preset) -> bool {
        let constraints = entry.constraints();
        if entry.performance_mode && self.perf_possible {
            constraints.accepts(&preset.topology, self.host.cpus, self.host.llcs, self.host.max_cpus_per_llc)
        } else {
            constraints.accepts_no_perf_mode(&preset.topology, self.host.cpu_budget)
        }
    }

    /// Calls `f` with every name, base tests first for each test.
    pub fn visit(&self, mut f: impl FnMut(Item<'_>)) {
        for entry in &self.entries {
            if entry.host_only {
                f(Item { entry, preset: None, tail: "" });
                continue;
            }
            for tail in &self.kernel_tails {
                f(Item { entry, preset: None, tail });
            }
            if self.base_only {
                continue;
            }
            for preset in presets().iter().filter(|p| self.accepts(entry, p)) {
                for tail in &self.kernel_tails {
                    f(Item { entry, preset: Some(preset), tail });
                }
            }
        }
    }
}
