//! `cargo ktstr replay`: what failed last, again.

use crate::kernels::{self, Kernel};
use crate::names::{TestId, filter, test_of};
use crate::test::{self, Test};
use crate::{cargo, session};
use anyhow::{Context as _, Result, bail};
use ktstr_sidecar::SidecarRecord;
use ktstr_verdict::Verdict;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// What failed last, or was inconclusive.
#[derive(clap::Args, Debug)]
pub struct Replay {
    /// Say what would be run, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Another kernel than the failed runs had; may be repeated
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// For nextest, as they are
    #[arg(last = true, value_name = "NEXTEST ARGS")]
    passed_on: Vec<String>,
}

/// Runs it.
pub fn run(replay: &Replay) -> Result<ExitCode> {
    let root = cargo::records_root(&replay.passed_on)?;
    let records = session::read_all(&root)?;
    if let Some(damaged) = records.damaged.first() {
        bail!(
            "{} records are damaged, {damaged} first: what failed is not known; run `cargo ktstr test` again",
            records.damaged.len()
        );
    }
    let last = session::last(records.whole);
    if last.is_empty() {
        bail!("no records below {}; run `cargo ktstr test` first", root.display());
    }
    let failed: Vec<&SidecarRecord> = last.iter().filter(|r| failed(r)).collect();
    if failed.is_empty() {
        eprintln!("ktstr: nothing failed in the last session ({} runs)", last.len());
        return Ok(ExitCode::SUCCESS);
    }
    let kernels = if replay.kernel.is_empty() { kernels_of(&failed)? } else { kernels::resolve(&replay.kernel)? };
    let labels: Vec<&str> = kernels.iter().map(|k| k.label.as_str()).collect();
    let again = if replay.kernel.is_empty() { tests(&failed, &labels) } else { tests_on_all(&failed, &labels) };
    if replay.dry_run {
        if !labels.is_empty() {
            eprintln!("ktstr: on {}", labels.join(", "));
        }
        again.iter().for_each(|test| println!("{} {}", test.binary, test.name));
        return Ok(ExitCode::SUCCESS);
    }
    say_where(&failed);
    let mut passed_on = vec!["-E".to_owned(), filter(&again)];
    if !says_when_to_stop(&replay.passed_on) {
        // All of them have failed before: the first that does so again is no reason to leave the others out.
        passed_on.push("--no-fail-fast".to_owned());
    }
    passed_on.extend(replay.passed_on.iter().cloned());
    let test = Test { gauntlet: true, passed_on, ..Test::default() };
    let test = Test { overcommit: overcommit(&failed), ..test };
    // What failed is run again whatever it costs.
    test::run_chosen(&test, &kernels, None, |command| {
        command.env_remove("KTSTR_BUDGET_SECS");
    })
}

fn says_when_to_stop(words: &[String]) -> bool {
    words
        .iter()
        .any(|w| ["--fail-fast", "--ff", "--no-fail-fast", "--nff", "--max-fail"].iter().any(|f| w.starts_with(f)))
}

fn failed(record: &SidecarRecord) -> bool {
    matches!(record.verdict(), Verdict::Fail | Verdict::Inconclusive)
}

fn say_where(failed: &[&SidecarRecord]) {
    let accels: BTreeSet<&str> = failed.iter().filter_map(|r| r.accelerator.as_deref()).collect();
    let accels: Vec<&str> = accels.into_iter().collect();
    if !accels.is_empty() && std::env::var_os("KTSTR_ACCEL").is_none() {
        eprintln!(
            "ktstr: {} runs failed on {}; KTSTR_ACCEL chooses another accelerator",
            failed.len(),
            accels.join(", ")
        );
    }
}

/// Presets are only offered under an overcommit at least as large as the one they ran under.
fn overcommit(failed: &[&SidecarRecord]) -> Option<f64> {
    let most = failed.iter().map(|r| r.overcommit).fold(0.0, f64::max).ceil();
    (most > 1.0 && std::env::var_os("KTSTR_OVERCOMMIT").is_none()).then_some(most)
}

fn kernels_of(failed: &[&SidecarRecord]) -> Result<Vec<Kernel>> {
    let labels: BTreeSet<String> = failed.iter().filter_map(|r| r.kernel_label.clone()).collect();
    let labels: Vec<String> = labels.into_iter().collect();
    kernels::resolve(&labels).context("the kernel of the failed runs is not at hand; say which by --kernel")
}

/// The tests of these runs; with several kernels each only on its own.
fn tests(failed: &[&SidecarRecord], labels: &[&str]) -> BTreeSet<TestId> {
    let several = labels.len() > 1;
    failed
        .iter()
        .flat_map(|record| match &record.kernel_label {
            // A run that found no kernel did not get as far as its own.
            None if several => on_each(record, labels),
            _ => vec![test_of(record, several)],
        })
        .collect()
}

fn tests_on_all(failed: &[&SidecarRecord], labels: &[&str]) -> BTreeSet<TestId> {
    failed.iter().flat_map(|r| if labels.len() > 1 { on_each(r, labels) } else { vec![test_of(r, false)] }).collect()
}

/// The bare name too: a host_only test never has a suffix.
fn on_each(record: &SidecarRecord, labels: &[&str]) -> Vec<TestId> {
    let on = |label: Option<&str>| {
        test_of(&SidecarRecord { kernel_label: label.map(str::to_owned), ..record.clone() }, true)
    };
    labels.iter().map(|label| on(Some(label))).chain([on(None)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(test: &str, preset: Option<&str>, kernel: Option<&str>) -> SidecarRecord {
        let mut record = SidecarRecord::new(test, "1n1l2c1t", "eevdf", Verdict::Fail);
        record.preset = preset.map(str::to_owned);
        record.kernel_label = kernel.map(str::to_owned);
        record
    }

    fn said(tests: BTreeSet<TestId>) -> Vec<String> {
        tests.into_iter().map(|t| t.name).collect()
    }

    #[test]
    fn each_run_is_repeated_on_the_kernel_it_failed_on_and_no_other() {
        let (a, b) = (record("a", None, Some("6.18.15")), record("b", Some("tiny"), Some("7.3")));
        let both = said(tests(&[&a, &b], &["6.18.15", "7.3"]));
        assert_eq!(both, ["gauntlet/b/tiny/kernel_7_3", "ktstr/a/kernel_6_18_15"]);
        assert_eq!(said(tests(&[&a], &["6.18.15"])), ["ktstr/a"]);
    }

    #[test]
    fn a_run_that_knew_no_kernel_is_repeated_on_each() {
        let lost = record("a", None, None);
        assert_eq!(said(tests(&[&lost], &["1", "2"])), ["ktstr/a", "ktstr/a/kernel_1", "ktstr/a/kernel_2"]);
    }

    #[test]
    fn what_a_person_says_of_failures_is_not_said_again() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(says_when_to_stop(&words("-j 1 --max-fail=2")) && says_when_to_stop(&words("--nff")));
        assert!(!says_when_to_stop(&words("-j 1 --retries 2")));
    }

    #[test]
    fn a_test_is_repeated_in_the_binary_it_failed_in() {
        let own = SidecarRecord { binary: Some("p::t".into()), ..record("a", None, None) };
        assert_eq!(filter(&tests(&[&own], &[])), "(binary_id(=p::t) & (test(=ktstr/a)))");
    }
}
