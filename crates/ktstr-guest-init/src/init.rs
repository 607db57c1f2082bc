//! The life of PID 1, from its first mount to the power-off.

use crate::grace::Hurry;
use crate::link::Link;
use crate::params::{GuestParams, PARAMS_SCHEMA};
use crate::trace::{Trace, Tracing};
use crate::{kmsg, mount, params, port, power, readback, reaper};
use anyhow::{Context as _, Result, bail};
use ktstr_scenario::chaos::{Perturbation, Perturbers};
use ktstr_scenario::{
    Attachable, Ctx, CtxParams, SchedulerControl, TestBody, count_calls, panic_text, profile, report,
};
use ktstr_topology::Topology;
use ktstr_wire::{Hello, Message, Nonce, PanicReport, SCHEMA, Stage, TestReport};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Cgroup that workloads live below unless the test names one.
const DEFAULT_CGROUP: &str = "ktstr";
/// Where cgroup2 is mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Runs the test that the host asked for, and powers off. `resolve` finds its function by name.
pub fn run(resolve: &dyn Fn(&str) -> Option<TestBody>) -> ! {
    let began_ns = clock_ns();
    let mounted = mount::mount_all();
    let (params, link) = match open() {
        Ok(opened) => opened,
        Err(e) => {
            // Without a channel there is only the console; the host takes the missing hello for what it is.
            let e = mounted.err().unwrap_or(e);
            eprintln!("ktstr: guest init failed: {e:#}");
            power::off();
        }
    };
    let link = Arc::new(link);
    report_panics(&link);
    let outcome = match mounted {
        Ok(hurry) => live(&params, &link, resolve, hurry, began_ns),
        Err(e) => Err((Stage::Init, e)),
    };
    let report = match outcome {
        Ok(report) => report,
        Err((stage, e)) => TestReport { ok: None, err: Some(format!("{e:#}")), stage },
    };
    kmsg::send_all(&link);
    send_profile(&link);
    link.send(&Message::Phase(epilogue()));
    link.send(&Message::Outcome(report));
    link.bye();
    power::off()
}

/// Bytes of a coverage profile in one frame: in base64 three are four, and a frame holds 4 MiB.
const PROFILE_PIECE: usize = 2 << 20;

/// The coverage counters, in a build that has them; the host puts the pieces together in their order.
fn send_profile(link: &Link) {
    for piece in profile::counters().unwrap_or_default().chunks(PROFILE_PIECE) {
        link.send(&Message::Profraw { name: "guest.profraw".to_owned(), bytes: piece.to_vec() });
    }
}

fn open() -> Result<(GuestParams, Link)> {
    let cmdline = std::fs::read_to_string("/proc/cmdline").context("failed to read /proc/cmdline")?;
    port::open(&cmdline)?;
    let params: GuestParams = params::receive()?;
    let link = Link::new(Nonce(params.nonce));
    Ok((params, link))
}

/// A panic anywhere is a frame, with where it was and how it came there; the host never takes such a run for a pass.
pub(crate) fn report_panics(link: &Arc<Link>) {
    let link = Arc::clone(link);
    std::panic::set_hook(Box::new(move |info| {
        let message = panic_text(info.payload()).to_owned();
        let location = info.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
        let backtrace = std::backtrace::Backtrace::force_capture().to_string();
        link.send(&Message::Panic(PanicReport { message, location, backtrace }));
    }));
}

