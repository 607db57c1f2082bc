//! A test on a real machine: what a guest's init does, and the same judgement.
//!
//! The frames that a guest would send are written here and read back at once, so that one function judges both.

use super::script::CANNOT;
use super::{LIBRARIES, LOADER, SCHEDULER};
use crate::answers::NOT_MINE;
use crate::entry::KtstrTestEntry;
use crate::evaluate::{Evidence, Expected, evaluate};
use crate::registry::{KTSTR_TESTS, find};
use anyhow::{Context as _, Result};
use ktstr_scenario::{Assert, Attachable, Ctx, CtxParams, SchedulerControl, SchedulerLaunch, SchedulerSpec, report};
use ktstr_scenario::{kmsg, panic_text};
use ktstr_topology::Topology;
use ktstr_verdict::{HarnessFault, Policy, Verdict, final_outcome};
use ktstr_vmm::host::HostTopology;
use ktstr_vmm::{HostDelay, VmEnd};
use ktstr_wire::{Encoder, Hello, Message, Nonce, SCHEMA, Stage, TestReport, Transcript};

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Seconds without CPU time after which a scheduler that is not attached is given up.
const ATTACH_IDLE_S: u64 = 10;

/// Runs an exported test right here; the answer is the exit code.
#[must_use]
pub fn run_bare(name: &str, dir: &Path) -> i32 {
    let Some(entry) = find(&KTSTR_TESTS, name) else { return NOT_MINE };
    let topology = match this_machine(entry) {
        Ok(topology) => topology,
        Err((why, way)) => {
            eprintln!("ktstr: NOT RUN: {why}\nktstr: {way}");
            return CANNOT;
        }
    };
    eprintln!("ktstr: {name} on this machine ({topology}), scheduler {}", entry.scheduler.name);
    let result = catch_unwind(AssertUnwindSafe(|| judged(entry, &topology, dir))).unwrap_or_else(|payload| {
        let text = format!("the harness panicked: {}", panic_text(&*payload));
        Err(anyhow::Error::new(HarnessFault::new(text)))
    });
    let policy = Policy { expect_err: entry.expect_err, allow_inconclusive: entry.allow_inconclusive, no_skip: false };
    let decision = final_outcome(&result, policy);
    if decision.verdict() == Verdict::Pass && decision.message().is_empty() {
        eprintln!("ktstr: PASS");
    } else {
        eprintln!("ktstr: {}: {}", decision.verdict(), decision.message());
    }
    decision.exit_code()
}

/// The topology here, if the test can be run on it; else why not, and what to do.
fn this_machine(entry: &KtstrTestEntry) -> Result<Topology, (String, String)> {
    let host = HostTopology::detect();
    let Some(here) = host.as_topology() else {
        let text = format!("this machine's {} CPUs are not spread evenly over its {} LLCs", host.cpus, host.llcs);
        return Err((text, "run it on a uniform machine, or all of one".into()));
    };
    fits(entry, &here)?;
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    match entry.scheduler.kargs.iter().find(|word| !cmdline.split_ascii_whitespace().any(|have| have == **word)) {
        Some(word) => {
            Err((format!("the kernel was booted without `{word}`"), "add it to the kernel's command line".into()))
        }
        None => Ok(here),
    }
}

fn fits(entry: &KtstrTestEntry, here: &Topology) -> Result<(), (String, String)> {
    let (nodes, llcs, cores, threads) = entry.dimensions();
    let wanted = llcs.saturating_mul(cores).saturating_mul(threads);
    let enough = here.total_cpus() >= wanted && here.llcs >= llcs && here.numa_nodes >= nodes;
    if enough && entry.constraints().accepts_no_perf_mode(here, u32::MAX) {
        return Ok(());
    }
    Err((
        format!(
            "this machine is {here}, and the test needs at least {nodes}n{llcs}l{cores}c{threads}t within its bounds"
        ),
        "run it on a larger machine, or on one within the bounds that the test declares".into(),
    ))
}

