//! One attempt in a machine: plan it, pack it, boot it, and hand back what came out.

use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::evaluate::{Evidence, Expected, evaluate};
use crate::resolve::{ResolvedScheduler, resolve};
use anyhow::Context as _;
use ktstr_guest_init::GuestParams;
use ktstr_kernel::cache::Cache;
use ktstr_kernel::find::{FindEnv, FoundKernel, find_kernel};
use ktstr_scenario::{Assert, SchedulerLaunch};
use ktstr_topology::{Topology, vm_memory_mib};
use ktstr_verdict::{
    AssertResult, HarnessFault, HostClass, PerfModeUnavailable, TopologyUnrepresentable, classify_host_error,
};
use ktstr_vmm::initramfs::{BaseSpec, build_base_layer};
use ktstr_vmm::{Accel, AccelChoice, Deadlines, Performance, Spoil, Vm, VmConfig, VmRun, choose_accel};
use ktstr_wire::Nonce;
use std::path::PathBuf;
use std::time::Duration;

/// Seconds until the guest's hello; a stock kernel under emulation needs 3 to 6 (measured), more on a busy host.
const BOOT_S: u64 = 60;
/// More boot seconds for each CPU: they come up one after another.
const BOOT_S_PER_CPU: u64 = 2;
/// Hard cap for attaching; the guest itself watches for progress and gives up earlier.
const ATTACH_S: u64 = 150;
/// Seconds for tearing down cgroups and workers when the test does not say.
const CLEANUP_S: u64 = 10;
/// Seconds from the end of the test to power-off: stopping the scheduler, the kernel log, the last frames.
const SHUTDOWN_S: u64 = 45;
/// Seconds of no CPU use by a scheduler that is not yet attached after which the guest gives it up.
const ATTACH_IDLE_S: u64 = 10;

/// What an attempt is made of, as far as it got; the record is written from it.
#[derive(Debug, Default)]
pub struct Attempt {
    /// The kernel, once found.
    pub kernel: Option<FoundKernel>,
    /// The accelerator, once chosen.
    pub accel: Option<AccelChoice>,
    /// The scheduler binary, once found.
    pub scheduler: Option<ResolvedScheduler>,
    /// What came out of the machine.
    pub run: Option<VmRun>,
    /// Host CPUs asked of each one present: above 1 the run was overcommitted.
    pub overcommit: f64,
}

/// Runs `entry` on `topology`, filling `attempt` as it goes.
///
/// # Errors
/// Host classes, [`HarnessFault`]s, and whatever [`evaluate`] says of the run.
pub fn run_in_machine(
    entry: &'static KtstrTestEntry,
    topology: &Topology,
    settings: &Settings,
    attempt: &mut Attempt,
) -> anyhow::Result<AssertResult> {
    let started = start(entry, topology, settings, attempt).map_err(before_the_test)?;
    let run = match started {
        Started::Run(run) => run,
        Started::Skip(result) => return Ok(result),
    };
    let expected = Expected {
        topology: topology.clone(),
        scheduler: (!entry.scheduler.is_eevdf()).then(|| entry.scheduler.name.to_owned()),
    };
    let result = evaluate(&Evidence {
        expected: &expected,
        end: &run.end,
        transcript: &run.transcript,
        console: &run.console,
        monitor_stderr: &run.monitor_stderr,
        host_delay: run.host_delay,
        vcpu_share: run.vcpu_share,
    });
    attempt.run = Some(*run);
    result
}

/// A machine that ran, or the reason not to start one.
enum Started {
    Run(Box<VmRun>),
    Skip(AssertResult),
}

fn start(
    entry: &'static KtstrTestEntry,
    topology: &Topology,
    settings: &Settings,
    attempt: &mut Attempt,
) -> anyhow::Result<Started> {
    refuse_unsupported(entry)?;
    let choice = choose_accel(settings.accel.as_deref())?;
    let accel = choice.accel;
    attempt.accel = Some(choice);
    if entry.performance_mode && accel != Accel::Kvm {
        return Err(anyhow::Error::new(PerfModeUnavailable::new(
            "performance mode needs the kvm accelerator, and this run has none; run on a host with hardware virtualisation",
        )));
    }
    let kernel = find_kernel(&FindEnv::from_process())?;
    if let Some(skip) = kernel_refused(entry, &kernel)? {
        return Ok(Started::Skip(skip));
    }
    attempt.scheduler = resolve(entry.scheduler, settings)?;
    let config = configure(entry, topology, settings, &kernel, attempt.scheduler.as_ref(), accel)?;
    attempt.kernel = Some(kernel);
    #[allow(clippy::cast_precision_loss)]
    {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        attempt.overcommit = f64::from(topology.total_cpus()) / cpus as f64;
    }
    let run = Vm::new(config).run()?;
    keep_stream(&run);
    Ok(Started::Run(Box::new(run)))
}

