"""Questions to a trace: what its packets say, what the trace processor says in SQL, and traces in which the answer is another."""

import copy
from collections import Counter, defaultdict


def kernel(trace):
    return next(p.system_info.utsname.release for p in trace.packet if p.HasField("system_info"))


def events(trace):
    """CPU and event, by time."""
    all_of_them = [(p.ftrace_events.cpu, e) for p in trace.packet if p.HasField("ftrace_events") for e in p.ftrace_events.event]
    return sorted(all_of_them, key=lambda one: one[1].timestamp)


def cpus(trace):
    return sorted({cpu for cpu, event in events(trace) if event.HasField("sched_switch")})


def slices(trace):
    """CPU, begin, duration, thread: from one switch of a CPU to the next. The last one of a CPU has no end."""
    found, open_of_cpu = set(), {}
    for cpu, event in events(trace):
        if event.HasField("sched_switch"):
            if cpu in open_of_cpu:
                began, thread = open_of_cpu[cpu]
                # A thread that left without having come: what was lost is lost, and the slice has no end.
                end = event.timestamp - began if thread == event.sched_switch.prev_pid else -1
                found.add((cpu, began, end, thread))
            open_of_cpu[cpu] = event.timestamp, event.sched_switch.next_pid
    return found | {(cpu, began, -1, thread) for cpu, (began, thread) in open_of_cpu.items()}


def wake_ups(trace):
    """Time, thread, waker: of those that did not run or wait for a CPU already."""
    found, awake = set(), set()
    for _, event in events(trace):
        if event.HasField("sched_switch"):
            switch = event.sched_switch
            # One that was pushed off its CPU has a state too: it may have been about to wait.
            (awake.discard if switch.prev_state else awake.add)(switch.prev_pid)
            awake.add(switch.next_pid)
        elif event.HasField("sched_waking") and event.sched_waking.pid not in awake:
            found.add((event.timestamp, event.sched_waking.pid, event.pid))
            awake.add(event.sched_waking.pid)
    return found


def ran_for(trace):
    """Nanoseconds of each thread, of its slices that have an end."""
    total = Counter()
    for _, _, lasted, thread in slices(trace):
        if thread and lasted > 0:
            total[thread] += lasted
    return dict(total)


def generic(trace):
    """Name and fields of each event that Perfetto has no message for."""
    for _, event in events(trace):
        if event.HasField("generic"):
            fields = {f.name: getattr(f, f.WhichOneof("value")) for f in event.generic.field}
            yield event.generic.event_name, fields


def sched_ext_counters(trace):
    """By how much the kernel's counters of sched_ext grew."""
    total = Counter()
    for name, fields in generic(trace):
        if name == "sched_ext_event":
            total[fields["name"]] += fields["delta"]
    return dict(total)


def migrations(trace):
    moves = [e.sched_migrate_task for _, e in events(trace) if e.HasField("sched_migrate_task")]
    return Counter((one.pid, one.orig_cpu, one.dest_cpu) for one in moves)


def processes(trace):
    return {(t.tid, t.tgid) for p in trace.packet for t in p.process_tree.threads if t.tid}


def losses(trace):
    """CPUs of which something was overwritten."""
    bundles = [p.ftrace_events for p in trace.packet if p.HasField("ftrace_events")]
    return sorted({one.cpu for one in bundles if one.lost_events})


def wanted(trace):
    """By question, what the packets say."""
    return {
        "kernel": kernel(trace),
        "CPU tracks": cpus(trace),
        "thread slices": slices(trace),
        "time each thread ran": ran_for(trace),
        "wake-ups": wake_ups(trace),
        "sched_ext events": Counter(name for name, _ in generic(trace)),
        "sched_ext counters": sched_ext_counters(trace),
        "migrations": migrations(trace),
        "threads of processes": processes(trace),
        "CPUs with losses": losses(trace),
        "complaints": [],
    }