fn judged(entry: &'static KtstrTestEntry, topology: &Topology, dir: &Path) -> Result<ktstr_verdict::AssertResult> {
    let transcript = observed(entry, topology, dir)?;
    let scheduler = (!entry.scheduler.is_eevdf()).then(|| entry.scheduler.name.to_owned());
    evaluate(&Evidence {
        expected: &Expected {
            topology: topology.clone(),
            scheduler,
            staged: Vec::new(),
            switches: Vec::new(),
            kargs: entry.scheduler.kargs.iter().map(|k| (*k).to_owned()).collect(),
            log_begins: MARK,
            allow_kernel_log: entry.allow_kernel_log.iter().map(|w| (*w).to_owned()).collect(),
        },
        end: &VmEnd::PoweredOff,
        transcript: &transcript,
        console: "",
        monitor_stderr: "",
        host_delay: HostDelay::default(),
        vcpu_share: 1.0,
    })
}

/// The frames of a run here, whole or as far as it got.
fn observed(entry: &'static KtstrTestEntry, topology: &Topology, dir: &Path) -> Result<Transcript> {
    let mut kernel_log = KernelLog::from_now()?;
    let (sender, receiver) = channel();
    let send = |message: Message| {
        // The receiver lives as long as this function.
        let _ = sender.send(message);
    };
    send(Message::Hello(Hello {
        schema: SCHEMA,
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        read_back: topology.ideal_read_back(),
        init_ns: 0,
        clock_ns: 0,
        cmdline: std::fs::read_to_string("/proc/cmdline").unwrap_or_default(),
    }));
    let _sysctls = Sysctls::save(entry.scheduler.sysctls.iter().map(|(name, _)| *name))?;
    let report = match live(entry, topology, dir, &sender) {
        Ok(report) => report,
        Err(e) => TestReport { ok: None, err: Some(format!("{e:#}")), stage: Stage::Scheduler },
    };
    send(Message::Console(kernel_log.since()?));
    send(Message::Outcome(report));
    drop(sender);
    encoded(&receiver)
}

fn encoded(messages: &Receiver<Message>) -> Result<Transcript> {
    let nonce = Nonce(u64::from(std::process::id()));
    let (mut encoder, mut transcript) = (Encoder::new(nonce), Transcript::new(nonce));
    for message in messages {
        transcript.feed(&encoder.encode(&message)?, 0);
    }
    transcript.feed(&encoder.bye(), 0);
    Ok(transcript)
}

fn live(
    entry: &'static KtstrTestEntry,
    topology: &Topology,
    dir: &Path,
    sender: &Sender<Message>,
) -> Result<TestReport> {
    let heard = sender.clone();
    let say = move |message: Message| {
        if let Message::SchedulerLog(line) = &message {
            eprintln!("ktstr: scheduler: {line}");
        }
        let _ = heard.send(message);
    };
    let under_test = launch(entry, dir).map(Attachable::Program);
    let control = Arc::new(SchedulerControl::new(under_test, Vec::new(), say.clone()));
    control.begin()?;
    say(Message::Phase("test".into()));
    let report = call(entry, topology, &control);
    say(Message::Phase("test-end".into()));
    control.end();
    Ok(report)
}

fn launch(entry: &KtstrTestEntry, dir: &Path) -> Option<SchedulerLaunch> {
    let declared = entry.scheduler;
    let file = match declared.spec {
        SchedulerSpec::Discover(file) | SchedulerSpec::Path(file) => Path::new(file).file_name()?.to_string_lossy(),
        SchedulerSpec::Eevdf | SchedulerSpec::KernelBuiltin { .. } => return None,
    };
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let libraries = dir.join(LIBRARIES);
    let loader = ["--library-path".to_owned(), text(libraries.clone()), text(dir.join(SCHEDULER))];
    let own = declared.sched_args.iter().chain(entry.extra_sched_args).map(|a| (*a).to_owned());
    Some(SchedulerLaunch {
        name: declared.name.to_owned(),
        binary: text(libraries.join(LOADER)),
        args_file: None,
        args: loader.into_iter().chain(own).collect(),
        accepted_ops: vec![declared.name.to_owned(), file.strip_prefix("scx_").unwrap_or(&file).to_owned()],
        sysctls: declared.sysctls.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        attach_progress_s: ATTACH_IDLE_S,
    })
}

