//! What one `#[ktstr_test]` declares, as a value that can live in a `static`.

use crate::post_vm::PostVmFn;
use ktstr_scenario::{Assert, Payload, Scheduler, TestBody, TestFn};
use ktstr_sidecar::PerfDeltaAssertion;
use ktstr_topology::TopologyConstraints;

/// One declared test. `#[ktstr_test]` writes it; a raw `#[distributed_slice(KTSTR_TESTS)]` static does as well.
///
/// Every field that is `None` falls back to the scheduler's declaration, then to the library's default.
#[derive(Clone, Debug)]
pub struct KtstrTestEntry {
    /// The bare test name: `ktstr/{name}` and `gauntlet/{name}/{preset}` are made from it.
    pub name: &'static str,
    /// Path of the libtest wrapper (`module_path!()::name`), "" where there is none.
    pub libtest_path: &'static str,
    /// The function that runs in the guest, or on the host when [`host_only`](Self::host_only) is set.
    pub func: TestFn,
    /// The scheduler under test; [`Scheduler::EEVDF`] loads nothing.
    pub scheduler: &'static Scheduler,
    /// The program that is the test's main workload: the test lasts until it has ended, and is judged by it too.
    pub payload: Option<&'static Payload>,
    /// Programs that run beside the test for all of its time.
    pub workloads: &'static [&'static Payload],
    /// Arguments after the scheduler's own `sched_args`.
    pub extra_sched_args: &'static [&'static str],
    /// Schedulers that are packed beside it, for the test to attach ([`ktstr_scenario::SchedulerControl`]).
    pub staged_schedulers: &'static [&'static Scheduler],
    /// Content of the file that the scheduler's `config_file_def` names.
    pub config: Option<&'static str>,
    /// NUMA nodes of the declared topology.
    pub numa_nodes: Option<u32>,
    /// Last-level caches of the whole machine.
    pub llcs: Option<u32>,
    /// Cores in each last-level cache.
    pub cores: Option<u32>,
    /// Threads in each core.
    pub threads: Option<u32>,
    /// Least memory of the machine in MiB.
    pub memory_mib: Option<u32>,
    /// Smallest number of last-level caches a preset may have.
    pub min_llcs: Option<u32>,
    /// Largest number of last-level caches a preset may have.
    pub max_llcs: Option<u32>,
    /// Smallest number of CPUs a preset may have.
    pub min_cpus: Option<u32>,
    /// Largest number of CPUs a preset may have.
    pub max_cpus: Option<u32>,
    /// Smallest number of NUMA nodes a preset may have.
    pub min_numa_nodes: Option<u32>,
    /// Largest number of NUMA nodes a preset may have.
    pub max_numa_nodes: Option<u32>,
    /// Only presets with more than one thread in a core.
    pub requires_smt: bool,
    /// Seconds the workload runs.
    pub duration_s: u64,
    /// Seconds past the duration after which a silent test is given up.
    pub watchdog_timeout_s: u64,
    /// Milliseconds that tearing down cgroups and workers may take.
    pub cleanup_budget_ms: Option<u64>,
    /// The test's own checks; they win over the scheduler's and the library's.
    pub assert: Assert,
    /// Words of kernel log lines that this test allows; a log that is not whole is never allowed.
    pub allow_kernel_log: &'static [&'static str],
    /// The test passes when it fails (for a reason that is the scheduler's).
    pub expect_err: bool,
    /// Text the scheduler's error must contain.
    pub expect_scx_bpf_error_contains: Option<&'static str>,
    /// Regular expression the scheduler's error must match.
    pub expect_scx_bpf_error_matches: Option<&'static str>,
    /// An inconclusive result counts as a pass.
    pub allow_inconclusive: bool,
    /// The scheduler is promised to live through the test.
    pub survives_storm: bool,
    /// Runs on the host after the machine of a run that would pass.
    pub post_vm: Option<PostVmFn>,
    /// Runs on the host after every machine, whatever became of it.
    pub post_vm_unconditional: Option<PostVmFn>,
    /// A failure is run again in a second machine, which is traced; whether it came again is said and recorded.
    pub auto_repro: bool,
    /// The test passes when it fails and the second machine fails in the same way: by the same exit of the scheduler, or, without
    /// one, by the same kind of check.
    pub expect_auto_repro: bool,
    /// Needs dedicated CPUs of the host.
    pub performance_mode: bool,
    /// Never takes dedicated CPUs.
    pub no_perf_mode: bool,
    /// CPUs of the host this test may take.
    pub cpu_budget: Option<u32>,
    /// Runs on the host, without a machine.
    pub host_only: bool,
    /// Writes a BPF map of the scheduler from the host; needs the kernel's vmlinux.
    pub bpf_map_write: bool,
    /// Host files packed into the guest at the same absolute path; a name without `/` is a program on the host's PATH, which
    /// payloads of that name find.
    pub extra_include_files: &'static [&'static str],
    /// Limits of its own for figures that `cargo ktstr perf-delta` compares.
    pub perf_delta_assertions: &'static [PerfDeltaAssertion],
    /// A trace of what the CPUs did is kept, whatever the verdict.
    pub wprof: bool,
    /// Cgroup of the guest, below the cgroup root, that the workload lives in.
    pub workload_root_cgroup: Option<&'static str>,
    /// Names of the attributes in use whose machinery this version lacks: such a test fails loudly when run.
    pub deferred: &'static [&'static str],
}

