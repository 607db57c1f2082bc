//! The way of a new user through the commands, with real machines, on test binaries that are built already.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Built, text};
use ktstr_kernel::cache::Cache;
use ktstr_sidecar::{All, scan};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

const ID: &str = "fault-tests::bin/fixture";

fn kernel() -> PathBuf {
    let kernel = Cache::open().unwrap().newest().unwrap().expect("a cached kernel: cargo ktstr kernel fetch");
    kernel.dir().to_owned()
}

fn records(dir: &Path) -> Vec<(PathBuf, bool)> {
    let scanned = scan::<All>(dir).unwrap();
    assert!(scanned.damaged.is_empty(), "{:?}", scanned.damaged);
    scanned
        .folded
        .sorted()
        .into_iter()
        .map(|(path, r)| (path.strip_prefix(dir).unwrap().to_owned(), r.passed))
        .collect()
}

#[test]
fn what_failed_is_told_and_replayed_and_nothing_else() {
    let built = Built::new(&[ID]);
    let kernel = kernel();
    let words = ["test", "--kernel", kernel.to_str().unwrap(), "--", "-E", "test(=ktstr/passes) + test(=ktstr/fails)"];
    let output = built.ktstr(&words).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(100), "{said}");
    assert!(said.contains("ktstr: 1 passed, 1 failed, 0 skipped, 0 inconclusive\n"), "{said}");
    assert!(said.contains("ktstr: FAILED: fails on ") && said.contains("`cargo ktstr replay`"), "{said}");
    let dry = built.ktstr(&["replay", "--dry-run"]).output().unwrap();
    assert_eq!(text(&dry.stdout), format!("{ID} ktstr/fails\n"), "{}", text(&dry.stderr));
    let again = built.ktstr(&["replay"]).output().unwrap();
    let said = text(&again.stderr);
    assert_eq!(again.status.code(), Some(100), "{said}");
    assert!(said.contains("ktstr: 0 passed, 1 failed, 0 skipped, 0 inconclusive\n"), "{said}");
}

#[test]
fn the_records_of_two_kernels_stand_side_by_side_in_one_directory() {
    let built = Built::new(&[ID]);
    let dir = built.dir.path();
    for name in ["a", "b"] {
        std::os::unix::fs::symlink(kernel(), dir.join(name)).unwrap();
    }
    let place = dir.join("records");
    let output: Output = built
        .ktstr(&["test", "--", "-E", "test(=ktstr/passes/kernel_1) + test(=ktstr/passes/kernel_2)"])
        .env("KTSTR_KERNEL_LIST", format!("1={};2={}", dir.join("a").display(), dir.join("b").display()))
        // From here, although the tests run in their package's directory.
        .env("KTSTR_SIDECAR_DIR", "records")
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ktstr: 2 passed"), "{said}");
    let found = records(&place);
    let dirs: Vec<&str> = found.iter().map(|(path, _)| path.iter().next().unwrap().to_str().unwrap()).collect();
    assert_eq!(dirs, ["kernel_1", "kernel_2"]);
}

#[test]
fn shards_on_machines_of_their_own_become_one_result_or_an_error() {
    let built = Built::new(&[ID]);
    let dir = built.dir.path();
    let kernel = kernel();
    let filter = "test(=ktstr/passes) + test(=ktstr/says_hello) + test(=ktstr/on_the_host)";
    let plan = ["shard", "plan", "--jobs", "2", "--kernel", kernel.to_str().unwrap(), "--", "-E", filter];
    let planned = built.ktstr(&plan).output().unwrap();
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    let command = std::fs::read_to_string(dir.join("shards/command.txt")).unwrap();
    let run = |shard: usize| {
        // No archive here: the binaries are built.
        let command = command.replace("--archive-file ktstr.tar.zst", "").replace("cargo ktstr", "\"$KTSTR\"");
        let mut shell = std::process::Command::new("sh");
        let from = built.ktstr(&[]);
        shell.args(["-c", &command]).current_dir(dir).env("SHARD", shard.to_string()).env("KTSTR", from.get_program());
        for (name, value) in from.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.output().unwrap()
    };
    let merge = || built.ktstr(&["stats", "merge", "records", "--json"]).output().unwrap();
    let json = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    assert!(run(0).status.success());
    let half = merge();
    assert_eq!((half.status.code(), json(&half)["whole"].as_bool()), (Some(1), Some(false)), "{}", text(&half.stderr));
    assert!(text(&half.stderr).contains("shard 1 has no end") && !dir.join("merged").exists());
    let second = run(1);
    assert!(second.status.success(), "{}", text(&second.stderr));
    let whole = merge();
    assert_eq!((whole.status.code(), json(&whole)["passed"].as_u64()), (Some(0), Some(3)), "{}", text(&whole.stderr));
    let merged = records(&dir.join("merged"));
    assert!(merged.len() == 3 && merged.iter().all(|(_, passed)| *passed), "{merged:?}");
    assert!(run(1).status.success());
    let again = json(&merge());
    assert_eq!((again["passed"].as_u64(), again["repeated"].clone()), (Some(3), serde_json::json!([1])));
    assert_eq!(records(&dir.join("merged")).len(), 3);
}

#[test]
fn two_binaries_spend_one_budget() {
    let built = Built::new(&[ID, "fault-tests::work"]);
    // What the second would cover the first has covered.
    let words = ["test", "--budget", "300", "--", "-E", "test(=ktstr/on_the_host)"];
    let output = built.ktstr(&words).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ktstr: budget: 1/2 tests, ") && said.contains("ktstr: 1 passed, 0 failed"), "{said}");
    // The variable is the flag; what fits nothing says what would.
    let words = ["test", "--", "-E", "test(=ktstr/on_the_host)"];
    let output = built.ktstr(&words).env("KTSTR_BUDGET_SECS", "0.5").output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("ktstr: budget: 0/2 tests, 0/0.5 s") && said.contains("raise the budget"), "{said}");
}

#[test]
fn a_sweep_shows_a_grid_and_the_gate_that_stayed_closed() {
    let built = Built::new(&[ID]);
    let kernel = kernel();
    let sweep = |scheduler: &str, more: &[&str]| {
        let words = ["verifier", "--scheduler", scheduler, "--preset", "4cpu-1llc-nosmt", "--kernel"];
        let mut command = built.ktstr(&words);
        command.arg(&kernel).args(more).env("KTSTR_OVERCOMMIT", "8").output().unwrap()
    };
    let good = sweep("bpfland", &[]);
    let (drawn, said) = (text(&good.stdout), text(&good.stderr));
    assert_eq!(good.status.code(), Some(0), "{said}");
    let rows: Vec<&str> = drawn.lines().take(2).collect();
    assert!(rows[0].starts_with("bpfland ") && rows[1].starts_with("4cpu-1llc-nosmt  ✓"), "{drawn}");
    assert!(drawn.contains(" instructions") && said.contains("records of the cells are in "), "{drawn}{said}");
    let bad = sweep("ends_at_once", &["--json"]);
    assert_eq!(bad.status.code(), Some(1), "{}", text(&bad.stderr));
    let cell: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!((cell["verdict"].as_str(), cell["gate"].as_str()), (Some("fail"), Some("load")), "{cell}");
}
