//! The report of a small fixed set, kept as a golden page that `cargo xtask report-check` opens in a browser; and of a set
//! in which every word is hostile.
//!
//! After a change of the page: `UPDATE_REPORT=1 cargo nextest run -p ktstr-sidecar -E 'binary(report)'`.

#![allow(clippy::unwrap_used)]

use ktstr_sidecar::{Gathered, Question, Report, Rows, Series, SidecarRecord, compare, html, scan};
use ktstr_verdict::{AssertResult, CgroupStats, CheckKind, Detail, Outcome, Verdict};
use serde_json::Value;
use std::path::Path;

#[path = "report/numbers.rs"]
mod numbers;

const TESTS: [&str; 2] = ["two_groups", "wake_storm"];
const TOPOLOGIES: [&str; 4] = ["1n1l2c1t", "1n2l2c2t", "2n2l4c1t", "2n4l4c2t"];
const SCHEDULERS: [&str; 3] = ["eevdf", "bpfland", "lavd"];
const KERNELS: [&str; 2] = ["6.18.15", "7.3.4"];

/// A run of the sample; `None` for a combination that nobody ran.
fn sample(test: usize, topology: usize, scheduler: usize, kernel: usize, repeat: usize) -> Option<SidecarRecord> {
    if (topology, scheduler, kernel) == (3, 2, 0) {
        return None;
    }
    let broken = (test, topology, scheduler, kernel) == (1, 2, 2, 1) && repeat > 1;
    let uneven = (test, topology, scheduler) == (0, 1, 1) && repeat == 3;
    let small = topology == 3 && scheduler == 0;
    let verdict = match (broken, uneven, small) {
        (true, ..) => Verdict::Fail,
        (_, true, _) => Verdict::Inconclusive,
        (.., true) => Verdict::Skip,
        _ => Verdict::Pass,
    };
    let mut r = SidecarRecord::new(TESTS[test], TOPOLOGIES[topology], SCHEDULERS[scheduler], verdict);
    let noise = (test * 7 + topology * 5 + scheduler * 3 + kernel * 11 + repeat * 13) % 17;
    r.kernel_version = Some(KERNELS[kernel].to_owned());
    r.started_unix_s =
        1_767_225_600 + (repeat * 3600 + topology * 600 + scheduler * 60 + kernel * 30 + test * 10) as u64;
    r.project_commit = Some("0a1b2c3d4e5f".to_owned());
    r.host_cpu = Some("AMD EPYC 9654 96-Core Processor".to_owned());
    r.overcommit = 1.0;
    if small {
        r.message = "this host has 8 CPUs and 2N4L4C2T needs 32; set KTSTR_OVERCOMMIT to run it slowly".to_owned();
        return Some(r);
    }
    r.accelerator = Some("kvm".to_owned());
    r.accelerator_why = Some("the probe guest ran".to_owned());
    r.kernel_release = Some(format!("{}+deb13-cloud-amd64", KERNELS[kernel]));
    let boot = 1_900_000 + 260_000 * topology as u64 + 9_000 * noise as u64;
    let attach = if scheduler == 0 { 40_000 } else { 600_000 + 20_000 * noise as u64 };
    for (phase, us) in [
        ("start", 90_000),
        ("boot", boot),
        ("attach", attach),
        ("test", 3_050_000),
        ("shutdown", 210_000),
        ("teardown", 12_000),
    ] {
        r.phases_us.insert(phase.to_owned(), us);
    }
    r.wall_ms = r.phases_us.values().sum::<u64>() / 1000;
    if scheduler > 0 {
        r.scheduler_ops = Some(format!("{}_1.1.4_x86_64_unknown_linux_gnu", SCHEDULERS[scheduler]));
        r.resolve_source = Some("installed".to_owned());
        r.attached_at_start = true;
        r.attached_at_end = true;
        r.scheduler_log = vec![format!("[INFO] {} 1.1.4 started", SCHEDULERS[scheduler])];
    }
    let wake =
        [38.0, 61.0, 47.0][scheduler] * (1.0 + 0.35 * topology as f64) * (1.0 + 0.02 * noise as f64) * [1.0, 1.6][test];
    r.cgroups = ["fast", "slow"]
        .iter()
        .enumerate()
        .map(|(i, name)| CgroupStats {
            name: (*name).to_owned(),
            workers: 2,
            iterations: 184_000 - 3_100 * noise as u64 - 60_000 * i as u64,
            max_gap_ms: 4.0 + noise as f64 / 4.0,
            spread_pct: 2.0 + noise as f64 / 10.0,
            migrations: 40 + noise as u64,
            p99_wake_us: wake * (1.0 + i as f64 * 0.4),
            wakes: 900,
            cpus: vec![0, 1],
            ..CgroupStats::default()
        })
        .collect();
    if broken {
        r.attached_at_end = false;
        let stall = "scheduler `lavd` did not last through the test: state is `disabled` at the end; kernel: runnable task stall (wake_storm:w3[214] failed to run for 5.012s)";
        let stuck = "cgroup slow, worker 1 on CPU 5 stood still for 5012 ms from 1.240 s on, limit 2000 ms";
        r.outcomes = vec![
            Outcome::Pass,
            Outcome::Fail { detail: Detail::new(CheckKind::Progress, stuck) },
            Outcome::Fail { detail: Detail::new(CheckKind::Scheduler, stall) },
        ];
        let result = AssertResult { outcomes: r.outcomes.clone(), ..AssertResult::default() };
        r.message = result.texts(Verdict::Fail);
        r.exit_info = Some("runnable task stall (wake_storm:w3[214] failed to run for 5.012s)".to_owned());
        r.scheduler_log.push("\u{1b}[33m[WARN]\u{1b}[0m domain 1 holds 4 tasks & none is picked <queue 7>".to_owned());
        r.console_tail = (0..9)
            .map(|i| {
                format!(
                    "[    6.{:06}] sched_ext: dump line {i}: CPU {i} curr=swapper/{i} nr_run={}",
                    101_000 + 37 * i,
                    i % 3
                )
            })
            .chain(["[    6.104422] sched_ext: BPF scheduler \"lavd\" disabled (runnable task stall)".to_owned()])
            .collect::<Vec<_>>()
            .join("\n");
    }
    if uneven {
        let message = "cgroup fast: spread 41.0 % is above 15 % (inconclusive: the machine waited for a host CPU 9 % of its time)";
        r.outcomes = vec![Outcome::Inconclusive { detail: Detail::new(CheckKind::Fairness, message) }];
        r.message = message.to_owned();
        r.console_tail = "[    5.201733] ktstr: <script>alert('a record is not a program')</script>".to_owned();
    }
    Some(r)
}