fn live(
    params: &GuestParams,
    link: &Arc<Link>,
    resolve: &dyn Fn(&str) -> Option<TestBody>,
    hurry: Hurry,
    began_ns: u64,
) -> Result<TestReport, (Stage, anyhow::Error)> {
    let init = |e: anyhow::Error| (Stage::Init, e);
    let release = hello(params.schema, &params.topology, link, began_ns).map_err(init)?;
    prepare(params);
    hurry.end().map_err(init)?;
    let body =
        resolve(&params.test).with_context(|| format!("this binary has no test `{}`", params.test)).map_err(init)?;
    if params.scheduler.is_some() || !params.staged.is_empty() {
        mount::check_kernel_config(&release).map_err(init)?;
    }
    let mouth = Arc::clone(link);
    let say = move |message: Message| mouth.send(&message);
    let control = Arc::new(SchedulerControl::new(params.scheduler.clone(), params.staged.clone(), say));
    // From before the scheduler is there until it has gone, so that the kernel's code is patched at no other time. Kept out of runs
    // whose figures are the point, like the trace.
    let programs = matches!(params.scheduler, Some(Attachable::Program(_))) || !params.staged.is_empty();
    let _calls = (programs && params.trace != Tracing::Off).then(count_calls);
    control.begin().map_err(|e| (Stage::Scheduler, e))?;
    let trace = Trace::start(params);
    let plan = params.chaos.plan_on(&params.topology, Duration::from_millis(params.duration_ms));
    // What the plan's times count from comes right behind it.
    link.send(&Message::Phase("test".into()));
    let report = perturbed(&plan, || call(params, body, &control)).map_err(init)?;
    link.send(&Message::Phase("test-end".into()));
    if let Some(trace) = trace {
        trace.stop(params, &report, link);
    }
    control.end();
    Ok(report)
}

pub(crate) fn hello(schema: u32, topology: &Topology, link: &Link, began_ns: u64) -> Result<String> {
    if schema != PARAMS_SCHEMA {
        bail!("parameters of schema {schema}, this guest reads {PARAMS_SCHEMA}");
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    take_offline(topology.offline_cpus())?;
    let read_back = readback::read(Path::new("/sys"))?;
    link.send(&Message::Hello(Hello {
        schema: SCHEMA,
        release: release.clone(),
        read_back,
        init_ns: began_ns,
        clock_ns: clock_ns(),
        cmdline: std::fs::read_to_string("/proc/cmdline").unwrap_or_default().trim().to_owned(),
    }));
    Ok(release)
}

/// Kernel: Documentation/core-api/cpu_hotplug.rst.
fn take_offline(cpus: &[u32]) -> Result<()> {
    for cpu in cpus {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        std::fs::write(&path, "0").with_context(|| format!("failed to take CPU {cpu} offline by {path}"))?;
    }
    Ok(())
}

/// The guest's monotonic clock.
pub(crate) fn clock_ns() -> u64 {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(clock.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(clock.tv_nsec).unwrap_or(0)
}

/// Two figures that no two different runs share: a simulated run that strayed anywhere is known by them.
fn epilogue() -> String {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let switches = stat.lines().find_map(|line| line.strip_prefix("ctxt ")).unwrap_or("unknown");
    format!("end: {} ns, {switches} context switches", clock_ns())
}

fn prepare(params: &GuestParams) {
    for (name, value) in &params.env {
        // SAFETY: the constructor runs before `main`, and no other thread has been started yet.
        unsafe { std::env::set_var(name, value) };
    }
    mount::name_and_loopback();
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Memlock, unlimited);
    reaper::start();
}

/// The test function, among the perturbations that the host asked for.
fn perturbed(plan: &[Perturbation], test: impl FnOnce() -> TestReport) -> Result<TestReport> {
    let perturbers = Perturbers::start(plan)?;
    let report = test();
    perturbers.end()?;
    Ok(report)
}

fn call(params: &GuestParams, body: TestBody, control: &Arc<SchedulerControl>) -> TestReport {
    let below = params.workload_root_cgroup.as_deref().unwrap_or(DEFAULT_CGROUP);
    let ctx = Ctx::new(CtxParams {
        topology: params.topology.clone(),
        duration: Duration::from_millis(params.duration_ms),
        assert: params.assert,
        cgroup_root: PathBuf::from(CGROUP_ROOT).join(below.trim_start_matches('/')),
        cgroup_walk_root: None,
        host_only: false,
        scheduler_name: params.scheduler_name.clone(),
        control: Arc::clone(control),
    });
    // A panic has been sent by the hook already.
    let mut report = report(&ctx, body);
    if let Some(ok) = &mut report.ok
        && !params.env.iter().any(|(name, _)| name == "KTSTR_LOG_PASSES")
    {
        // Nobody will read them.
        ok.passes.clear();
    }
    report
}
