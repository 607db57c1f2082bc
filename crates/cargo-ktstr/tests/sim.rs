//! `cargo ktstr sim` on a script that stands for a test binary: the same protocol, and no machine.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    binary: PathBuf,
    qemu: String,
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
        std::fs::write(dir.path().join("kernel"), "a kernel").unwrap();
        let binary = dir.path().join("binary");
        let version = Command::new("qemu-system-x86_64").arg("--version").output().unwrap().stdout;
        let version = String::from_utf8(version).unwrap();
        let qemu = version.lines().next().unwrap().trim_start_matches("QEMU emulator version ").to_owned();
        Self { dir, binary, qemu }
    }

    fn sim(&self, words: &[&str]) -> Said {
        self.sim_with(words, &[])
    }

    fn sim_with(&self, words: &[&str], env: &[(&str, &str)]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-ktstr"))
            .args(["ktstr", "sim"])
            .args(words)
            .arg("--binary")
            .arg(&self.binary)
            .arg("--out")
            .arg(self.dir.path().join("out"))
            .current_dir(self.dir.path())
            .env("KTSTR_KERNEL", self.dir.path().join("kernel"))
            .env("QEMU_HERE", &self.qemu)
            .env_remove("KTSTR_TEST_KERNEL")
            .env_remove("KTSTR_SEED")
            .env_remove("KTSTR_CHAOS")
            .env_remove("KTSTR_CHAOS_KEEP")
            .env_remove("KTSTR_KERNEL_LIST")
            .envs(env.iter().copied())
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

#[test]
fn a_failing_seed_is_found_and_shrunk_to_what_it_needs() {
    let bench = Bench::new();
    let said = bench.sim(&["search", "fails_by_chance", "--seeds", "0..10", "--json", "--jobs", "3"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    let lines = said.json();
    let (summary, seeds) = lines.split_last().unwrap();
    assert_eq!(seeds.len(), 10);
    let mut failed: Vec<u64> =
        seeds.iter().filter(|s| s["verdict"] == "fail").map(|s| s["seed"].as_u64().unwrap()).collect();
    failed.sort_unstable();
    assert_eq!(failed, [3, 8]);
    assert_eq!(
        (&summary["passed"], &summary["failed"], &summary["distinct_digests"]),
        (&8.into(), &2.into(), &10.into())
    );
    let shrunk = &summary["shrunk"];
    assert_eq!((&shrunk["seed"], &shrunk["keep"], &shrunk["minimal"]), (&3.into(), &"17,40".into(), &true.into()));
    assert_eq!(shrunk["message"], "a worker stood still for 21 ms");
}

#[test]
fn a_search_ends_at_the_first_failure_when_it_may_and_shrinks_no_longer_than_it_may() {
    let bench = Bench::new();
    let said = bench.sim(&[
        "search",
        "fails_by_chance",
        "--seeds",
        "0..=99",
        "--until-fail",
        "--jobs",
        "1",
        "--shrink-runs",
        "4",
        "--json",
    ]);
    let lines = said.json();
    let (summary, seeds) = lines.split_last().unwrap();
    assert!(seeds.len() <= 6, "{}", said.stdout);
    assert_eq!((&summary["failed"], &summary["shrunk"]["minimal"]), (&1.into(), &false.into()), "{summary}");
}

#[test]
fn a_search_that_finds_nothing_says_when_it_last_saw_something_new() {
    let said = Bench::new().sim(&["search", "steady", "--seeds", "0..8", "--jobs", "1"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    // Migrations 0, 1, 2 and 3, of which the last two are of one magnitude.
    assert!(
        said.stdout.contains("8 passed, 0 failed") && said.stdout.contains("none new in the last 5 seeds"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_record_is_replayed_by_itself_and_what_is_missing_is_named() {
    let bench = Bench::new();
    let found = bench.sim(&["search", "fails_by_chance", "--seeds", "3..4", "--json"]);
    let shrunk = found.json().pop().unwrap()["shrunk"].clone();
    let record = shrunk["record"].as_str().unwrap();
    let said = bench.sim(&["replay", record]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("confirmed: ktstr/fails_by_chance  seed 3, chaos high, only 17,40"),
        "{}",
        said.stdout
    );
    // A replay is a run like any other.
    let again = bench.dir.path().join("out/binary/ktstr_fails_by_chance/replay");
    assert_eq!(bench.sim(&["replay", again.to_str().unwrap()]).code, 0);

    let file = std::fs::read_dir(record).unwrap().flatten().find(|e| e.file_name() == "a.ktstr.json").unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        std::fs::write(&file, value.to_string()).unwrap();
        let said = bench.sim(&["replay", record]);
        assert_eq!(said.code, 1, "{}", said.stdout);
        said.stdout + &said.stderr
    };
    let of = |name: &'static str, value: Value| move |record: &mut Value| record[name] = value.clone();
    for (name, value, words) in [
        ("kernel_hash", "0".into(), "it is not here\nrun `cargo ktstr kernel fetch 6.18`"),
        ("binary_hash", "0".into(), "the record's binary is 0"),
        ("qemu_version", "1.0".into(), "the record was made with QEMU 1.0"),
        ("seed", Value::Null, "this record is not of a simulated run"),
        ("digest", Value::Null, "it has no digest to confirm"),
        ("digest", "0".into(), "nothing that decides the run differs"),
        ("initramfs_hash", "0".into(), "guest's files (binary, libraries, scheduler): the record says 0, now i"),
        ("passed", true.into(), "verdict: the record says PASS, now FAIL"),
    ] {
        let said = with(&of(name, value));
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}

#[test]
fn a_stop_at_an_instant_is_of_the_recorded_run_or_said_not_to_be() {
    let bench = Bench::new();
    let ran = bench.sim(&["run", "fails_by_chance", "--seed", "3", "--chaos", "high"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let record = bench.dir.path().join("out/binary/ktstr_fails_by_chance/run");
    let replay = |under_gdb: &str, words: &[&str]| {
        let replay = ["replay", record.to_str().unwrap(), "--gdb", "7", "--at"];
        bench.sim_with(&[&replay, words].concat(), &[("UNDER_GDB", under_gdb)])
    };
    let good = replay("", &["failure"]);
    assert_eq!(good.code, 0, "{}{}", good.stdout, good.stderr);
    assert!(good.stderr.contains("It stops 0.000005000 s after power-on; it failed at the kernel's complaint"));
    assert!(good.stdout.contains("under gdb: the recorded run up to its stop, 0.000005000 s"), "{}", good.stdout);
    let json = replay("", &["failure", "--json"]).json();
    assert_eq!((&json[0]["gdb"]["stop_ns"], &json[0]["gdb"]["same_until_stop"]), (&5000.into(), &"yes".into()));
    for (under_gdb, at, words) in [
        ("strays", "failure", "under gdb: not the recorded run: it strayed before its stop"),
        ("ends", "failure", "under gdb: ended before its stop"),
        ("old", "failure", "the run left no times of its output: the binary is of a version"),
        ("", "3ms", "the test never began"),
        ("", "soon", "`soon` is no length of time"),
    ] {
        let said = replay(under_gdb, &[at]);
        assert_ne!(said.code, 0, "{under_gdb}: {}", said.stdout);
        let all = said.stdout + &said.stderr;
        assert!(all.contains(words), "`{words}` is not in:\n{all}");
    }
    // Nothing of it is left beside the record.
    let left = std::fs::read_dir(record.parent().unwrap().join("replay")).unwrap().flatten();
    assert!(left.into_iter().all(|file| !file.file_name().to_string_lossy().contains("times")));
}

#[test]
fn the_same_scheduler_twice_differs_in_nothing_and_other_arguments_in_what_they_change() {
    let bench = Bench::new();
    let same = bench.sim(&["compare", "steady", "--args-a", "-x 1", "--args-b", "-x 1", "--json"]);
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    let [line] = &same.json()[..] else { panic!("{}", same.stdout) };
    let figures = line["figures"].as_object().unwrap();
    assert!(figures.len() > 5 && figures.values().all(|f| f["difference"].as_f64() == Some(0.0)), "{line}");
    assert_eq!((&line["differ"], &line["a"]["args"]), (&0.into(), &serde_json::json!(["-x", "1"])));

    let other = bench.sim(&["compare", "steady", "--args-b", "-x 1"]);
    assert_eq!(other.code, 0, "{}{}", other.stdout, other.stderr);
    let row = other.stdout.lines().find(|l| l.contains("cgroup.a.iterations")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["cgroup.a.iterations", "1", "5", "4"]);
    assert!(other.stdout.contains("figures, 1 differ"), "{}", other.stdout);
    // A record that was made with arguments is replayed with them.
    let record = bench.dir.path().join("out/binary/ktstr_steady/compare-B");
    assert_eq!(bench.sim(&["replay", record.to_str().unwrap()]).code, 0);
}

#[test]
fn sides_that_did_not_run_as_they_were_asked_to_are_not_compared() {
    let bench = Bench::new();
    let itself = bench.binary.to_str().unwrap();
    for (words, why) in [
        (&["wavers", "--args-b", "-x"][..], "side B was to run with `-x`, and `wavers` takes no arguments"),
        (&["steady", "--scheduler-a", itself], "and `steady` did not: its scheduler is not declared by `binary`"),
        (&["steady", "--scheduler-a", "nowhere"], "no scheduler nowhere for side A"),
        (&["on_the_host"], "side A gave nothing to compare"),
    ] {
        let said = bench.sim(&[&["compare"], words].concat());
        assert_eq!(said.code, 1, "{}", said.stdout);
        assert!(said.stderr.contains(why), "`{why}` is not in:\n{}", said.stderr);
    }
}
