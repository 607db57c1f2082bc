//! Cells of the verifier sweep in real machines: the first gate that stays closed is named.
#![allow(clippy::unwrap_used)]

mod common;

use common::{fixture, text};
use ktstr_kernel::cache::Cache;
use ktstr_sidecar::VerifierRecord;
use std::process::Output;

const PRESET: &str = "4cpu-1llc-nosmt";

fn cell(scheduler: &str) -> (Output, VerifierRecord) {
    let kernel = Cache::open().unwrap().newest().unwrap().expect("a cached kernel: cargo ktstr kernel fetch");
    let dir = tempfile::tempdir().unwrap();
    let output = fixture()
        .args(["--exact", &format!("verifier/{scheduler}/kernel_a/{PRESET}"), "--nocapture"])
        .env("NEXTEST", "1")
        .env("KTSTR_KERNEL_LIST", format!("a={}", kernel.dir().display()))
        .env("KTSTR_VERIFIER_RESULT_DIR", dir.path())
        .output()
        .unwrap();
    let (mut records, damaged) = VerifierRecord::read_all(dir.path()).unwrap();
    assert!(records.len() == 1 && damaged.is_empty(), "{records:?} {}", text(&output.stderr));
    (output, records.remove(0))
}

#[test]
fn a_published_scheduler_loads_is_enabled_and_dispatches() {
    let (output, record) = cell("bpfland");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!((record.verdict.as_str(), record.gate.as_deref()), ("pass", None), "{stderr}");
    assert!(record.ops.unwrap().starts_with("bpfland"));
    let enqueue = record.verified_insns.iter().find(|(name, _)| name.contains("enqueue"));
    assert!(enqueue.is_some_and(|(_, insns)| *insns > 100), "{:?}", record.verified_insns);
}

#[test]
fn a_program_that_ends_has_not_loaded() {
    let (output, record) = cell("ends_at_once");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((record.verdict.as_str(), record.gate.as_deref()), ("fail", Some("load")), "{}", record.message);
    assert!(record.message.contains("status 1 before it attached"), "{}", record.message);
}

#[test]
fn a_program_that_never_attaches_is_not_enabled() {
    let (output, record) = cell("never_enabled");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((record.verdict.as_str(), record.gate.as_deref()), ("fail", Some("enable")), "{}", record.message);
}
