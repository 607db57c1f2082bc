//! Packets of a Perfetto trace (protos/perfetto/trace/perfetto_trace.proto of its repository; the numbers are the fields').

use super::format::{Event, Value};
use super::proto::Proto;
use super::ring;
use std::collections::{BTreeMap, BTreeSet};

/// `Trace.packet`.
pub(super) const TRACE_PACKET: u64 = 1;
/// `TracePacket.ftrace_events`.
const FTRACE_EVENTS: u64 = 1;
/// `TracePacket.process_tree`.
const PROCESS_TREE: u64 = 2;
/// `TracePacket.system_info`.
const SYSTEM_INFO: u64 = 45;
/// `FtraceEventBundle.cpu`.
const CPU: u64 = 1;
/// `FtraceEventBundle.event`.
const EVENT: u64 = 2;
/// `FtraceEventBundle.lost_events`.
const LOST_EVENTS: u64 = 3;
/// `FtraceEvent.timestamp`, ns of CLOCK_BOOTTIME.
const TIMESTAMP: u64 = 1;
/// `FtraceEvent.pid`.
const PID: u64 = 2;
/// `FtraceEvent.generic`.
const GENERIC: u64 = 327;

/// An event that Perfetto has a message for.
struct Known {
    name: &'static str,
    /// Its field in `FtraceEvent`.
    field: u64,
    /// The kernel's fields and the message's.
    fields: &'static [(&'static str, u64)],
}

const WAKE: &[(&str, u64)] = &[("comm", 1), ("pid", 2), ("prio", 3), ("target_cpu", 5)];

const KNOWN: [Known; 5] = [
    Known {
        name: "sched_switch",
        field: 4,
        fields: &[
            ("prev_comm", 1),
            ("prev_pid", 2),
            ("prev_prio", 3),
            ("prev_state", 4),
            ("next_comm", 5),
            ("next_pid", 6),
            ("next_prio", 7),
        ],
    },
    Known { name: "sched_wakeup", field: 17, fields: WAKE },
    Known { name: "sched_waking", field: 20, fields: WAKE },
    Known { name: "sched_wakeup_new", field: 114, fields: WAKE },
    Known {
        name: "sched_migrate_task",
        field: 491,
        fields: &[("comm", 1), ("pid", 2), ("prio", 3), ("orig_cpu", 4), ("dest_cpu", 5)],
    },
];

/// Which kernel it was.
pub(super) fn system(release: &str) -> Proto {
    let mut uname = Proto::default();
    for (field, text) in [(1, "Linux"), (3, release), (4, "x86_64")] {
        uname.text(field, text);
    }
    wrapped(SYSTEM_INFO, &wrapped(1, &uname))
}

/// Which threads belong to one process; names come with the events.
pub(super) fn processes(groups: &[(u32, u32)]) -> Proto {
    let mut tree = Proto::default();
    for group in groups.iter().map(|(_, group)| *group).collect::<BTreeSet<_>>() {
        let mut process = Proto::default();
        process.number(1, group.into());
        tree.message(1, &process);
    }
    for (thread, group) in groups {
        let mut one = Proto::default();
        one.number(1, (*thread).into());
        one.number(3, (*group).into());
        tree.message(2, &one);
    }
    wrapped(PROCESS_TREE, &tree)
}

/// The events of one page; `None` when there are none.
pub(super) fn bundle(cpu: u32, page: &[u8], events: &BTreeMap<u16, Event>) -> Option<Proto> {
    let mut out = Proto::default();
    out.number(CPU, cpu.into());
    let mut any = false;
    let lost = ring::read(page, |time, bytes| {
        if let Some(one) = event(time, bytes, events) {
            out.message(EVENT, &one);
            any = true;
        }
    });
    if lost {
        out.number(LOST_EVENTS, 1);
    }
    any.then(|| wrapped(FTRACE_EVENTS, &out))
}

fn event(time: u64, bytes: &[u8], events: &BTreeMap<u16, Event>) -> Option<Proto> {
    let id = u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?);
    let event = events.get(&id)?;
    let values: Vec<(&str, Value)> =
        event.fields.iter().filter_map(|f| Some((f.name.as_str(), f.value(bytes)?))).collect();
    let mut out = Proto::default();
    out.number(TIMESTAMP, time);
    if let Some((_, Value::Number(pid))) = values.iter().find(|(name, _)| *name == "common_pid") {
        out.number(PID, *pid);
    }
    match KNOWN.iter().find(|k| k.name == event.name) {
        Some(known) => out.message(known.field, &typed(known, &values)),
        None => out.message(GENERIC, &generic(&event.name, &values)),
    }
    Some(out)
}

fn typed(known: &Known, values: &[(&str, Value)]) -> Proto {
    let mut out = Proto::default();
    for (name, field) in known.fields {
        match values.iter().find(|(n, _)| n == name) {
            Some((_, Value::Number(number))) => out.number(*field, *number),
            Some((_, Value::Text(text))) => out.text(*field, text),
            None => {}
        }
    }
    out
}

/// An event that Perfetto does not know: name and fields in words.
fn generic(event: &str, values: &[(&str, Value)]) -> Proto {
    let mut out = Proto::default();
    out.text(1, event);
    for (name, value) in values.iter().filter(|(name, _)| !name.starts_with("common_")) {
        let mut field = Proto::default();
        field.text(1, name);
        match value {
            Value::Text(text) => field.text(3, text),
            Value::Number(number) => field.number(4, *number),
        }
        out.message(2, &field);
    }
    out
}

fn wrapped(field: u64, inner: &Proto) -> Proto {
    let mut out = Proto::default();
    out.message(field, inner);
    out
}
