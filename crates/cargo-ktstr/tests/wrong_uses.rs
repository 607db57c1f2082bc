//! What is not understood, or cannot be done here, is answered in one to three lines with the next step.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};

/// Code and stderr of a call in an empty directory with an empty cache, without a network.
fn call(args: &[&str], change: impl FnOnce(&mut Command, &Path)) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-ktstr"));
    command
        .arg("ktstr")
        .args(args)
        .current_dir(dir.path())
        .env("KTSTR_CACHE_DIR", dir.path().join("cache"))
        .env("http_proxy", "http://127.0.0.1:9")
        .env("https_proxy", "http://127.0.0.1:9")
        .stdin(Stdio::null());
    for name in ["KTSTR_KERNEL", "KTSTR_TEST_KERNEL", "KTSTR_KERNEL_LIST", "KTSTR_SIDECAR_DIR", "KTSTR_RUNS_ROOT"] {
        command.env_remove(name);
    }
    change(&mut command, dir.path());
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Exit code 1, at most three lines, and what is to be done.
fn refused(args: &[&str], next_step: &str) {
    let (code, text) = call(args, |_, _| {});
    assert_eq!(code, 1, "{args:?}: {text}");
    assert!(text.starts_with("error: ") && text.lines().count() <= 3, "{args:?}: {text}");
    assert!(text.contains(next_step), "{args:?}: `{next_step}` is not in: {text}");
}

#[test]
fn a_kernel_that_means_nothing_is_answered_with_what_would() {
    refused(&["test", "--kernel", "7.1..6.18"], "did you mean 6.18..7.1?");
    refused(&["test", "--kernel", ""], "give a version like 6.18");
    refused(&["test", "--kernel", "git+https://example.org/linux"], "append #tag=");
    refused(&["test", "--kernel", "git+https://example.org/linux#tag=v1"], "then give --kernel DIR");
    refused(&["test", "--kernel", "./nothing-here"], "holds no kernel image");
    refused(&["shell", "--exec", "true", "--kernel", "./nothing-here"], "holds no kernel image");
}

#[test]
fn a_kernel_that_would_have_to_be_fetched_without_a_network_says_so() {
    let (code, text) = call(&["test", "--kernel", "6.18"], |_, _| {});
    assert_eq!(code, 1, "{text}");
    let last: Vec<&str> = text.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(last.len(), 1, "{text}");
    assert!(last[0].contains("--kernel 6.18"), "{text}");
}

#[test]
fn two_ways_to_name_a_kernel_are_one_too_many() {
    let (code, text) = call(&["test", "--kernel", "./k"], |command, dir| {
        std::fs::write(dir.join("k"), b"\x7fELF").unwrap();
        command.env("KTSTR_TEST_KERNEL", "/x");
    });
    assert!(code == 1 && text.contains("unset one of the two"), "{text}");
}

#[test]
fn numbers_out_of_range_are_answered_with_the_range() {
    for (args, why) in [
        (["test", "--budget", "-1"], "a positive number of seconds"),
        (["test", "--budget", "NaN"], "a positive number of seconds"),
        (["test", "--overcommit", "0"], "a positive number"),
        (["test", "--cpu-cap", "0"], "0 is not in 1.."),
        (["test", "--accel", "fast"], "[possible values: auto, kvm, tcg, sim]"),
    ] {
        let (code, text) = call(&args, |_, _| {});
        assert!(code == 2 && text.contains(why), "{args:?}: {text}");
    }
}

#[test]
fn outside_a_workspace_the_answer_is_cargo_s_in_one_line() {
    for words in [
        &["replay"][..],
        &["affected"],
        &["export", "t"],
        &["show-thresholds", "t"],
        &["shell", "--test", "t", "--exec", "true"],
        &["shard", "plan", "--jobs", "2"],
        &["test", "--budget", "60"],
        &["perf-delta", "--base", "main"],
    ] {
        refused(words, "could not find `Cargo.toml`");
        refused(words, "; go to the project whose tests are meant");
    }
    let (code, text) = call(&["sim", "check"], |_, _| {});
    assert!(code == 1 && text.lines().count() == 2 && text.contains("; go to the project"), "{text}");
}

