//! A writer killed at any instant leaves the old record or the new one, never half of one, never none.

#![allow(clippy::unwrap_used)]

use ktstr_sidecar::{SidecarRecord, read_record, read_records, write_record};
use ktstr_verdict::Verdict;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: u64 = 200;
const DIR: &str = "KILLED_TEST_DIR";

fn record(generation: u64) -> SidecarRecord {
    let mut record = SidecarRecord::new("killed", "1n1l2c1t", "eevdf", Verdict::Pass);
    record.started_unix_s = generation;
    // Several pages, so that half of one could be seen.
    record.console_tail = format!("{generation} ").repeat(4000);
    record
}

/// The child of the test below: writes the record again and again, and says which generation is safe.
#[test]
#[ignore = "writes until it is killed; the test below starts it"]
fn writer() {
    let dir = std::env::var(DIR).unwrap();
    let mut out = std::io::stdout();
    for generation in 1.. {
        write_record(Path::new(&dir), &record(generation)).unwrap();
        writeln!(out, "safe {generation}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_writer_killed_at_two_hundred_instants_never_leaves_half_a_record_or_loses_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(record(0).file_name());
    let mut temporaries = 0;
    let mut generations = 0;
    let mut draw = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let safe = |line: String| line.rsplit_once("safe ").and_then(|(_, n)| n.parse::<u64>().ok());
        assert_eq!(lines.by_ref().find_map(safe), Some(1), "the writer never wrote");
        // A few writes take a few milliseconds: the instant falls anywhere in one of them.
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let instant = Instant::now() + Duration::from_micros((draw >> 33) % 8000);
        while Instant::now() < instant {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let safe = lines.filter_map(safe).last().unwrap_or(1);
        let seen = read_record(&path).unwrap();
        assert!(seen.started_unix_s >= safe, "generation {safe} was safe and {} is there", seen.started_unix_s);
        assert_eq!(seen, record(seen.started_unix_s));
        let (records, damaged) = read_records(dir.path()).unwrap();
        assert_eq!((records.len(), damaged), (1, Vec::new()));
        generations = generations.max(seen.started_unix_s);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.path()).collect();
        for half in left.iter().filter(|p| **p != path) {
            temporaries += 1;
            std::fs::remove_file(half).unwrap();
        }
    }
    // Else every kill fell between two writes and nothing was shown.
    assert!(temporaries > 0 && generations > 1, "no write was cut: {temporaries} halves, {generations} generations");
}
