//! Every way a run can lie, as evidence, and the verdict it must give. The rows are those of FAULTS.md.
#![allow(clippy::unwrap_used)]

use ktstr_dispatch::evaluate::{Evidence, Expected, evaluate};
use ktstr_topology::Topology;
use ktstr_verdict::{
    AssertResult, CheckKind, Detail, HarnessFault, Outcome, Policy, PostVmAssertionFailure, Verdict, final_outcome,
};
use ktstr_vmm::{HostDelay, Phase, VmEnd};
use ktstr_wire::{
    Encoder, Hello, Message, Nonce, PanicReport, ProcessSeen, SchedulerSeen, Stage, TestReport, Transcript, When,
};
use std::collections::BTreeMap;
use std::time::Duration;

const NONCE: Nonce = Nonce(0x5eed);

fn hello(topology: &Topology) -> Message {
    Message::Hello(Hello {
        schema: 1,
        release: "6.18.0".into(),
        read_back: topology.ideal_read_back(),
        init_ns: 0,
        clock_ns: 1,
        cmdline: "quiet".into(),
    })
}

fn seen(when: When, state: &str, ops: Option<&str>, process: ProcessSeen) -> SchedulerSeen {
    SchedulerSeen {
        when,
        name: Some("bpfland".into()),
        switches: Vec::new(),
        state: state.into(),
        ops: ops.map(str::to_owned),
        enable_seq: 1,
        nr_rejected: 0,
        hotplug_seq: 0,
        process,
        exit_info: None,
        events: BTreeMap::new(),
        programs: BTreeMap::new(),
    }
}

fn attached(when: When) -> SchedulerSeen {
    seen(when, "enabled", Some("bpfland_1.1.4"), ProcessSeen::Alive)
}

fn ok(result: AssertResult) -> Message {
    Message::Outcome(TestReport { ok: Some(result), err: None, stage: Stage::Test })
}

/// A run that deserves its pass, as a list of messages to spoil.
fn good(topology: &Topology) -> Vec<Message> {
    vec![
        hello(topology),
        Message::Scheduler(attached(When::Attach)),
        Message::Phase("test".into()),
        Message::Phase("test-end".into()),
        Message::Scheduler(attached(When::Detach)),
        Message::Scheduler(seen(When::Stopped, "disabled", None, ProcessSeen::Exited(0))),
        Message::Console("Linux version 6.18.0\nsched_ext: BPF scheduler \"bpfland_1.1.4\" enabled".into()),
        ok(AssertResult::pass()),
    ]
}

fn stream(messages: &[Message], nonce: Nonce) -> Vec<u8> {
    let mut encoder = Encoder::new(nonce);
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend(encoder.encode(message).unwrap());
    }
    bytes.extend(encoder.bye());
    bytes
}

struct Run {
    topology: Topology,
    bytes: Vec<u8>,
    end: VmEnd,
    scheduler: Option<String>,
    staged: Vec<String>,
    switches: Vec<(String, String)>,
    kargs: Vec<String>,
    vcpu_share: f64,
    allow_kernel_log: Vec<String>,
}

impl Run {
    fn of(messages: &[Message]) -> Self {
        Self {
            topology: topology(),
            bytes: stream(messages, NONCE),
            end: VmEnd::PoweredOff,
            scheduler: Some("bpfland".into()),
            staged: Vec::new(),
            switches: Vec::new(),
            kargs: Vec::new(),
            vcpu_share: 1.0,
            allow_kernel_log: Vec::new(),
        }
    }

    fn evaluate(&self) -> anyhow::Result<AssertResult> {
        let mut transcript = Transcript::new(NONCE);
        transcript.feed(&self.bytes, 0);
        let expected = Expected {
            topology: self.topology.clone(),
            scheduler: self.scheduler.clone(),
            allow_kernel_log: self.allow_kernel_log.clone(),
            log_begins: ktstr_scenario::dmesg::BOOT,
            staged: self.staged.clone(),
            switches: self.switches.clone(),
            kargs: self.kargs.clone(),
        };
        evaluate(&Evidence {
            expected: &expected,
            end: &self.end,
            transcript: &transcript,
            console: "the last console line",
            monitor_stderr: "",
            host_delay: HostDelay::default(),
            vcpu_share: self.vcpu_share,
        })
    }

    fn verdict(&self, expect_err: bool) -> Verdict {
        let policy = Policy { expect_err, ..Policy::default() };
        final_outcome(&self.evaluate(), policy).verdict()
    }

    /// Fails, and keeps failing when the test says that it expects an error.
    fn assert_never_passes(&self, why: &str) {
        assert_eq!(self.verdict(false), Verdict::Fail, "{why}");
        assert_eq!(self.verdict(true), Verdict::Fail, "{why}, under expect_err");
        let text = format!("{:#}", self.evaluate().unwrap_err());
        assert!(text.contains(why), "`{why}` is not in: {text}");
    }
}

