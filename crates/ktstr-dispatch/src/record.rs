//! The record of a run, made from the same decision as the exit code.

use crate::entry::KtstrTestEntry;
use crate::machine::Attempt;
use crate::repro::Again;
use crate::shape::kernel_lines;
use anyhow::Result;
use ktstr_kernel::commit_of_release;
use ktstr_scenario::{dmesg, last_lines};
use ktstr_sidecar::{Location, SidecarRecord, perfetto, record_dir, write_record, write_trace};
use ktstr_topology::Topology;
use ktstr_verdict::{AssertResult, Decision, Verdict};
use ktstr_wire::{Message, SchedulerSeen, When};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines kept of scheduler and console.
const TAIL_LINES: usize = 40;

/// Everything a record is made of.
pub struct Outline<'a> {
    /// The test.
    pub entry: &'a KtstrTestEntry,
    /// The machine asked for.
    pub topology: &'a Topology,
    /// The preset, for a variant.
    pub preset: Option<&'static str>,
    /// How far the attempt got.
    pub attempt: &'a Attempt,
    /// The second machine, where its failure was run again.
    pub again: Option<&'a Again>,
    /// What came out of it.
    pub result: &'a Result<AssertResult>,
    /// What was made of that.
    pub decision: &'a Decision,
    /// When it began.
    pub started: SystemTime,
    /// The session runs on several kernels.
    pub several_kernels: bool,
}

/// What was written, and where.
#[derive(Debug, Default)]
pub struct Written {
    /// The record; `None` when it could not be written.
    pub record: Option<PathBuf>,
    /// What the CPUs did, where there is a trace of it.
    pub trace: Option<PathBuf>,
    /// What they did in the second machine.
    pub repro_trace: Option<PathBuf>,
}

/// The record of a run, written with the trace beside it. What cannot be written is said, and the verdict stands without it.
pub fn write(outline: &Outline<'_>) -> (SidecarRecord, Written) {
    let mut record = record_of(outline);
    let mut written = Written::default();
    if let Err(e) = place(outline, &mut record, &mut written) {
        eprintln!("ktstr: WARNING: the record is missing, the verdict stands: {e:#}");
    }
    (record, written)
}

fn place(outline: &Outline<'_>, record: &mut SidecarRecord, written: &mut Written) -> Result<()> {
    let dir = record_dir(&Location {
        sidecar_dir: path_of("KTSTR_SIDECAR_DIR"),
        runs_root: path_of("KTSTR_RUNS_ROOT"),
        target_dir: target_dir(),
        kernel: record.kernel_label.clone().unwrap_or_else(|| "no-kernel".to_owned()),
        kernel_dir: record
            .kernel_label
            .as_ref()
            .filter(|_| outline.several_kernels)
            .map(|label| ktstr_kernel::sanitize_kernel_label(label).as_str().to_owned()),
        commit: record.project_commit.clone().unwrap_or_else(|| "no-commit".to_owned()),
        epoch: std::env::var("KTSTR_RUN_EPOCH").ok().filter(|e| !e.is_empty()),
    })?;
    let path = write_record(&dir, record)?;
    // Where the record found its place; it names a trace once there is one.
    let dir = path.parent().map(Path::to_owned).unwrap_or_default();
    written.record = Some(path);
    let again = outline.again.and_then(|again| trace_in(&again.attempt));
    written.trace = store(&dir, &record.trace_name(), trace_of(outline).as_deref());
    written.repro_trace = store(&dir, &record.repro_trace_name(), again.as_deref());
    if written.trace.is_none() && written.repro_trace.is_none() {
        return Ok(());
    }
    let nameless = record.clone();
    record.trace = written.trace.as_ref().map(|_| nameless.trace_name());
    if let Some(repro) = &mut record.repro {
        repro.trace = written.repro_trace.as_ref().map(|_| nameless.repro_trace_name());
    }
    if let Err(e) = write_record(&dir, record) {
        // The first one is there, and names no trace.
        *record = nameless;
        eprintln!(
            "ktstr: WARNING: the record is there and does not name its trace {}, the verdict stands: {e:#}",
            record.trace_name()
        );
    }
    Ok(())
}

