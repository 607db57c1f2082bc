"""What a trace must let one ask, asked twice: of the packets by Perfetto's own schema, and, where its trace processor can be had
(PERFETTO_BIN, or what the package downloads), of that in SQL (questions.py). Prints one line for each answer; any other end is an
error.

Usage: check.py TRACE CPUS; with --sql it is an error when there is no trace processor, with --sched-ext when there is no sched_ext
event. The record beside the trace is asked too.
"""

import json
import os
import pathlib
import sys
from collections import defaultdict

from google.protobuf import unknown_fields
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema

import questions

EVENTS = {"sched_switch", "sched_waking", "sched_wakeup"}


def no_unknown_fields(message):
    """Every number that was written is a field of the schema."""
    if len(unknown_fields.UnknownFieldSet(message)):
        raise SystemExit(f"unknown fields in {type(message).__name__}")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                no_unknown_fields(one)


def by_schema(path, cpus):
    trace = schema.Trace()
    with open(path, "rb") as file:
        trace.ParseFromString(file.read())
    no_unknown_fields(trace)
    releases = [p.system_info.utsname.release for p in trace.packet if p.HasField("system_info")]
    assert len(releases) == 1 and releases[0], "which kernel it was"
    groups = {t.tid: t.tgid for p in trace.packet for t in p.process_tree.threads}
    assert groups, "which threads belong to one process"
    events = defaultdict(list)
    lost = 0
    for packet in trace.packet:
        if packet.HasField("ftrace_events"):
            lost += packet.ftrace_events.lost_events
            events[packet.ftrace_events.cpu].extend(packet.ftrace_events.event)
    assert set(events) == set(range(cpus)), f"one track for each CPU: {sorted(events)}"
    slices, wakes, answered, kinds, generic = 0, 0, 0, defaultdict(int), defaultdict(int)
    ran = set()
    waking = []
    ran_at = defaultdict(list)
    for cpu, list_of_cpu in events.items():
        times = [e.timestamp for e in list_of_cpu]
        assert times == sorted(times), f"CPU {cpu}: time goes backwards"
        running, since = None, None
        for event in list_of_cpu:
            kind = event.WhichOneof("event")
            kinds[kind] += 1
            if kind == "sched_switch":
                switch = event.sched_switch
                # A slice: what goes out is what came in, and it took time. After a loss nobody knows what ran.
                if running is not None and not lost:
                    assert running == switch.prev_pid, f"CPU {cpu}: {running} ran and {switch.prev_pid} left"
                    assert event.timestamp > since, f"CPU {cpu}: a slice without time"
                    slices += 1
                running, since = switch.next_pid, event.timestamp
                ran.add(switch.next_comm)
                ran_at[switch.next_pid].append(event.timestamp)
            elif kind == "sched_waking":
                waking.append((event.timestamp, event.sched_waking.pid))
            elif kind == "generic":
                name = event.generic.event_name
                assert {f.name for f in event.generic.field}, f"{name} has no fields"
                generic[name] += 1
    for at, pid in waking:
        wakes += 1
        answered += any(later >= at for later in ran_at[pid])
    assert EVENTS <= set(kinds), f"kinds of events: {dict(kinds)}"
    assert slices > 100 and wakes > 100, f"{slices} slices, {wakes} wake-ups"
    # The last ones are still waiting when the trace ends.
    assert answered >= wakes - 2 * cpus - 8, f"{answered} of {wakes} that were woken ran afterwards"
    assert generic.get("sched_ext_event", 0) > 0 or "--sched-ext" not in sys.argv, f"sched_ext events: {dict(generic)}"
    print(f"schema: {len(events)} CPU tracks, {slices} slices of {len(ran)} names, {wakes} wake-ups ({answered} followed by")
    print(f"schema: a slice), {kinds['sched_migrate_task']} migrations, sched_ext: {dict(generic)}, lost: {lost}")
    return trace


def by_record(trace, path):
    """What the run's own record says of the same run; a trace without a record beside it is not held against one."""
    file = pathlib.Path(str(path).removesuffix(".wprof.pb") + ".ktstr.json")
    if not file.is_file():
        print("record: none is beside the trace")
        return
    record = json.loads(file.read_text())
    kernel = questions.kernel(trace)
    assert kernel == record["kernel_release"], f"kernel {kernel}, by the record {record['kernel_release']}"
    cpus = {one["cpu"] for one in record["topology_read_back"]["cpus"]}
    assert set(questions.cpus(trace)) == cpus, f"CPUs {questions.cpus(trace)}, by the record {cpus}"
    # The kernel counts from the moment its scheduler is there, the trace begins with the test.
    counted = record["sched_ext_events"]
    seen = questions.sched_ext_counters(trace)
    for name, count in seen.items():
        assert 0 < count <= counted[name], f"{name}: {count} in the trace, {counted[name]} counted"
    told = ", ".join(f"{name} {seen.get(name, 0)} of {count}" for name, count in sorted(counted.items()) if count)
    print(f"record: kernel {kernel}, CPUs {sorted(cpus)}, sched_ext counters of which the trace saw: {told}")


def by_sql(trace, needed):
    from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig

    # On a busy host it starts late. Without the second one it leaves out each event that it makes nothing of itself.
    config = TraceProcessorConfig(bin_path=os.environ.get("PERFETTO_BIN"), load_timeout=120, ingest_ftrace_in_raw=True)

    def ask(one):
        processor = TraceProcessor(trace=iter([one.SerializeToString()]), config=config)
        try:
            return questions.answers(lambda query: processor.query(query))
        finally:
            processor.close()

    try:
        got = ask(trace)
    except Exception as error:
        if needed:
            raise
        print(f"sql: not asked: no trace processor can be had here ({type(error).__name__})")
        return
    wanted = questions.wanted(trace)
    for what, answer in wanted.items():
        assert got[what] == answer, f"{what}: {questions.difference(answer, got[what])}"
        print(f"sql: {what}: {questions.told(answer)}, as the packets say")
    # And each question can be answered wrongly: the same of a trace in which one thing is not as it was.
    for what, spoiled in questions.spoiled(trace):
        assert ask(spoiled)[what] != wanted[what], f"{what}: a spoiled trace answers the same"
        print(f"sql: {what}: a spoiled trace is found out")


checked = by_schema(sys.argv[1], int(sys.argv[2]))
by_record(checked, sys.argv[1])
by_sql(checked, "--sql" in sys.argv)
