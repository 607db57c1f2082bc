//! What a test expects of its scheduler, held against what the kernel says of it.
//!
//! Pure, and between evaluation and decision: an expectation that is not met becomes a marker, which [`final_outcome`]
//! knows; a run that could not be observed is left as it is.
//!
//! [`final_outcome`]: ktstr_verdict::final_outcome

use crate::entry::KtstrTestEntry;
use anyhow::anyhow;
use ktstr_verdict::{AssertResult, CheckKind, Outcome, ScxBpfErrorMatcherMismatch, SurvivesStormViolated, Verdict};
use ktstr_wire::{Message, SchedulerSeen, Transcript, When};
use regex_lite::Regex;

/// What the kernel calls an exit that the scheduler asked for (kernel/sched/ext.c, scx_exit_reason).
const BY_ITSELF: &str = "unregistered from user space";

/// What a test promises or expects.
#[derive(Debug, Default)]
pub struct Expectation {
    survives_storm: bool,
    contains: Option<&'static str>,
    matches: Option<Regex>,
}

impl Expectation {
    /// Of a declared test.
    ///
    /// # Errors
    /// A regular expression that is none.
    pub fn of(entry: &KtstrTestEntry) -> Result<Self, String> {
        let compile = |pattern| {
            Regex::new(pattern).map_err(|e| {
                format!("expect_scx_bpf_error_matches: `{pattern}` is not a regular expression: {e}; correct it")
            })
        };
        Ok(Self {
            survives_storm: entry.survives_storm,
            contains: entry.expect_scx_bpf_error_contains,
            matches: entry.expect_scx_bpf_error_matches.map(compile).transpose()?,
        })
    }

    /// What is wrong with the scheduler's error, if it is not the one expected.
    fn mismatch(&self, error: &str) -> Option<String> {
        let mut wanted = Vec::new();
        if let Some(text) = self.contains.filter(|text| error.is_empty() || !error.contains(text)) {
            wanted.push(format!("contains `{text}`"));
        }
        if let Some(pattern) = self.matches.as_ref().filter(|p| error.is_empty() || !p.is_match(error)) {
            wanted.push(format!("matches `{pattern}`"));
        }
        let said = if error.is_empty() {
            "the kernel's log has no error of a scheduler".to_owned()
        } else {
            format!("it says:\n{error}")
        };
        (!wanted.is_empty()).then(|| format!("no scheduler error that {}; {said}", wanted.join(" and ")))
    }
}

/// Puts the marker of a broken expectation on a result.
///
/// # Errors
/// [`SurvivesStormViolated`] when the scheduler was promised to live and did not; [`ScxBpfErrorMatcherMismatch`] when the
/// test failed and the kernel does not record the error that was expected; whatever `result` was already.
pub fn shape(
    result: anyhow::Result<AssertResult>,
    expectation: &Expectation,
    scheduler_error: &str,
) -> anyhow::Result<AssertResult> {
    let result = result?;
    let died: Vec<&str> = result.outcomes.iter().filter_map(scheduler_failure).collect();
    if expectation.survives_storm && !died.is_empty() {
        let why = format!("the test promises that the scheduler survives (survives_storm): {}", died.join("\n"));
        return Err(anyhow::Error::new(SurvivesStormViolated::new(why)));
    }
    if result.is_fail()
        && let Some(why) = expectation.mismatch(scheduler_error)
    {
        return Err(anyhow!(result.texts(Verdict::Fail)).context(ScxBpfErrorMatcherMismatch::new(why)));
    }
    Ok(result)
}

fn scheduler_failure(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Fail { detail } if detail.kind == CheckKind::Scheduler => Some(&detail.message),
        _ => None,
    }
}

/// The lines of the kernel's log that the guest sent.
#[must_use]
pub fn kernel_lines(transcript: &Transcript) -> Vec<&str> {
    let pieces = transcript.messages().iter().filter_map(|(_, m)| match m {
        Message::Console(text) => Some(text.as_str()),
        _ => None,
    });
    pieces.flat_map(str::lines).collect()
}

/// What the kernel says of schedulers that it threw out: the reason, and the message of `scx_bpf_error()` below it; "" when
/// there is none. A scheduler that left by itself has no error.
#[must_use]
pub fn scheduler_error(transcript: &Transcript) -> String {
    let mut error: Vec<String> = Vec::new();
    let mut ops: Option<&str> = None;
    for line in kernel_lines(transcript) {
        // kernel/sched/ext.c, scx_disable_workfn: `sched_ext: BPF scheduler "OPS" disabled (REASON)`, then
        // `sched_ext: OPS: MESSAGE`.
        let Some((_, text)) = line.split_once("sched_ext: ") else { continue };
        if let Some((name, reason)) = text.strip_prefix("BPF scheduler \"").and_then(|t| t.split_once("\" disabled ("))
        {
            ops = (!reason.starts_with(BY_ITSELF)).then_some(name);
            error.extend(ops.map(|_| text.to_owned()));
        } else if let Some(ops) = ops
            && text.strip_prefix(ops).is_some_and(|rest| rest.starts_with(": "))
        {
            error.push(text.to_owned());
        }
    }
    // What the guest read of it when the test had ended: the same words, with the number of the exit's kind.
    for (_, message) in transcript.messages() {
        if let Message::Scheduler(SchedulerSeen { when: When::Detach, exit_info: Some(words), .. }) = message
            && !words.contains(BY_ITSELF)
        {
            error.push(words.clone());
        }
    }
    error.join("\n")
}
