use super::*;
use crate::chaos::{Perturbation, Perturbers, What};
use crate::work::testing::{gone, until};
use crate::worker::Policy;
use crate::worker::nodes::Nodes;
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn cpus_seen_before_a_change_are_not_those_after_it() {
    let crew = Crew::gather(&WorkType::SpinWait, 1, &Manner::default(), None).unwrap();
    crew.start();
    let mut before = crew.moved();
    let start = Instant::now();
    while before[0].is_empty() && start.elapsed() < STOP_WITHIN {
        before = crew.moved();
    }
    assert!(!before[0].is_empty(), "it was never seen anywhere");
    crew.shared.head().state.store(2, Release);
    assert_eq!(crew.moved().len(), 1);
}

#[test]
fn workers_that_start_one_after_the_other_all_start() {
    let what = What::Order { crew: 0, draw: 5 };
    let apart = Duration::from_millis(5);
    let order = Perturbation { index: 0, what, at: Duration::ZERO, length: apart };
    let perturbers = Perturbers::start(&[order]).unwrap();
    let crew = Crew::gather(&WorkType::SpinWait, 3, &Manner::default(), None).unwrap();
    let begin = Instant::now();
    crew.start();
    assert!(begin.elapsed() >= apart * 3 && chaos::next_order().is_none(), "there was one order, and it was kept");
    while crew.look().iter().any(|w| w.iterations == 0) {
        assert!(begin.elapsed() < STOP_WITHIN, "one never started");
        std::thread::yield_now();
    }
    perturbers.end().unwrap();
}

#[test]
fn a_rest_is_no_standstill_and_what_came_before_it_is() {
    let signal = |crew: &Crew, signal| {
        for pid in crew.pids() {
            kill_process(Pid::from_raw(*pid).unwrap(), signal).unwrap();
        }
    };
    let run = |stop_before_ms: u64, rest_ms: u64| {
        let mut crew = Crew::gather(&WorkType::SpinWait, 1, &Manner::default(), None).unwrap();
        crew.start();
        let start = Instant::now();
        while crew.look()[0].iterations == 0 && start.elapsed() < STOP_WITHIN {
            std::thread::yield_now();
        }
        // A stopped process stands still; the times are the workload's own.
        signal(&crew, Signal::STOP);
        std::thread::sleep(Duration::from_millis(stop_before_ms));
        crew.rest();
        std::thread::sleep(Duration::from_millis(rest_ms));
        crew.resume();
        signal(&crew, Signal::CONT);
        crew.stop().unwrap()[0].gap_ns / 1_000_000
    };
    assert!(run(0, 1500) < 1000, "a rest was taken for a standstill");
    assert!(run(600, 100) >= 600, "a standstill was hidden by the rest after it");
}

/// Whether a policy is in force, or refused by its name: on the host not every kernel has or allows it.
fn in_force(policy: Policy, number: i64, call: &str) {
    match Crew::gather(&WorkType::SpinWait, 1, &Manner { policy, ..Manner::default() }, None) {
        Ok(crew) => assert_eq!(stat(crew.pids()[0], 41), number),
        Err(e) => assert!(format!("{e:#}").contains(call), "{e:#}"),
    }
}

#[test]
fn a_policy_is_in_force_at_the_start_or_refused_by_its_name() {
    let ms = Duration::from_millis;
    in_force(Policy::Batch, 3, "never refused");
    in_force(Policy::Idle, 5, "never refused");
    in_force(Policy::Fifo(2), 1, "sched_setscheduler to SCHED_FIFO 2 failed");
    in_force(Policy::RoundRobin(3), 2, "sched_setscheduler to SCHED_RR 3 failed");
    let deadline = Policy::Deadline { runtime: ms(1), deadline: ms(10), period: ms(20) };
    in_force(deadline, 6, "sched_setattr to SCHED_DEADLINE, runtime 1000000 failed");
    in_force(Policy::Ext, 7, "sched_setscheduler to SCHED_EXT 0 failed");
}

#[test]
fn a_dropped_crew_leaves_no_process() {
    let crew = Crew::gather(&WorkType::SpinWait, 3, &Manner::default(), None).unwrap();
    crew.start();
    let pids = crew.pids().to_vec();
    drop(crew);
    for pid in pids {
        assert!(gone(pid), "{pid} is left");
    }
}

#[test]
fn a_worker_that_was_killed_is_an_error_that_names_it() {
    let crew = Crew::gather(&WorkType::SpinWait, 2, &Manner::default(), None).unwrap();
    crew.start();
    kill_process(Pid::from_raw(crew.pids()[1]).unwrap(), Signal::KILL).unwrap();
    let text = crew.stop().unwrap_err().to_string();
    assert!(text.starts_with("worker 1, process") && text.contains("ended early"), "{text}");
}

#[test]
fn a_manner_that_the_kernel_refuses_is_an_error_with_call_value_and_reason_before_the_start() {
    // A deadline task must be allowed on every CPU of its root domain, and a node that is not there has no memory.
    let refused = |manner: Manner| {
        format!("{:#}", Crew::gather(&WorkType::SpinWait, 1, &manner, None).err().expect("it was not refused"))
    };
    let text = refused(Manner { affinity: vec![vec![1999]], ..Manner::default() });
    assert!(
        text.contains("worker 0 is not ready to start: sched_setaffinity to CPU 1999 failed: Invalid arg"),
        "{text}"
    );
    let text = refused(Manner { memory: crate::MemPolicy::Bind(vec![1023]), ..Manner::default() });
    assert!(text.contains("set_mempolicy to mode 2 failed: "), "{text}");
}