fn call(entry: &'static KtstrTestEntry, topology: &Topology, control: &Arc<SchedulerControl>) -> TestReport {
    let below = entry.workload_root_cgroup.or(entry.scheduler.cgroup_parent).unwrap_or("ktstr");
    let ctx = Ctx::new(CtxParams {
        topology: topology.clone(),
        duration: Duration::from_secs(entry.duration_s),
        assert: Assert::library_defaults().merge(entry.scheduler.assert).merge(entry.assert),
        cgroup_root: Path::new("/sys/fs/cgroup").join(below.trim_start_matches('/')),
        cgroup_walk_root: None,
        host_only: true,
        scheduler_name: entry.scheduler.name.to_owned(),
        control: Arc::clone(control),
    });
    report(&ctx, entry.body())
}

/// A line of ours in the kernel's log: a log that does not even hold this was not read.
const MARK: &str = "ktstr: a test begins";
/// How often it is written until it shows, and how long one waits in between.
const MARK_TRIES: u32 = 20;
const MARK_AGAIN: Duration = Duration::from_millis(50);

/// What the kernel says from now on.
struct KernelLog(kmsg::Reader);

impl KernelLog {
    /// From a line of ours on, which is in the log when this returns: a kernel may drop what user space writes there.
    fn from_now() -> Result<Self> {
        let log = kmsg::Reader::from_now();
        let mut log = Self(log.with_context(|| format!("the kernel's log cannot be read: {}", kmsg::PATH))?);
        for _ in 0..MARK_TRIES {
            std::fs::write(kmsg::PATH, MARK)
                .with_context(|| format!("the kernel's log takes no line: {}", kmsg::PATH))?;
            while let Some(line) = log.next()? {
                if line == MARK {
                    return Ok(log);
                }
            }
            std::thread::sleep(MARK_AGAIN);
        }
        anyhow::bail!("the kernel's log does not show our own line: is printk.devkmsg off?")
    }

    /// Everything since our line, which is the first.
    fn since(&mut self) -> Result<String> {
        let mut text = format!("{MARK}\n");
        while let Some(line) = self.next()? {
            text.push_str(&line);
            text.push('\n');
        }
        Ok(text)
    }

    /// The text of the next record; `None` at the end. Where records were lost a splat may have been among them.
    fn next(&mut self) -> Result<Option<String>> {
        let record = self.0.next_record().context("the kernel said more than its log holds")?;
        Ok(record.map(|record| kmsg::text_of(&record).to_owned()))
    }
}

/// Values that a real machine must get back.
struct Sysctls(Vec<(PathBuf, String)>);

impl Sysctls {
    fn save<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self> {
        let paths = names.map(|name| Path::new("/proc/sys").join(name.replace('.', "/")));
        let read = |path: PathBuf| {
            let value = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
            Ok((path, value))
        };
        paths.map(read).collect::<Result<_>>().map(Self)
    }
}

impl Drop for Sysctls {
    fn drop(&mut self) {
        for (path, value) in &self.0 {
            if let Err(e) = std::fs::write(path, value) {
                eprintln!("ktstr: WARNING: {} is not what it was: {e}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_too_small_or_out_of_bounds_is_refused() {
        let here = Topology::new(1, 2, 2, 1).unwrap();
        let entry = |llcs, cores, max_cpus| KtstrTestEntry {
            llcs: Some(llcs),
            cores: Some(cores),
            max_cpus,
            ..KtstrTestEntry::DEFAULT
        };
        assert!(fits(&entry(2, 2, None), &here).is_ok());
        assert!(fits(&entry(2, 1, None), &here).is_ok());
        assert!(fits(&entry(3, 1, None), &here).unwrap_err().0.contains("1n2l2c1t"));
        assert!(fits(&entry(2, 4, None), &here).is_err());
        assert!(fits(&entry(1, 1, Some(2)), &here).is_err());
    }

    #[test]
    fn a_run_that_says_nothing_is_no_pass() {
        let (sender, receiver) = channel();
        drop(sender);
        let transcript = encoded(&receiver).unwrap();
        let topology = Topology::new(1, 1, 2, 1).unwrap();
        let result = evaluate(&Evidence {
            expected: &Expected {
                topology,
                scheduler: None,
                staged: Vec::new(),
                switches: Vec::new(),
                kargs: Vec::new(),
                log_begins: MARK,
                allow_kernel_log: Vec::new(),
            },
            end: &VmEnd::PoweredOff,
            transcript: &transcript,
            console: "",
            monitor_stderr: "",
            host_delay: HostDelay::default(),
            vcpu_share: 1.0,
        });
        assert!(result.is_err());
    }
}
