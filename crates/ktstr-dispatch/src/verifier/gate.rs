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

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_wire::Hello;
    use std::collections::BTreeMap;

    fn scheduler(when: When, state: &str, enable_seq: u64) -> Message {
        Message::Scheduler(SchedulerSeen {
            when,
            name: Some("a".into()),
            switches: Vec::new(),
            state: state.into(),
            ops: (state == "enabled").then(|| "a".into()),
            enable_seq,
            nr_rejected: 0,
            hotplug_seq: 0,
            process: ProcessSeen::Alive,
            exit_info: None,
            events: BTreeMap::new(),
            programs: BTreeMap::new(),
        })
    }

    fn report(ok: Option<AssertResult>, err: Option<&str>, stage: Stage) -> Message {
        Message::Outcome(TestReport { ok, err: err.map(str::to_owned), stage })
    }

    fn gate(messages: &[Message]) -> Gate {
        first_closed(Some(&messages.iter().collect::<Vec<_>>()))
    }

    #[test]
    fn each_gate_is_named_by_what_was_seen_and_what_was_not() {
        let topology = ktstr_topology::Topology::new(1, 1, 2, 1).unwrap();
        let hello = Message::Hello(Hello {
            schema: 1,
            release: "6.18".into(),
            read_back: topology.ideal_read_back(),
            init_ns: 0,
            clock_ns: 1,
            cmdline: String::new(),
        });
        let hello = || hello.clone();
        let failed = |text: &str| report(None, Some(text), Stage::Scheduler);
        let passed = || report(Some(AssertResult::pass()), None, Stage::Test);
        let attach = || scheduler(When::Attach, "enabled", 1);
        assert_eq!(first_closed(None), Gate::Find);
        assert_eq!(gate(&[]), Gate::Boot);
        assert_eq!(gate(&[hello(), report(None, Some("no config"), Stage::Init)]), Gate::Boot);
        assert_eq!(gate(&[hello()]), Gate::Load);
        assert_eq!(gate(&[hello(), failed("it exited with status 1 before it attached")]), Gate::Load);
        assert_eq!(gate(&[hello(), failed("it used no CPU time for 10 s and never attached")]), Gate::Enable);
        assert_eq!(gate(&[hello(), scheduler(When::Attach, "disabled", 0), passed()]), Gate::Enable);
        assert_eq!(gate(&[hello(), attach()]), Gate::Dispatch);
        let not_dispatched = report(Some(AssertResult::fail("thread 0")), None, Stage::Test);
        assert_eq!(gate(&[hello(), attach(), not_dispatched]), Gate::Dispatch);
        assert_eq!(gate(&[hello(), attach(), passed()]), Gate::Stay);
        assert_eq!(gate(&[hello(), attach(), passed(), scheduler(When::Detach, "disabled", 1)]), Gate::Stay);
        assert_eq!(gate(&[hello(), attach(), passed(), scheduler(When::Detach, "enabled", 2)]), Gate::Stay);
        assert_eq!(gate(&[hello(), attach(), passed(), scheduler(When::Detach, "enabled", 1)]), Gate::Evidence);
    }
}
