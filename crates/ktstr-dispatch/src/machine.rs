//! One attempt in a machine: plan it, pack it, boot it, and hand back what came out.

use crate::age::process_age;
use crate::cast::Cast;
use crate::cpu_cap;
use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::evaluate::{Evidence, Expected, evaluate};
use crate::guest_profile;
use crate::programs;
use crate::resolve::ResolvedScheduler;
use crate::shape::{Expectation, scheduler_error, shape};
use crate::simulation::Origin;
use anyhow::Context as _;
use ktstr_guest_init::{GuestParams, Tracing};
use ktstr_kernel::cache::Cache;
use ktstr_kernel::find::{FindEnv, FoundKernel, find_kernel};
use ktstr_scenario::chaos::{Chaos, Level};
use ktstr_scenario::{Assert, Attachable};
use ktstr_topology::{Topology, vm_memory_mib};
use ktstr_verdict::{
    AssertResult, HarnessFault, HostClass, PerfModeUnavailable, SchedulerBuildRefused, TopologyUnrepresentable,
    classify_host_error,
};
use ktstr_vmm::initramfs::{BaseSpec, build_base_layer};
use ktstr_vmm::{Accel, AccelChoice, Deadlines, Performance, Spoil, Vm, VmConfig, VmRun, choose_accel};
use ktstr_wire::Nonce;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
/// More seconds for a test with each scheduler that it may attach: the BPF verifier is slow under emulation.
const CHANGE_S: u64 = 30;

/// Host seconds for each second of a deadline when the machine is simulated: its CPUs share one stream of instructions, and
/// time passes for all while one of them runs.
const SIMULATED: u32 = 20;

/// Perturbations that a person still reads one by one.
const READ: usize = 32;

/// What an attempt is made of, as far as it got; the record is written from it.
#[derive(Debug, Default)]
pub struct Attempt {
    /// The kernel, once found.
    pub kernel: Option<FoundKernel>,
    /// The accelerator, once chosen.
    pub accel: Option<AccelChoice>,
    /// The scheduler binary, once found.
    pub scheduler: Option<ResolvedScheduler>,
    /// What the environment put behind its arguments.
    pub scheduler_args: Vec<String>,
    /// What came out of the machine.
    pub run: Option<VmRun>,
    /// What it amounts to, before the test's expectations are held against it; `None` when it could not be observed.
    pub measured: Option<AssertResult>,
    /// What decides the run, when it is simulated.
    pub origin: Option<Origin>,
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
    let expectation = Expectation::of(entry).map_err(|e| anyhow::Error::new(HarnessFault::new(e)))?;
    let started = start(entry, topology, settings, attempt).map_err(before_the_test)?;
    let (run, expected) = match started {
        Started::Run(run, expected) => (run, expected),
        Started::Skip(result) => return Ok(result),
    };
    let result = evaluate(&Evidence {
        expected: &expected,
        end: &run.end,
        transcript: &run.transcript,
        console: &run.console,
        monitor_stderr: &run.monitor_stderr,
        host_delay: run.test_delay,
        vcpu_share: run.vcpu_share,
    });
    attempt.measured = result.as_ref().ok().cloned();
    let result = shape(result, &expectation, &scheduler_error(&run.transcript));
    attempt.run = Some(*run);
    result
}

/// A machine that ran, or the reason not to start one.
enum Started {
    Run(Box<VmRun>, Expected),
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
    let mut kernel = find_kernel(&FindEnv::from_process())?;
    if let Some(label) = listed_label(settings, std::env::var_os("KTSTR_KERNEL").as_deref()) {
        label.clone_into(&mut kernel.label);
    }
    if let Some(skip) = kernel_refused(entry, &kernel)? {
        return Ok(Started::Skip(skip));
    }
    let cast = Cast::of(entry, settings)?;
    attempt.scheduler.clone_from(&cast.resolved);
    attempt.scheduler_args.clone_from(&cast.added_args);
    let expected = expected(entry, topology, &cast);
    let building = Instant::now();
    let config = configure(entry, topology, settings, &kernel, cast, accel)?;
    let build = building.elapsed();
    attempt.kernel = Some(kernel);
    let host_cpus = entry.cpu_budget.map(cpu_cap::confine).transpose()?;
    #[allow(clippy::cast_precision_loss)]
    {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        attempt.overcommit = f64::from(topology.total_cpus()) / cpus as f64;
    }
    attempt.origin = (accel == Accel::Sim).then(|| origin(entry, topology, settings, &config));
    let exec = process_age();
    let mut run = Vm::new(config).run()?;
    for (phase, took) in [("build", Some(build)), ("exec", exec)] {
        if let Some(us) = took.and_then(|took| u64::try_from(took.as_micros()).ok()) {
            run.phases_us.insert(phase.into(), us);
        }
    }
    // Simulated CPUs do not share the host's.
    if let Some(cpus) = host_cpus.filter(|_| accel != Accel::Sim) {
        run.vcpu_share = run.vcpu_share.min(f64::from(cpus) / f64::from(topology.total_cpus()));
    }
    keep_stream(&run);
    guest_profile::keep(&run.transcript);
    keep_simulation(&run, settings)?;
    Ok(Started::Run(Box::new(run), expected))
}

