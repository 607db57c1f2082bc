//! Every parser on text of a stock 6.18 with scx_bpfland under load, and on anything at all.

use super::*;
use proptest::prelude::*;

const LOADAVG: &str = include_str!("../../../testdata/monitor/loadavg.txt");
const EVENTS: &str = include_str!("../../../testdata/monitor/events.txt");
const SCHEDSTAT: &str = include_str!("../../../testdata/monitor/schedstat.txt");
const SCHED_DEBUG: &str = include_str!("../../../testdata/monitor/sched_debug.txt");
const DUMP: &str = include_str!("../../../testdata/monitor/sched_ext_dump.txt");
const DUMP_LOADED: &str = include_str!("../../../testdata/monitor/sched_ext_dump_loaded.txt");

#[test]
fn a_real_guest_is_read() {
    assert_eq!(runnable(LOADAVG), Ok(16));
    let counters = events(EVENTS).unwrap();
    assert_eq!((counters.len(), counters["SCX_EV_BYPASS_DURATION"]), (9, 56_524_432));
    let times = cpu_times(SCHEDSTAT).unwrap();
    assert_eq!(times.len(), 4);
    assert_eq!(times[1], CpuTime { cpu: 1, run_ns: 2_233_645_626, run_delay_ns: 3_167_685_618 });
    let queues = run_queues(SCHED_DEBUG).unwrap();
    assert_eq!(queues.iter().map(|q| q.cpu).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(queues[0], RunQueue { cpu: 0, tasks: 5, clock_ns: 6_861_703_587, running_pid: 164 });
}

#[test]
fn a_real_dump_is_read() {
    assert_eq!(local_depths(DUMP), Ok(vec![(0, 0), (1, 0), (3, 0)]));
    // Under load scx_bpfland keeps its tasks in queues of its own.
    assert_eq!(local_depths(DUMP_LOADED), Ok(vec![(0, 0), (1, 0), (2, 0), (3, 0)]));
    // The same dump of a scheduler that puts the tasks of its queue 2 into the local ones.
    let local = DUMP_LOADED.replace("dsq_id=0x2\n", "dsq_id=0x8000000000000002\n");
    assert_eq!(local_depths(&local), Ok(vec![(0, 0), (1, 0), (2, 5), (3, 0)]));
}

#[test]
fn what_is_missing_is_an_error_and_never_a_zero() {
    assert!(runnable("").is_err() && runnable("0.08 0.02 0.01 x/111 181").is_err());
    assert!(events("").is_err() && events("A 1\nA 2").is_err() && events("A one").is_err() && events("A 1 2").is_err());
    assert!(cpu_times("").is_err() && cpu_times("version 17\n").is_err() && cpu_times("cpu0 0 0 0").is_err());
    assert!(run_queues("").is_err() && run_queues("cpu#0, 1 MHz\n  .nr_running : 3\n").is_err());
    let twice = format!("{SCHED_DEBUG}\n{SCHED_DEBUG}");
    assert!(run_queues(&twice).unwrap_err().contains("twice"));
    let negative = SCHED_DEBUG.replacen(".nr_running                    : 5", ".nr_running                    : -5", 1);
    assert!(run_queues(&negative).is_err());
}

#[test]
fn a_dump_that_is_cut_or_has_lost_lines_is_an_error() {
    let cut = DUMP.split("Event counters").next().unwrap();
    assert_eq!(local_depths(cut), Err("the dump has no end".to_owned()));
    assert!(local_depths("").is_err());
    let lost = format!("CPU:0 [LOST 12 EVENTS]\n{DUMP}");
    assert_eq!(local_depths(&lost), Err("lines of the dump were lost".to_owned()));
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        let _ = (runnable(&text), events(&text), cpu_times(&text), run_queues(&text), local_depths(&text));
    }

    #[test]
    fn real_text_with_anything_in_it_is_survived(at in 0usize..40_000, junk in "[cpu#0-9 :.\\-\n\\PC]{0,30}", cut: bool) {
        for real in [LOADAVG, EVENTS, SCHEDSTAT, SCHED_DEBUG, DUMP, DUMP_LOADED] {
            let (head, tail) = real.split_at(at % real.len());
            let text = if cut { format!("{head}{junk}") } else { format!("{head}{junk}{tail}") };
            let _ = (runnable(&text), events(&text), cpu_times(&text), run_queues(&text), local_depths(&text));
        }
    }

    /// A dump that is cut anywhere never says less than the whole one does.
    #[test]
    fn a_cut_dump_is_never_read(at in 0usize..100_000) {
        let text = &DUMP_LOADED[..at % DUMP_LOADED.find("Event counters").unwrap()];
        prop_assert!(local_depths(text).is_err());
    }

    #[test]
    fn run_queues_come_back_as_they_were_printed(
        queues in proptest::collection::btree_map(0u32..300, (0u64..1000, 0u64..u64::MAX / 2, 0u32..99_999), 1..20),
    ) {
        let mut text = String::from("Sched Debug Version: v0.11, 6.18\n\n");
        for (cpu, (tasks, clock, pid)) in &queues {
            text.push_str(&format!(
                "cpu#{cpu}, 2594.550 MHz\n  .nr_running                    : {tasks}\n  .curr->pid                     : {pid}\n  \
                 .clock                         : {}.{:06}\n  .clock_task                    : 1.000000\n\ncfs_rq[{cpu}]:/\n  \
                 .nr_running                    : 7\n\n",
                clock / 1_000_000,
                clock % 1_000_000,
            ));
        }
        let wanted: Vec<RunQueue> = queues
            .into_iter()
            .map(|(cpu, (tasks, clock_ns, running_pid))| RunQueue { cpu, tasks, clock_ns, running_pid })
            .collect();
        prop_assert_eq!(run_queues(&text), Ok(wanted));
    }
}