fn topology() -> Topology {
    Topology::new(1, 2, 2, 1).unwrap()
}

#[test]
fn a_whole_run_passes() {
    assert_eq!(Run::of(&good(&topology())).verdict(false), Verdict::Pass);
}

#[test]
fn silence_and_a_clean_power_off_is_never_a_pass() {
    let mut run = Run::of(&[]);
    run.bytes.clear();
    run.assert_never_passes("not complete");
}

#[test]
fn a_power_off_before_the_verdict_is_never_a_pass() {
    let messages = good(&topology());
    Run::of(&messages[..messages.len() - 1]).assert_never_passes("never sent its outcome");
}

#[test]
fn a_stream_cut_anywhere_is_never_a_pass() {
    let whole = Run::of(&good(&topology()));
    for cut in 0..whole.bytes.len() {
        let run = Run { bytes: whole.bytes[..cut].to_vec(), ..Run::of(&[]) };
        assert_eq!(run.verdict(false), Verdict::Fail, "cut at {cut}");
        assert_eq!(run.verdict(true), Verdict::Fail, "cut at {cut}");
    }
}

#[test]
fn one_bit_flipped_anywhere_is_never_a_pass() {
    let whole = Run::of(&good(&topology()));
    for byte in 0..whole.bytes.len() {
        let mut bytes = whole.bytes.clone();
        bytes[byte] ^= 1 << (byte % 8);
        let run = Run { bytes, ..Run::of(&[]) };
        assert_eq!(run.verdict(false), Verdict::Fail, "byte {byte}");
        assert_eq!(run.verdict(true), Verdict::Fail, "byte {byte}");
    }
}

#[test]
fn a_stream_replayed_from_an_earlier_attempt_is_never_a_pass() {
    let mut run = Run::of(&[]);
    run.bytes = stream(&good(&topology()), Nonce(0x0dd));
    run.assert_never_passes("not complete");
}

#[test]
fn bytes_after_the_bye_are_never_a_pass() {
    let mut run = Run::of(&good(&topology()));
    run.bytes.push(0);
    run.assert_never_passes("not complete");
}

#[test]
fn a_machine_that_is_not_the_one_asked_for_is_never_a_pass() {
    let other = Topology::new(1, 1, 4, 1).unwrap();
    Run::of(&good(&other)).assert_never_passes("not the machine that was asked for");
}

#[test]
fn a_panic_of_the_test_is_never_a_pass() {
    let mut messages = good(&topology());
    messages.insert(
        3,
        Message::Panic(PanicReport { message: "boom".into(), location: "a.rs:1".into(), backtrace: String::new() }),
    );
    Run::of(&messages).assert_never_passes("panic in the guest at a.rs:1: boom");
}

#[test]
fn every_bad_end_of_the_machine_is_never_a_pass() {
    let ends = [
        (VmEnd::MonitorDied { status: "signal 9".into() }, "signal 9"),
        (VmEnd::Deadline { phase: Phase::Boot, after: Duration::from_secs(60) }, "Boot"),
        (VmEnd::Deadline { phase: Phase::Test, after: Duration::from_secs(60) }, "Test"),
        (VmEnd::Deadline { phase: Phase::Shutdown, after: Duration::from_secs(9) }, "Shutdown"),
    ];
    for (end, why) in ends {
        let mut run = Run::of(&good(&topology()));
        run.end = end;
        run.assert_never_passes(why);
        run.assert_never_passes("the last console line");
    }
}

#[test]
fn a_failed_init_attach_or_scenario_is_never_a_pass() {
    let stages =
        [(Stage::Init, "guest init failed"), (Stage::Scheduler, "was not attached"), (Stage::Scenario, "no such file")];
    for (stage, why) in stages {
        let report = TestReport { ok: None, err: Some("no such file".into()), stage };
        Run::of(&[hello(&topology()), Message::Outcome(report)]).assert_never_passes(why);
    }
}

#[test]
fn a_scheduler_never_seen_attached_is_never_a_pass() {
    let mut messages = good(&topology());
    messages[1] = Message::Scheduler(seen(When::Attach, "disabled", None, ProcessSeen::Alive));
    Run::of(&messages).assert_never_passes("was never attached");
    messages.remove(1);
    Run::of(&messages).assert_never_passes("never sent its scheduler state at the start");
}

#[test]
fn a_missing_look_at_the_end_is_never_a_pass() {
    let mut messages = good(&topology());
    messages.remove(4);
    Run::of(&messages).assert_never_passes("never sent its scheduler state at the end");
}

