//! `auto_repro`: a failure is run again in a second machine, all of it traced, to see whether it comes again.

use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::machine::{Attempt, run_in_machine};
use crate::shape::scheduler_error;
use anyhow::anyhow;
use ktstr_scenario::panic_text;
use ktstr_sidecar::Repro;
use ktstr_topology::Topology;
use ktstr_verdict::{
    AssertResult, CheckKind, Detail, ExpectAutoReproSatisfied, HarnessFault, Outcome, Policy, Verdict, final_outcome,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The second machine.
#[derive(Debug)]
pub struct Again {
    /// How far it got.
    pub attempt: Attempt,
    /// What came of it.
    pub repro: Repro,
}

/// How a run failed: by which exit the kernel ended the scheduler, and which checks tripped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Manner {
    exit: Option<String>,
    checks: Vec<CheckKind>,
}

impl Manner {
    /// Of a run that could be observed and failed.
    fn of(measured: Option<&AssertResult>, scheduler_error: &str) -> Option<Self> {
        let measured = measured.filter(|m| m.is_fail())?;
        let checks = measured.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Fail { detail } => Some(detail.kind),
            _ => None,
        });
        // In the words of ktstr-scenario's `exit_info`.
        let exit = scheduler_error.split_once("exit kind ").and_then(|(_, rest)| rest.split_whitespace().next());
        Some(Self { exit: exit.map(str::to_owned), checks: checks.collect() })
    }

    /// A scheduler that was ended may trip this check or that one on its way out: the exit is what it failed by.
    fn is_like(&self, other: &Self) -> bool {
        if self.exit.is_some() || other.exit.is_some() {
            return self.exit == other.exit;
        }
        self.checks.iter().any(|kind| other.checks.contains(kind))
    }
}

fn manner(attempt: &Attempt) -> Option<Manner> {
    let error = attempt.run.as_ref().map(|run| scheduler_error(&run.transcript)).unwrap_or_default();
    Manner::of(attempt.measured.as_ref(), &error)
}

/// Runs a failure again, where the test asks for that and the failure is one that was observed in the machine.
pub fn again(
    entry: &'static KtstrTestEntry,
    topology: &Topology,
    settings: &Settings,
    first: &Attempt,
    decision: Verdict,
) -> Option<Again> {
    if !(entry.auto_repro || entry.expect_auto_repro) || decision != Verdict::Fail {
        return None;
    }
    let before = manner(first)?;
    eprintln!("ktstr: {} failed; it is run again in a second machine, traced (auto_repro)", entry.name);
    let traced: &'static KtstrTestEntry = Box::leak(Box::new(KtstrTestEntry { wprof: true, ..entry.clone() }));
    let mut attempt = Attempt::default();
    let result = catch_unwind(AssertUnwindSafe(|| run_in_machine(traced, topology, settings, &mut attempt)))
        .unwrap_or_else(|payload| {
            let text = format!("the harness panicked on the host: {}", panic_text(&*payload));
            Err(anyhow::Error::new(HarnessFault::new(text)))
        });
    let then = final_outcome(&result, Policy::default());
    let same = manner(&attempt).is_some_and(|after| after.is_like(&before));
    let said = then.message().lines().next().unwrap_or_default();
    let message = match (same, then.verdict()) {
        (true, _) => format!("a second machine failed in the same way: {said}"),
        (false, Verdict::Pass) => "a second machine did not fail".to_owned(),
        (false, verdict) => format!("a second machine did not fail in the same way: {verdict}: {said}"),
    };
    Some(Again { attempt, repro: Repro { same, message, trace: None } })
}

