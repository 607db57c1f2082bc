//! Where everything meets: what came out of the machine and what was asked for, in; one result, out.
//!
//! A pure function, and fail-closed: every step asks whether trust is lost, and only what survives all of them reaches the
//! test's own outcomes. A lost machine is a [`HarnessFault`], which `expect_err` never turns into a pass.

use crate::host_noise::{HostNoise, relax};
use crate::schedulers;
use ktstr_scenario::dmesg;
use ktstr_scenario::last_lines;
use ktstr_topology::Topology;
use ktstr_verdict::{AssertResult, CheckKind, HarnessFault, Outcome, PostVmAssertionFailure};
use ktstr_vmm::{HostDelay, VmEnd};
use ktstr_wire::{Hello, Message, SchedulerSeen, Stage, TestReport, Transcript, When};

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The machine.
    pub topology: Topology,
    /// Name of the scheduler that must be attached; `None` for EEVDF.
    pub scheduler: Option<String>,
    /// Words of kernel log lines that this test allows.
    pub allow_kernel_log: Vec<String>,
    /// Words of the first line of the kernel's log: [`dmesg::BOOT`] for a machine that was booted for the test.
    pub log_begins: &'static str,
    /// Names of those that the test may attach.
    pub staged: Vec<String>,
    /// For a scheduler of the kernel: files and the values that switch it on.
    pub switches: Vec<(String, String)>,
    /// Words that must be on the kernel's command line.
    pub kargs: Vec<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What was asked for.
    pub expected: &'a Expected,
    /// How the machine ended.
    pub end: &'a VmEnd,
    /// The frames of this attempt.
    pub transcript: &'a Transcript,
    /// The console's last bytes.
    pub console: &'a str,
    /// The monitor's own complaints.
    pub monitor_stderr: &'a str,
    /// How long the machine's threads waited for host CPUs while the test ran.
    pub host_delay: HostDelay,
    /// Host CPUs that a guest CPU can count on at once, at most 1.
    pub vcpu_share: f64,
}

/// The test's result, or why there is none.
///
/// # Errors
/// [`HarnessFault`] when the test could not be observed from hello to bye on the machine that was asked for;
/// [`PostVmAssertionFailure`] when the kernel complained; anything else is the test's own error.
pub fn evaluate(evidence: &Evidence<'_>) -> anyhow::Result<AssertResult> {
    let messages: Vec<&Message> = evidence.transcript.messages().iter().map(|(_, m)| m).collect();
    if let Some(why) = told_fault(&messages) {
        return Err(fault(evidence, &why));
    }
    if let Some(why) = lost_machine(evidence) {
        return Err(fault(evidence, &why));
    }
    if let Err(e) = evidence.transcript.completeness() {
        return Err(fault(evidence, &format!("the guest's stream is not complete: {e}")));
    }
    let protocol = Protocol::read(&messages).map_err(|why| fault(evidence, &why))?;
    if let Err(e) = evidence.expected.topology.check_read_back(&protocol.hello.read_back) {
        return Err(fault(evidence, &format!("the guest is not the machine that was asked for: {e}")));
    }
    if let Some(word) = missing_karg(evidence.expected, protocol.hello) {
        return Err(fault(evidence, &format!("`{word}` is not on the guest's command line, and was asked for")));
    }
    let scheduler = schedulers::judge(evidence.expected, &protocol.schedulers)
        .map_err(|why| fault(evidence, &format!("{why}{}", scheduler_words(&messages))))?;
    let log = kernel_log(&messages, evidence.expected)?;
    let mut result = match (&protocol.report.ok, &protocol.report.err) {
        (Some(result), None) => result.clone(),
        (_, Some(err)) => AssertResult::fail(format!("the test returned an error: {err}")),
        (None, None) => {
            return Err(fault(evidence, "the guest reported neither a result nor an error"));
        }
    };
    if let Some(outcome) = scheduler {
        result.push(outcome);
    }
    for outcome in log {
        result.push(outcome);
    }
    for message in &messages {
        if let Message::Metrics(metrics) = message {
            result.metrics.extend(metrics.iter().map(|(k, v)| (k.clone(), *v)));
        }
    }
    relax(&mut result, &HostNoise { delay: evidence.host_delay, vcpu_share: evidence.vcpu_share });
    Ok(result)
}

/// The frames a whole run consists of, each seen exactly once.
struct Protocol<'a> {
    hello: &'a Hello,
    schedulers: Vec<&'a SchedulerSeen>,
    report: &'a TestReport,
}

