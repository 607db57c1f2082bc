//! The program as a person meets it; what its faults do is seen in `tests/faults`.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scx-ktstr")).args(args).output().unwrap()
}

#[test]
fn help_names_every_fault_of_the_specification() {
    let output = run(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for flag in [
        "--never-attach",
        "--attach-late",
        "--stall-after",
        "--error-after",
        "--slow-dispatch",
        "--starve",
        "--ignore-cpu",
        "--leak-bypass",
        "--exit-after",
        "--lost-wakeup",
        "--slow-wakeup",
        "--pile-on-cpu",
        "--misplace",
        "--keep-last",
        "--leave-on-hotplug",
    ] {
        assert!(help.contains(flag), "{flag} is not in:\n{help}");
    }
}

#[test]
fn a_wrong_flag_ends_before_anything_is_loaded() {
    for args in [&["--no-such-fault"][..], &["--timeout-ms", "30001"], &["--starve-every", "9"]] {
        let output = run(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && words.contains("--"), "{args:?}: {words}");
    }
}