/// What the list calls the kernel: the test's name and its record must say the same.
fn listed_label<'a>(settings: &'a Settings, path: Option<&std::ffi::OsStr>) -> Option<&'a str> {
    settings.kernels.iter().find(|k| Some(k.path.as_os_str()) == path).map(|k| k.label.as_str())
}

fn expected(entry: &KtstrTestEntry, topology: &Topology, cast: &Cast) -> Expected {
    let switches = match &cast.under_test {
        Some(Attachable::Kernel(switches)) => switches.enable.clone(),
        Some(Attachable::Program(_)) | None => Vec::new(),
    };
    Expected {
        topology: topology.clone(),
        scheduler: cast.under_test.as_ref().map(|s| s.name().to_owned()),
        staged: cast.staged.iter().map(|s| s.name().to_owned()).collect(),
        switches,
        kargs: entry.scheduler.kargs.iter().map(|k| (*k).to_owned()).collect(),
        log_begins: ktstr_scenario::dmesg::BOOT,
        allow_kernel_log: entry.allow_kernel_log.iter().map(|w| (*w).to_owned()).collect(),
    }
}

fn origin(entry: &KtstrTestEntry, topology: &Topology, settings: &Settings, config: &VmConfig) -> Origin {
    let chaos = settings.simulation.as_ref().map(|s| s.chaos_for(entry.name)).unwrap_or_default();
    let all = Chaos { keep: None, ..chaos.clone() };
    let duration = Duration::from_secs(entry.duration_s);
    let plan = chaos.plan_on(topology, duration);
    Origin {
        seed: config.seed,
        perturbed: if plan.len() > READ { Vec::new() } else { plan.iter().map(ToString::to_string).collect() },
        chaos: chaos.to_string(),
        perturbations: all.plan_on(topology, duration).len(),
        kernel: config.kernel.clone(),
        initramfs: config.initramfs.first().cloned().unwrap_or_default(),
    }
}

