//! The record of one run.

use crate::delta::PerfDeltaAssertion;
use crate::store::SUFFIX;
use crate::trace::TRACE_SUFFIX;
use crate::variant::{VariantKey, variant_hash};
use ktstr_topology::ReadBack;
use ktstr_verdict::{CgroupStats, MonitorSummary, Outcome, Phase, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of [`SidecarRecord`], raised when a field changes its meaning: a new field is no new version. Readers take older
/// ones and refuse later ones by name.
pub const SCHEMA_VERSION: u32 = 1;

/// What one callback of a scheduler cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Callback {
    /// Times it ran.
    pub calls: u64,
    /// Nanoseconds in all.
    pub ns: u64,
}

/// A failure that was run again in a second machine (`auto_repro`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repro {
    /// It failed there in the same way.
    pub same: bool,
    /// What came of it, in words.
    pub message: String,
    /// Name of the file beside the record with what its CPUs did, a Perfetto trace.
    pub trace: Option<String>,
}

/// Everything worth keeping of a run. The three verdict flags are set together, from one [`Verdict`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SidecarRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Bare name of the test.
    pub test_name: String,
    /// The runner's name for the binary it is in.
    pub binary: Option<String>,
    /// Preset, when the run was a variant.
    pub preset: Option<String>,
    /// The machine that was asked for.
    pub topology: String,
    /// The machine as the guest saw it.
    pub topology_read_back: Option<ReadBack>,
    /// Name of the scheduler.
    pub scheduler: String,
    /// SHA-256 of its binary.
    pub scheduler_binary_hash: Option<String>,
    /// How its binary was found.
    pub resolve_source: Option<String>,
    /// Words that the environment put behind its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scheduler_args: Vec<String>,
    /// What `root/ops` was at the start.
    pub scheduler_ops: Option<String>,
    /// Whether it was attached at the start.
    pub attached_at_start: bool,
    /// Whether it was attached at the end.
    pub attached_at_end: bool,
    /// Commit of the project under test, with `-dirty`.
    pub project_commit: Option<String>,
    /// Label of the kernel.
    pub kernel_label: Option<String>,
    /// Version of the kernel.
    pub kernel_version: Option<String>,
    /// Release of the kernel as the guest said it.
    pub kernel_release: Option<String>,
    /// Commit the kernel was built from, with `-dirty`, where its cache entry or its release says so; those of distributions do not.
    pub kernel_commit: Option<String>,
    /// Accelerator.
    pub accelerator: Option<String>,
    /// Why it was taken.
    pub accelerator_why: Option<String>,
    /// What a simulated run was drawn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// SHA-256 of all that a simulated machine wrote and said: the same seed gives the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Level of its perturbations, and which of them were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chaos: Option<String>,
    /// How many perturbations the seed drew, those left out included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perturbations: Option<usize>,
    /// Those that were kept, in words, when they are few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub perturbed: Vec<String>,
    /// SHA-256 of the kernel image that was booted, for a simulated run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_hash: Option<String>,
    /// What names the guest's files by their content: binary, libraries, scheduler; for a simulated run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initramfs_hash: Option<String>,
    /// Version of the QEMU that simulated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qemu_version: Option<String>,
    /// SHA-256 of the test's own binary, for a simulated run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_hash: Option<String>,
    /// Guest CPUs for each host CPU.
    pub overcommit: f64,
    /// Name of the payload.
    pub payload: Option<String>,
    /// Name of the work type, for a variant that is one of a work type. No test can declare one yet: it holds the hash's place.
    pub work_type: Option<String>,
    /// Named figures.
    pub metrics: BTreeMap<String, f64>,
    /// Limits of the test's own for comparisons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub perf_delta_assertions: Vec<PerfDeltaAssertion>,
    /// The verdict is a pass.
    pub passed: bool,
    /// The verdict is a skip.
    pub skipped: bool,
    /// The verdict is inconclusive.
    pub inconclusive: bool,
    /// The test expects a failure.
    pub expected_failure: bool,
    /// What the operator was told.
    pub message: String,
    /// Outcomes with details.
    pub outcomes: Vec<Outcome>,
    /// What the workers of each cgroup did.
    pub cgroups: Vec<CgroupStats>,
    /// The steps that the workload went through.
    pub phases: Vec<Phase>,
    /// What was sampled while workloads ran, once for each of them.
    pub monitor: Vec<MonitorSummary>,
    /// `root/events` at the end.
    pub sched_ext_events: BTreeMap<String, i64>,
    /// The kernel's words on why the scheduler left.
    pub exit_info: Option<String>,
    /// Last lines of the scheduler.
    pub scheduler_log: Vec<String>,
    /// Instructions the BPF verifier walked, by program of the schedulers that were attached.
    pub verifier_instructions: BTreeMap<String, u64>,
    /// What each of those cost, by its name; where one was still attached when it was looked at, and not in performance mode, whose
    /// runs nothing counts.
    pub callback_profile: BTreeMap<String, Callback>,
    /// Microseconds of each phase: `build` (the guest's files and parameters), `start` (on KVM of `create`, `load`, `vcpus`,
    /// `entry`), `boot` (by the guest's clock `guest-kernel` until init, `guest-init` until hello), `attach`, `test`, `shutdown`,
    /// `teardown`; `bye` and `total` count from the start, and `exec` is the age of the runner's process at it.
    pub phases_us: BTreeMap<String, u64>,
    /// Exits of the machine to this process, by reason, where this process is the monitor.
    pub exits: BTreeMap<String, u64>,
    /// Nanoseconds the machine waited for host CPUs.
    pub host_run_delay_ns: u64,
    /// CPU model of the host.
    pub host_cpu: Option<String>,
    /// Kernel of the host.
    pub host_kernel: Option<String>,
    /// CPUs of the host.
    pub host_cpus: Option<u32>,
    /// Frequency governor of the host's first CPU.
    pub host_governor: Option<String>,
    /// The kernel's complaint from its first line on, when the run failed and there is one.
    pub kernel_splat: Vec<String>,
    /// Last lines of the console, when the run failed.
    pub console_tail: String,
    /// Name of the file beside this one with what the CPUs did, a Perfetto trace.
    pub trace: Option<String>,
    /// What came of the failure in a second machine, where the test asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repro: Option<Repro>,
    /// Start, seconds since 1970.
    pub started_unix_s: u64,
    /// Whole run, ms.
    pub wall_ms: u64,
    /// From the test's outcome to the machine being gone, ms.
    pub cleanup_duration_ms: Option<u64>,
    /// Attempt under the runner's own count, from 1.
    pub attempt: u32,
    /// The session's token.
    pub run_id: Option<String>,
    /// `ci`, `local`, or `archive` for a binary outside of a target directory.
    pub run_source: String,
    /// What the variant hash is made of.
    pub sysctls: Vec<String>,
    /// What the variant hash is made of.
    pub kargs: Vec<String>,
}