/// What goes wrong before the test is the host's lack or a fault of ours; it is never the failure that a test expects.
fn before_the_test(e: anyhow::Error) -> anyhow::Error {
    match classify_host_error(&e, false) {
        HostClass::NotHostClass => e.context(HarnessFault::new("the test could not be started")),
        HostClass::Skip { .. } | HostClass::Fail { .. } => e,
    }
}

fn refuse_unsupported(entry: &KtstrTestEntry) -> anyhow::Result<()> {
    let unsupported = entry.unsupported();
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(anyhow::Error::new(HarnessFault::new(format!(
        "not supported yet: {}; this test cannot prove what it declares, so it fails until this version of ktstr can",
        unsupported.join(", ")
    ))))
}

fn kernel_refused(entry: &KtstrTestEntry, kernel: &FoundKernel) -> anyhow::Result<Option<AssertResult>> {
    let specs = entry.scheduler.kernels;
    let label = kernel.version.as_deref().unwrap_or(&kernel.label);
    ktstr_kernel::check_kernel_specs(specs)
        .map_err(|e| anyhow::Error::new(HarnessFault::new(format!("scheduler `{}`: {e}", entry.scheduler.name))))?;
    Ok((!ktstr_kernel::kernel_accepts(label, specs)).then(|| {
        AssertResult::skip(format!(
            "scheduler `{}` is declared for kernels {specs:?}, and this is {label}",
            entry.scheduler.name
        ))
    }))
}

fn configure(
    entry: &'static KtstrTestEntry,
    topology: &Topology,
    settings: &Settings,
    kernel: &FoundKernel,
    scheduler: Option<&ResolvedScheduler>,
    accel: Accel,
) -> anyhow::Result<VmConfig> {
    let nonce = fresh_nonce()?;
    let launch = scheduler.map(|s| launch_of(entry, s));
    let base = base_layer(entry, kernel, scheduler, launch.as_ref())?;
    let params = GuestParams {
        schema: ktstr_guest_init::PARAMS_SCHEMA,
        nonce: nonce.0,
        test: entry.name.to_owned(),
        topology: topology.clone(),
        duration_ms: entry.duration_s.saturating_mul(1000),
        assert: Assert::library_defaults().merge(entry.scheduler.assert).merge(entry.assert),
        scheduler: launch,
        scheduler_name: entry.scheduler.name.to_owned(),
        workload_root_cgroup: entry.workload_root_cgroup.or(entry.scheduler.cgroup_parent).map(str::to_owned),
        env: guest_env(),
    };
    let parameters = serde_json::to_vec(&params).context("failed to encode the guest's parameters")?;
    let kernel_image = kernel.vmlinux.clone().unwrap_or_else(|| kernel.image.clone());
    let memory_mib = vm_memory_mib(topology.total_cpus(), entry.memory_mib.unwrap_or(0)).max(MIN_MEMORY_MIB);
    Ok(VmConfig {
        kernel: kernel_image,
        initramfs: vec![base],
        parameters: ktstr_wire::seal(&parameters).context("the guest's parameters cannot travel")?,
        cmdline_extra: entry.scheduler.kargs.iter().map(|k| (*k).to_owned()).collect(),
        topology: topology.clone(),
        memory_mib,
        nonce,
        deadlines: deadlines(entry, topology),
        accel,
        performance: entry.performance_mode.then(|| Performance { lock_dir: settings.lock_dir.clone() }),
        verbose: settings.verbose,
        terminal: false,
        spoil: spoil_from_env(),
    })
}