#[test]
fn a_manner_that_cannot_be_is_an_error_before_anything_is_forked() {
    let refused = |manner: Manner| {
        format!("{:#}", Crew::gather(&WorkType::SpinWait, 1, &manner, None).err().expect("it was not refused"))
    };
    let plain = Manner::default;
    assert!(refused(Manner { nice: 20, ..plain() }).contains("nice 20 is not from -20 to 19"));
    assert!(refused(Manner { comm: Some("sixteen bytes ab".into()), ..plain() }).contains("is not a process name"));
    assert!(refused(Manner { policy: Policy::Fifo(0), ..plain() }).contains("a priority is from 1 to 99"));
    let ms = Duration::from_millis;
    let policy = Policy::Deadline { runtime: ms(3), deadline: ms(2), period: ms(5) };
    assert!(refused(Manner { policy, ..plain() }).contains("runtime ≤ deadline ≤ period"));
    assert!(refused(Manner { affinity: vec![vec![0], vec![0]], ..plain() }).contains("there are 1 workers"));
    assert!(refused(Manner { affinity: vec![vec![2048]], ..plain() }).contains("affinity of worker 0"));
}

fn stat(pid: i32, field: usize) -> i64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(field - 3).unwrap().parse().unwrap()
}

#[test]
fn a_manner_is_put_on_before_the_start() {
    let manner = Manner {
        nice: 7,
        policy: Policy::Batch,
        comm: Some("a worker".into()),
        memory: crate::MemPolicy::Preferred(0),
        affinity: vec![vec![0]],
        ..Manner::default()
    };
    let crew = Crew::gather(&WorkType::SpinWait, 2, &manner, None).unwrap();
    let status = |index: usize| std::fs::read_to_string(format!("/proc/{}/status", crew.pids()[index])).unwrap();
    for &pid in crew.pids() {
        // nice and policy: fields 19 and 41 of proc_pid_stat(5).
        assert_eq!((stat(pid, 19), stat(pid, 41)), (7, i64::from(libc::SCHED_BATCH)));
    }
    assert!(status(0).starts_with("Name:\ta worker\n") && status(0).contains("Cpus_allowed_list:\t0\n"));
    assert!(status(1).starts_with("Name:\ta worker\n"));
}

/// As root there is a user to become, and privileges to lose.
#[test]
fn a_worker_becomes_its_user_last_and_still_dies_with_its_parent() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let manner = Manner { nice: -5, uid: Some(65534), gid: Some(65534), ..Manner::default() };
    let seen = until(&WorkType::SpinWait, 1, &manner, |seen, crew| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", crew.pids()[0])).unwrap();
        assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
        assert!(status.contains("Gid:\t65534\t65534\t65534\t65534") && status.contains("Groups:\t \n"), "{status}");
        assert_eq!(stat(crew.pids()[0], 19), -5);
        seen[0].iterations > 0
    });
    assert!(seen[0].run_ns > 0);
    // What needs a privilege that the user does not have is refused by name.
    let sweep = WorkType::nice_sweep();
    let text = format!("{:#}", Crew::gather(&sweep, 1, &manner, None).err().expect("it was not refused"));
    assert!(text.contains("setpriority to nice -20 failed: Permission denied") && text.contains("root"), "{text}");
}

#[test]
fn cpu_time_and_times_on_a_cpu_are_counted_from_the_start_on() {
    let seen =
        until(&WorkType::SpinWait, 2, &Manner::default(), |seen, _| seen.iter().all(|w| w.iterations > 5_000_000));
    for worker in &seen {
        assert!(worker.run_ns > 1_000_000 && worker.timeslices > 0, "{worker:?}");
    }
}

#[test]
fn a_long_sleep_ends_with_the_work_and_is_no_gap() {
    let (mut since, mut before) = (Instant::now(), (0, 0));
    let seen = until(&WorkType::bursty_ms(1, 60_000), 1, &Manner::default(), |seen, _| {
        let now = (seen[0].iterations, seen[0].gap_ns);
        if now != before {
            (since, before) = (Instant::now(), now);
        }
        // It sleeps, for longer than its longest gap, and no gap grows.
        now.0 > 0 && since.elapsed() > Duration::from_nanos(now.1) + Duration::from_millis(50)
    });
    assert!(seen[0].wakes == 0 && seen[0].gap_ns == before.1, "{before:?}, {seen:?}");
}

#[test]
fn moving_to_another_node_is_counted_apart() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("online"), "0-1").unwrap();
    for (node, cpu) in [(0, "0"), (1, "1")] {
        std::fs::create_dir(dir.path().join(format!("node{node}"))).unwrap();
        std::fs::write(dir.path().join(format!("node{node}/cpulist")), cpu).unwrap();
    }
    let cpus = crate::worker::CpuMask::allowed().unwrap_or(crate::worker::CpuMask::ALL);
    if !(cpus.has(0) && cpus.has(1)) {
        return;
    }
    let shared = Shared::new(1).unwrap();
    let nodes = Nodes::read(dir.path());
    let checkpoint = Checkpoint::new(&shared, 0, &nodes);
    // In a thread of its own: its affinity goes away with it.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for cpu in [0, 1, 1, 0] {
                crate::worker::CpuMask::single(cpu).apply(0).unwrap_or_else(|e| panic!("{e:?}"));
                checkpoint.progress(1);
            }
        });
    });
    let slot = shared.slot(0);
    assert_eq!((slot.migrations.load(Relaxed), slot.cross_node_migrations.load(Relaxed)), (2, 2));
}
