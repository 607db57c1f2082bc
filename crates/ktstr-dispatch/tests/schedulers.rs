//! Schedulers that are changed while a test runs: every story that the guest can tell, true and untrue.
#![allow(clippy::unwrap_used)]

use ktstr_dispatch::evaluate::{Evidence, Expected, evaluate};
use ktstr_topology::Topology;
use ktstr_verdict::{AssertResult, HarnessFault, Policy, Verdict, final_outcome};
use ktstr_vmm::{HostDelay, VmEnd};
use ktstr_wire::{
    Encoder, Hello, Message, Nonce, ProcessSeen, SchedulerSeen, Stage, SwitchSeen, TestReport, Transcript, When,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NONCE: Nonce = Nonce(0x5eed);

/// What a test does to its schedulers: "a" is under test, "b" and "c" are staged.
#[derive(Clone, Copy, Debug)]
enum Change {
    Detach,
    Attach(&'static str),
    Restart,
    Replace(&'static str),
}

/// The guest, as it would tell of a kernel that does what it is told.
struct Guest {
    enable_seq: u64,
    now: Option<&'static str>,
    told: Vec<SchedulerSeen>,
}

impl Guest {
    fn seen(&self, when: When, name: Option<&str>, attached: bool) -> SchedulerSeen {
        SchedulerSeen {
            when,
            name: name.map(str::to_owned),
            state: if attached { "enabled" } else { "disabled" }.into(),
            ops: name.filter(|_| attached).map(|n| format!("{n}_1.0")),
            enable_seq: self.enable_seq,
            nr_rejected: 0,
            hotplug_seq: 0,
            process: match (name, attached) {
                (None, _) => ProcessSeen::None,
                (Some(_), true) => ProcessSeen::Alive,
                (Some(_), false) => ProcessSeen::Exited(0),
            },
            exit_info: None,
            events: BTreeMap::new(),
            programs: BTreeMap::new(),
            switches: Vec::new(),
        }
    }

    fn leave(&mut self) {
        self.told.push(self.seen(When::Leaving, self.now, true));
        self.told.push(self.seen(When::Left, self.now, false));
        self.now = None;
    }

    fn join(&mut self, name: &'static str, when: When) {
        self.enable_seq += 1;
        self.now = Some(name);
        self.told.push(self.seen(when, self.now, true));
    }

    /// A whole life. Changes that a control would refuse are left out, as the control would.
    fn live(changes: &[Change]) -> Vec<SchedulerSeen> {
        let mut guest = Self { enable_seq: 6, now: None, told: Vec::new() };
        guest.join("a", When::Attach);
        for change in changes {
            match (*change, guest.now) {
                (Change::Detach, Some(_)) => guest.leave(),
                (Change::Restart, Some(name)) => {
                    guest.leave();
                    guest.join(name, When::Joined);
                }
                (Change::Replace(next), Some(_)) => {
                    guest.leave();
                    guest.join(next, When::Joined);
                }
                (Change::Attach(next), None) => guest.join(next, When::Joined),
                _ => {}
            }
        }
        let attached = guest.now.is_some();
        guest.told.push(guest.seen(When::Detach, guest.now, attached));
        guest.told.push(guest.seen(When::Stopped, guest.now, false));
        guest.told
    }
}

fn expected() -> Expected {
    Expected {
        allow_kernel_log: Vec::new(),
        log_begins: ktstr_scenario::dmesg::BOOT,
        topology: Topology::new(1, 1, 2, 1).unwrap(),
        scheduler: Some("a".into()),
        staged: vec!["b".into(), "c".into()],
        switches: Vec::new(),
        kargs: Vec::new(),
    }
}

fn judged(expected: &Expected, told: &[SchedulerSeen]) -> anyhow::Result<AssertResult> {
    let hello = Hello {
        schema: 1,
        release: "6.18.0".into(),
        read_back: expected.topology.ideal_read_back(),
        init_ns: 0,
        clock_ns: 1,
        cmdline: "quiet ktstr.port=0x5b0 nosmt".into(),
    };
    let outcome = TestReport { ok: Some(AssertResult::pass()), err: None, stage: Stage::Test };
    let mut encoder = Encoder::new(NONCE);
    let mut bytes = Vec::new();
    let mut say = |message: &Message| bytes.extend(encoder.encode(message).unwrap());
    say(&Message::Hello(hello));
    told.iter().for_each(|seen| say(&Message::Scheduler(seen.clone())));
    say(&Message::Console("Linux version 6.18.0".into()));
    say(&Message::Outcome(outcome));
    bytes.extend(encoder.bye());
    let mut transcript = Transcript::new(NONCE);
    transcript.feed(&bytes, 0);
    evaluate(&Evidence {
        expected,
        end: &VmEnd::PoweredOff,
        transcript: &transcript,
        console: "",
        monitor_stderr: "",
        host_delay: HostDelay::default(),
        vcpu_share: 1.0,
    })
}

fn verdict(expected: &Expected, told: &[SchedulerSeen]) -> Verdict {
    final_outcome(&judged(expected, told), Policy::default()).verdict()
}

fn fault(expected: &Expected, told: &[SchedulerSeen], why: &str) {
    let error = judged(expected, told).unwrap_err();
    assert!(error.is::<HarnessFault>(), "no expectation may turn this into a pass: {error:#}");
    assert!(format!("{error:#}").contains(why), "`{why}` is not in: {error:#}");
}

fn change() -> impl Strategy<Value = Change> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c")];
    prop_oneof![
        Just(Change::Detach),
        Just(Change::Restart),
        name.clone().prop_map(Change::Attach),
        name.prop_map(Change::Replace),
    ]
}

/// Ways to spoil one look.
fn spoil(seen: &mut SchedulerSeen, how: u8) {
    match how {
        0 => seen.state = if seen.state == "enabled" { "disabled" } else { "enabled" }.into(),
        1 => seen.enable_seq += 1,
        2 => seen.enable_seq -= 1,
        3 => seen.state = "disabling".into(),
        4 => seen.when = if seen.when == When::Joined { When::Left } else { When::Joined },
        _ => seen.ops = Some("another".into()),
    }
}

proptest! {
    #[test]
    fn every_true_story_passes(changes in prop::collection::vec(change(), 0..8)) {
        prop_assert_eq!(verdict(&expected(), &Guest::live(&changes)), Verdict::Pass);
    }

    #[test]
    fn a_story_with_one_look_missing_never_passes(
        changes in prop::collection::vec(change(), 0..8), at in any::<prop::sample::Index>(),
    ) {
        let mut told = Guest::live(&changes);
        told.remove(at.index(told.len()));
        prop_assert_eq!(verdict(&expected(), &told), Verdict::Fail);
    }

    #[test]
    fn a_story_with_two_looks_exchanged_or_one_told_twice_never_passes(
        changes in prop::collection::vec(change(), 0..8), at in any::<prop::sample::Index>(), twice in any::<bool>(),
    ) {
        let mut told = Guest::live(&changes);
        let at = at.index(told.len() - 1);
        if twice {
            let again = told[at].clone();
            told.insert(at, again);
        } else {
            told.swap(at, at + 1);
        }
        prop_assert_eq!(verdict(&expected(), &told), Verdict::Fail);
    }

    #[test]
    fn a_story_with_one_look_spoiled_never_passes(
        changes in prop::collection::vec(change(), 0..8), at in any::<prop::sample::Index>(), how in 0u8..5,
    ) {
        let mut told = Guest::live(&changes);
        let at = at.index(told.len());
        spoil(&mut told[at], how);
        // The count at the very start is what all others are compared with.
        prop_assert_eq!(verdict(&expected(), &told), Verdict::Fail, "{:?}", told);
    }

    #[test]
    fn another_scheduler_than_the_one_that_was_attached_never_passes(
        changes in prop::collection::vec(change(), 0..8), at in any::<prop::sample::Index>(),
    ) {
        let mut told = Guest::live(&changes);
        let looks: Vec<usize> =
            (0..told.len()).filter(|i| matches!(told[*i].when, When::Leaving | When::Detach)).collect();
        let at = looks[at.index(looks.len())];
        prop_assume!(told[at].state == "enabled");
        spoil(&mut told[at], 5);
        prop_assert_eq!(verdict(&expected(), &told), Verdict::Fail);
    }
}

#[test]
fn a_scheduler_that_died_before_it_was_to_be_stopped_is_its_failure() {
    let mut told = Guest::live(&[Change::Detach]);
    told[1].state = "disabled".into();
    told[1].exit_info = Some("exit kind 1026 (runnable task stall)".into());
    let result = judged(&expected(), &told).unwrap();
    let text = result.outcomes.iter().map(|o| o.text().to_owned()).collect::<String>();
    assert!(text.contains("when it was to be stopped; kernel: exit kind 1026"), "{text}");
}

#[test]
fn an_attach_that_failed_is_never_a_pass_whatever_the_test_made_of_it() {
    let mut told = Guest::live(&[Change::Detach]);
    let failed = SchedulerSeen {
        when: When::Joined,
        name: Some("b".into()),
        exit_info: Some("scheduler `b` exited with status 1 before it attached".into()),
        ..told[2].clone()
    };
    told.insert(3, failed);
    fault(&expected(), &told, "`b` was not attached in the running test: scheduler `b` exited with status 1");
}

#[test]
fn a_scheduler_that_came_and_went_between_two_is_never_a_pass() {
    let mut told = Guest::live(&[Change::Replace("b")]);
    // From the second attach on everything agrees, but the kernel has enabled one more.
    told[3..].iter_mut().for_each(|seen| seen.enable_seq += 1);
    fault(&expected(), &told, "the kernel enabled 2 schedulers while `b` was attached, expected 1");
}

#[test]
fn a_scheduler_that_nobody_staged_is_never_a_pass() {
    let told = Guest::live(&[Change::Replace("b")]);
    let narrow = Expected { staged: Vec::new(), ..expected() };
    fault(&narrow, &told, "not staged");
}

#[test]
fn a_test_that_ends_without_a_scheduler_must_have_none() {
    let mut told = Guest::live(&[Change::Detach]);
    assert_eq!(verdict(&expected(), &told), Verdict::Pass);
    told[3].enable_seq += 1;
    fault(&expected(), &told, "no scheduler should have been attached, but the kernel enabled 1 in the meantime");
    told[3].state = "enabled".into();
    fault(&expected(), &told, "was enabled");
}

#[test]
fn a_scheduler_that_does_not_leave_when_it_is_stopped_is_a_failure() {
    let mut told = Guest::live(&[]);
    told[2].state = "disabling".into();
    assert_eq!(verdict(&expected(), &told), Verdict::Fail);
    let mut midway = Guest::live(&[Change::Detach]);
    midway[2].state = "enabled".into();
    fault(&expected(), &midway, "did not leave when it was stopped");
}

#[test]
fn under_eevdf_a_scheduler_may_come_and_go_only_when_it_is_staged() {
    let eevdf = Expected { scheduler: None, ..expected() };
    let mut guest = Guest { enable_seq: 0, now: None, told: Vec::new() };
    guest.told.push(guest.seen(When::Attach, None, false));
    guest.join("b", When::Joined);
    guest.leave();
    guest.told.push(guest.seen(When::Detach, None, false));
    guest.told.push(guest.seen(When::Stopped, None, false));
    assert_eq!(verdict(&eevdf, &guest.told), Verdict::Pass);
    guest.told.drain(1..4);
    fault(&eevdf, &guest.told, "the kernel enabled 1 in the meantime");
}

/// A scheduler of the kernel, switched by two files.
fn built_in() -> (Expected, Vec<SchedulerSeen>) {
    let pair = |path: &str, value: &str| (path.to_owned(), value.to_owned());
    let switches = vec![pair("/sys/a", "1"), pair("/sys/b", "x"), pair("/sys/b", "y")];
    let expected = Expected { switches, staged: Vec::new(), ..expected() };
    let guest = Guest { enable_seq: 0, now: None, told: Vec::new() };
    let look = |when: When, values: [&str; 2]| {
        let seen = |path: &str, wanted: &str| SwitchSeen {
            path: path.into(),
            wanted: wanted.into(),
            seen: Some(format!("{wanted}\n")),
        };
        let switches = vec![seen("/sys/a", values[0]), seen("/sys/b", values[1])];
        SchedulerSeen { process: ProcessSeen::None, switches, ..guest.seen(when, Some("a"), false) }
    };
    let told = vec![look(When::Attach, ["1", "y"]), look(When::Detach, ["1", "y"]), look(When::Stopped, ["0", "x"])];
    (expected, told)
}

#[test]
fn a_scheduler_of_the_kernel_is_judged_by_its_switches() {
    let (expected, told) = built_in();
    assert_eq!(verdict(&expected, &told), Verdict::Pass);
    for at in 0..told.len() {
        for switch in 0..2 {
            for lie in [Some("2"), Some(""), None] {
                let mut spoiled = told.clone();
                spoiled[at].switches[switch].seen = lie.map(str::to_owned);
                assert_eq!(verdict(&expected, &spoiled), Verdict::Fail, "look {at}, switch {switch}: {lie:?}");
            }
            let mut spoiled = told.clone();
            if at < 2 {
                spoiled[at].switches.remove(switch);
            } else {
                spoiled[at].switches.clear();
            }
            assert_eq!(verdict(&expected, &spoiled), Verdict::Fail, "look {at} without switch {switch}");
        }
    }
}

#[test]
fn a_sched_ext_scheduler_beside_one_of_the_kernel_is_never_a_pass() {
    let (expected, mut told) = built_in();
    told[1].enable_seq += 1;
    assert_eq!(verdict(&expected, &told), Verdict::Fail);
}

#[test]
fn a_word_that_did_not_reach_the_kernel_s_command_line_is_never_a_pass() {
    let told = Guest::live(&[]);
    let with = |karg: &str| Expected { kargs: vec![karg.to_owned()], ..expected() };
    assert_eq!(verdict(&with("nosmt"), &told), Verdict::Pass);
    fault(&with("quiet isolcpus=1"), &told, "`isolcpus=1` is not on the guest's command line");
}
