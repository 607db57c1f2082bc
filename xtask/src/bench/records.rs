//! Statistics of records against reading and parsing the same files.

use super::median;
use crate::step::{say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use ktstr_sidecar::{Callback, Rows, SidecarRecord, scan};
use ktstr_verdict::{CgroupStats, Verdict};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const RECORDS: usize = 100_000;
/// The part of them that shows what memory depends on.
const FEW: usize = 10_000;
const RUNS: usize = 3;
/// Share of plain parsing's speed that statistics must have.
const LIMIT: f64 = 0.5;
/// MiB by which ten times the files may raise the peak: it is the rows that take memory.
const MORE_MIB: f64 = 32.0;

/// Writes the records, then measures memory first, for the peak never falls, and speed after.
pub fn run() -> Result<()> {
    let dir = workspace_root().join("target/bench-records");
    let _ = fs::remove_dir_all(&dir);
    let done = measure(&dir);
    let _ = fs::remove_dir_all(&dir);
    done
}

fn measure(dir: &Path) -> Result<()> {
    let (few, all) = (dir.join("few"), dir.join("all"));
    say("writing 110,000 records");
    let bytes = write(&few, FEW)? + write(&all, RECORDS)?;
    let peak = |dir: &Path| -> Result<f64> {
        fs::write("/proc/self/clear_refs", "5").context("failed to reset the peak of memory")?;
        statistics(dir)?;
        peak_mib()
    };
    let (small, large) = (peak(&few)?, peak(&all)?);
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    let files: Vec<PathBuf> = fs::read_dir(&all)?.flatten().map(|e| e.path()).collect();
    for _ in 0..RUNS {
        ours.push(timed(|| statistics(&all))?);
        plain.push(timed(|| parse_only(&files))?);
    }
    let (ours, plain) = (median(ours), median(plain));
    let speed = plain / ours;
    println!(
        "records: {RECORDS} files, {} MB; statistics {ours:.2} s, parsing alone {plain:.2} s on as many CPUs, {speed:.2} of \
         its speed (limit {LIMIT}); peak memory {small:.0} MiB with {FEW} and {large:.0} MiB with {RECORDS}",
        bytes / 1_000_000
    );
    ensure!(speed >= LIMIT, "statistics run at {speed:.2} of the speed of parsing");
    ensure!(large - small <= MORE_MIB, "ten times the files take {:.0} MiB more", large - small);
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

fn statistics(dir: &Path) -> Result<()> {
    let scanned = scan::<Rows>(dir)?;
    ensure!(scanned.damaged.is_empty() && scanned.folded.rows.len() == 600, "the records were not all read");
    ensure!(scanned.folded.tally().all() == scanned.records, "the records were not all counted");
    Ok(())
}

/// The floor: the same files, as many threads, no statistics.
fn parse_only(files: &[PathBuf]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let passed: u64 = std::thread::scope(|scope| {
        let work = || -> Result<u64> {
            let mut passed = 0;
            while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let record: SidecarRecord = serde_json::from_slice(&fs::read(path)?)?;
                passed += u64::from(record.passed);
            }
            Ok(passed)
        };
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|h| h.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?).sum::<Result<u64>>()
    })?;
    ensure!(passed > 0, "nothing was parsed");
    Ok(())
}

fn peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// Records like those of real runs, over 600 rows; the bytes they take.
fn write(dir: &Path, count: usize) -> Result<usize> {
    fs::create_dir_all(dir)?;
    let mut bytes = 0;
    for i in 0..count {
        let json = serde_json::to_vec_pretty(&synthetic(i))?;
        bytes += json.len();
        fs::write(dir.join(format!("r{i:06}.ktstr.json")), json)?;
    }
    Ok(bytes)
}

#[allow(clippy::cast_precision_loss)]
fn synthetic(i: usize) -> SidecarRecord {
    let verdict = if i.is_multiple_of(37) { Verdict::Fail } else { Verdict::Pass };
    let topology = ["1n1l2c1t", "1n2l2c1t", "1n2l4c2t", "2n2l4c1t", "2n4l4c2t"][i % 5];
    let mut record = SidecarRecord::new(&format!("test_{:02}", i / 5 % 30), topology, ["a", "b"][i / 150 % 2], verdict);
    let drawn = i.wrapping_mul(2_654_435_761) % 10_007;
    record.kernel_version = Some(["6.18.15", "7.3.4"][i / 300 % 2].to_owned());
    record.accelerator = Some("tcg".to_owned());
    record.message =
        if verdict == Verdict::Fail { "a worker stood still for 2100 ms".repeat(3) } else { String::new() };
    record.wall_ms = 5000 + drawn as u64;
    record.started_unix_s = 1_790_000_000 + i as u64;
    for phase in
        ["start", "boot", "attach", "test", "shutdown", "teardown", "total", "bye", "guest-kernel", "guest-init"]
    {
        record.phases_us.insert(phase.to_owned(), 100_000 + (drawn * phase.len()) as u64);
    }
    for reason in ["io_in", "io_out", "mmio_read", "hlt", "kvm.exits", "kvm.halt_exits", "channel.bytes_out"] {
        record.exits.insert(reason.to_owned(), drawn as u64);
    }
    for event in ["SCX_EV_SELECT_CPU_FALLBACK", "SCX_EV_DISPATCH_KEEP_LAST", "SCX_EV_BYPASS_DURATION"] {
        record.sched_ext_events.insert(event.to_owned(), drawn.try_into().unwrap_or(0));
    }
    record.callback_profile.insert("enqueue".to_owned(), Callback { calls: 100, ns: drawn as u64 * 100 });
    record.verifier_instructions.insert("enqueue".to_owned(), drawn as u64);
    record.cgroups = ["fast", "slow"]
        .map(|name| CgroupStats {
            name: name.to_owned(),
            workers: 4,
            iterations: drawn as u64 * 1000,
            max_gap_ms: drawn as f64 / 100.0,
            p99_wake_us: drawn as f64 / 10.0,
            wakes: 500,
            cpus: (0..8).collect(),
            ..CgroupStats::default()
        })
        .to_vec();
    record.metrics.insert("own_p99_us".to_owned(), drawn as f64);
    record
}
