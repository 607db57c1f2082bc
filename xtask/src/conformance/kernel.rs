//! Vectors of the kernel crate's pure half.

use super::{text, texts};
use anyhow::Result;
use ktstr_kernel::{
    decompose_version_for_compare, kernel_accepts, parse_kernel_list, sanitize_kernel_label, strip_kernel_suffix,
};
use serde_json::{Value, json};

/// The sanitised label.
pub fn sanitize(case: &Value) -> Result<Value> {
    Ok(json!(sanitize_kernel_label(text(case, "in")?).as_str()))
}

/// The entries of a list.
pub fn list(case: &Value) -> Result<Value> {
    let entries = parse_kernel_list(text(case, "in")?)
        .into_iter()
        .map(|k| json!({ "label": k.label, "sanitized": k.sanitized.as_str(), "path": k.path.to_string_lossy() }));
    Ok(entries.collect::<Vec<_>>().into())
}

/// -1, 0 or 1, or null when the first is no version.
pub fn compare(case: &Value) -> Result<Value> {
    let a = decompose_version_for_compare(text(case, "a")?);
    let b = case["b"].as_str().and_then(decompose_version_for_compare);
    Ok(match (a, b) {
        (Some(a), Some(b)) => json!(a.cmp(&b) as i8),
        _ => Value::Null,
    })
}

/// Whether the kernel is accepted.
pub fn accepts(case: &Value) -> Result<Value> {
    Ok(json!(kernel_accepts(text(case, "label")?, &texts(case, "specs")?)))
}

/// The bare name and label, or an error.
pub fn strip(case: &Value) -> Result<Value> {
    Ok(match strip_kernel_suffix(text(case, "name")?, &texts(case, "labels")?) {
        Ok((name, label)) => json!({ "ok": { "name": name, "label": label } }),
        Err(_) => json!({ "err": true }),
    })
}
