//! Wrong questions about tests: unknown ones, ones that two binaries have, ones that refuse.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Built, text};

/// At most three lines, nothing on stdout, the code and the next step.
fn refused(built: &Built, words: &[&str], code: i32, next_step: &str) {
    let output = built.ktstr(words).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    assert!(output.stdout.is_empty() && said.lines().count() <= 3, "{words:?}: {said}");
    assert!(said.contains(next_step), "{words:?}: `{next_step}` is not in: {said}");
}

#[test]
fn an_unknown_test_is_answered_with_where_the_names_are() {
    let built = Built::new(&["fault-tests::bin/fixture"]);
    for words in [
        &["show-thresholds", "no_such"][..],
        &["export", "no_such"],
        &["shell", "--test", "no_such", "--exec", "true"],
        &["export", ""],
    ] {
        refused(&built, words, 1, "`cargo nextest list` shows the names there are");
    }
    refused(&built, &["sim", "check", "no_such"], 1, "no test `no_such`; there are ");
}

#[test]
fn a_test_that_two_binaries_have_is_asked_for_by_package() {
    let built = Built::new(&["one::bin/fixture", "two::bin/fixture"]);
    for words in
        [&["show-thresholds", "passes"][..], &["export", "passes"], &["shell", "--test", "passes", "--exec", "true"]]
    {
        refused(&built, words, 1, "both have a test `passes`: choose by `--package ");
    }
    refused(&built, &["sim", "run", "passes"], 1, "choose with --binary PATH");
}

#[test]
fn a_test_without_a_machine_has_no_shell_and_no_file() {
    let built = Built::new(&["fault-tests::bin/fixture"]);
    refused(&built, &["export", "on_the_host"], 2, "host_only");
    refused(&built, &["shell", "--test", "on_the_host", "--exec", "true"], 1, "host_only");
    assert_eq!(
        std::fs::read_dir(built.dir.path())
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().path().extension().is_some_and(|e| e == "run") })
            .count(),
        0
    );
}

#[test]
fn a_file_that_cannot_be_written_is_named_with_the_reason() {
    let built = Built::new(&["fault-tests::bin/fixture"]);
    // /sys takes no new file from anybody, root included; /dev/full is a full disk.
    refused(&built, &["export", "passes", "-o", "/sys/passes.run"], 2, "/sys/passes.run");
    refused(
        &built,
        &["shard", "plan", "--jobs", "1", "--out", "/sys/shards", "--", "-E", "test(=ktstr/passes)"],
        1,
        "/sys/shards",
    );
}

#[test]
fn a_base_that_git_does_not_know_is_named_and_makes_all_affected() {
    let built = Built::new(&["fault-tests::bin/fixture"]);
    let mut git = std::process::Command::new("git");
    assert!(git.args(["init", "--quiet"]).current_dir(built.dir.path()).status().unwrap().success());
    refused(&built, &["perf-delta", "--base", "no-such-ref"], 1, "name a branch, a tag or a hash");
    let output = built.ktstr(&["affected", "--base", "no-such-ref"]).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.lines().count() == 1 && said.contains("all schedulers are taken for affected"), "{said}");
    assert!(text(&output.stdout).contains(r#""all":true"#), "{}", text(&output.stdout));
}

#[test]
fn a_sweep_of_a_scheduler_that_nobody_declares_is_no_sweep() {
    let built = Built::new(&["fault-tests::bin/fixture"]);
    let kernel = built.dir.path().join("k");
    std::fs::write(&kernel, b"\x7fELF").unwrap();
    let words = ["verifier", "--scheduler", "nobody_s", "--kernel", kernel.to_str().unwrap()];
    refused(&built, &words, 1, "no declared scheduler `nobody_s`");
}

#[test]
fn a_plan_of_nothing_says_what_would_be_something() {
    let built = Built::new(&["fault-tests::bin/fixture"]);
    refused(&built, &["shard", "plan", "--jobs", "2", "--", "-E", "none()"], 1, "no test to split");
}