/// Writes a trace, or removes an earlier run's; what cannot be written is said.
fn store(dir: &Path, name: &str, trace: Option<&[u8]>) -> Option<PathBuf> {
    write_trace(dir, name, trace).unwrap_or_else(|e| {
        eprintln!("ktstr: WARNING: the trace is missing, the verdict stands: {e:#}");
        None
    })
}

/// The trace of a run that failed, or whose test asks for it.
fn trace_of(o: &Outline<'_>) -> Option<Vec<u8>> {
    let wanted = o.entry.wprof || matches!(o.decision.verdict(), Verdict::Fail | Verdict::Inconclusive);
    wanted.then(|| trace_in(o.attempt)).flatten()
}

fn trace_in(attempt: &Attempt) -> Option<Vec<u8>> {
    let mut release = "";
    let mut parts = Vec::new();
    for (_, message) in attempt.run.as_ref()?.transcript.messages() {
        match message {
            Message::Hello(hello) => release = &hello.release,
            Message::Trace(part) => parts.push(part),
            _ => {}
        }
    }
    perfetto(release, parts)
}

/// Where records and directories of records lie.
pub(crate) fn records_root() -> PathBuf {
    path_of("KTSTR_SIDECAR_DIR").or_else(|| path_of("KTSTR_RUNS_ROOT")).unwrap_or_else(|| target_dir().join("ktstr"))
}

fn path_of(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from)
}

fn record_of(o: &Outline<'_>) -> SidecarRecord {
    let mut record =
        SidecarRecord::new(o.entry.name, &o.topology.to_string(), o.entry.scheduler.name, o.decision.verdict());
    record.preset = o.preset.map(str::to_owned);
    record.binary = std::env::var("NEXTEST_BINARY_ID").ok();
    record.message = o.decision.message().to_owned();
    record.expected_failure = o.entry.expect_err;
    record.started_unix_s = o.started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    record.wall_ms = o.started.elapsed().map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    record.attempt = std::env::var("NEXTEST_ATTEMPT").ok().and_then(|a| a.parse().ok()).unwrap_or(1);
    record.run_id = std::env::var("KTSTR_RUN_EPOCH").ok().or_else(|| std::env::var("NEXTEST_RUN_ID").ok());
    if std::env::var_os("KTSTR_CI").is_some_and(|v| !v.is_empty()) {
        record.run_source = "ci".to_owned();
    } else if own_target_dir().is_none() {
        record.run_source = "archive".to_owned();
    }
    record.repro = o.again.map(|again| again.repro.clone());
    record.project_commit = commit();
    record.host_kernel = Some(rustix::system::uname().release().to_string_lossy().into_owned());
    record.host_cpu = host_cpu();
    record.host_cpus = std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok());
    record.host_governor = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        .ok()
        .map(|text| text.trim().to_owned());
    record.payload = o.entry.payload.map(|payload| payload.name.to_owned());
    record.perf_delta_assertions = o.entry.perf_delta_assertions.to_vec();
    record.sysctls = o.entry.scheduler.sysctls.iter().map(|(k, v)| format!("{k}={v}")).collect();
    record.kargs = o.entry.scheduler.kargs.iter().map(|k| (*k).to_owned()).collect();
    if let Some(result) = o.result.as_ref().ok().or(o.attempt.measured.as_ref()) {
        record.outcomes.clone_from(&result.outcomes);
        record.metrics.clone_from(&result.metrics);
        record.cgroups.clone_from(&result.cgroups);
        record.phases.clone_from(&result.phases);
        record.monitor.clone_from(&result.monitor);
    }
    add_attempt(&mut record, o.attempt, o.decision.verdict());
    record
}

