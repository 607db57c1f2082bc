//! The gates of a cell in their order, and the first that did not open.

use ktstr_verdict::{AssertResult, Verdict};
use ktstr_wire::{Message, ProcessSeen, SchedulerSeen, Stage, TestReport, When};
use std::fmt;

/// What has to happen, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Kernel, scheduler and accelerator are found.
    Find,
    /// The kernel boots to its hello.
    Boot,
    /// The scheduler's programs are loaded.
    Load,
    /// `sched_ext` becomes `enabled`.
    Enable,
    /// The workload is dispatched.
    Dispatch,
    /// The scheduler is still there at the end.
    Stay,
    /// Nothing else is wrong: the stream is whole, the machine is the one asked for, the kernel's log is clean.
    Evidence,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Find => "find",
            Self::Boot => "boot",
            Self::Load => "load",
            Self::Enable => "enable",
            Self::Dispatch => "dispatch",
            Self::Stay => "stay",
            Self::Evidence => "evidence",
        })
    }
}

/// The first gate that did not open in a cell that did not pass; `messages` is `None` when no machine was started.
#[must_use]
pub fn first_closed(messages: Option<&[&Message]>) -> Gate {
    let Some(messages) = messages else { return Gate::Find };
    let report = messages.iter().find_map(|m| match m {
        Message::Outcome(report) => Some(report),
        _ => None,
    });
    let seen = |when: When| {
        messages.iter().find_map(move |m| match m {
            Message::Scheduler(s) if s.when == when => Some(s),
            _ => None,
        })
    };
    if !messages.iter().any(|m| matches!(m, Message::Hello(_))) {
        return Gate::Boot;
    }
    let Some(attach) = seen(When::Attach) else { return before_attach(report) };
    if attach.state != "enabled" || attach.ops.is_none() {
        return Gate::Enable;
    }
    if !report.is_some_and(dispatched) {
        return Gate::Dispatch;
    }
    if !seen(When::Detach).is_some_and(|detach| stayed(attach, detach)) {
        return Gate::Stay;
    }
    Gate::Evidence
}

/// A scheduler that ended by itself could not load its programs; one that lives and is not enabled has loaded them.
fn before_attach(report: Option<&TestReport>) -> Gate {
    match report {
        Some(TestReport { stage: Stage::Init, .. }) => Gate::Boot,
        Some(TestReport { err: Some(text), .. }) if !text.contains("before it attached") => Gate::Enable,
        _ => Gate::Load,
    }
}

fn dispatched(report: &TestReport) -> bool {
    report.err.is_none() && report.ok.as_ref().map(AssertResult::fold) == Some(Verdict::Pass)
}

fn stayed(attach: &SchedulerSeen, detach: &SchedulerSeen) -> bool {
    detach.state == "enabled"
        && detach.ops == attach.ops
        && detach.enable_seq == attach.enable_seq
        && detach.process == ProcessSeen::Alive
}
