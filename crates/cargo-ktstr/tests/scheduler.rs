//! `cargo ktstr scheduler` without a network: what is there, and what is asked for wrongly.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn run(cache: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cargo-ktstr"))
        .args(["ktstr", "scheduler"])
        .args(args)
        .env("KTSTR_CACHE_DIR", cache)
        // No cargo, so nothing can be fetched or built.
        .env("PATH", "/nonexistent")
        .output()
        .unwrap()
}

fn installed(cache: &Path, name: &str, version: &str) {
    let bin = cache.join(format!("schedulers/{name}-{version}/bin"));
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join(name), [0u8; 2048]).unwrap();
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output, why: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains(why), "`{why}` is not in: {stderr}");
    assert!(stderr.lines().count() <= 3 && output.stdout.is_empty(), "{stderr}");
}

#[test]
fn a_wrong_name_is_refused_with_the_one_that_was_meant() {
    let cache = tempfile::tempdir().unwrap();
    refused(&run(cache.path(), &["install", "bpfland"]), "did you mean scx_bpfland?");
    refused(&run(cache.path(), &["install", "scx_rustyy"]), "did you mean scx_rusty?");
    refused(&run(cache.path(), &["install", "firefox"]), "there are scx_beerland, scx_bpfland");
    refused(&run(cache.path(), &["install", ""]), "is not a published scheduler");
    refused(&run(cache.path(), &["install", "../scx_bpfland"]), "is not a published scheduler");
}

#[test]
fn a_wrong_version_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    for version in ["", "newest", "1.1", "1.1.4 --git x"] {
        let output = run(cache.path(), &["install", &format!("scx_bpfland@{version}")]);
        refused(&output, "is not a version of scx_bpfland");
    }
}

#[test]
fn what_is_there_is_taken_without_a_network() {
    let cache = tempfile::tempdir().unwrap();
    installed(cache.path(), "scx_bpfland", "1.1.4");
    installed(cache.path(), "scx_bpfland", "1.1.12");
    for (wanted, version) in [("scx_bpfland", "1.1.12"), ("scx_bpfland@1.1.4", "1.1.4")] {
        let output = run(cache.path(), &["install", wanted]);
        assert!(output.status.success(), "{wanted}: {}", String::from_utf8_lossy(&output.stderr));
        let path = cache.path().join(format!("schedulers/scx_bpfland-{version}/bin/scx_bpfland"));
        assert_eq!(stdout(&output).trim(), path.display().to_string());
    }
    let other = run(cache.path(), &["install", "scx_bpfland@9.9.9"]);
    assert!(!other.status.success() && other.stdout.is_empty());
}

#[test]
fn the_list_shows_name_version_size_and_path_for_people_and_machines() {
    let cache = tempfile::tempdir().unwrap();
    let empty = run(cache.path(), &["list"]);
    assert!(empty.status.success() && empty.stdout.is_empty() && !empty.stderr.is_empty());
    assert!(run(cache.path(), &["list", "--json"]).stderr.is_empty());
    installed(cache.path(), "scx_rusty", "1.1.4");
    // Half a build is none.
    std::fs::create_dir_all(cache.path().join("schedulers/.build-x/bin")).unwrap();
    std::fs::create_dir_all(cache.path().join("schedulers/scx_lavd-1.1.4/bin")).unwrap();
    let table = stdout(&run(cache.path(), &["list"]));
    let path = cache.path().join("schedulers/scx_rusty-1.1.4/bin/scx_rusty").display().to_string();
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["scx_rusty", "1.1.4", "0.0", "MiB", &path]);
    let json = stdout(&run(cache.path(), &["list", "--json"]));
    let value: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&value["name"], &value["size"], &value["path"]), (&"scx_rusty".into(), &2048.into(), &path.into()));
}