fn page_of(records: impl Iterator<Item = (usize, SidecarRecord)>, damage: bool) -> String {
    page_in(tempfile::tempdir().unwrap().path(), records, damage)
}

fn page_in(dir: &Path, records: impl Iterator<Item = (usize, SidecarRecord)>, damage: bool) -> String {
    for (number, (repeat, record)) in records.enumerate() {
        // The variant hash leaves the kernel out: each has a directory, as it has below the runs root.
        let kernel = if record.kernel_version.as_deref() == Some(KERNELS[0]) { "a" } else { "b" };
        let place = dir.join(format!("repeat-{repeat}/{kernel}"));
        std::fs::create_dir_all(&place).unwrap();
        let file = place.join(format!("{number:04}.ktstr.json"));
        std::fs::write(file, serde_json::to_vec(&record).unwrap()).unwrap();
    }
    if damage {
        std::fs::write(dir.join("repeat-0/cut-0123456789abcdef.ktstr.json"), "{\"test_name\": \"cu").unwrap();
    }
    let scanned = scan::<Gathered>(dir).unwrap();
    let (before, now) = (many_runs(&scanned.folded, 0.7), many_runs(&scanned.folded, 1.0));
    let comparison = compare(&before, &now, Question::default());
    let page = html(&Report {
        title: "Three schedulers, two kernels, four topologies",
        scanned: &scanned,
        root: dir,
        against: Some(("the week before", &comparison)),
    });
    page.replace(&format!("{}/", dir.display()), "")
}

/// Two rows with enough runs for a comparison; wake-ups of one scheduler take so many times as long.
fn many_runs(scanned: &Gathered, factor: f64) -> Rows {
    let mut rows = scanned.rows();
    rows.rows.retain(|key, _| key.test.starts_with(TESTS[0]) && key.topology.starts_with(TOPOLOGIES[0]));
    for (key, row) in &mut rows.rows {
        for (name, series) in &mut row.figures {
            let slow = if key.scheduler.starts_with("bpfland") && name == "cgroup.p99_wake_us" { factor } else { 1.0 };
            let values = series.spots();
            *series = Series::default();
            (0..12).for_each(|i| values.iter().for_each(|v| series.push(v * slow * (1.0 + f64::from(i) / 200.0))));
        }
    }
    rows
}

fn samples() -> impl Iterator<Item = (usize, SidecarRecord)> {
    let all =
        (0..4).flat_map(|r| (0..2).flat_map(move |k| (0..3).flat_map(move |s| (0..4).map(move |t| (r, k, s, t)))));
    all.flat_map(|(r, k, s, t)| (0..2).filter_map(move |test| Some((r, sample(test, t, s, k, r)?))))
}