/// Seconds a test runs when it does not say.
pub const DEFAULT_DURATION_S: u64 = 12;
/// Seconds of silence past the duration that are forgiven when a test does not say.
pub const DEFAULT_WATCHDOG_S: u64 = 5;

fn no_function(_: &ktstr_scenario::Ctx) -> anyhow::Result<ktstr_verdict::AssertResult> {
    anyhow::bail!("this KtstrTestEntry has no function: set `func`")
}

impl KtstrTestEntry {
    /// The value every declaration starts from.
    pub const DEFAULT: Self = Self {
        name: "",
        libtest_path: "",
        func: no_function,
        scheduler: &Scheduler::EEVDF,
        payload: None,
        workloads: &[],
        extra_sched_args: &[],
        staged_schedulers: &[],
        config: None,
        numa_nodes: None,
        llcs: None,
        cores: None,
        threads: None,
        memory_mib: None,
        min_llcs: None,
        max_llcs: None,
        min_cpus: None,
        max_cpus: None,
        min_numa_nodes: None,
        max_numa_nodes: None,
        requires_smt: false,
        duration_s: DEFAULT_DURATION_S,
        watchdog_timeout_s: DEFAULT_WATCHDOG_S,
        cleanup_budget_ms: None,
        assert: Assert::NONE,
        allow_kernel_log: &[],
        expect_err: false,
        expect_scx_bpf_error_contains: None,
        expect_scx_bpf_error_matches: None,
        allow_inconclusive: false,
        survives_storm: false,
        post_vm: None,
        post_vm_unconditional: None,
        auto_repro: false,
        expect_auto_repro: false,
        performance_mode: false,
        no_perf_mode: false,
        cpu_budget: None,
        host_only: false,
        bpf_map_write: false,
        extra_include_files: &[],
        perf_delta_assertions: &[],
        wprof: false,
        workload_root_cgroup: None,
        deferred: &[],
    };

    /// `(numa_nodes, llcs, cores, threads)`: the test's dimensions, else the scheduler's, else 1n1l2c1t.
    #[must_use]
    pub const fn dimensions(&self) -> (u32, u32, u32, u32) {
        let base = match self.scheduler.topology {
            Some(t) => t,
            None => (1, 1, 2, 1),
        };
        (or(self.numa_nodes, base.0), or(self.llcs, base.1), or(self.cores, base.2), or(self.threads, base.3))
    }

    /// The bounds presets must meet: the test's own over the scheduler's.
    #[must_use]
    pub const fn constraints(&self) -> TopologyConstraints {
        let base = self.scheduler.constraints;
        TopologyConstraints {
            min_numa_nodes: or(self.min_numa_nodes, base.min_numa_nodes),
            max_numa_nodes: or_bound(self.max_numa_nodes, base.max_numa_nodes),
            min_llcs: or(self.min_llcs, base.min_llcs),
            max_llcs: or_bound(self.max_llcs, base.max_llcs),
            min_cpus: or(self.min_cpus, base.min_cpus),
            max_cpus: or_bound(self.max_cpus, base.max_cpus),
            requires_smt: self.requires_smt || base.requires_smt,
        }
    }

    /// What runs in the guest, or on the host for `host_only`.
    #[must_use]
    pub const fn body(&self) -> TestBody {
        TestBody { func: self.func, payload: self.payload, workloads: self.workloads }
    }

    /// Payload and workloads.
    pub fn payloads(&self) -> impl Iterator<Item = &'static Payload> {
        self.payload.into_iter().chain(self.workloads.iter().copied())
    }

    /// Attributes this test uses whose machinery this version lacks.
    #[must_use]
    pub fn unsupported(&self) -> Vec<&'static str> {
        let mut names = self.deferred.to_vec();
        names.extend(self.bpf_map_write.then_some("bpf_map_write"));
        names
    }
}

const fn or(value: Option<u32>, fallback: u32) -> u32 {
    match value {
        Some(v) => v,
        None => fallback,
    }
}

const fn or_bound(value: Option<u32>, fallback: Option<u32>) -> Option<u32> {
    match value {
        Some(v) => Some(v),
        None => fallback,
    }
}
