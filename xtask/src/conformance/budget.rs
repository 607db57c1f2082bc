//! Vectors of the budget crate.

use super::{flag, number, text};
use anyhow::{Context as _, Result};
use ktstr_budget::{Candidate, Secs, estimate_duration};
use serde_json::{Value, json};

fn secs(value: &Value) -> Result<Secs> {
    Ok(Secs::new(value.as_f64().context("seconds are not a number")?)?)
}

/// The chosen indices.
pub fn select(case: &Value) -> Result<Value> {
    let list = case["candidates"].as_array().context("`candidates` is not a list")?;
    let candidates = list
        .iter()
        .map(|c| {
            let mask = c["mask"].as_u64().context("`mask` is not a whole number")?;
            Ok(Candidate { name: text(c, "name")?.to_owned(), mask, secs: secs(&c["secs"])? })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(json!(ktstr_budget::select(&candidates, secs(&case["budget"])?)))
}

/// The estimate.
pub fn estimate(case: &Value) -> Result<Value> {
    let (cpus, duration) = (number(case, "cpus")?, number(case, "duration")?);
    Ok(json!(estimate_duration(cpus, duration.into(), flag(case, "host_only")?, flag(case, "perf")?)))
}
