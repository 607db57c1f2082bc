//! `cargo ktstr sim` on a script that stands for a test binary: the same protocol, and no machine.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    binary: PathBuf,
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (script, name) in [("binary.sh", "binary"), ("holds.sh", "holds")] {
            let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sim").join(script);
            std::fs::copy(from, dir.path().join(name)).unwrap();
        }
        let binary = dir.path().join("binary");
        Self { dir, binary }
    }

    fn sim(&self, words: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-ktstr"))
            .args(["ktstr", "sim"])
            .args(words)
            .arg("--binary")
            .arg(&self.binary)
            .arg("--out")
            .arg(self.dir.path().join("out"))
            .current_dir(self.dir.path())
            .env_remove("KTSTR_SEED")
            .env_remove("KTSTR_CHAOS")
            .env_remove("KTSTR_CHAOS_KEEP")
            .env_remove("KTSTR_KERNEL_LIST")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

#[test]
fn a_test_that_repeats_itself_is_the_same() {
    let said = Bench::new().sim(&["check", "steady", "--seed", "0x10", "--json"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let [line] = &said.json()[..] else { panic!("{}", said.stdout) };
    assert_eq!((line["result"].as_str(), line["seed"].as_u64()), (Some("same"), Some(16)));
    assert_eq!(line["digests"][0], line["digests"][1]);
}

#[test]
fn a_test_that_does_not_is_different_at_a_byte_that_is_shown() {
    let said = Bench::new().sim(&["check", "wavers", "steady"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("console differs at byte 30: line 1"), "{}", said.stdout);
    assert!(said.stdout.contains("run 1\\n") && said.stdout.contains("run 2\\n"), "{}", said.stdout);
    assert!(said.stdout.contains("same       ktstr/steady"), "{}", said.stdout);
}

#[test]
fn where_nothing_was_compared_nothing_is_proved() {
    let said = Bench::new().sim(&["check", "on_the_host"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains("not run    ktstr/on_the_host: it boots no machine"), "{}", said.stdout);
    assert!(said.stderr.contains("nothing was compared"), "{}", said.stderr);
}

#[test]
fn a_run_says_each_verdict_and_how_to_repeat_a_failure() {
    let bench = Bench::new();
    let said = bench.sim(&["run", "steady", "fails_by_chance", "--seed", "8", "--chaos", "high"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("PASS         ktstr/steady  seed 8, chaos high"), "{}", said.stdout);
    assert!(said.stdout.contains("FAIL         ktstr/fails_by_chance"), "{}", said.stdout);
    assert!(said.stdout.contains("again: cargo ktstr sim replay "), "{}", said.stdout);
    assert_eq!(bench.sim(&["run", "steady", "fails_by_chance", "--seed", "7", "--chaos", "high"]).code, 0);
}

#[test]
fn a_test_that_is_not_there_is_an_error_with_those_that_are() {
    let said = Bench::new().sim(&["run", "nothing"]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(
        said.stderr.contains("no test `nothing`; there are fails_by_chance, on_the_host, steady, wavers"),
        "{}",
        said.stderr
    );
}
