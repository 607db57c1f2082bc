//! The same seed is the same run, whatever the host does; each way in that was found is tried here.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Run, run_with};
use ktstr_sidecar::SidecarRecord;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn simulated(test: &str, seed: u64, chaos: &str, change: impl FnOnce(&mut Command)) -> Run {
    let run = run_with(test, |command| {
        command
            .env("KTSTR_ACCEL", "sim")
            .env("KTSTR_SEED", seed.to_string())
            .env("KTSTR_CHAOS", chaos)
            .env_remove("KTSTR_CHAOS_KEEP")
            .env_remove("KTSTR_VERBOSE");
        change(command);
    });
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    run
}

fn record(run: &Run) -> &SidecarRecord {
    let [record] = &run.records[..] else { panic!("{} records", run.records.len()) };
    record
}

fn digest(run: &Run) -> &str {
    record(run).digest.as_deref().unwrap()
}

/// Spins on every host CPU while `work` is done.
fn on_a_busy_host<T>(work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cpus {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let done = work();
        stop.store(true, Relaxed);
        done
    })
}

/// A stock kernel with 4 CPUs, a real scheduler, about a thousand perturbations.
#[test]
fn one_seed_is_one_run_on_a_busy_host_and_in_another_environment_and_another_seed_is_another() {
    let quiet = simulated("four_cpus_under_bpfland", 7, "high", |_| {});
    let busy = on_a_busy_host(|| {
        simulated("four_cpus_under_bpfland", 7, "high", |command| {
            // Each of these reaches the guest, or its kernel's command line, on every other accelerator.
            command
                .env("RUST_BACKTRACE", "full")
                .env("RUST_LOG", "trace")
                .env("KTSTR_LOG_PASSES", "1")
                .env("KTSTR_VERBOSE", "1")
                .env("TZ", "Asia/Kolkata")
                .env("LANG", "tr_TR.UTF-8");
        })
    });
    assert_eq!(digest(&quiet), digest(&busy));
    let (a, b) = (record(&quiet), record(&busy));
    // The same scheduler twice: the difference is zero in everything that the guest measured.
    assert_eq!((&a.cgroups, &a.sched_ext_events, &a.metrics), (&b.cgroups, &b.sched_ext_events, &b.metrics));
    assert_eq!((&a.monitor, &a.phases), (&b.monitor, &b.phases));
    // All that decides the run is in its record.
    assert!(
        a.kernel_hash.is_some() && a.binary_hash.is_some() && a.initramfs_hash.is_some() && a.qemu_version.is_some()
    );
    assert!((a.seed, a.chaos.as_deref()) == (Some(7), Some("high")) && a.perturbations.unwrap() > 100);
    let other = simulated("four_cpus_under_bpfland", 8, "high", |_| {});
    assert_ne!(digest(&quiet), digest(&other));
}

/// Both sides take the same way through the scheduler; the second spins 200 µs longer before it gives a task to a CPU.
#[test]
fn two_hundred_microseconds_more_in_a_dispatch_are_measured_as_that() {
    const MORE_NS: f64 = 200_000.0;
    /// A four-hundredth of a kernel's tick (`CONFIG_HZ=250`).
    const LIMIT_NS: f64 = 10_000.0;
    if !common::scx_ktstr_is_there() {
        return;
    }
    let late_ns = |us: &str| {
        let run = simulated("wakes_up_late", 7, "off", |command| {
            command.env("KTSTR_SCHEDULER_ARGS", format!("--slow-dispatch {us}"));
        });
        assert_eq!(record(&run).scheduler_args, ["--slow-dispatch", us]);
        let metrics = &record(&run).metrics;
        (metrics["median_late_ns"], metrics["spread_late_ns"])
    };
    let ((little, little_spread), (much, much_spread)) = (late_ns("1"), late_ns("201"));
    let error = (much - little - MORE_NS).abs();
    // The way of one wake-up is not that of the next: half of them lie this far apart, on either side.
    let spread = little_spread.max(much_spread);
    assert!(error <= spread, "{little} ns and {much} ns late, half of the wake-ups within {spread} ns");
    assert!(spread <= LIMIT_NS, "half of the wake-ups within {spread} ns");
}