#[test]
fn the_page_of_a_fixed_set_is_the_golden_one() {
    let made = page_of(samples(), true);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/sample.html");
    if std::env::var_os("UPDATE_REPORT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(made.lines()).find(|(a, b)| a != b);
    assert!(kept == made, "sample.html is not what is made now: see the head of this file; first {differs:#?}");
}

/// `<name` and `</name` of every element in order, without what is in the style and the script.
fn tags(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '!')).collect();
        let closing = match name.as_str() {
            "style" => "</style",
            "script" => "</script",
            _ => ">",
        };
        // An attribute's value may hold no `>`: the escape sees to that, and the attribute count below would show it.
        rest = after.split_once(closing).map_or("", |(_, rest)| rest);
        found.push(name);
    }
    found
}

/// Puts a text into every string and every key of a record that is not the harness's own word.
fn infest(value: &mut Value, under: &str, hostile: &str) {
    match value {
        Value::String(text) if !matches!(under, "kind" | "outcomes") => *text = hostile.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| infest(item, under, hostile)),
        Value::Object(fields) => {
            let named = matches!(
                under,
                "metrics" | "exits" | "sched_ext_events" | "callback_profile" | "verifier_instructions"
            );
            for (name, mut inner) in std::mem::take(fields) {
                infest(&mut inner, &name, hostile);
                fields.insert(if named { format!("{name}{hostile}") } else { name }, inner);
            }
        }
        _ => {}
    }
}

#[test]
fn hostile_words_in_every_field_change_nothing_but_words() {
    let pages =
        ["harmless", "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;--></pre></style>\u{0}\u{202e}"]
            .map(|word| {
                page_of(
                    samples().filter(|(repeat, _)| *repeat == 3).map(|(repeat, record)| {
                        let mut value = serde_json::to_value(&record).unwrap();
                        infest(&mut value, "", word);
                        // Rows stay apart: by a number that both pages share.
                        let test = format!("{}{word}", record.test_name);
                        let mut infested: SidecarRecord = serde_json::from_value(value).unwrap();
                        infested.test_name = test;
                        infested.topology = format!("{}{word}", record.topology);
                        infested.scheduler = format!("{}{word}", record.scheduler);
                        (repeat, infested)
                    }),
                    false,
                )
            });
    let [harmless, hostile] = &pages;
    assert!(hostile.contains("alert(1)"), "the words are not there at all");
    assert_eq!(hostile.matches("<script").count(), 1);
    assert!(!hostile.contains("<img") && !hostile.contains('\0') && !hostile.contains('\u{202e}'));
    assert_eq!(tags(hostile), tags(harmless));
    assert_eq!(hostile.matches("=\"").count(), harmless.matches("=\"").count());
}

#[test]
fn the_page_asks_for_nothing_from_outside() {
    let page = page_of(samples(), true);
    let body = page.split_once("</style>").unwrap().1;
    for word in ["http:", "https:", "src=", "url(", "@import", "<link", "<iframe", "fetch(", "XMLHttpRequest"] {
        assert!(!body.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn every_number_in_the_map_and_the_tables_is_that_of_the_records_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let page = page_in(dir.path(), samples(), false);
    assert_eq!(numbers::trace(&page, dir.path()), samples().count());
}

/// The same of a report that `cargo xtask grid` made of real runs: `KTSTR_GRID=DIR`, which the verb sets.
#[test]
#[ignore = "needs the records of a run"]
fn every_number_of_a_real_report_is_that_of_the_records_it_names() {
    let root = std::env::var_os("KTSTR_GRID").expect("KTSTR_GRID is the directory of a report and its records");
    let page = std::fs::read_to_string(Path::new(&root).join("report.html")).unwrap();
    assert!(numbers::trace(&page, Path::new(&root)) > 0);
}

#[test]
fn every_cell_leads_to_its_evidence_and_no_records_say_so() {
    let page = page_of(samples(), true);
    let links = page.matches("<a href=\"#cell-").count();
    let sections = page.matches("<section class=\"cell\" id=\"cell-").count();
    assert_eq!(sections, 4 * 3 * 2 - 1);
    // Once in the map for each cell, once in the table of tests for each row.
    assert_eq!(links, sections + 2 * sections);
    assert!(
        page.contains("stood still for 5012 ms")
            && page.contains("dump line 8")
            && page.contains("no number below: 1 record<")
    );
    let empty = page_of(std::iter::empty(), false);
    assert!(empty.contains("There is no record here"));
}
