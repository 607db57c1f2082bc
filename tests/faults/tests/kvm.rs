//! Faults of our own monitor. Those that need a guest to run are for the lab, where KVM is true.
#![allow(clippy::unwrap_used)]

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