#[test]
fn a_scheduler_that_left_is_the_scheduler_s_failure() {
    let broken = [
        seen(When::Detach, "disabled", None, ProcessSeen::Exited(0)),
        seen(When::Detach, "disabled", None, ProcessSeen::Signaled(9)),
        seen(When::Detach, "enabled", Some("bpfland_1.1.4"), ProcessSeen::Exited(0)),
        seen(When::Detach, "enabled", Some("other"), ProcessSeen::Alive),
        SchedulerSeen { enable_seq: 2, ..attached(When::Detach) },
    ];
    for detach in broken {
        let mut messages = good(&topology());
        messages[4] = Message::Scheduler(detach.clone());
        let stopped = seen(When::Stopped, "disabled", None, ProcessSeen::Exited(0));
        messages[5] = Message::Scheduler(SchedulerSeen { enable_seq: detach.enable_seq, ..stopped });
        let run = Run::of(&messages);
        assert_eq!(run.verdict(false), Verdict::Fail, "{detach:?}");
        assert_eq!(run.verdict(true), Verdict::Pass, "this is what expect_err is for: {detach:?}");
    }
}

#[test]
fn a_test_for_eevdf_under_a_sched_ext_scheduler_is_never_a_pass() {
    let mut run = Run::of(&good(&topology()));
    run.scheduler = None;
    run.assert_never_passes("asked for EEVDF");
}

#[test]
fn a_kernel_splat_is_never_a_pass() {
    let mut messages = good(&topology());
    messages[6] = Message::Console("[    1.0] WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1 f+0x1/0x2".into());
    let run = Run::of(&messages);
    assert_eq!(run.verdict(false), Verdict::Fail);
    assert_eq!(run.verdict(true), Verdict::Fail);
    assert!(run.evaluate().unwrap_err().is::<PostVmAssertionFailure>());
}

#[test]
fn a_run_without_a_kernel_log_is_never_a_pass() {
    let mut messages = good(&topology());
    messages.remove(6);
    assert_eq!(Run::of(&messages).verdict(false), Verdict::Fail);
    assert_eq!(Run::of(&messages).verdict(true), Verdict::Fail);
}

#[test]
fn an_outcome_sent_twice_is_never_a_pass() {
    let mut messages = good(&topology());
    messages.push(ok(AssertResult::pass()));
    Run::of(&messages).assert_never_passes("more than once");
}

#[test]
fn a_report_with_neither_result_nor_error_is_a_harness_fault() {
    let mut messages = good(&topology());
    messages[7] = Message::Outcome(TestReport { ok: None, err: None, stage: Stage::Test });
    assert!(Run::of(&messages).evaluate().unwrap_err().is::<HarnessFault>());
}

#[test]
fn a_splat_is_allowed_by_its_line_and_a_log_with_holes_is_not() {
    let boot = "[    0.000000] Linux version 6.18.0";
    let splat = "[    1.0] WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1 f+0x1/0x2";
    let mut messages = good(&topology());
    messages[6] = Message::Console(format!("{boot}\n{splat}"));
    let mut run = Run::of(&messages);
    assert_eq!(run.verdict(false), Verdict::Fail);
    run.allow_kernel_log = vec!["at kernel/sched/core.c:1 ".into()];
    assert_eq!(run.verdict(false), Verdict::Pass);
    for log in [splat.to_owned(), format!("{boot}\n{}: record 9 came where 2 was due)", ktstr_scenario::dmesg::LOST)] {
        messages[6] = Message::Console(log.clone());
        let mut run = Run::of(&messages);
        run.allow_kernel_log = vec!["WARNING".into(), "lost".into(), "record".into()];
        assert_eq!(run.verdict(false), Verdict::Fail, "{log}");
        assert_eq!(run.verdict(true), Verdict::Fail, "{log}");
    }
}

#[test]
fn only_latency_and_fairness_become_inconclusive_on_shared_cpus() {
    for (kind, expected) in [
        (CheckKind::Latency, Verdict::Inconclusive),
        (CheckKind::Fairness, Verdict::Inconclusive),
        (CheckKind::Progress, Verdict::Fail),
        (CheckKind::Isolation, Verdict::Fail),
    ] {
        let mut messages = good(&topology());
        let fail = Outcome::Fail { detail: Detail::new(kind, "too much".to_owned()) };
        messages[7] = ok(AssertResult { outcomes: vec![fail], ..AssertResult::default() });
        let mut run = Run::of(&messages);
        assert_eq!(run.verdict(false), Verdict::Fail, "{kind:?}");
        run.vcpu_share = 0.5;
        assert_eq!(run.verdict(false), expected, "{kind:?}");
    }
}