#[test]
fn a_fetch_of_what_is_none_is_answered_with_what_would_be_one() {
    refused(&["kernel", "fetch", "7.1..6.18"], "write 6.18..7.1");
    refused(&["kernel", "fetch", "nonsense"], "give a version (6.18");
    refused(&["kernel", "fetch", "./missing.deb"], "NAME_VERSION_ARCH.deb");
    let (code, text) = call(&["kernel", "fetch", "7.1..6.18", "nonsense"], |_, _| {});
    assert!(code == 1 && text.contains("write 6.18..7.1") && text.contains("give a version"), "{text}");
}

#[test]
fn a_place_that_nothing_can_be_written_to_or_read_from_is_named() {
    refused(&["man", "/sys/man"], "/sys/man");
    refused(&["coverage", "-o", "/sys/lcov.info"], "/sys/lcov.info: Permission denied");
    for (variable, words, next_step) in [
        ("KTSTR_LOCK_DIR", &["locks"][..], "/dev/null"),
        ("KTSTR_CACHE_DIR", &["kernel", "list"], "KTSTR_CACHE_DIR puts the cache elsewhere"),
        ("KTSTR_CACHE_DIR", &["kernel", "clean"], "KTSTR_CACHE_DIR puts the cache elsewhere"),
    ] {
        let (code, text) = call(words, |command, _| {
            command.env(variable, "/dev/null");
        });
        assert!(code == 1 && text.lines().count() == 1 && text.contains(next_step), "{words:?}: {text}");
    }
}

#[test]
fn nothing_to_replay_says_what_to_run_first() {
    let (code, text) = call(&["replay"], |command, dir| {
        command.env("KTSTR_RUNS_ROOT", dir);
    });
    assert!(code == 1 && text.contains("run `cargo ktstr test` first"), "{text}");
}

#[test]
fn a_damaged_record_is_no_reason_to_replay_less() {
    let (code, text) = call(&["replay"], |command, dir| {
        std::fs::write(dir.join("a.ktstr.json"), "{").unwrap();
        command.env("KTSTR_RUNS_ROOT", dir);
    });
    assert!(code == 1 && text.contains("a.ktstr.json"), "{text}");
}

#[test]
fn a_shell_without_a_terminal_offers_exec() {
    refused(&["shell"], "--exec CMD");
}

#[test]
fn a_bad_shape_or_file_for_a_shell_is_refused_before_anything_boots() {
    refused(&["shell", "--exec", "true", "--topology", "2x4"], "like 1n2l4c2t");
    let (code, text) = call(&["shell", "--exec", "true", "-i", "/nonexistent"], |command, dir| {
        std::fs::write(dir.join("k"), b"\x7fELF").unwrap();
        command.env("KTSTR_KERNEL", dir.join("k"));
    });
    assert!(code == 1 && text.contains("-i /nonexistent is not a file"), "{text}");
}

#[test]
fn a_preset_that_is_none_is_answered_with_those_there_are() {
    refused(&["verifier", "--preset", "huge"], "there are ");
}

#[test]
fn a_sweep_without_a_kernel_says_how_to_get_one() {
    refused(&["verifier"], "cargo ktstr kernel fetch");
}

#[test]
fn without_nextest_the_answer_is_how_to_install_it() {
    let (code, text) = call(&["test"], |command, dir| {
        command.env("PATH", dir).env("CARGO_HOME", dir);
    });
    assert!(code == 1 && text.contains("cargo install cargo-nextest"), "{text}");
}

#[test]
fn a_report_that_cannot_be_written_is_named_with_the_reason() {
    for (file, why) in [("/dev/full", "No space left"), ("/sys/report.html", "Permission denied")] {
        let (code, text) = call(&["stats", "html", ".", "-o", file], |_, _| {});
        assert!(code == 1 && text.contains(file) && text.contains(why), "{text}");
    }
    // Of the cache, whose directory cannot be made.
    let (code, text) = call(&["kernel", "fetch", "6.18"], |command, _| {
        command.env("KTSTR_CACHE_DIR", "/sys/ktstr");
    });
    assert!(code == 1 && text.contains("/sys/ktstr") && text.lines().count() <= 3, "{text}");
}

