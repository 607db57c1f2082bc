//! `cargo xtask conformance DIR`: vectors against the crates' public functions.

mod budget;
mod kernel;
mod topology;
mod verdict;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a case's function gave.
type Check = fn(&Value) -> Result<Value>;

/// Runs every file of a directory; the answer is whether all cases passed.
pub fn run(dir: &Path) -> Result<bool> {
    let listing = std::fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))?;
    let mut files: Vec<PathBuf> =
        listing.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    ensure!(!files.is_empty(), "{} holds no vectors: nothing would be checked", dir.display());
    let (mut passed, mut failed) = (0u64, 0u64);
    for file in files {
        match run_file(&file) {
            Ok((good, bad)) => {
                passed += good;
                failed += bad;
            }
            Err(e) => {
                println!("{}: {e:#}", file.display());
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn run_file(file: &Path) -> Result<(u64, u64)> {
    let document: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let function = document["function"].as_str().context("no `function`")?;
    let check = check_of(function).with_context(|| format!("`{function}` is not a function with vectors"))?;
    let cases = document["cases"].as_array().context("no `cases`")?;
    ensure!(!cases.is_empty(), "no cases");
    let (mut passed, mut failed) = (0, 0);
    for (index, case) in cases.iter().enumerate() {
        let wanted = expected(case);
        let got = check(case).unwrap_or_else(|e| Value::String(format!("error: {e:#}")));
        if same(&got, &wanted) {
            passed += 1;
        } else {
            failed += 1;
            println!("{} case {index}: input {}, expected {wanted}, got {got}", file.display(), input(case));
        }
    }
    Ok((passed, failed))
}

fn check_of(function: &str) -> Option<Check> {
    Some(match function {
        "final_outcome" => verdict::final_outcome,
        "budget_select" => budget::select,
        "estimate_duration" => budget::estimate,
        "topology_parse" => topology::parse,
        "presets_accepted" => topology::presets,
        "vm_memory_mib" => topology::memory,
        "sanitize_kernel_label" => kernel::sanitize,
        "parse_kernel_list" => kernel::list,
        "decompose_version_for_compare" => kernel::compare,
        "kernel_accepts" => kernel::accepts,
        "strip_kernel_suffix" => kernel::strip,
        _ => return None,
    })
}

/// Keys of a case that are its expectation.
const EXPECTED: [&str; 4] = ["out", "verdict", "exit", "bits"];

fn expected(case: &Value) -> Value {
    if let Some(out) = case.get("out") {
        return out.clone();
    }
    serde_json::json!({ "verdict": case["verdict"], "exit": case["exit"], "bits": case["bits"] })
}

fn input(case: &Value) -> Value {
    let fields = case.as_object().cloned().unwrap_or_default();
    fields.into_iter().filter(|(k, _)| !EXPECTED.contains(&k.as_str())).collect::<serde_json::Map<_, _>>().into()
}

/// Equal, with numbers compared as numbers: 14 is 14.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

/// A field that must be a text.
fn text<'a>(case: &'a Value, key: &str) -> Result<&'a str> {
    case[key].as_str().with_context(|| format!("`{key}` is not a text"))
}

/// A field that must be a whole number.
fn number(case: &Value, key: &str) -> Result<u32> {
    let n = case[key].as_u64().with_context(|| format!("`{key}` is not a whole number"))?;
    u32::try_from(n).with_context(|| format!("`{key}` does not fit 32 bits"))
}

/// A field that must be a flag.
fn flag(case: &Value, key: &str) -> Result<bool> {
    case[key].as_bool().with_context(|| format!("`{key}` is not a flag"))
}

/// A field that must be a list of texts.
fn texts<'a>(case: &'a Value, key: &str) -> Result<Vec<&'a str>> {
    let list = case[key].as_array().with_context(|| format!("`{key}` is not a list"))?;
    list.iter().map(|v| v.as_str().with_context(|| format!("`{key}` holds something else than texts"))).collect()
}