impl SidecarRecord {
    /// A record of a verdict; everything else is filled in after.
    #[must_use]
    pub fn new(test: &str, topology: &str, scheduler: &str, verdict: Verdict) -> Self {
        let bits = verdict.bits();
        Self {
            schema_version: SCHEMA_VERSION,
            test_name: test.to_owned(),
            topology: topology.to_owned(),
            scheduler: scheduler.to_owned(),
            passed: bits.passed,
            skipped: bits.skipped,
            inconclusive: bits.inconclusive,
            attempt: 1,
            run_source: "local".to_owned(),
            ..Self::default()
        }
    }

    /// The verdict that the flags stand for.
    pub fn verdict(&self) -> Verdict {
        match (self.passed, self.skipped, self.inconclusive) {
            (true, false, false) => Verdict::Pass,
            (false, true, false) => Verdict::Skip,
            (false, false, true) => Verdict::Inconclusive,
            // No flag is a failure, and flags that contradict each other are no proof.
            _ => Verdict::Fail,
        }
    }

    /// What to call a directory for this record when `there` is another run's of the same session, and else nothing.
    pub(crate) fn aside(&self, there: &Self) -> Option<String> {
        let who = |r: &Self| [r.kernel_label.clone(), r.preset.clone(), r.binary.clone()];
        let (mine, other) = (who(self), who(there));
        if self.run_id.is_none() || self.run_id != there.run_id || mine == other {
            return None;
        }
        let words: Vec<String> = mine.into_iter().flatten().collect();
        Some(words.join("-").chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect())
    }

    /// `{test}-{variant hash}.ktstr.json`.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.stem() + SUFFIX
    }

    /// `{test}-{variant hash}.wprof.pb`: the trace that belongs to it.
    #[must_use]
    pub fn trace_name(&self) -> String {
        self.stem() + TRACE_SUFFIX
    }

    /// `{test}-{variant hash}.repro.wprof.pb`: the trace of the second machine.
    #[must_use]
    pub fn repro_trace_name(&self) -> String {
        self.stem() + ".repro" + TRACE_SUFFIX
    }

    fn stem(&self) -> String {
        let hash = variant_hash(&VariantKey {
            topology: self.topology.clone(),
            scheduler: self.scheduler.clone(),
            payload: self.payload.clone(),
            work_type: self.work_type.clone(),
            sysctls: self.sysctls.clone(),
            kargs: self.kargs.clone(),
        });
        let test: String = self.test_name.chars().map(|c| if c == '/' { '_' } else { c }).collect();
        format!("{test}-{hash:016x}")
    }
}
