//! Faults of our own monitor. Those that need a guest to run are for the lab, where KVM is true.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Run, fails_with, machines, on_kvm, run_with, spoiled};
use std::process::Command;
use std::time::{Duration, Instant};

/// `true` when the test is to go on; else says why it cannot.
fn needs(condition: bool, what: &str) -> bool {
    if !condition {
        eprintln!("not here: {what}");
    }
    condition
}

fn true_kvm() -> bool {
    needs(on_kvm(), "this needs a true KVM; `cargo xtask lab` runs it there")
}

fn dev_kvm() -> bool {
    needs(std::path::Path::new("/dev/kvm").exists(), "this machine has no /dev/kvm")
}

/// The fixture below a limit of the shell's, on KVM.
fn limited(limit: &str, test: &str) -> Run {
    run_with(test, |command| {
        let fixture = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let environment: Vec<_> = command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        *command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit {limit}; exec \"$0\" \"$@\"")).arg(fixture).args(arguments);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("KTSTR_ACCEL", "kvm");
    })
}

/// Only the lab runs one test at a time.
fn nothing_is_left() {
    assert!(!on_kvm() || machines() == 0, "{} machines are left", machines());
}

/// A skip by default; and nothing is left of the machine.
fn is_contention(run: &Run, why: &str) {
    let stderr = run.stderr();
    assert_eq!(run.output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("ktstr: SKIP: ") && stderr.contains(why), "`{why}` is not in:\n{stderr}");
    assert!(run.records[0].skipped && !run.records[0].passed);
    nothing_is_left();
}

/// The kernel's file alone in a directory, beside its configuration.
fn kernel_of(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, std::path::PathBuf) {
    let entry = ktstr_kernel::cache::Cache::open().unwrap().newest().unwrap().expect("the lab has a kernel");
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(entry.dir().join(file)).unwrap();
    change(&mut bytes);
    let path = dir.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    std::fs::copy(entry.config(), dir.path().join("config")).unwrap();
    (dir, path)
}

fn passes_on(kernel: &std::path::Path) {
    let run = run_with("says_hello", |c| {
        c.env("KTSTR_KERNEL", kernel);
    });
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.records[0].passed && run.records[0].topology_read_back.is_some());
}

#[test]
fn a_compressed_kernel_boots_by_its_64_bit_entry() {
    if true_kvm() {
        let (_dir, path) = kernel_of("vmlinuz", |_| {});
        passes_on(&path);
    }
}

#[test]
fn a_plain_kernel_without_the_note_of_pvh_boots_by_its_64_bit_entry() {
    if true_kvm() {
        // Type 18 of the name "Xen" is XEN_ELFNOTE_PHYS32_ENTRY (include/xen/interface/elfnote.h); it becomes type 0.
        let note = |kind: u32| [&4u32.to_le_bytes()[..], &8u32.to_le_bytes(), &kind.to_le_bytes(), b"Xen\0"].concat();
        let (_dir, path) = kernel_of("vmlinux", |bytes| {
            let at = bytes.windows(16).position(|w| w == note(18)).expect("a stock kernel has a PVH entry");
            bytes[at..at + 16].copy_from_slice(&note(0));
        });
        passes_on(&path);
    }
}

#[test]
fn a_triple_fault_is_named_and_never_a_pass() {
    if true_kvm() {
        fails_with(&run_with("faults_three_times", |_| {}), "KVM_EXIT_SHUTDOWN: a triple fault");
    }
}

#[test]
fn a_cpu_s_thread_that_panics_is_named_and_never_a_pass() {
    if true_kvm() {
        spoiled("panic-cpu", "its thread panicked");
        nothing_is_left();
    }
}

#[test]
fn a_kvm_that_cannot_run_a_kernel_is_named_at_once_and_never_a_pass() {
    if !dev_kvm() || !needs(!on_kvm(), "KVM is true here") {
        return;
    }
    let start = Instant::now();
    let run = run_with("expects_an_error", |c| {
        c.env("KTSTR_ACCEL", "kvm");
    });
    fails_with(&run, "KVM_EXIT_INTERNAL_ERROR");
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
}

#[test]
fn memory_that_cannot_be_had_is_contention() {
    if true_kvm() {
        is_contention(&limited("-v 400000", "passes"), "no memory for the machine");
    }
}

#[test]
fn files_that_cannot_be_had_are_contention() {
    if true_kvm() {
        is_contention(&limited("-n 16", "on_sixteen_cpus"), "Too many open files");
    }
}