/// What goes wrong before the test is the host's lack or a fault of ours; it is never the failure that a test expects.
fn before_the_test(e: anyhow::Error) -> anyhow::Error {
    match classify_host_error(&e, false) {
        // A build that was refused has a marker of its own.
        HostClass::NotHostClass if e.is::<SchedulerBuildRefused>() => e,
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
    cast: Cast,
    accel: Accel,
) -> anyhow::Result<VmConfig> {
    // What is part of a simulated machine's stream is decided by its seed.
    let simulation = settings.simulation.clone().map_err(|e| anyhow::Error::new(HarnessFault::new(e)))?;
    let nonce = if accel == Accel::Sim { Nonce(simulation.nonce_for(entry.name)) } else { fresh_nonce()? };
    let chaos = simulation.chaos_for(entry.name);
    if chaos.level != Level::Off && accel != Accel::Sim {
        return Err(anyhow::Error::new(HarnessFault::new(format!(
            "KTSTR_CHAOS is set, and on {accel} nothing could be repeated; set KTSTR_ACCEL=sim, or unset it"
        ))));
    }
    if settings.gdb.is_some() && accel == Accel::Kvm {
        return Err(anyhow::Error::new(HarnessFault::new(
            "KTSTR_GDB is set, and only QEMU lets a debugger in; set KTSTR_ACCEL=sim or tcg, or unset it",
        )));
    }
    let stop_at_ns = settings.gdb_stop_ns.clone().map_err(|e| anyhow::Error::new(HarnessFault::new(e)))?;
    if stop_at_ns.is_some() && (accel != Accel::Sim || settings.gdb.is_none()) {
        return Err(anyhow::Error::new(HarnessFault::new(
            "KTSTR_GDB_STOP_NS is set, and only a simulated machine with a debugger stops at an instant; set KTSTR_ACCEL=sim and \
             KTSTR_GDB, or unset it",
        )));
    }
    let base = base_layer(entry, kernel, &cast)?;
    let params = GuestParams {
        schema: ktstr_guest_init::PARAMS_SCHEMA,
        nonce: nonce.0,
        test: entry.name.to_owned(),
        topology: topology.clone(),
        duration_ms: entry.duration_s.saturating_mul(1000),
        assert: Assert::library_defaults().merge(entry.scheduler.assert).merge(entry.assert),
        scheduler: cast.under_test,
        staged: cast.staged,
        scheduler_name: entry.scheduler.name.to_owned(),
        workload_root_cgroup: entry.workload_root_cgroup.or(entry.scheduler.cgroup_parent).map(str::to_owned),
        chaos,
        trace: tracing(entry),
        env: guest_env(accel, &|name| std::env::var(name).ok()),
    };
    let parameters = serde_json::to_vec(&params).context("failed to encode the guest's parameters")?;
    let kernel_image = kernel.vmlinux.clone().unwrap_or_else(|| kernel.image.clone());
    let memory_mib = vm_memory_mib(topology.total_cpus(), entry.memory_mib.unwrap_or(0)).max(MIN_MEMORY_MIB);
    Ok(VmConfig {
        kernel: kernel_image,
        initramfs: vec![base],
        parameters: ktstr_wire::seal(&parameters).context("the guest's parameters cannot travel")?,
        cmdline_extra: entry
            .scheduler
            .kargs
            .iter()
            .map(|k| (*k).to_owned())
            .chain(tracing(entry).boot_words(topology.total_cpus()))
            .collect(),
        topology: topology.clone(),
        memory_mib,
        nonce,
        deadlines: match (accel, &settings.gdb) {
            // Who looks around in a stopped machine takes their time.
            (_, Some(_)) => deadlines(entry, topology).times(u32::MAX),
            (Accel::Sim, None) => deadlines(entry, topology).times(SIMULATED),
            (Accel::Kvm | Accel::Tcg, None) => deadlines(entry, topology),
        },
        gdb: settings.gdb.clone(),
        stop_at_ns,
        times: settings.sim_times.clone().filter(|_| accel == Accel::Sim),
        accel,
        seed: simulation.seed_for(entry.name),
        performance: entry.performance_mode.then(|| Performance { lock_dir: settings.lock_dir.clone() }),
        verbose: settings.verbose,
        terminal: false,
        spoil: spoil_from_env(),
    })
}

/// Every run is traced as one that fails, unless its figures are the point.
const fn tracing(entry: &KtstrTestEntry) -> Tracing {
    match (entry.wprof, entry.performance_mode) {
        (true, _) => Tracing::Always,
        (false, true) => Tracing::Off,
        (false, false) => Tracing::OnFailure,
    }
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

/// `KTSTR_SIM_KEEP`: what two runs of one seed are compared by.
fn keep_simulation(run: &VmRun, settings: &Settings) -> anyhow::Result<()> {
    let (Some(dir), Some(_)) = (&settings.sim_keep, &run.digest) else {
        return Ok(());
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("failed to write {} (KTSTR_SIM_KEEP)", path.display()))
    };
    write("console", &run.whole_console)?;
    write("stream", &run.stream)
}

/// `KTSTR_SPOIL`, for tests of the harness itself: whatever it says can only turn a pass into a failure.
fn spoil_from_env() -> Spoil {
    let text = std::env::var("KTSTR_SPOIL").unwrap_or_default();
    let (what, value) = text.split_once(':').unwrap_or((&text, ""));
    match what {
        "topology" => value.parse().map_or(Spoil::Nothing, Spoil::Topology),
        "flip" => value.parse().map_or(Spoil::Nothing, Spoil::FlipByte),
        "cut" => value.parse().map_or(Spoil::Nothing, Spoil::CutAt),
        "slow-console" => value.parse().map_or(Spoil::Nothing, Spoil::SlowConsole),
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

fn base_layer(entry: &KtstrTestEntry, kernel: &FoundKernel, cast: &Cast) -> anyhow::Result<PathBuf> {
    let mut extra = programs::files(entry)?;
    extra.extend(cast.files.iter().cloned());
    let config = match (&kernel.config, &kernel.release) {
        (Some(path), Some(release)) => Some((path.clone(), release.clone())),
        _ => None,
    };
    let init = std::env::current_exe().context("failed to find the test's own binary")?;
    let cache = Cache::open()?;
    let spec = BaseSpec { init, extra, texts: cast.texts.clone(), kernel_config: config };
    build_base_layer(&spec, &cache.dir().join("initramfs")).context("failed to pack the guest's files")
}

/// What the guest's process sees of the host's environment: how much it should say. A simulated one sees nothing of it.
fn guest_env(accel: Accel, get: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let seen: &[&str] = match accel {
        Accel::Sim => &[],
        Accel::Kvm | Accel::Tcg => &["RUST_BACKTRACE", "RUST_LOG", "KTSTR_LOG_PASSES"],
    };
    seen.iter().filter_map(|name| Some(((*name).to_owned(), get(name)?))).collect()
}

fn deadlines(entry: &KtstrTestEntry, topology: &Topology) -> Deadlines {
    let cpus = u64::from(topology.total_cpus());
    // A program may run past the test's duration, up to its own timeout.
    let programs = entry.payloads().map(|p| p.timeout_s.unwrap_or(entry.duration_s.saturating_add(5))).max();
    let duration_s = entry.duration_s.max(programs.unwrap_or(0));
    let cleanup = entry.cleanup_budget_ms.map_or(Duration::from_secs(CLEANUP_S + cpus), Duration::from_millis);
    let changes = Duration::from_secs(CHANGE_S) * u32::try_from(entry.staged_schedulers.len()).unwrap_or(u32::MAX);
    Deadlines {
        boot: Duration::from_secs(BOOT_S + BOOT_S_PER_CPU * cpus),
        attach: Duration::from_secs(ATTACH_S),
        test: Duration::from_secs(duration_s.saturating_add(entry.watchdog_timeout_s)) + cleanup + changes,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_guest_sees_nothing_of_the_host_s_environment() {
        let seen = |accel| guest_env(accel, &|name| Some(name.to_lowercase()));
        assert_eq!(seen(Accel::Sim), []);
        assert!(seen(Accel::Tcg).contains(&("RUST_LOG".into(), "rust_log".into())));
    }
}