/// Holds `expect_auto_repro` against what came out; only a failure that came again can become a pass.
///
/// # Errors
/// [`ExpectAutoReproSatisfied`] on the failure, when it came again; whatever `result` was already.
pub fn settle(
    entry: &KtstrTestEntry,
    result: anyhow::Result<AssertResult>,
    again: Option<&Repro>,
) -> anyhow::Result<AssertResult> {
    if !entry.expect_auto_repro {
        return result;
    }
    let fail = |mut result: AssertResult, message: String| {
        result.push(Outcome::Fail { detail: Detail::new(CheckKind::Other, message) });
        Ok(result)
    };
    match (again, result) {
        (Some(repro), result) if repro.same => {
            let failure = result.map_or_else(|e| e, |failed| anyhow!(failed.texts(Verdict::Fail)));
            Err(failure.context(ExpectAutoReproSatisfied::new(repro.message.clone())))
        }
        (Some(repro), Ok(failed)) => fail(failed, format!("expect_auto_repro: {}", repro.message)),
        (None, Ok(result)) if !result.is_skip() && !result.is_fail() => {
            let verdict = result.fold();
            fail(result, format!("expect_auto_repro: there was no failure that could come again, but {verdict}"))
        }
        (_, result) => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::{PostVmAssertionFailure, ResourceContention};
    use proptest::prelude::*;

    fn failed(kinds: &[CheckKind]) -> AssertResult {
        let mut result = AssertResult::pass();
        kinds.iter().for_each(|kind| result.push(Outcome::Fail { detail: Detail::new(*kind, "no") }));
        result
    }

    #[test]
    fn two_runs_failed_alike_by_the_scheduler_s_exit_or_else_by_a_check() {
        let of = |kinds: &[CheckKind], error: &str| Manner::of(Some(&failed(kinds)), error).unwrap();
        let stall = of(&[CheckKind::Scheduler], "exit kind 1026 (runnable task stall): a[1]");
        let stall_too = of(&[CheckKind::Progress], "x\nexit kind 1026 (runnable task stall): b[7]");
        let error = of(&[CheckKind::Scheduler], "exit kind 1025 (scx_bpf_error): on purpose");
        let stuck = of(&[CheckKind::Progress], "");
        assert!(stall.is_like(&stall_too) && !stall.is_like(&error) && !stall_too.is_like(&stuck));
        assert!(stuck.is_like(&of(&[CheckKind::Isolation, CheckKind::Progress], "")));
        assert!(!stuck.is_like(&of(&[CheckKind::Isolation], "")));
        assert_eq!(Manner::of(Some(&AssertResult::pass()), "exit kind 1026 (x)"), None);
        assert_eq!(Manner::of(None, ""), None);
    }

    /// What a run may come to, and whether it is a failure that may pass when it comes again.
    fn outcome(pick: u8) -> (anyhow::Result<AssertResult>, bool) {
        match pick {
            0 => (Ok(AssertResult::pass()), false),
            1 => (Ok(AssertResult::skip("none")), false),
            2 => (Ok(failed(&[CheckKind::Claim])), true),
            3 => {
                let mut result = AssertResult::pass();
                result.push(Outcome::Inconclusive { detail: Detail::new(CheckKind::Rate, "0 of 0") });
                (Ok(result), false)
            }
            4 => (Err(anyhow::Error::new(HarnessFault::new("lost"))), false),
            5 => (Err(anyhow!("it failed").context(PostVmAssertionFailure::new("and this, too"))), false),
            6 => (Err(anyhow::Error::new(ResourceContention::new("busy"))), false),
            _ => (Err(anyhow!("the test's own error")), true),
        }
    }

    proptest! {
        #[test]
        fn only_a_failure_that_came_again_becomes_a_pass(
            pick in 0u8..8, second in prop::option::of(any::<bool>()), allow_inconclusive: bool, no_skip: bool
        ) {
            let entry = KtstrTestEntry { expect_auto_repro: true, ..KtstrTestEntry::DEFAULT };
            let policy = Policy { allow_inconclusive, no_skip, ..Policy::default() };
            let verdict = |result| final_outcome(&result, policy).verdict();
            let (result, repeatable) = outcome(pick);
            let before = verdict(outcome(pick).0);
            // A second machine follows a failure alone.
            let repro = second.filter(|_| before == Verdict::Fail)
                .map(|same| Repro { same, message: "so".into(), trace: None });
            let passes = repro.as_ref().is_some_and(|r| r.same) && repeatable;
            let after = verdict(settle(&entry, result, repro.as_ref()));
            prop_assert_eq!(after == Verdict::Pass, passes);
            prop_assert!(passes || after == Verdict::Fail || after == before);
            // Without the attribute nothing is changed.
            prop_assert_eq!(verdict(settle(&KtstrTestEntry::DEFAULT, outcome(pick).0, repro.as_ref())), before);
        }
    }
}