def answers(query):
    """The same, asked in SQL."""
    one = "extract_arg(arg_set_id, '{}')".format
    return {
        "kernel": next(iter(query("select str_value v from metadata where name = 'system_release'"))).v,
        "CPU tracks": [r.cpu for r in query("select distinct cpu from sched order by cpu")],
        "thread slices": {
            (r.cpu, r.ts, r.dur, r.tid) for r in query("select cpu, ts, dur, tid from sched join thread using (utid)")
        },
        "time each thread ran": {
            r.tid: r.ns
            for r in query("select tid, sum(dur) ns from sched join thread using (utid) where dur > 0 and tid > 0 group by tid")
        },
        "wake-ups": {
            (r.ts, r.tid, r.waker)
            for r in query(
                "select s.ts ts, woken.tid tid, waker.tid waker from thread_state s join thread woken using (utid)"
                " join thread waker on waker.utid = s.waker_utid where s.state = 'R'"
            )
        },
        "sched_ext events": Counter(
            {r.name: r.n for r in query("select name, count(*) n from ftrace_event where name glob 'sched_ext*' group by name")}
        ),
        "sched_ext counters": {
            r.counter: r.n
            for r in query(
                f"select {one('name')} counter, sum({one('delta')}) n from ftrace_event where name = 'sched_ext_event' group by 1"
            )
        },
        "migrations": Counter(
            (r.pid, r.orig, r.dest)
            for r in query(
                f"select {one('pid')} pid, {one('orig_cpu')} orig, {one('dest_cpu')} dest from ftrace_event"
                " where name = 'sched_migrate_task'"
            )
        ),
        "threads of processes": {
            (r.tid, r.pid) for r in query("select tid, pid from thread join process using (upid) where tid > 0")
        },
        "CPUs with losses": [
            r.idx for r in query("select idx from stats where name = 'ftrace_cpu_has_data_loss' and value > 0 order by idx")
        ],
        "complaints": [
            (r.name, r.value)
            for r in query(
                "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
                " and name != 'ftrace_cpu_has_data_loss'"
            )
        ],
    }


def told(answer):
    """An answer in a few words."""
    if isinstance(answer, Counter) and all(isinstance(key, str) for key in answer):
        return ", ".join(f"{name} {count}" for name, count in sorted(answer.items()))
    if isinstance(answer, Counter):
        return str(answer.total())
    if isinstance(answer, dict) and len(answer) < 9:
        return ", ".join(f"{name} {count}" for name, count in sorted(answer.items()))
    return str(len(answer)) if isinstance(answer, (set, dict)) else str(answer) if answer else "none"


def difference(packets, sql):
    """The first few things that only one of them says."""
    if isinstance(packets, (Counter, dict)):
        packets, sql = set(packets.items()), set(sql.items())
    if isinstance(packets, set):
        return f"packets only: {sorted(packets - sql)[:4]}, SQL only: {sorted(sql - packets)[:4]}"
    return f"packets: {packets}, SQL: {sql}"


def spoiled(trace):
    """Traces each of which lies to one question, and which."""

    def without(what, unwanted):
        other = copy.deepcopy(trace)
        for packet in other.packet:
            kept = [e for e in packet.ftrace_events.event if not unwanted(packet.ftrace_events.cpu, e)]
            if len(kept) != len(packet.ftrace_events.event):
                del packet.ftrace_events.event[:]
                packet.ftrace_events.event.extend(kept)
        return what, other

    def middle(wanted):
        found = sorted(wanted)
        return found[len(found) // 2]

    _, began, _, _ = middle(slices(trace))
    woken, thread, _ = middle(wake_ups(trace))
    last = cpus(trace)[-1]
    yield without("CPU tracks", lambda cpu, _: cpu == last)
    for what in ("thread slices", "time each thread ran"):
        yield without(what, lambda _, e: e.HasField("sched_switch") and e.timestamp == began)
    yield without("wake-ups", lambda _, e: e.timestamp == woken and e.sched_waking.pid == thread)
    one_event = next((e for _, e in events(trace) if e.HasField("generic")), None)
    for what in ("sched_ext events", "sched_ext counters") if one_event is not None else ():
        yield without(what, lambda _, e: e == one_event)
    moved = next((e for _, e in events(trace) if e.HasField("sched_migrate_task")), None)
    if moved is not None:
        yield without("migrations", lambda _, e: e == moved)
    for what in ("kernel", "threads of processes"):
        other = copy.deepcopy(trace)
        for packet in other.packet:
            if packet.HasField("system_info"):
                packet.system_info.utsname.release += "x"
            for one in list(packet.process_tree.threads)[-1:]:
                one.tgid += 1
        yield what, other
