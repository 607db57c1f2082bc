//! Checks on the host after the machine: every answer of both, after every end of a run, under every policy.
#![allow(clippy::unwrap_used)]

use anyhow::{Result, anyhow, bail};
use ktstr_dispatch::post_vm::check;
use ktstr_dispatch::{KtstrTestEntry, PostVmFn, VmResult, post_vm_skip};
use ktstr_verdict::{
    AssertResult, HarnessFault, Policy, PostVmAssertionFailure, ResourceContention, Verdict, final_outcome,
};

/// What a check may answer, by the letter of the table below: 'n' is no check at all.
const ANSWERS: [(char, Option<PostVmFn>); 9] = [
    ('n', None),
    ('p', Some(passes)),
    ('f', Some(fails)),
    ('e', Some(errs)),
    ('h', Some(errs_as_a_busy_host)),
    ('x', Some(panics)),
    ('s', Some(skips_by_error)),
    ('s', Some(skips_by_result)),
    ('i', Some(proves_nothing)),
];

const PANIC: &str = "the check panicked";

fn passes(_: &VmResult) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn fails(_: &VmResult) -> Result<AssertResult> {
    Ok(AssertResult::pass().merged(AssertResult::fail("the check failed")))
}

fn errs(_: &VmResult) -> Result<AssertResult> {
    bail!("the check erred")
}

fn errs_as_a_busy_host(_: &VmResult) -> Result<AssertResult> {
    Err(ResourceContention::new("busy").into())
}

fn panics(_: &VmResult) -> Result<AssertResult> {
    std::panic::panic_any(PANIC)
}

fn skips_by_error(_: &VmResult) -> Result<AssertResult> {
    Err(post_vm_skip("nothing to compare with"))
}

fn skips_by_result(_: &VmResult) -> Result<AssertResult> {
    Ok(AssertResult::skip("nothing to compare with"))
}

fn proves_nothing(_: &VmResult) -> Result<AssertResult> {
    Ok(AssertResult::inconclusive("too little was measured"))
}

/// How a run can end before the checks: the result, and the verdict it has by itself.
fn ends() -> Vec<(&'static str, Result<AssertResult>)> {
    vec![
        ("pass", Ok(AssertResult::pass())),
        ("empty", Ok(AssertResult::default())),
        ("skip", Ok(AssertResult::skip("no kernel for it"))),
        ("inconclusive", Ok(AssertResult::inconclusive("host noise"))),
        ("fail", Ok(AssertResult::fail("stuck"))),
        ("error", Err(anyhow!("an error"))),
        ("fault", Err(HarnessFault::new("lost").into())),
        ("busy", Err(ResourceContention::new("busy").into())),
    ]
}

/// The verdict, from the documentation alone.
fn table(end: &str, so_far: Verdict, post: char, always: char, policy: Policy) -> Verdict {
    let mut heard = vec![always];
    if so_far == Verdict::Pass {
        heard.push(post);
    }
    let has = |c: char| heard.contains(&c);
    let broken = "fehx".chars().any(has) || (policy.expect_err && has('i'));
    match so_far {
        // The host's lack comes before anything that is said of the test.
        _ if broken && end == "busy" => so_far,
        _ if broken => Verdict::Fail,
        Verdict::Pass if has('s') => Verdict::Skip,
        Verdict::Pass if has('i') && !policy.allow_inconclusive => Verdict::Inconclusive,
        other => other,
    }
}

#[test]
fn every_answer_after_every_end_under_every_policy() {
    // The panics of the checks are answers, not news.
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&PANIC) {
            loud(info);
        }
    }));
    for bits in 0..8u8 {
        let policy = Policy { expect_err: bits & 1 != 0, allow_inconclusive: bits & 2 != 0, no_skip: bits & 4 != 0 };
        for (post, post_vm) in ANSWERS {
            for (always, post_vm_unconditional) in ANSWERS {
                let entry = KtstrTestEntry { post_vm, post_vm_unconditional, ..KtstrTestEntry::DEFAULT };
                for (end, result) in ends() {
                    let so_far = final_outcome(&result, policy).verdict();
                    let checked = check(&entry, policy, Some(VmResult::default()), result);
                    let got = final_outcome(&checked, policy).verdict();
                    let wanted = table(end, so_far, post, always, policy);
                    assert_eq!(got, wanted, "{end}, post_vm {post}, unconditional {always}, {policy:?}: {checked:?}");
                }
            }
        }
    }
}

fn entry(post_vm: PostVmFn) -> KtstrTestEntry {
    KtstrTestEntry { post_vm: Some(post_vm), ..KtstrTestEntry::DEFAULT }
}

#[test]
fn a_check_that_failed_is_named_with_its_words() {
    for (failing, words) in [(fails as PostVmFn, "post_vm: the check failed"), (errs, "post_vm: the check erred")] {
        let vm = Some(VmResult::default());
        let error = check(&entry(failing), Policy::default(), vm, Ok(AssertResult::pass())).unwrap_err();
        assert!(error.is::<PostVmAssertionFailure>() && format!("{error:#}") == words, "{error:#}");
    }
}

#[test]
fn a_check_of_a_pass_without_a_machine_is_never_a_pass() {
    let error = check(&entry(passes), Policy::default(), None, Ok(AssertResult::pass())).unwrap_err();
    assert!(error.is::<HarnessFault>());
}

#[test]
fn a_run_that_had_no_machine_and_no_pass_is_left_alone() {
    let result = Err(ResourceContention::new("busy").into());
    let error = check(&entry(panics), Policy::default(), None, result).unwrap_err();
    assert!(error.is::<ResourceContention>());
}

#[test]
fn a_check_hears_whether_the_run_passes_as_its_test_sees_it() {
    fn wants_a_pass(vm: &VmResult) -> Result<AssertResult> {
        Ok(if vm.passed { AssertResult::pass() } else { AssertResult::fail("not a pass") })
    }
    let entry = KtstrTestEntry { post_vm_unconditional: Some(wants_a_pass), ..KtstrTestEntry::DEFAULT };
    for (expect_err, wanted) in [(true, true), (false, false)] {
        let policy = Policy { expect_err, ..Policy::default() };
        let vm = Some(VmResult::default());
        let checked = check(&entry, policy, vm, Ok(AssertResult::fail("as expected")));
        assert_eq!(checked.is_ok(), wanted, "{expect_err}");
    }
}

#[test]
fn what_was_measured_stays_when_the_check_becomes_a_skip() {
    let mut measured = AssertResult::pass();
    measured.metrics.insert("iops".to_owned(), 7.0);
    let result = check(&entry(skips_by_error), Policy::default(), Some(VmResult::default()), Ok(measured)).unwrap();
    assert!(result.is_skip() && result.metrics["iops"] == 7.0);
}
