//! What a person reads of a run that did not pass: the check that tripped, then what is known of it, then where there is more.

use crate::plain::plain;
use crate::record::SidecarRecord;
use ktstr_verdict::CgroupStats;
use std::path::Path;

/// Columns of a terminal, which only paths and words without a gap run past.
const WIDTH: usize = 80;
/// Lines shown of the steps.
const STEPS: usize = 16;
/// Lines shown of the scheduler's own words, and of the kernel's.
const WORDS: usize = 12;

/// The files of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// Its record; `None` when it could not be written.
    pub record: Option<&'a Path>,
    /// Its trace, where there is one.
    pub trace: Option<&'a Path>,
    /// The trace of the second machine, where there is one.
    pub repro_trace: Option<&'a Path>,
}

/// The whole text, with a line's end behind each line.
#[must_use]
pub fn failure_text(record: &SidecarRecord, files: Files<'_>) -> String {
    let mut out = String::new();
    let message: String = plain(&record.message).collect();
    for (i, line) in message.lines().enumerate() {
        let line = if i == 0 { format!("ktstr: {}: {line}", record.verdict()) } else { line.to_owned() };
        wrap(&mut out, &line);
    }
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.push_str(&format!("{title}:\n"));
            lines.iter().for_each(|line| out.push_str(&clipped(line)));
        }
    };
    section("cgroups", CgroupStats::table(&record.cgroups).lines().map(str::to_owned).collect());
    section("timeline", timeline(record));
    section("last words of the scheduler", scheduler(record));
    section("the kernel's complaint", record.kernel_splat.iter().take(WORDS).cloned().collect());
    if let Some(path) = files.record {
        out.push_str(&format!("ktstr: record: {}\n", path.display()));
    }
    match files.trace {
        Some(path) => out.push_str(&format!("ktstr: trace: {} (ui.perfetto.dev opens it)\n", path.display())),
        None if record.accelerator.is_some() => {
            out.push_str("ktstr: trace: none came out, or nothing was scheduled in the test\n");
        }
        None => {}
    }
    if let Some(repro) = &record.repro {
        wrap(&mut out, &plain(&format!("ktstr: repro: {}", repro.message)).collect::<String>());
    }
    if let Some(path) = files.repro_trace {
        out.push_str(&format!("ktstr: trace of the second machine: {}\n", path.display()));
    }
    if record.accelerator.is_some() {
        out.push_str(&format!("ktstr: shell: {}\n", shell(record)));
    }
    out
}

/// Each step with its operations, times since the first one began.
pub(crate) fn timeline(record: &SidecarRecord) -> Vec<String> {
    let seconds = |us: u64| std::time::Duration::from_micros(us).as_secs_f64();
    let mut lines = Vec::new();
    for phase in &record.phases {
        lines.push(format!("{:>9.3} s  {}", seconds(phase.start_us), phase.name));
        lines.extend(phase.events.iter().map(|e| format!("{:>9.3} s    {}", seconds(e.at_us), e.what)));
        if phase.more_events > 0 {
            lines.push(format!("{:13}  {} more", "", phase.more_events));
        }
    }
    if let Some(last) = record.phases.last() {
        lines.push(format!("{:>9.3} s  end", seconds(last.end_us)));
    }
    if lines.len() > STEPS {
        // How it began is in the record; what a run fails by is near its end.
        let left = lines.len() - STEPS + 1;
        lines.drain(..left);
        lines.insert(0, format!("{:11}  {left} lines before", "…"));
    }
    lines
}

/// Its exit as the kernel says it, and its last lines; nothing where the message has them already.
fn scheduler(record: &SidecarRecord) -> Vec<String> {
    let mut lines = Vec::new();
    if !record.message.contains("last words of the scheduler") {
        let from = record.scheduler_log.len().saturating_sub(WORDS);
        lines.extend(record.scheduler_log[from..].iter().cloned());
    }
    lines.extend(record.exit_info.iter().flat_map(|info| info.lines()).map(|line| format!("kernel: {line}")));
    lines
}

/// The command that opens the machine again.
fn shell(record: &SidecarRecord) -> String {
    let machine = match record.preset {
        // A test's own machine comes with its scheduler; a preset's is asked for by its shape.
        None => format!("--test {}", record.test_name),
        Some(_) => format!("--topology {}", record.topology),
    };
    let kernel = record.kernel_label.as_ref().map_or_else(String::new, |label| format!(" --kernel {label}"));
    format!("cargo ktstr shell {machine}{kernel}")
}

/// A line cut at the last column, indented by two.
fn clipped(line: &str) -> String {
    let line: String = plain(line).collect();
    let line = line.trim_end();
    if line.chars().count() + 2 <= WIDTH {
        return format!("  {line}\n");
    }
    format!("  {}…\n", line.chars().take(WIDTH - 3).collect::<String>())
}