/// QEMU's UART waits, in virtual time, for a pipe that is full.
#[test]
fn a_host_that_reads_the_console_late_is_not_noticed() {
    let (test, spoil) = ("fills_the_console", "KTSTR_SPOIL");
    let at_once = simulated(test, 7, "off", |_| {});
    let late = simulated(test, 7, "off", |command| {
        command.env(spoil, "slow-console:2000");
    });
    assert_eq!(digest(&at_once), digest(&late));
}

/// Speaks as much of gdb's protocol as it takes to let a stopped machine go.
#[test]
fn a_debugger_that_looks_and_lets_go_changes_nothing() {
    use std::io::{Read as _, Write as _};
    let plain = simulated("says_hello", 7, "off", |_| {});
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("gdb");
    let place = socket.clone();
    let debugger = std::thread::spawn(move || {
        let mut stream = common::wait_for(|| std::os::unix::net::UnixStream::connect(&place).ok());
        let mut packet = |body: &str, answers: bool| {
            let sum = body.bytes().fold(0u8, u8::wrapping_add);
            write!(stream, "${body}#{sum:02x}").unwrap();
            let mut seen = Vec::new();
            // The packet's receipt, and the answer up to its two digits of checksum.
            while answers && seen.iter().position(|b| *b == b'#').is_none_or(|hash| seen.len() < hash + 3) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
            if answers {
                stream.write_all(b"+").unwrap();
            }
            String::from_utf8_lossy(&seen).into_owned()
        };
        assert!(packet("?", true).contains("$T"));
        let registers = packet("g", true);
        packet("c", false);
        // Until the machine is gone.
        let _ = stream.read_to_end(&mut Vec::new());
        registers
    });
    let looked_at = simulated("says_hello", 7, "off", |command| {
        command.env("KTSTR_GDB", &socket);
    });
    assert!(debugger.join().unwrap().len() > 100, "the registers of a stopped CPU");
    assert_eq!(digest(&plain), digest(&looked_at));
}

/// Puts a script before QEMU that loads `libraries` into it; `$OURS` is what the product loads.
fn loads_into_qemu(command: &mut Command, dir: &Path, libraries: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::var_os("PATH").unwrap();
    let qemu = std::env::split_paths(&path).map(|d| d.join("qemu-system-x86_64")).find(|q| q.is_file()).unwrap();
    let script = dir.join("qemu-system-x86_64");
    let text = format!("#!/bin/sh\nOURS=$LD_PRELOAD\nLD_PRELOAD={libraries} exec {} \"$@\"\n", qemu.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let before = [dir.to_owned()].into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(before).unwrap());
}

/// On a busy host QEMU's main loop may look whether all CPUs are idle when one has just become so and its last instructions are not
/// counted yet. Here it nearly always does.
#[test]
fn a_main_loop_that_wakes_up_late_is_not_noticed() {
    let (test, seed) = ("sleeps_a_minute", 7);
    let late = concat!(env!("OUT_DIR"), "/late.so");
    let run = |libraries: &str| {
        let dir = tempfile::tempdir().unwrap();
        let run = simulated(test, seed, "off", |command| loads_into_qemu(command, dir.path(), libraries));
        digest(&run).to_owned()
    };
    let plain = simulated(test, seed, "off", |_| {});
    assert_eq!(run(&format!("{late}:$OURS")), digest(&plain));
    // Where main loop and CPUs take no turns, the same is noticed: this test tests something.
    assert_ne!(run(late), digest(&plain));
}

#[test]
fn perturbations_on_a_machine_that_is_not_simulated_are_refused() {
    let run = run_with("passes", |command| {
        command.env("KTSTR_ACCEL", "tcg").env("KTSTR_CHAOS", "high");
    });
    common::fails_with(&run, "KTSTR_CHAOS is set, and on tcg nothing could be repeated");
}