/// A number no earlier attempt had; drawn on the host, it decides nothing in the guest.
fn fresh_nonce() -> anyhow::Result<Nonce> {
    let mut bytes = [0u8; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("no random bytes for the attempt's nonce")?;
    anyhow::ensure!(got == bytes.len(), "no random bytes for the attempt's nonce");
    Ok(Nonce(u64::from_le_bytes(bytes)))
}

/// `KTSTR_KEEP_STREAM`, for tests of the harness itself: what the guest said, to be replayed as another attempt's.
fn keep_stream(run: &VmRun) {
    if let Some(path) = std::env::var_os("KTSTR_KEEP_STREAM") {
        let _ = std::fs::write(path, &run.stream);
    }
}

/// `KTSTR_SPOIL`, for tests of the harness itself: whatever it says can only turn a pass into a failure.
fn spoil_from_env() -> Spoil {
    let text = std::env::var("KTSTR_SPOIL").unwrap_or_default();
    let (what, value) = text.split_once(':').unwrap_or((&text, ""));
    match what {
        "topology" => value.parse().map_or(Spoil::Nothing, Spoil::Topology),
        "flip" => value.parse().map_or(Spoil::Nothing, Spoil::FlipByte),
        "cut" => value.parse().map_or(Spoil::Nothing, Spoil::CutAt),
        "kill-monitor" => Spoil::KillMonitor,
        "flip-parameter" => value.parse().map_or(Spoil::Nothing, Spoil::FlipParameter),
        "cut-parameters" => value.parse().map_or(Spoil::Nothing, Spoil::CutParameters),
        "panic-cpu" => Spoil::PanicCpu,
        "replay" => std::fs::read(value).map_or(Spoil::Nothing, Spoil::Replay),
        _ => Spoil::Nothing,
    }
}

/// MiB below which a stock kernel with this initramfs does not boot reliably: the archive, its unpacked copy and the kernel.
const MIN_MEMORY_MIB: u32 = 512;

fn launch_of(entry: &KtstrTestEntry, scheduler: &ResolvedScheduler) -> SchedulerLaunch {
    let file = scheduler.path.file_name().map_or_else(|| "scheduler".into(), |f| f.to_string_lossy().into_owned());
    let declared = entry.scheduler;
    let args = declared.sched_args.iter().chain(entry.extra_sched_args);
    let stem = file.strip_prefix("scx_").unwrap_or(&file).to_owned();
    SchedulerLaunch {
        name: declared.name.to_owned(),
        binary: format!("/sched/{file}"),
        args: args.map(|a| (*a).to_owned()).collect(),
        accepted_ops: vec![declared.name.to_owned(), stem],
        sysctls: declared.sysctls.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        attach_progress_s: ATTACH_IDLE_S,
    }
}

fn base_layer(
    entry: &KtstrTestEntry,
    kernel: &FoundKernel,
    scheduler: Option<&ResolvedScheduler>,
    launch: Option<&SchedulerLaunch>,
) -> anyhow::Result<PathBuf> {
    let mut extra: Vec<(PathBuf, String)> =
        entry.extra_include_files.iter().map(|f| (PathBuf::from(f), (*f).to_owned())).collect();
    if let (Some(found), Some(launch)) = (scheduler, launch) {
        extra.push((found.path.clone(), launch.binary.clone()));
    }
    let config = match (&kernel.config, &kernel.release) {
        (Some(path), Some(release)) => Some((path.clone(), release.clone())),
        _ => None,
    };
    let init = std::env::current_exe().context("failed to find the test's own binary")?;
    let cache = Cache::open()?;
    build_base_layer(&BaseSpec { init, extra, kernel_config: config }, &cache.dir().join("initramfs"))
        .context("failed to pack the guest's files")
}

/// What the guest's process sees of the host's environment: how much it should say, and nothing that varies by chance.
fn guest_env() -> Vec<(String, String)> {
    ["RUST_BACKTRACE", "RUST_LOG", "KTSTR_LOG_PASSES"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect()
}

fn deadlines(entry: &KtstrTestEntry, topology: &Topology) -> Deadlines {
    let cpus = u64::from(topology.total_cpus());
    let cleanup = entry.cleanup_budget_ms.map_or(Duration::from_secs(CLEANUP_S + cpus), Duration::from_millis);
    Deadlines {
        boot: Duration::from_secs(BOOT_S + BOOT_S_PER_CPU * cpus),
        attach: Duration::from_secs(ATTACH_S),
        test: Duration::from_secs(entry.duration_s.saturating_add(entry.watchdog_timeout_s)) + cleanup,
        shutdown: Duration::from_secs(SHUTDOWN_S),
    }
}

/// The topology an entry declares.
///
/// # Errors
/// [`TopologyUnrepresentable`] when no machine has these numbers.
pub fn declared_topology(entry: &KtstrTestEntry) -> anyhow::Result<Topology> {
    let (nodes, llcs, cores, threads) = entry.dimensions();
    Topology::new(nodes, llcs, cores, threads)
        .map_err(|e| anyhow::Error::new(TopologyUnrepresentable::new(e.to_string())))
}
