//! The same seed is the same run, whatever the host does; each way in that was found is tried here.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/debugger.rs"]
mod debugger;

use common::{Run, run_with};
use debugger::Debugger;
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

#[test]
fn a_debugger_that_looks_and_lets_go_changes_nothing() {
    let plain = simulated("says_hello", 7, "off", |_| {});
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("gdb");
    let place = socket.clone();
    let debugger = std::thread::spawn(move || {
        let mut debugger = Debugger::attach(&place);
        assert!(debugger.ask("?").starts_with('T'));
        let registers = debugger.ask("g");
        debugger.send("c");
        debugger.wait();
        registers
    });
    let looked_at = simulated("says_hello", 7, "off", |command| {
        command.env("KTSTR_GDB", &socket);
    });
    assert!(debugger.join().unwrap().len() > 100, "the registers of a stopped CPU");
    assert_eq!(digest(&plain), digest(&looked_at));
}

/// What a machine wrote and when: output, bytes, ns, checksum; 0 is the console, 1 the stream, 2 its stop.
fn times(file: &Path) -> Vec<[u64; 4]> {
    let bytes = std::fs::read(file).unwrap();
    let words = |entry: &[u8]| std::array::from_fn(|i| u64::from_le_bytes(*entry[i * 8..].first_chunk().unwrap()));
    bytes.chunks_exact(32).map(words).collect()
}

/// The instants are those of bytes that the guest writes one instruction after the other, so one instruction too many or too few
/// shows; and there is one timer more than in the recorded run, which must not show before.
#[test]
fn a_machine_that_is_to_stop_at_an_instant_executes_the_recorded_run_up_to_it_and_no_instruction_more() {
    let (test, seed, chaos) = ("says_hello", 7, "high");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("times");
    simulated(test, seed, chaos, |command| {
        command.env("KTSTR_SIM_TIMES", &file);
    });
    let recorded = times(&file);
    let stopped = |ns: u64, libraries: &str, interrupted: bool| {
        let socket = dir.path().join("gdb");
        let place = socket.clone();
        let debugger = std::thread::spawn(move || {
            let mut debugger = Debugger::attach(&place);
            debugger.send("c");
            if interrupted {
                debugger.interrupt();
                assert!(debugger.hear().starts_with("T02"));
                debugger.send("c");
            }
            assert!(debugger.hear().starts_with("T02"), "it stops as if interrupted");
            let cpus = ["1", "2"].map(|cpu| {
                assert_eq!(debugger.ask(&format!("Hg{cpu}")), "OK");
                debugger.ask("g")
            });
            debugger.send("c");
            debugger.wait();
            cpus
        });
        simulated(test, seed, chaos, |command| {
            command.env("KTSTR_GDB", &socket).env("KTSTR_GDB_STOP_NS", ns.to_string()).env("KTSTR_SIM_TIMES", &file);
            loads_into_qemu(command, dir.path(), libraries);
        });
        (times(&file), debugger.join().unwrap())
    };
    // In the middle of the first frame, and before the second, which follows long after it.
    let second = recorded.windows(2).position(|pair| pair[1][2] - pair[0][2] > 1_000).unwrap() + 1;
    for (index, before) in [(second / 2, 0), (second / 2, 2), (second, 2)] {
        let ns = recorded[index][2] - before;
        let (seen, _) = stopped(ns, "$OURS", false);
        let upto = seen.iter().position(|entry| entry[0] == 2).unwrap();
        assert_eq!(seen[upto], [2, 0, ns, 0]);
        assert_eq!(upto, if before == 0 { index + 1 } else { index });
        assert_eq!(seen[..upto], recorded[..upto]);
    }
    // A main loop that is late with everything shows in no register.
    let ns = recorded[second / 2][2];
    let late = concat!(env!("OUT_DIR"), "/late.so");
    assert_eq!(stopped(ns, "$OURS", false), stopped(ns, &format!("{late}:$OURS"), false));
    // A debugger that stops it before is put down.
    let (seen, _) = stopped(ns, "$OURS", true);
    let of = |what: u64| seen.iter().position(|entry| entry[0] == what);
    assert!(of(3).unwrap() < of(2).unwrap(), "{:?}, {:?}", of(3), of(2));
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
fn a_stop_on_a_machine_that_is_not_simulated_or_with_nobody_to_look_is_refused() {
    let refused = |accel: &str, gdb: &str, ns: &str, why: &str| {
        let run = run_with("passes", |command| {
            command.env("KTSTR_ACCEL", accel).env("KTSTR_GDB", gdb).env("KTSTR_GDB_STOP_NS", ns);
        });
        common::fails_with(&run, why);
    };
    refused("tcg", "1234", "5", "only a simulated machine with a debugger stops at an instant");
    refused("sim", "", "5", "only a simulated machine with a debugger stops at an instant");
    refused("sim", "1234", "3 ms", "KTSTR_GDB_STOP_NS=`3 ms` is no count of nanoseconds");
}

#[test]
fn perturbations_on_a_machine_that_is_not_simulated_are_refused() {
    let run = run_with("passes", |command| {
        command.env("KTSTR_ACCEL", "tcg").env("KTSTR_CHAOS", "high");
    });
    common::fails_with(&run, "KTSTR_CHAOS is set, and on tcg nothing could be repeated");
}
