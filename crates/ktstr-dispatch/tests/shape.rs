//! What a test expects of its scheduler, against what the kernel logged: as evidence, and the verdict it must give.
#![allow(clippy::unwrap_used)]

use ktstr_dispatch::KtstrTestEntry;
use ktstr_dispatch::shape::{Expectation, scheduler_error, shape};
use ktstr_verdict::{
    AssertResult, CheckKind, Detail, HarnessFault, Outcome, Policy, ScxBpfErrorMatcherMismatch, SurvivesStormViolated,
    Verdict, final_outcome,
};
use ktstr_wire::{Encoder, Message, Nonce, Transcript};
use proptest::prelude::*;
use serde_json::json;

const THROWN_OUT: &str = "[   3.1] sched_ext: BPF scheduler \"ktstr_0.1\" disabled (runnable task stall)";
const MESSAGE: &str = "[   3.1] sched_ext: ktstr_0.1: spin[77] failed to run for 2.004s";
const LEFT: &str = "[   3.1] sched_ext: BPF scheduler \"ktstr_0.1\" disabled (unregistered from user space)";
const HEALTHY: &str = "[   1.0] Linux version 6.18.0\n[   2.0] sched_ext: BPF scheduler \"ktstr_0.1\" enabled";

fn transcript(logs: &[&str]) -> Transcript {
    let mut encoder = Encoder::new(Nonce(1));
    let mut transcript = Transcript::new(Nonce(1));
    for log in logs {
        transcript.feed(&encoder.encode(&Message::Console((*log).to_owned())).unwrap(), 0);
    }
    transcript
}

fn error_in(log: &str) -> String {
    scheduler_error(&transcript(&[log]))
}

fn failed(kind: CheckKind) -> AssertResult {
    AssertResult::fail(Detail::new(kind, "it went wrong"))
}

fn verdict(entry: &KtstrTestEntry, result: AssertResult, log: &str) -> Verdict {
    let shaped = shape(Ok(result), &Expectation::of(entry).unwrap(), &error_in(log));
    final_outcome(&shaped, Policy { expect_err: entry.expect_err, ..Policy::default() }).verdict()
}

fn expecting(contains: Option<&'static str>, matches: Option<&'static str>) -> KtstrTestEntry {
    KtstrTestEntry {
        expect_err: true,
        expect_scx_bpf_error_contains: contains,
        expect_scx_bpf_error_matches: matches,
        ..KtstrTestEntry::DEFAULT
    }
}

#[test]
fn the_error_is_reason_and_message_of_a_scheduler_that_was_thrown_out() {
    let log = [HEALTHY, THROWN_OUT, MESSAGE, "[ 3.2] sched_ext: other: not its words", "[ 3.3] eth0: up"].join("\n");
    let wanted = "BPF scheduler \"ktstr_0.1\" disabled (runnable task stall)\n\
                  ktstr_0.1: spin[77] failed to run for 2.004s";
    assert_eq!(error_in(&log), wanted);
    assert_eq!(scheduler_error(&transcript(&[HEALTHY, THROWN_OUT, MESSAGE])), wanted, "pieces are one log");
}

#[test]
fn a_scheduler_that_left_by_itself_has_no_error() {
    assert_eq!(error_in(&[HEALTHY, LEFT, MESSAGE].join("\n")), "");
}

#[test]
fn what_the_guest_saw_at_the_end_of_the_test_counts_and_at_no_other_time() {
    let with = |when: &str, info: &str| {
        // As it travels, so that a field more does not matter here.
        let seen = serde_json::from_value(json!({
            "when": when, "state": "disabled", "ops": null, "enable_seq": 1, "nr_rejected": 0, "hotplug_seq": 0,
            "process": { "Exited": 0 }, "exit_info": info, "events": {},
        }));
        let seen = Message::Scheduler(seen.unwrap());
        let mut transcript = Transcript::new(Nonce(1));
        transcript.feed(&Encoder::new(Nonce(1)).encode(&seen).unwrap(), 0);
        scheduler_error(&transcript)
    };
    assert_eq!(with("Detach", "exit kind 1026 (runnable task stall)"), "exit kind 1026 (runnable task stall)");
    assert_eq!(with("Detach", "exit kind 64 (unregistered from user space)"), "");
    assert_eq!(with("Stopped", "exit kind 1026 (runnable task stall)"), "");
}

#[test]
fn the_expected_error_is_a_pass_and_another_is_a_failure() {
    let log = [HEALTHY, THROWN_OUT, MESSAGE].join("\n");
    let cases = [
        (Some("failed to run for"), None, Verdict::Pass),
        (Some("runnable task stall"), None, Verdict::Pass),
        (Some("no such words"), None, Verdict::Fail),
        (None, Some(r"spin\[\d+\] failed to run for 2\.\d+s"), Verdict::Pass),
        (None, Some("^watchdog"), Verdict::Fail),
        (Some("failed to run"), Some("^watchdog"), Verdict::Fail),
        (Some("no such words"), Some("stall"), Verdict::Fail),
        (None, None, Verdict::Pass),
    ];
    for (contains, matches, wanted) in cases {
        let entry = expecting(contains, matches);
        assert_eq!(verdict(&entry, failed(CheckKind::Scheduler), &log), wanted, "{contains:?} {matches:?}");
    }
}

