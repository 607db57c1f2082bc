//! A shell's machine, and an exported test on a machine that stands for a real one.
#![allow(clippy::unwrap_used)]

mod common;

use common::{fixture, ktstr, text};
use std::path::Path;
use std::process::Output;

#[test]
fn a_command_in_a_shell_s_machine_has_its_output_and_its_exit_code() {
    let output: Output = ktstr()
        .args([
            "shell",
            "--topology",
            "1n1l3c1t",
            "--exec",
            "nproc; echo wrong >&2; cat /root/Cargo.toml | head -1; kill -9 $$",
        ])
        .args(["-i", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "3\n[package]\n", "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "wrong\n");
    // As shells say it: 128 and the signal.
    assert_eq!(output.status.code(), Some(137));
}

#[test]
fn a_machine_that_ends_before_its_command_is_never_a_success() {
    let output = ktstr().args(["shell", "--exec", "echo b > /proc/sysrq-trigger; sleep 60"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the machine failed"), "{}", text(&output.stderr));
}

/// Exports a test of the fixture.
fn exported(dir: &Path, test: &str) -> Output {
    fixture()
        .arg(format!("--ktstr-export-test={test}"))
        .arg("--ktstr-export-output")
        .arg(dir.join(format!("{test}.run")))
        .output()
        .unwrap()
}

#[test]
fn an_exported_test_gives_its_verdict_on_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = ktstr();
    command.args(["shell", "--topology", "1n1l2c1t"]);
    for test in ["passes", "fails", "under_bpfland", "on_sixteen_cpus"] {
        let output = exported(dir.path(), test);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        command.arg("-i").arg(dir.path().join(format!("{test}.run")));
    }
    // A damaged payload is the last one's: cut short.
    let whole = std::fs::read(dir.path().join("passes.run")).unwrap();
    std::fs::write(dir.path().join("cut.run"), &whole[..whole.len() / 2]).unwrap();
    command.arg("-i").arg(dir.path().join("cut.run"));
    let script = "for t in passes fails under_bpfland on_sixteen_cpus cut; do sh $t.run; echo $t $?; done; ls -d /tmp/ktstr-run.*";
    let output = command.args(["--exec", script]).output();
    let output = output.unwrap();
    let said = text(&output.stderr);
    assert_eq!(text(&output.stdout), "passes 0\nfails 1\nunder_bpfland 0\non_sixteen_cpus 3\ncut 3\n", "{said}");
    assert!(said.contains("ktstr: FAIL: ") && said.contains("the test needs at least"), "{said}");
    assert!(said.contains("this file is damaged"), "{said}");
}

#[test]
fn a_test_that_a_real_machine_cannot_be_given_is_not_exported() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = exported(dir.path(), "no_such_test");
    assert_eq!(unknown.status.code(), Some(1));
    let refused = exported(dir.path(), "on_the_host");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("host_only"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