/// A line broken between words; what follows the first break is indented by six.
fn wrap(out: &mut String, line: &str) {
    if line.chars().count() <= WIDTH {
        out.push_str(line);
        out.push('\n');
        return;
    }
    let indent = line.chars().take_while(|c| *c == ' ').count();
    out.push_str(&" ".repeat(indent));
    let mut column = indent;
    let mut first = true;
    for word in line.split_ascii_whitespace() {
        let width = word.chars().count();
        if first {
            first = false;
        } else if column + 1 + width > WIDTH {
            out.push_str("\n      ");
            column = 6;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::{Phase, PhaseEvent, Verdict};

    fn stuck() -> SidecarRecord {
        let mut record = SidecarRecord::new("two_groups", "1n2l2c1t", "bpfland", Verdict::Fail);
        record.message = "max_gap_ms: worker 1 of cgroup fast made no progress for 3120.4 ms from 0.8 s on, on CPU 2: \
                          the limit is 2000 ms\nisolation: worker 0 of cgroup slow ran on CPU 3, and may on 0-1"
            .into();
        record.accelerator = Some("tcg".into());
        record.kernel_label = Some("6.18.15".into());
        let cgroup = |name: &str, workers, rate| CgroupStats {
            name: name.into(),
            workers,
            iteration_rate: rate,
            spread_pct: 91.25,
            max_gap_ms: 3120.4,
            p99_wake_us: 4512.5,
            wakes: 7,
            run_delay_ms: 2951.0,
            migrations: 17,
            cpus: vec![0, 1, 2],
            ..CgroupStats::default()
        };
        record.cgroups = vec![cgroup("fast", 2, 1_204_551.0), cgroup("a-cgroup-whose-name-is-long", 12, 88.0)];
        let event = |at_us, what: &str| PhaseEvent { at_us, what: what.into() };
        record.phases = vec![
            Phase {
                name: "step 0".into(),
                end_us: 1_500_000,
                events: vec![event(10, "AddCgroup fast")],
                ..Phase::default()
            },
            Phase {
                name: "step 1: swap".into(),
                start_us: 1_500_000,
                end_us: 3_000_000,
                events: vec![event(1_500_020, "SwapCpusets fast slow")],
                more_events: 3,
            },
        ];
        record.scheduler_log =
            vec!["bpfland: started".into(), "EXIT: runnable task stall (worker[77] failed to run for 3.0s)".into()];
        record.exit_info = Some("runnable task stall".into());
        record.kernel_splat = vec!["[    2.100] sched_ext: BPF scheduler \"bpfland_1.1.4_x86_64_unknown_linux_gnu\" disabled (runnable task stall)".into()];
        record
    }

    #[test]
    fn a_stuck_worker_is_told_from_the_check_to_the_shell() {
        let dir = Path::new("target/ktstr/6.18.15-0123456789ab");
        let (record, trace) = (dir.join("two_groups-00.ktstr.json"), dir.join("two_groups-00.wprof.pb"));
        insta::assert_snapshot!(failure_text(
            &stuck(),
            Files { record: Some(&record), trace: Some(&trace), ..Files::default() }
        ));
    }

    #[test]
    fn a_lost_machine_is_told_by_its_console_and_says_that_it_left_no_trace() {
        let mut record = SidecarRecord::new("hangs", "2n4l2c1t", "eevdf", Verdict::Fail);
        record.message =
            "no end of the Test phase within 3 s\nlast words of the console:\n  [    1.52] Run /init as init \
                          process\n  [    1.80] hrtimer: interrupt took 1234567 ns"
                .into();
        record.preset = Some("numa-4llc".into());
        record.accelerator = Some("kvm".into());
        insta::assert_snapshot!(failure_text(&record, Files::default()));
    }

    #[test]
    fn a_test_without_a_machine_has_neither_trace_nor_shell() {
        let mut record = SidecarRecord::new("on_the_host", "1n1l2c1t", "eevdf", Verdict::Inconclusive);
        record.message = "max_p99_wake_latency_ns: nothing woke".into();
        insta::assert_snapshot!(failure_text(&record, Files::default()));
    }

    #[test]
    fn nothing_but_paths_runs_past_the_last_column() {
        let mut record = stuck();
        record.scheduler_log = (0..50).map(|i| format!("{i}: \u{1b}[34m{}\u{1b}[0m", "word ".repeat(40))).collect();
        record.phases[0].events = vec![record.phases[0].events[0].clone(); 100];
        let text = failure_text(&record, Files::default());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        // A line that is cut would leave its colour on all that follows.
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.lines().count() < 60, "{text}");
    }
}