#[test]
fn a_failure_without_any_error_of_the_scheduler_is_not_the_expected_one() {
    for log in [HEALTHY, LEFT, ""] {
        for entry in [expecting(Some("stall"), None), expecting(None, Some(".*"))] {
            assert_eq!(verdict(&entry, failed(CheckKind::Progress), log), Verdict::Fail, "{log}");
        }
    }
}

#[test]
fn a_pass_under_a_matcher_fails_although_the_error_is_there() {
    let log = [HEALTHY, THROWN_OUT, MESSAGE].join("\n");
    assert_eq!(verdict(&expecting(Some("stall"), None), AssertResult::pass(), &log), Verdict::Fail);
}

#[test]
fn a_mismatch_says_what_was_wanted_and_what_was_said() {
    let expectation = Expectation::of(&expecting(Some("no such words"), None)).unwrap();
    let error = shape(Ok(failed(CheckKind::Other)), &expectation, &error_in(THROWN_OUT)).unwrap_err();
    assert!(error.is::<ScxBpfErrorMatcherMismatch>());
    let text = format!("{error:#}");
    for words in ["`no such words`", "runnable task stall", "it went wrong"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
}

#[test]
fn a_pattern_that_is_none_is_refused_by_name() {
    let refused = Expectation::of(&expecting(None, Some("(stall"))).unwrap_err();
    assert!(refused.starts_with("expect_scx_bpf_error_matches: `(stall` is not a regular expression"), "{refused}");
}

#[test]
fn a_scheduler_that_died_breaks_the_promise_that_it_survives_and_a_stuck_worker_does_not() {
    let entry = KtstrTestEntry { survives_storm: true, ..KtstrTestEntry::DEFAULT };
    let expectation = Expectation::of(&entry).unwrap();
    let died = shape(Ok(failed(CheckKind::Scheduler)), &expectation, "").unwrap_err();
    assert!(died.is::<SurvivesStormViolated>());
    let decision = final_outcome(&Err(died), Policy { expect_err: true, ..Policy::default() });
    assert_eq!(decision.verdict(), Verdict::Fail, "even where a failure is expected");
    assert!(shape(Ok(failed(CheckKind::Progress)), &expectation, "").unwrap().is_fail());
    assert!(!shape(Ok(AssertResult::pass()), &expectation, "").unwrap().is_fail());
}

#[test]
fn what_could_not_be_observed_is_left_as_it_is() {
    let entry = KtstrTestEntry { survives_storm: true, ..expecting(Some("stall"), None) };
    let fault = Err(HarnessFault::new("lost").into());
    let shaped = shape(fault, &Expectation::of(&entry).unwrap(), &error_in(THROWN_OUT));
    assert!(shaped.unwrap_err().is::<HarnessFault>());
}

proptest! {
    /// The model: under a matcher, only a failing test whose scheduler's error holds the words passes.
    #[test]
    fn only_a_failure_with_the_words_passes(
        outcomes in prop::collection::vec(0u8..4, 0..5), thrown_out: bool, message: bool, wanted in "[a-z]{1,3}",
    ) {
        let outcome = |n: &u8| match n {
            0 => Outcome::Pass,
            1 => Outcome::Skip { reason: "r".into() },
            2 => Outcome::Inconclusive { detail: "d".into() },
            _ => Outcome::Fail { detail: "d".into() },
        };
        let result = AssertResult { outcomes: outcomes.iter().map(outcome).collect(), ..AssertResult::default() };
        let mut lines = vec![HEALTHY];
        lines.extend(thrown_out.then_some(THROWN_OUT));
        lines.extend(message.then_some(MESSAGE));
        let said = match (thrown_out, message) {
            (false, _) => String::new(),
            (true, false) => THROWN_OUT.to_owned(),
            (true, true) => [THROWN_OUT, MESSAGE].join("\n").replace("[   3.1] sched_ext: ", ""),
        };
        let said = said.replace("[   3.1] sched_ext: ", "");
        let wanted: &'static str = String::leak(wanted);
        let all_skipped = !outcomes.is_empty() && outcomes.iter().all(|n| *n == 1);
        let expected = if all_skipped {
            Verdict::Skip
        } else if outcomes.contains(&3) && said.contains(wanted) {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        prop_assert_eq!(verdict(&expecting(Some(wanted), None), result.clone(), &lines.join("\n")), expected);
        prop_assert_eq!(verdict(&expecting(None, Some(wanted)), result, &lines.join("\n")), expected);
    }
}