#[test]
fn records_that_are_not_there_are_asked_for() {
    refused(&["stats", "list", "./no-such"], "is not a directory");
    refused(&["stats", "list"], "run a test, or name a directory of records");
    let (code, text) = call(&["stats", "show", "t", "."], |_, _| {});
    assert!(code == 1 && text.contains("`cargo ktstr stats list` shows the tests there are"), "{text}");
    refused(&["stats", "merge", "."], "`cargo ktstr shard plan` writes one");
    refused(&["perf-delta", "./no-such", "."], "no-such");
    refused(&["kernel", "path", "9.9"], "run `cargo ktstr kernel fetch 9.9`");
    refused(&["kernel", "path"], "run `cargo ktstr kernel fetch`");
    refused(&["kernel", "build", "--source", "."], "give the directory that holds the kernel's Makefile");
    refused(&["sim", "replay", "./no-such"], "no-such");
}

#[test]
fn a_merge_of_what_is_no_plan_s_or_into_what_is_there_is_refused() {
    let plan = |dir: &Path| {
        let plan = r#"{"id":"i","kernels":[],"shards":[{"seconds":1,"tests":[{"binary":"b","name":"ktstr/a"}]}]}"#;
        std::fs::write(dir.join("plan.json"), plan).unwrap();
    };
    let merge = ["stats", "merge", "records", "--plan", "plan.json"];
    let (code, text) = call(&merge, |_, dir| std::fs::write(dir.join("plan.json"), "{}").unwrap());
    assert!(code == 1 && text.contains("make it anew with `cargo ktstr shard plan`"), "{text}");
    let (code, text) = call(&merge, |_, dir| plan(dir));
    assert!(code == 1 && text.contains("name those that the shards left their records in"), "{text}");
    let (code, text) = call(&merge, |_, dir| {
        plan(dir);
        std::fs::create_dir_all(dir.join("records")).unwrap();
        std::fs::create_dir_all(dir.join("merged/of-mine")).unwrap();
    });
    assert!(code == 1 && text.contains("empty it, or choose another --into"), "{text}");
    let (code, text) = call(&merge, |_, dir| {
        plan(dir);
        std::fs::create_dir_all(dir.join("records")).unwrap();
        std::fs::write(dir.join("records/a.ktstr.json"), "{").unwrap();
    });
    assert!(code == 1 && text.contains("what failed is not known"), "{text}");
}

#[test]
fn words_that_are_none_are_answered_with_those_there_are() {
    for (args, why) in [
        (&["completions", "cmd"][..], "[possible values: "),
        (&["shard", "plan", "--jobs", "0"], "0 is not in 1..=10000"),
        (&["shard", "plan", "--jobs", "2", "--engine", "cron"], "[possible values: github, slurm, kubernetes]"),
        (&["sim", "run", "--seed", "x"], "a seed is a number"),
        (&["sim", "search", "t", "--seeds", "9..3"], "write 3..9"),
        (&["sim", "search", "t", "--seeds", "3..3"], "write 3..=3"),
        (&["kernel", "clean", "--keep", "x"], "invalid digit"),
        (&["cleanup", "--older-than", "x"], "invalid digit"),
        (&["perf-delta", "."], "<NEW>"),
        (&["perf-delta", "--base", "main", "--runs", "0"], "a number from 1 to 1000"),
        (&["verfier"], "'verifier'"),
    ] {
        let (code, text) = call(args, |_, _| {});
        assert!(code == 2 && text.contains(why), "{args:?}: {text}");
    }
}

#[test]
fn coverage_without_llvm_s_tools_says_how_to_get_them_before_anything_is_built() {
    let (code, text) = call(&["coverage"], |command, dir| {
        let rustc = dir.join("rustc");
        let script = "#!/bin/sh\n[ \"$1\" = -vV ] && printf 'host: x\\nLLVM version: 99.1\\n' || echo /nowhere\n";
        std::fs::write(&rustc, script).unwrap();
        std::fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        command.env("RUSTC", rustc).env_remove("LLVM_PROFDATA").env_remove("LLVM_COV");
    });
    assert!(code == 1 && text.lines().count() == 1, "{text}");
    assert!(text.contains("of LLVM 99") && text.contains("`rustup component add llvm-tools`"), "{text}");
}

#[test]
fn help_comes_at_once_and_names_every_command() {
    let help = || Command::new(env!("CARGO_BIN_EXE_cargo-ktstr")).args(["ktstr", "--help"]).output().unwrap();
    let text = String::from_utf8(help().stdout).unwrap();
    for command in [
        "test",
        "replay",
        "affected",
        "verifier",
        "shell",
        "export",
        "kernel",
        "scheduler",
        "doctor",
        "topo",
        "locks",
        "cleanup",
    ] {
        assert!(text.contains(&format!("\n  {command} ")), "{command}: {text}");
    }
}