fn add_attempt(record: &mut SidecarRecord, attempt: &Attempt, verdict: Verdict) {
    if let Some(kernel) = &attempt.kernel {
        record.kernel_label = Some(kernel.label.clone());
        record.kernel_version.clone_from(&kernel.version);
        record.kernel_commit.clone_from(&kernel.commit);
    }
    if let Some(accel) = &attempt.accel {
        record.accelerator = Some(accel.accel.to_string());
        record.accelerator_why = Some(accel.why.clone());
    }
    if let Some(scheduler) = &attempt.scheduler {
        record.resolve_source = Some(scheduler.source.to_owned());
        record.scheduler_binary_hash = ktstr_kernel::cache::sha256_file(&scheduler.path).ok();
    }
    record.scheduler_args.clone_from(&attempt.scheduler_args);
    record.overcommit = attempt.overcommit;
    if let Some(origin) = &attempt.origin {
        let hash = |path: &Path| ktstr_kernel::cache::sha256_file(path).ok();
        record.seed = Some(origin.seed);
        record.chaos = Some(origin.chaos.clone());
        record.perturbations = Some(origin.perturbations);
        record.perturbed.clone_from(&origin.perturbed);
        record.kernel_hash = hash(&origin.kernel);
        record.initramfs_hash = origin.initramfs.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        record.qemu_version = ktstr_vmm::qemu_version();
        record.binary_hash = std::env::current_exe().ok().and_then(|path| hash(&path));
        record.digest = attempt.run.as_ref().and_then(|run| run.digest.clone());
    }
    let Some(run) = &attempt.run else { return };
    record.phases_us.clone_from(&run.phases_us);
    let took = |phase: &str| run.phases_us.get(phase).copied();
    record.cleanup_duration_ms = took("shutdown").zip(took("teardown")).map(|(a, b)| a.saturating_add(b) / 1000);
    record.exits.clone_from(&run.exits);
    record.host_run_delay_ns = run.host_delay.run_delay_ns;
    if verdict != Verdict::Pass {
        record.console_tail = last_lines(&run.console, TAIL_LINES);
        let log = kernel_lines(&run.transcript);
        // A machine that was lost has sent no log; its console has the end of it.
        let log = if log.is_empty() { run.console.lines().collect() } else { log };
        let log: Vec<String> = log.into_iter().map(str::to_owned).collect();
        record.kernel_splat = dmesg::splat(&log).to_vec();
    }
    for (_, message) in run.transcript.messages() {
        match message {
            Message::Hello(hello) => {
                record.kernel_release = Some(hello.release.clone());
                if record.kernel_commit.is_none() {
                    record.kernel_commit = commit_of_release(&hello.release).map(str::to_owned);
                }
                record.topology_read_back = Some(hello.read_back.clone());
            }
            Message::Scheduler(seen) => {
                add_programs(record, seen);
                match seen.when {
                    When::Attach => {
                        record.attached_at_start = seen.state == "enabled";
                        record.scheduler_ops.clone_from(&seen.ops);
                    }
                    When::Detach => {
                        record.attached_at_end = seen.state == "enabled";
                        record.sched_ext_events.clone_from(&seen.events);
                        record.exit_info.clone_from(&seen.exit_info);
                    }
                    When::Stopped | When::Leaving | When::Left | When::Joined => {}
                }
            }
            Message::SchedulerLog(line) => record.scheduler_log.push(line.clone()),
            _ => {}
        }
    }
    let surplus = record.scheduler_log.len().saturating_sub(TAIL_LINES);
    record.scheduler_log.drain(..surplus);
}

/// A scheduler's programs are verified once, and have been called as often as the last look at them says.
fn add_programs(record: &mut SidecarRecord, seen: &SchedulerSeen) {
    for (name, program) in &seen.programs {
        let most = record.verifier_instructions.entry(name.clone()).or_default();
        *most = program.verified_insns.max(*most);
        if matches!(seen.when, When::Leaving | When::Detach) && program.calls > 0 {
            let callback = record.callback_profile.entry(name.clone()).or_default();
            callback.calls += program.calls;
            callback.ns += program.ns;
        }
    }
}

/// The target directory this binary lies in (`…/target/PROFILE/deps/BINARY`), else `target` here.
fn target_dir() -> PathBuf {
    own_target_dir().unwrap_or_else(|| PathBuf::from("target"))
}

/// cargo marks its target directories with a tag; a binary from an archive lies in none.
fn own_target_dir() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists()).map(Path::to_owned)
}

/// Short commit of the project in the working directory, with `-dirty` when files differ from it.
fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
    Some(if dirty { format!("{head}-dirty") } else { head })
}

/// Model of the host's CPU.
pub(crate) fn host_cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