impl<'a> Protocol<'a> {
    fn read(messages: &[&'a Message]) -> Result<Self, String> {
        let hello = single(messages, "hello", |m| match m {
            Message::Hello(h) => Some(h),
            _ => None,
        })?;
        if !matches!(messages.first(), Some(Message::Hello(_))) {
            return Err("the guest's first frame is not a hello".into());
        }
        let seen = |when: When, what: &str| {
            single(messages, what, move |m| match m {
                Message::Scheduler(s) if s.when == when => Some(s),
                _ => None,
            })
        };
        seen(When::Attach, "scheduler state at the start")?;
        seen(When::Detach, "scheduler state at the end")?;
        seen(When::Stopped, "scheduler state after it was stopped")?;
        let schedulers = messages.iter().filter_map(|m| if let Message::Scheduler(s) = m { Some(s) } else { None });
        let report = single(messages, "outcome", |m| match m {
            Message::Outcome(r) => Some(r),
            _ => None,
        })?;
        Ok(Self { hello, schedulers: schedulers.collect(), report })
    }
}

fn single<'a, T>(
    messages: &[&'a Message],
    what: &str,
    pick: impl Fn(&'a Message) -> Option<&'a T>,
) -> Result<&'a T, String> {
    let mut found = messages.iter().filter_map(|m| pick(m));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("the guest never sent its {what}")),
        (Some(_), Some(_)) => Err(format!("the guest sent its {what} more than once")),
    }
}

/// What the guest itself says went wrong before or instead of a result.
fn told_fault(messages: &[&Message]) -> Option<String> {
    messages.iter().find_map(|m| match m {
        Message::Panic(p) => Some(format!("panic in the guest at {}: {}\n{}", p.location, p.message, p.backtrace)),
        Message::Outcome(TestReport { err: Some(err), stage: Stage::Init, .. }) => {
            Some(format!("guest init failed: {err}"))
        }
        Message::Outcome(TestReport { err: Some(err), stage: Stage::Scenario, .. }) => Some(err.clone()),
        Message::Outcome(TestReport { err: Some(err), stage: Stage::Scheduler, .. }) => {
            Some(format!("the scheduler was not attached: {err}{}", scheduler_words(messages)))
        }
        _ => None,
    })
}

fn scheduler_words(messages: &[&Message]) -> String {
    let log: Vec<&str> = messages
        .iter()
        .filter_map(|m| match m {
            Message::SchedulerLog(line) => Some(line.as_str()),
            _ => None,
        })
        .collect();
    if log.is_empty() {
        return String::new();
    }
    format!("\nlast words of the scheduler:\n{}", last_lines(&log.join("\n"), 12))
}

fn lost_machine(evidence: &Evidence<'_>) -> Option<String> {
    match evidence.end {
        VmEnd::PoweredOff => None,
        VmEnd::MonitorDied { status } => Some(format!("the machine's process ended early: {status}")),
        VmEnd::Deadline { phase, after } => {
            Some(format!("no end of the {phase:?} phase within {:.0} s", after.as_secs_f64()))
        }
    }
}

fn fault(evidence: &Evidence<'_>, why: &str) -> anyhow::Error {
    let mut text = why.to_owned();
    if let Some(line) = evidence.console.lines().find(|l| l.contains("Kernel panic - not syncing")) {
        text = format!("{}; {text}", line.trim_end());
    }
    let console = last_lines(evidence.console, 12);
    if !console.is_empty() {
        text.push_str("\nlast words of the console:\n");
        text.push_str(&console);
    }
    let stderr = last_lines(evidence.monitor_stderr, 4);
    if !stderr.is_empty() {
        text.push_str("\nlast words of the monitor:\n");
        text.push_str(&stderr);
    }
    anyhow::Error::new(HarnessFault::new(text))
}

fn missing_karg<'a>(expected: &'a Expected, hello: &Hello) -> Option<&'a str> {
    let there: Vec<&str> = hello.cmdline.split_ascii_whitespace().collect();
    expected.kargs.iter().flat_map(|k| k.split_ascii_whitespace()).find(|word| !there.contains(word))
}

/// Lines that are the scheduler's fault as outcomes; a splat of the kernel itself as an error no expectation inverts.
fn kernel_log(messages: &[&Message], expected: &Expected) -> anyhow::Result<Vec<Outcome>> {
    let lines: Vec<String> = messages
        .iter()
        .filter_map(|m| match m {
            Message::Console(text) => Some(text.as_str()),
            _ => None,
        })
        .flat_map(|text| text.lines().map(str::to_owned))
        .collect();
    let allowed: Vec<&str> = expected.allow_kernel_log.iter().map(String::as_str).collect();
    let (scheduler, kernel): (Vec<Outcome>, Vec<Outcome>) = dmesg::check_from(expected.log_begins, &lines, &allowed)
        .into_iter()
        .partition(|o| matches!(o, Outcome::Fail { detail } if detail.kind == CheckKind::Scheduler));
    if kernel.is_empty() {
        return Ok(scheduler);
    }
    let all: Vec<&str> = kernel.iter().chain(&scheduler).map(Outcome::text).collect();
    Err(anyhow::Error::new(PostVmAssertionFailure::new(all.join("\n"))))
}
